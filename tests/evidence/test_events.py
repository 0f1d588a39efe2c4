"""Events: written and read by the same class, whatever another version or a broken task left behind."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from drs_provider.evidence.events import Event, last_event, read_events
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.confirm.event import ConfirmEvent
from drs_provider.steps.health.event import HealthEvent
from drs_provider.steps.launch.event import LaunchEvent
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.rollback.event import RollbackEvent
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.steps.settle.event import SettleEvent
from drs_provider.steps.terminate.event import TerminateEvent
from drs_provider.steps.wait_for_launch.event import WaitEvent

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)
TIMES: dict[str, Any] = {"started": NOON, "ended": NOON, "status": "success"}
SERVER = {"hostname": "db01", "critical": False, "lag_seconds": 2.5, "lag_read": NOON.isoformat()}
SCRIPT: dict[str, Any] = {
    "name": "fence",
    "section": "rollback",
    "script_kind": "automation",
    "document": "Shop-Fence",
    "outputs": {"Fence.State": ["done"]},
}
EVENTS: list[Event] = [
    ApprovalEvent(**TIMES, where="recovery", approver="carol", comment="the site is gone"),
    ConfirmEvent(**TIMES, mode="drill", missed=[NOON]),
    HealthEvent(**TIMES, wave="web", name="tcp", check="tcp 5432", reason="i-1: refused"),
    LaunchEvent.model_validate({**TIMES, "wave": "web", "servers": {"s-1": SERVER}, "jobs": [{"job_id": "j-1"}]}),
    PreflightEvent.model_validate({**TIMES, "findings": [{"code": "replication-lag", "message": "12m"}]}),
    RollbackEvent.model_validate({**TIMES, "wave": "web", "scripts": [{**TIMES, "wave": "web", **SCRIPT}]}),
    ScriptEvent(**TIMES, wave="web", **SCRIPT),
    SettleEvent(**TIMES, wave="web"),
    TerminateEvent.model_validate({**TIMES, "left": [{"instance_id": "i-1", "reason": "it is protected"}]}),
    WaitEvent.model_validate({**TIMES, "wave": "web", "servers": {"s-1": {"launch_status": "FAILED"}}}),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written_and_what_a_later_version_adds_is_passed_over(event: Event) -> None:
    stored = json.loads(json.dumps(event.written()))
    assert stored["started"] == "2026-11-21T12:00:00+00:00"
    assert read_events({**stored, "of_a_later_version": {"more": 1}}) == ((event,), ())


def test_one_odd_value_takes_no_other_with_it_and_is_named() -> None:
    stored = EVENTS[3].written()
    stored["servers"] |= {"s-2": {**SERVER, "lag_seconds": "long"}, "s-3": "nonsense"}
    stored["jobs"] = [{"attempt": 1}, *stored["jobs"], {"job_id": ["odd"], "attempt": "odd"}, None]
    read = read_events([stored, "nonsense", {**EVENTS[7].written(), "kind": "novel"}])
    launch = last_event(LaunchEvent, read.events)
    assert launch is not None
    assert [job.job_id for job in launch.jobs] == ["j-1"]
    assert {server: asked.lag_seconds for server, asked in launch.servers.items()} == {"s-1": 2.5, "s-2": None}
    assert [type(event) for event in read.events] == [LaunchEvent, Event], "of a kind that is not known: its times"
    named = " ".join(read.left_out)
    for place in ("servers.s-2.lag_seconds", "servers.s-3", "jobs.0.job_id", "jobs.2.job_id", "jobs.3", "it:"):
        assert place in named
