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

from drs_provider.triggers import posts
from drs_provider.triggers.ssm import SsmCommandTrigger


@pytest.fixture
def command(region) -> tuple[str, list[str]]:
    """Send a command that runs for 600 seconds; return its id and its instances."""
    ids = region.load(1, documents={"Shop-Promote": {"duration": 600}}, speed=60)
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


async def run_for(trigger: Any, seconds: float) -> Any:
    """Return the trigger's event, or None when it was cancelled after so many seconds, as in a triggerer that ends."""

    async def first() -> Any:
        (event,) = [event async for event in trigger.run()]
        return event

    task = asyncio.ensure_future(first())
    done, _ = await asyncio.wait([task], timeout=seconds)
    if done:
        return task.result()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return None


def test_a_restarted_triggerer_goes_on_and_leaves_the_command_alone(region, command, remake):
    first = trigger_for(command)
    assert asyncio.run(run_for(first, 3)) is None
    event = asyncio.run(run_for(remake(first), 40))
    assert isinstance(event, TaskSuccessEvent)
    assert event.xcoms["return_value"]["instances"][command[1][0]]["status"] == "Success"
    assert not region.calls("CancelCommand")


def test_a_restart_does_not_begin_the_deadline_anew(region, command, remake):
    first = trigger_for(command, deadline=time.time() + 4)
    assert asyncio.run(run_for(first, 3)) is None
    began = time.time()
    event = asyncio.run(run_for(remake(first), 40))
    assert time.time() - began < 4
    assert event.payload["status"] == "error"
    assert event.payload["timed_out"] is True


def test_what_ended_while_the_triggerer_was_down_counts_although_the_deadline_has_passed(region, command, remake):
    region.simulator.advance(700)
    event = asyncio.run(run_for(remake(trigger_for(command, deadline=time.time() - 100)), 40))
    assert isinstance(event, TaskSuccessEvent)


def test_no_event_within_two_seconds_of_the_deferral(region, command):
    region.simulator.advance(700)
    trigger = trigger_for(command)
    event = asyncio.run(run_for(trigger, 20))
    assert isinstance(event, TaskSuccessEvent)
    assert time.time() - trigger.deferred_at > 2


def test_a_definite_refusal_is_handed_to_the_worker(region, command):
    region.add_fault("ListCommands", error="AccessDeniedException", status=400, message="not allowed to list")
    event = asyncio.run(run_for(trigger_for(command), 40))
    assert event.payload["status"] == "error"
    assert "not allowed to list" in event.payload["message"]


def test_an_outage_that_outlasts_the_deadline_is_named(region, command, monkeypatch):
    monkeypatch.setattr(posts, "LAST_QUESTION_SECONDS", 2.0)
    region.add_fault("ListCommands", error="InternalServerError", status=500, message="come back later", skip=1)
    event = asyncio.run(run_for(trigger_for(command, deadline=time.time() + 4), 40))
    assert event.payload["timed_out"] is True
    assert "come back later" in event.payload["message"]


@pytest.mark.parametrize(("state", "cancelled"), [("failed", 1), ("deferred", 0)])
def test_airflow_without_on_kill_tells_a_person_from_a_restart_by_the_state(
    region, command, monkeypatch, state, cancelled
):
    monkeypatch.delattr(BaseTrigger, "on_kill")
    monkeypatch.setattr(
        RuntimeTaskInstance, "get_task_states", staticmethod(lambda **_: {"manual__1": {"promote": state}})
    )
    trigger = trigger_for(command)
    trigger._task_instance = SimpleNamespace(dag_id="tests", task_id="promote", run_id="manual__1", map_index=-1)
    assert asyncio.run(run_for(trigger, 2)) is None
    assert len(region.calls("CancelCommand")) == cancelled
