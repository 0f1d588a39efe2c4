"""Many waits for commands and automations share their calls."""

from __future__ import annotations

import asyncio
import time

import boto3

from drs_provider.triggers.automation import SsmAutomationTrigger
from drs_provider.triggers.ssm import SsmCommandTrigger


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
