"""The SSM hook: waiters that know every end of an automation, and many waits that share their calls."""

from __future__ import annotations

import asyncio
import json
import time

import boto3
import pytest
from botocore.exceptions import WaiterError

from drs_provider.hooks.ssm import SsmHook
from drs_provider.hooks.ssm_status import AUTOMATION_STATUS, Progress
from drs_provider.triggers.automation import SsmAutomationTrigger
from drs_provider.triggers.ssm import SsmCommandTrigger


@pytest.fixture
def hook() -> SsmHook:
    return SsmHook(aws_conn_id=None, region_name="us-west-2")


def test_the_waiters_know_every_end_of_an_automation(hook):
    waiters = json.loads(hook.waiter_path.read_text())["waiters"]
    acceptors = waiters["automation_succeeded"]["acceptors"]
    ends = {one["expected"]: one["state"] for one in acceptors if one["matcher"] == "path"}
    expected = {
        status: "success" if progress is Progress.SUCCEEDED else "failure"
        for status, progress in AUTOMATION_STATUS.items()
        if progress.ended
    }
    assert ends == expected


@pytest.mark.parametrize("outcome", ["Success", "Failed"])
def test_the_automation_waiter_ends_as_the_automation_does(region, hook, outcome):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 10, "outcome": outcome}})
    execution_id = hook.conn.start_automation_execution(DocumentName="Shop-Failover")["AutomationExecutionId"]
    waiter = hook.get_waiter("automation_succeeded")

    def wait() -> None:
        waiter.wait(AutomationExecutionId=execution_id, WaiterConfig={"Delay": 1, "MaxAttempts": 20})

    if outcome == "Success":
        wait()
    else:
        with pytest.raises(WaiterError, match="terminal failure"):
            wait()


def test_the_agent_waiter_waits_for_the_first_agent(region, hook):
    ids = region.load(1, speed=1, agent={"online_after": 3})
    began = time.time()
    hook.get_waiter("agents_online").wait(
        Filters=[{"Key": "InstanceIds", "Values": ids}], WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )
    assert time.time() - began > 1


async def _all_events(triggers):
    async def first(trigger):
        (event,) = [event async for event in trigger.run()]
        return event

    return await asyncio.gather(*(first(trigger) for trigger in triggers))


def test_many_waits_for_commands_share_one_call_a_tick(region):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 3}}, speed=1)
    client = boto3.client("ssm")
    sent = [client.send_command(DocumentName="Shop-Promote", InstanceIds=ids)["Command"] for _ in range(40)]
    region.simulator.clear_log()
    deadline = time.time() + 120
    triggers = [
        SsmCommandTrigger(
            commands={command["CommandId"]: command["RequestedDateTime"].timestamp()},
            instance_ids=ids,
            name="Shop-Promote",
            deadline=deadline,
            poll_interval=0.5,
            aws_conn_id=None,
            region_name="us-west-2",
        )
        for command in sent
    ]
    events = asyncio.run(_all_events(triggers))
    assert {event.xcoms["return_value"]["status"] for event in events} == {"Success"}
    listed = [call for call in region.calls("ListCommands") if "CommandId" not in call["params"]]
    # Three seconds at two ticks a second; one by one it would be 40 times as many.
    assert 2 <= len(listed) <= 60


def test_many_waits_for_automations_share_their_calls(region):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 3}}, speed=1)
    client = boto3.client("ssm")
    started = [
        client.start_automation_execution(DocumentName="Shop-Failover")["AutomationExecutionId"] for _ in range(20)
    ]
    region.simulator.clear_log()
    deadline = time.time() + 120
    triggers = [
        SsmAutomationTrigger(
            automation_execution_id=execution_id,
            deadline=deadline,
            poll_interval=0.5,
            aws_conn_id=None,
            region_name="us-west-2",
        )
        for execution_id in started
    ]
    events = asyncio.run(_all_events(triggers))
    assert {event.xcoms["return_value"]["status"] for event in events} == {"Success"}
    # Ten executions a call, so two calls a tick; one by one it would be ten times as many.
    assert 4 <= len(region.calls("DescribeAutomationExecutions")) <= 60
