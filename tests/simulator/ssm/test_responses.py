"""SSM and Service Quotas over HTTP: boto3 and aiobotocore, unmodified, against a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import aiobotocore.session
import boto3
import pytest
from botocore.exceptions import ClientError

REGION = "us-west-2"
SCENARIO = {
    "documents": {
        "Promote": {"steps": [{"name": "approve", "action": "aws:approve"}, {"name": "promote", "duration": 20}]},
        "Quick": {"duration": 5},
    },
    "quotas": {"servers_per_job": 42},
}


@pytest.fixture
def region(drs_simulator_server):
    drs_simulator_server.load(SCENARIO, speed=60.0)
    ec2 = boto3.client("ec2", REGION)
    answer = ec2.run_instances(ImageId="ami-760aaa0f", MinCount=2, MaxCount=2)
    return drs_simulator_server, [each["InstanceId"] for each in answer["Instances"]]


def until(ask: Any, seconds: float = 60.0) -> Any:
    """What `ask` says once it is not empty."""
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, "took too long"
        time.sleep(0.02)
    return found


def online(ssm: Any, instances: list[str]) -> Any:
    def ask() -> bool:
        found = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": instances}])
        return len(found["InstanceInformationList"]) == len(instances)

    return until(ask)


def test_boto3_runs_a_command_and_its_waiter_sees_the_end(region):
    simulator, instances = region
    ssm = boto3.client("ssm", REGION)
    online(ssm, instances)
    answer = ssm.send_command(
        InstanceIds=instances, DocumentName="AWS-RunShellScript", Parameters={"commands": ["echo hello; sleep 10"]}
    )
    command = answer["Command"]["CommandId"]

    def done() -> list[dict[str, Any]]:
        found = ssm.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
        return found if len(found) == 2 and all(each["Status"] == "Success" for each in found) else []

    found = until(done)
    assert {each["CommandPlugins"][0]["Output"] for each in found} == {"hello\n"}
    waiter = ssm.get_waiter("command_executed")
    waiter.wait(CommandId=command, InstanceId=instances[0], WaiterConfig={"Delay": 1, "MaxAttempts": 3})
    (listed,) = ssm.list_commands(CommandId=command)["Commands"]
    assert (listed["Status"], listed["CompletedCount"]) == ("Success", 2)
    events = [each for each in simulator.log if each.get("command") == command]
    ran = [each["t"] for each in events if each["event"].startswith("INVOCATION")]
    assert max(ran) - min(ran) == pytest.approx(10 / 60, abs=0.01), "ten seconds of AWS, sixty times as fast"
    calls = [each for each in simulator.log if each.get("operation") == "SendCommand"]
    assert [(each["status"], each["service"], each["region"]) for each in calls] == [(200, "ssm", REGION)]
    assert calls[0]["params"]["InstanceIds"] == instances


async def test_aiobotocore_runs_an_automation_with_an_approval(region):
    session = aiobotocore.session.get_session()
    async with session.create_client("ssm", region_name=REGION) as ssm:
        started = await ssm.start_automation_execution(DocumentName="Promote")
        execution = started["AutomationExecutionId"]

        async def reach(status: str) -> dict[str, Any]:
            for _ in range(2000):
                found = await ssm.get_automation_execution(AutomationExecutionId=execution)
                if found["AutomationExecution"]["AutomationExecutionStatus"] == status:
                    return dict(found["AutomationExecution"])
                await asyncio.sleep(0.02)
            raise AssertionError(f"never reached {status}")

        assert (await reach("Waiting"))["CurrentStepName"] == "approve"
        await ssm.send_automation_signal(AutomationExecutionId=execution, SignalType="Approve")
        done = await reach("Success")
        assert [step["StepStatus"] for step in done["StepExecutions"]] == ["Success", "Success"]
        with pytest.raises(ClientError) as caught:
            await ssm.stop_automation_execution(AutomationExecutionId=execution)
        assert caught.value.response["Error"]["Code"] == "InvalidAutomationStatusUpdateException"


async def test_aiobotocore_runs_commands_at_once(region):
    simulator, instances = region
    online(boto3.client("ssm", REGION), instances)
    async with aiobotocore.session.get_session().create_client("ssm", region_name=REGION) as ssm:

        async def drive(number: int) -> str:
            answer = await ssm.send_command(InstanceIds=instances, DocumentName="Quick", Comment=str(number))
            command = answer["Command"]["CommandId"]
            for _ in range(2000):
                found = await ssm.list_commands(CommandId=command)
                if found["Commands"][0]["Status"] == "Success":
                    return str(command)
                await asyncio.sleep(0.05)
            raise AssertionError("never ended")

        commands = await asyncio.gather(*(drive(number) for number in range(10)))
    assert len(set(commands)) == 10
    ends = [each["command"] for each in simulator.log if each.get("event") == "COMMAND_END"]
    assert sorted(ends) == sorted(commands)


def test_a_held_answer_does_not_hold_what_goes_on(region):
    simulator, instances = region
    ssm = boto3.client("ssm", REGION)
    online(ssm, instances)
    simulator.add_fault("SendCommand", hold=True, times=1)
    held = threading.Thread(target=ssm.send_command, kwargs={"InstanceIds": instances, "DocumentName": "Quick"})
    held.start()
    (command,) = until(lambda: ssm.list_commands()["Commands"])
    until(lambda: ssm.list_commands(CommandId=command["CommandId"])["Commands"][0]["Status"] == "Success")
    assert held.is_alive(), "the command ran, and its sender does not know yet"
    simulator.release()
    held.join(timeout=60)
    assert not held.is_alive()


def test_service_quotas_over_http(region):
    quotas = boto3.client("service-quotas", REGION)
    given = {"ServiceCode": "drs", "QuotaCode": "L-B827C881"}
    assert quotas.get_service_quota(**given)["Quota"]["Value"] == 42
    assert quotas.get_aws_default_service_quota(**given)["Quota"]["Value"] == 100


def test_parameters_of_moto_stay(region):
    ssm = boto3.client("ssm", REGION)
    ssm.put_parameter(Name="/shop/db", Value="db01", Type="String")
    assert ssm.get_parameter(Name="/shop/db")["Parameter"]["Value"] == "db01"
    assert [each["Name"] for each in ssm.get_parameters_by_path(Path="/shop")["Parameters"]] == ["/shop/db"]
