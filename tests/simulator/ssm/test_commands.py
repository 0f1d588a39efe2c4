"""Run Command: how commands move on, how they end, and what they show."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.simulator.documents import CommandOutcome

REGION = "us-west-2"
SERVER = "s-1a2b3c4d5e6f70001"


class Shell:
    """An SSM client and instances whose agents are online, in a frozen region."""

    def __init__(self, simulator: Any, scenario: dict[str, Any] | None = None, instances: int = 1) -> None:
        server = {"id": SERVER, "hostname": "db01"}
        simulator.load({"servers": [server], **(scenario or {})})
        simulator.freeze()
        self.simulator = simulator
        self.client = boto3.client("ssm", REGION)
        tags = [{"Key": "AWSElasticDisasterRecoverySourceServerID", "Value": SERVER}, {"Key": "Tier", "Value": "db"}]
        answer = boto3.client("ec2", REGION).run_instances(
            ImageId="ami-760aaa0f",
            MinCount=instances,
            MaxCount=instances,
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
        )
        self.instances = [each["InstanceId"] for each in answer["Instances"]]
        simulator.advance(31)

    def send(self, *commands: str, document: str = "AWS-RunShellScript", **more: Any) -> str:
        more.setdefault("InstanceIds", self.instances)
        if more["InstanceIds"] is None:
            del more["InstanceIds"]
        if commands:
            more["Parameters"] = {"commands": list(commands), **more.get("Parameters", {})}
        return str(self.client.send_command(DocumentName=document, **more)["Command"]["CommandId"])

    def get(self, command_id: str, instance: int = 0) -> dict[str, Any]:
        return dict(self.client.get_command_invocation(CommandId=command_id, InstanceId=self.instances[instance]))

    def command(self, command_id: str) -> dict[str, Any]:
        (found,) = self.client.list_commands(CommandId=command_id)["Commands"]
        return dict(found)

    def states(self, command_id: str) -> list[str]:
        found = self.client.list_command_invocations(CommandId=command_id)["CommandInvocations"]
        return [each["StatusDetails"] for each in found]


def refused(code: str, call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def test_a_command_goes_from_pending_to_success(drs_simulator):
    shell = Shell(drs_simulator)
    command = shell.send("echo 'promoted'; sleep 20", Comment="wave 1")
    assert shell.command(command)["Status"] == "Pending"
    refused("InvocationDoesNotExist", shell.get, command_id=command)
    drs_simulator.advance(1)
    running = shell.get(command)
    assert (running["Status"], running["ResponseCode"], running["StandardOutputContent"]) == ("InProgress", -1, "")
    assert shell.command(command)["Status"] == "InProgress"
    drs_simulator.advance(19.9)
    assert shell.get(command)["Status"] == "InProgress"
    drs_simulator.advance(0.1)
    done = shell.get(command)
    assert (done["Status"], done["ResponseCode"], done["StandardOutputContent"]) == ("Success", 0, "promoted\n")
    assert done["ExecutionElapsedTime"] == "PT20.000S"
    listed = shell.command(command)
    assert (listed["Status"], listed["Comment"]) == ("Success", "wave 1")
    assert (listed["TargetCount"], listed["CompletedCount"], listed["ErrorCount"]) == (1, 1, 0)


def test_it_moves_on_without_being_polled(drs_simulator):
    shell = Shell(drs_simulator)
    command = shell.send("sleep 20")
    drs_simulator.advance(3600)
    events = [each for each in drs_simulator.log if each.get("command") == command]
    assert [each["event"] for each in events] == [
        "COMMAND_START",
        "INVOCATION_START",
        "INVOCATION_END",
        "COMMAND_END",
    ]
    start = events[0]["t"]
    assert [round(each["t"] - start, 3) for each in events] == [0, 1, 21, 21]
    assert events[0]["instances"] == shell.instances
    assert (events[2]["instance"], events[2]["server"], events[2]["status"]) == (shell.instances[0], SERVER, "Success")
    assert {each["document"] for each in events} == {"AWS-RunShellScript"}


def test_shell_text_that_exits_fails_with_that_code(drs_simulator):
    shell = Shell(drs_simulator)
    command = shell.send("echo before", "exit 42")
    drs_simulator.advance(10)
    done = shell.get(command)
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Failed", "Failed", 42)
    assert done["StandardOutputContent"] == "before\n"
    assert done["StandardErrorContent"] == "failed to run commands: exit status 42"
    assert (shell.command(command)["Status"], shell.command(command)["ErrorCount"]) == ("Failed", 1)


#: Outcome in the scenario: Status and StatusDetails of the invocation, and of the command.
STATUSES = {
    "Success": ("Success", "Success", "Success", "Success"),
    "Failed": ("Failed", "Failed", "Failed", "Failed"),
    "TimedOut": ("TimedOut", "ExecutionTimedOut", "TimedOut", "ExecutionTimedOut"),
    "ExecutionTimedOut": ("TimedOut", "ExecutionTimedOut", "TimedOut", "ExecutionTimedOut"),
    "DeliveryTimedOut": ("TimedOut", "DeliveryTimedOut", "TimedOut", "DeliveryTimedOut"),
    "Undeliverable": ("Failed", "Undeliverable", "Failed", "Incomplete"),
    "InvalidPlatform": ("Failed", "InvalidPlatform", "Failed", "Failed"),
    "AccessDenied": ("Failed", "AccessDenied", "Failed", "Failed"),
    "Terminated": ("Cancelled", "Terminated", "Failed", "Incomplete"),
    "Cancelled": ("Cancelled", "Cancelled", "Cancelled", "Cancelled"),
    "hangs": ("InProgress", "InProgress", "InProgress", "InProgress"),
    "InProgress": ("InProgress", "InProgress", "InProgress", "InProgress"),
    "Pending": ("Pending", "Pending", "Pending", "Pending"),
    "Delayed": ("Delayed", "Delayed", "InProgress", "InProgress"),
}


def test_every_status_by_scenario(drs_simulator):
    assert set(STATUSES) == set(get_args(CommandOutcome))
    documents = {f"Doc-{outcome}": {"outcome": outcome, "duration": 5} for outcome in STATUSES}
    shell = Shell(drs_simulator, {"documents": documents})
    sent = {
        outcome: shell.send(document=f"Doc-{outcome}", TimeoutSeconds=30 if outcome == "DeliveryTimedOut" else 300)
        for outcome in STATUSES
    }
    drs_simulator.advance(60)
    for outcome, command in sent.items():
        done, listed = shell.get(command), shell.command(command)
        found = (done["Status"], done["StatusDetails"], listed["Status"], listed["StatusDetails"])
        assert found == STATUSES[outcome], outcome


def test_what_hangs_ends_by_the_execution_timeout_and_what_is_pending_by_the_delivery_timeout(drs_simulator):
    documents = {"Hangs": {"outcome": "hangs"}, "Waits": {"outcome": "Pending"}}
    shell = Shell(drs_simulator, {"documents": documents})
    hanging, waiting = shell.send(document="Hangs"), shell.send(document="Waits", TimeoutSeconds=120)
    slow = shell.send("sleep 100", Parameters={"executionTimeout": ["10"]})
    drs_simulator.advance(12)
    assert shell.get(slow)["StatusDetails"] == "ExecutionTimedOut"
    drs_simulator.advance(110)
    assert shell.get(waiting)["StatusDetails"] == "DeliveryTimedOut"
    assert shell.get(hanging)["Status"] == "InProgress"
    drs_simulator.advance(3600)
    assert shell.get(hanging)["StatusDetails"] == "ExecutionTimedOut"


def test_a_scenario_speaks_of_one_host_and_of_one_run_after_another(drs_simulator):
    document = {
        "outcome": ["Failed", "Success"],
        "exit_code": 7,
        "output": "tried",
        "instances": {"db02": {"outcome": "Failed"}},
    }
    host = {"instances": {"db01": {"outcome": "Failed", "exit_code": 9, "error_output": "no space", "duration": 2}}}
    shell = Shell(drs_simulator, {"documents": {"Turns": document, "Host": host}})
    first = shell.send(document="Turns")
    drs_simulator.advance(10)
    second, hosted = shell.send(document="Turns"), shell.send(document="Host")
    drs_simulator.advance(3)
    done = shell.get(hosted)
    assert (done["Status"], done["ResponseCode"], done["StandardErrorContent"]) == ("Failed", 9, "no space")
    drs_simulator.advance(10)
    assert (shell.get(first)["Status"], shell.get(first)["ResponseCode"]) == ("Failed", 7)
    assert shell.get(first)["StandardOutputContent"] == "tried"
    assert shell.get(second)["Status"] == "Success"


def test_long_output_is_cut(drs_simulator):
    shell = Shell(drs_simulator, {"documents": {"Doc": {"output": "x" * 30000, "error_output": "e" * 9000}}})
    command = shell.send(document="Doc")
    drs_simulator.advance(10)
    done = shell.get(command)
    assert len(done["StandardOutputContent"]) == 24000 and len(done["StandardErrorContent"]) == 8000
    assert done["StandardOutputContent"].endswith("---Output truncated---")
    (listed,) = shell.client.list_command_invocations(CommandId=command, Details=True)["CommandInvocations"]
    (plugin,) = listed["CommandPlugins"]
    assert len(plugin["Output"]) == 2500 and plugin["Status"] == "Success"
    (bare,) = shell.client.list_command_invocations(CommandId=command)["CommandInvocations"]
    assert bare["CommandPlugins"] == []


def test_max_concurrency_lets_so_many_run_at_once(drs_simulator):
    shell = Shell(drs_simulator, instances=4)
    command = shell.send("sleep 10", MaxConcurrency="50%")
    drs_simulator.advance(5)
    assert sorted(shell.states(command)) == ["InProgress", "InProgress", "Pending", "Pending"]
    drs_simulator.advance(10)
    assert sorted(shell.states(command)) == ["InProgress", "InProgress", "Success", "Success"]
    drs_simulator.advance(10)
    assert shell.command(command)["Status"] == "Success"


def test_max_errors_stops_handing_out(drs_simulator):
    shell = Shell(drs_simulator, instances=4)
    strict = shell.send("exit 1", MaxConcurrency="1")
    patient = shell.send("exit 1", MaxConcurrency="1", MaxErrors="2")
    drs_simulator.advance(60)
    assert shell.states(strict) == ["Failed", "Terminated", "Terminated", "Terminated"]
    assert shell.states(patient) == ["Failed", "Failed", "Failed", "Terminated"]
    assert shell.command(strict)["StatusDetails"] == "Failed"


def test_errors_within_max_errors_leave_a_command_incomplete(drs_simulator):
    shell = Shell(drs_simulator, instances=2)
    command = shell.send("exit 1", MaxErrors="100%")
    drs_simulator.advance(60)
    assert shell.states(command) == ["Failed", "Failed"]
    assert shell.command(command)["StatusDetails"] == "Incomplete"


def test_targets_by_tags_are_resolved_late_and_may_match_nothing(drs_simulator):
    shell = Shell(drs_simulator, instances=2)
    found = shell.send("true", InstanceIds=None, Targets=[{"Key": "tag:Tier", "Values": ["db"]}])
    empty = shell.send("true", InstanceIds=None, Targets=[{"Key": "tag:Tier", "Values": ["none"]}])
    assert shell.command(found)["InstanceIds"] == []
    drs_simulator.advance(10)
    assert shell.states(found) == ["Success", "Success"]
    listed = shell.command(empty)
    assert (listed["Status"], listed["StatusDetails"], listed["TargetCount"]) == ("Success", "NoInstancesInTag", 0)


def test_cancel_ends_waiting_ones_at_once_and_running_ones_a_little_later(drs_simulator):
    shell = Shell(drs_simulator, instances=2)
    command = shell.send("sleep 600", MaxConcurrency="1")
    drs_simulator.advance(5)
    shell.client.cancel_command(CommandId=command)
    assert shell.states(command) == ["Cancelling", "Cancelled"]
    assert shell.command(command)["Status"] == "Cancelling"
    drs_simulator.advance(2)
    assert shell.states(command) == ["Cancelled", "Cancelled"]
    assert shell.command(command)["Status"] == "Cancelled"
    assert shell.get(command)["ResponseCode"] == -1
    shell.client.cancel_command(CommandId=command)
    assert shell.command(command)["Status"] == "Cancelled"


def test_cancel_of_some_instances_leaves_the_others(drs_simulator):
    shell = Shell(drs_simulator, instances=2)
    command = shell.send("sleep 20")
    drs_simulator.advance(5)
    shell.client.cancel_command(CommandId=command, InstanceIds=shell.instances[:1])
    drs_simulator.advance(20)
    assert sorted(shell.states(command)) == ["Cancelled", "Success"]
    cancel = shell.client.cancel_command
    refused("InvalidInstanceId", cancel, CommandId=command, InstanceIds=["i-00000000000000000"])


def test_cancel_before_the_invocations_exist(drs_simulator):
    shell = Shell(drs_simulator)
    command, other = shell.send("sleep 600"), shell.send("sleep 600")
    shell.client.cancel_command(CommandId=command)
    shell.client.cancel_command(CommandId=other, InstanceIds=shell.instances)
    drs_simulator.advance(1)
    assert shell.states(command) == ["Cancelled"] and shell.command(command)["Status"] == "Cancelled"
    assert shell.states(other) == ["Cancelled"]


def test_requests_that_aws_refuses(drs_simulator):
    documents = {
        "Runbook": {"kind": "Automation"},
        "Strict": {"kind": "Command", "parameters": {"Role": {"allowedValues": ["primary"]}}},
        "WindowsOnly": {"platforms": ["Windows"]},
    }
    shell = Shell(drs_simulator, {"documents": documents})
    send, ids, tags = shell.client.send_command, shell.instances, [{"Key": "tag:Tier", "Values": ["db"]}]
    good = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    refused("InvalidDocument", send, InstanceIds=ids, DocumentName="Nonsense")
    refused("InvalidDocument", send, InstanceIds=ids, DocumentName="Runbook")
    refused("InvalidDocumentVersion", send, InstanceIds=ids, DocumentVersion="9", **good)
    refused("InvalidParameters", send, InstanceIds=ids, DocumentName="AWS-RunShellScript")
    given = {"commands": ["true"], "Nonsense": ["x"]}
    assert "Nonsense" in refused("InvalidParameters", send, InstanceIds=ids, **{**good, "Parameters": given})
    refused("InvalidParameters", send, InstanceIds=ids, DocumentName="Strict", Parameters={"Role": ["replica"]})
    refused("UnsupportedPlatformType", send, InstanceIds=ids, DocumentName="WindowsOnly")
    refused("DuplicateInstanceId", send, InstanceIds=ids * 2, **good)
    refused("ValidationException", send, InstanceIds=ids, Targets=tags, **good)
    refused("ValidationException", send, **good)
    too_many = [f"i-{number:017x}" for number in range(51)]
    assert "less than or equal to 50" in refused("ValidationException", send, InstanceIds=too_many, **good)
    refused("ValidationException", send, InstanceIds=ids, Comment="x" * 101, **good)
    refused("ValidationException", send, InstanceIds=ids, MaxConcurrency="0", **good)
    other = "00000000-0000-0000-0000-000000000000"
    refused("InvalidCommandId", shell.client.list_commands, CommandId=other)
    refused("InvalidCommandId", shell.client.cancel_command, CommandId=other)
    refused("InvocationDoesNotExist", shell.get, command_id=other)
    done = shell.send("true")
    drs_simulator.advance(10)
    get = shell.client.get_command_invocation
    refused("InvalidPluginName", get, CommandId=done, InstanceId=ids[0], PluginName="aws:nonsense")
    starts = [each["command"] for each in drs_simulator.log if each.get("event") == "COMMAND_START"]
    assert starts == [done], "what is refused starts nothing"


def test_documents_by_arn_and_by_create_document(drs_simulator):
    shell = Shell(drs_simulator)
    content = '{"schemaVersion": "2.2", "mainSteps": [{"action": "aws:runShellScript", "name": "own", "inputs": {}}]}'
    shell.client.create_document(Name="Own", Content=content, DocumentType="Command")
    found = shell.client.describe_document(Name="Own")["Document"]
    assert "Linux" in found["PlatformTypes"]
    own = shell.send(document="Own")
    by_arn = shell.send("true", document=f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript")
    drs_simulator.advance(10)
    assert shell.get(own)["Status"] == shell.get(by_arn)["Status"] == "Success"
    assert shell.get(by_arn)["DocumentName"] == "AWS-RunShellScript"


def test_filters_and_pages(drs_simulator):
    shell = Shell(drs_simulator, {"page_size": 2}, instances=3)
    sent = []
    for text in ("true", "exit 1", "sleep 600"):
        sent.append(shell.send(text))
        drs_simulator.advance(10)
    pages = list(shell.client.get_paginator("list_commands").paginate())
    assert [[each["CommandId"] for each in page["Commands"]] for page in pages] == [sent[:0:-1], sent[:1]]
    found = [
        each
        for page in shell.client.get_paginator("list_command_invocations").paginate()
        for each in page["CommandInvocations"]
    ]
    assert len({(each["CommandId"], each["InstanceId"]) for each in found}) == len(found) == 9

    def filtered(key: str, value: str) -> list[str]:
        return [
            each["CommandId"] for each in shell.client.list_commands(Filters=[{"key": key, "value": value}])["Commands"]
        ]

    assert filtered("Status", "Failed") == [sent[1]]
    assert filtered("ExecutionStage", "Executing") == [sent[2]]
    assert filtered("DocumentName", "Nonsense") == []
    at = shell.command(sent[1])["RequestedDateTime"].isoformat()
    assert filtered("InvokedAfter", at) == [sent[2]] and filtered("InvokedBefore", at) == [sent[0]]
    on = shell.client.list_commands(InstanceId=shell.instances[2])["Commands"]
    assert [each["CommandId"] for each in on] == sent[:0:-1]
    refused(
        "InvalidFilterKey",
        shell.client.list_command_invocations,
        Filters=[{"key": "ExecutionStage", "value": "Complete"}],
    )
    refused("InvalidNextToken", shell.client.list_commands, NextToken="nonsense")


def test_faults_strike_ssm_too(drs_simulator):
    shell = Shell(drs_simulator)
    drs_simulator.add_fault("ListCommands", error="ThrottlingException", times=1)
    once = boto3.client("ssm", REGION, config=boto3.session.Config(retries={"total_max_attempts": 1}))
    refused("ThrottlingException", once.list_commands)
    assert once.list_commands()["Commands"] == []
    drs_simulator.add_fault("SendCommand", error="InternalServerError", when="after", times=1)
    parameters = {"commands": ["true"]}
    refused(
        "InternalServerError",
        once.send_command,
        InstanceIds=shell.instances,
        DocumentName="AWS-RunShellScript",
        Parameters=parameters,
        Comment="key-1",
    )
    assert [each["Comment"] for each in once.list_commands()["Commands"]] == ["key-1"], "accepted all the same"


def test_many_at_once_lose_nothing(drs_simulator):
    shell = Shell(drs_simulator, instances=5)
    drs_simulator.clock.speed = 100.0
    drs_simulator.resume()

    clients = [boto3.client("ssm", REGION) for _ in range(10)]

    def drive(number: int) -> str:
        client = clients[number % 10]
        answer = client.send_command(
            InstanceIds=shell.instances,
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["true"]},
            Comment=str(number),
        )
        command_id = str(answer["Command"]["CommandId"])
        for _ in range(5):
            client.list_command_invocations(CommandId=command_id, Details=True)
        return command_id

    with ThreadPoolExecutor(10) as pool:
        sent = list(pool.map(drive, range(40)))
    drs_simulator.freeze()
    drs_simulator.advance(10)
    assert len(set(sent)) == 40
    pages = shell.client.get_paginator("list_commands").paginate()
    assert {each["CommandId"]: each["Status"] for page in pages for each in page["Commands"]} == dict.fromkeys(
        sent, "Success"
    )
    ends = [each["command"] for each in drs_simulator.log if each.get("event") == "INVOCATION_END"]
    assert sorted(ends) == sorted(sent * 5)


def test_a_command_never_succeeds_on_an_instance_that_dies_while_it_runs(drs_simulator):
    """Stopped, terminated, stopped and started again, or lost: the script ends when its time is over, not before."""
    shell = Shell(drs_simulator, {"ec2": {"stopping": 0}}, instances=4)
    stopped, terminated, restarted, alive = shell.instances
    sent = shell.send(
        "echo done; sleep 20", Parameters={"commands": ["echo done; sleep 20"], "executionTimeout": ["60"]}
    )
    drs_simulator.advance(5)
    ec2 = boto3.client("ec2", REGION)
    ec2.stop_instances(InstanceIds=[stopped, restarted])
    ec2.terminate_instances(InstanceIds=[terminated])
    ec2.start_instances(InstanceIds=[restarted])
    drs_simulator.advance(50)
    assert shell.states(sent) == ["Success" if one == alive else "InProgress" for one in order(shell, sent)], (
        "a script of 20 s, after 55 s: nobody knows better"
    )
    drs_simulator.advance(10)
    for instance in (stopped, terminated, restarted):
        done = shell.client.get_command_invocation(CommandId=sent, InstanceId=instance)
        assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("TimedOut", "ExecutionTimedOut", -1)
        assert done["StandardOutputContent"] == ""
    assert shell.command(sent)["Status"] == "TimedOut"
    ends = [each for each in drs_simulator.log if each.get("event") == "INVOCATION_END"]
    assert sorted(each["details"] for each in ends) == ["ExecutionTimedOut"] * 3 + ["Success"]


def order(shell: Shell, command: str) -> list[str]:
    listed = shell.client.list_command_invocations(CommandId=command)["CommandInvocations"]
    return [each["InstanceId"] for each in listed]


def test_a_command_never_succeeds_on_an_agent_that_is_lost_while_it_runs(drs_simulator):
    server = {"id": SERVER, "hostname": "db01", "agent": {"lost_after": 60}}
    shell = Shell(drs_simulator, {"servers": [server]})
    drs_simulator.advance(10)
    sent = shell.send("sleep 40", Parameters={"commands": ["sleep 40"], "executionTimeout": ["100"]})
    drs_simulator.advance(99)
    assert shell.get(sent)["Status"] == "InProgress"
    drs_simulator.advance(3)
    assert shell.get(sent)["StatusDetails"] == "ExecutionTimedOut"


@pytest.mark.parametrize("value", ["0", "-1", "172801", "ten", "1e3", "", "3600.5", "0060"])
@pytest.mark.parametrize("document", ["AWS-RunShellScript", "Any"])
def test_an_execution_timeout_out_of_bounds_is_refused(drs_simulator, value, document):
    shell = Shell(drs_simulator, {"documents": {"Any": {"kind": "Command"}}})
    given = {"commands": ["true"], "executionTimeout": [value]}
    call = shell.client.send_command
    said = refused("InvalidParameters", call, InstanceIds=shell.instances, DocumentName=document, Parameters=given)
    assert "1 to 172800" in said
    for fine in ("1", "172800"):
        shell.send(document=document, Parameters={"commands": ["true"], "executionTimeout": [fine]})
