"""What every wait in the triggerer promises: it survives a restart, keeps its deadline and never fires too early."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent

from drs_provider.operators.ssm import SsmScriptOperator
from drs_provider.triggers import posts
from drs_provider.triggers.ssm import SsmCommandTrigger


@pytest.fixture
def command(region) -> tuple[str, list[str]]:
    """Send a command that runs until the clock is advanced; return its id and its instances."""
    ids = region.load(1, documents={"Shop-Promote": {"duration": 600}}, speed=1)
    sent = boto3.client("ssm").send_command(DocumentName="Shop-Promote", InstanceIds=ids)["Command"]
    return sent["CommandId"], ids


def trigger_for(command: tuple[str, list[str]], **arguments: Any) -> SsmCommandTrigger:
    arguments = {"deadline": time.time() + 60, "poll_interval": 0.5, "aws_conn_id": None, **arguments}
    return SsmCommandTrigger(
        commands={command[0]: time.time()},
        instance_ids=command[1],
        name="Shop-Promote",
        region_name="us-west-2",
        **arguments,
    )


def fire(trigger: Any) -> Any:
    """Run a trigger to its one event."""

    async def run() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(run())
    return event


def cancel_after_a_look(trigger: Any, region: Any) -> None:
    """Run a trigger until it has looked, and cancel it then, as a triggerer does that ends."""

    async def run() -> None:
        task = asyncio.ensure_future(anext(trigger.run()))
        give_up = time.time() + 60
        while not region.calls("ListCommands"):
            assert time.time() < give_up
            assert not task.done()
            await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_restarted_triggerer_goes_on_and_leaves_the_command_alone(region, command, remake):
    first = trigger_for(command)
    cancel_after_a_look(first, region)
    region.simulator.advance(700)
    event = fire(remake(first))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms["return_value"]["instances"][command[1][0]]["status"] == "Success"
    assert not region.calls("CancelCommand")


def test_a_restart_does_not_begin_the_deadline_anew(region, command, remake):
    first = trigger_for(command, deadline=time.time() + 2)
    cancel_after_a_look(first, region)
    again = remake(first)
    assert again.deadline == first.deadline
    event = fire(again)
    assert time.time() > first.deadline
    assert event.payload["status"] == "error"
    assert event.payload["timed_out"] is True


def test_what_ended_while_the_triggerer_was_down_counts_although_the_deadline_has_passed(region, command, remake):
    region.simulator.advance(700)
    event = fire(remake(trigger_for(command, deadline=time.time() - 100)))
    assert isinstance(event, TaskSuccessEvent)


def test_a_task_with_outlets_ends_in_the_worker(region, command, remake):
    region.simulator.advance(700)
    event = fire(remake(trigger_for(command, end_task=False)))
    assert event.payload["status"] == "success"
    operator = SsmScriptOperator(task_id="promote", document_name="Shop-Promote", aws_conn_id=None)
    value = operator.execute_complete({}, event.payload, [command[0]])
    assert value["instances"][command[1][0]]["status"] == "Success"


@pytest.mark.own_pace
def test_no_event_within_two_seconds_of_the_deferral(region, command):
    region.simulator.advance(700)
    trigger = trigger_for(command)
    event = fire(trigger)
    assert isinstance(event, TaskSuccessEvent)
    assert time.time() - trigger.deferred_at > 2


def test_a_definite_refusal_is_handed_to_the_worker(region, command):
    region.add_fault("ListCommands", error="AccessDeniedException", status=400, message="not allowed to list")
    event = fire(trigger_for(command))
    assert event.payload["status"] == "error"
    assert "not allowed to list" in event.payload["message"]


def test_an_outage_that_outlasts_the_deadline_is_named(region, command, monkeypatch):
    monkeypatch.setattr(posts, "LAST_QUESTION_SECONDS", 2.0)
    region.add_fault("ListCommands", error="InternalServerError", status=500, message="come back later", skip=1)
    event = fire(trigger_for(command, deadline=time.time() + 4))
    # It may have ended in time: nobody could see it.
    assert event.payload["timed_out"] is False
    assert event.payload["transient"]["operation"] == "ListCommands"
    assert "come back later" in event.payload["message"]


@pytest.mark.parametrize(("state", "cancelled"), [("failed", 1), ("deferred", 0)])
def test_airflow_without_on_kill_tells_a_person_from_a_restart_by_the_state(
    region, command, monkeypatch, state, cancelled
):
    monkeypatch.delattr(BaseTrigger, "on_kill", raising=False)
    monkeypatch.setattr(
        RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: {"manual__1": {"promote": state}})
    )
    trigger = trigger_for(command)
    # A property in some versions of Airflow, an attribute in others.
    monkeypatch.setattr(SsmCommandTrigger, "task_instance", None, raising=False)
    trigger.task_instance = SimpleNamespace(dag_id="tests", task_id="promote", run_id="manual__1", map_index=-1)
    cancel_after_a_look(trigger, region)
    assert len(region.calls("CancelCommand")) == cancelled
