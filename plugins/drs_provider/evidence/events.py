"""What a task says of its own work: the dict that it pushes as XCom under the key ``evidence``.

One kind of event for each kind of task, and one builder for each, so that operators and the report agree on every key.
All events share ``kind``, ``started``, ``ended`` and ``status``; times are ISO 8601 strings in UTC. Events are
JSON-serialisable. A task that fails pushes its event before it raises, so that the report can say why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from drs_provider.evidence.event_shapes import (
    ApprovalEvent,
    ConfirmEvent,
    Event,
    HealthEvent,
    InstanceLeft,
    LaunchedJob,
    LaunchEvent,
    PreflightEvent,
    ReplacedInstance,
    RollbackEvent,
    ScriptEvent,
    ServerLeftOut,
    ServerResult,
    ServerToLaunch,
    SettleEvent,
    TerminateEvent,
    Times,
    WaitEvent,
)

__all__ = [
    "ENDED_KEY",
    "EVIDENCE_KEY",
    "GONE_KEY",
    "NOTIFIED_KEY",
    "STARTED_KEY",
    "STOPPED_KEY",
    "ApprovalEvent",
    "ConfirmEvent",
    "Event",
    "HealthEvent",
    "InstanceLeft",
    "LaunchEvent",
    "LaunchedJob",
    "PreflightEvent",
    "ReplacedInstance",
    "RollbackEvent",
    "ScriptEvent",
    "ServerLeftOut",
    "ServerResult",
    "ServerToLaunch",
    "SettleEvent",
    "TerminateEvent",
    "WaitEvent",
    "approval_event",
    "confirm_event",
    "health_event",
    "launch_event",
    "preflight_event",
    "rollback_event",
    "script_event",
    "settle_event",
    "terminate_event",
    "wait_event",
]

EVIDENCE_KEY = "evidence"
"""The XCom key under which every task of a plan's DAG pushes its event."""

STARTED_KEY = "started"
ENDED_KEY = "ended"
"""XCom keys for the moments, ISO 8601 in UTC, at which a task began and ended its work. A task that ends in the
triggerer cannot push an event; these, its return value and the plan say as much."""

GONE_KEY = "gone"
"""XCom key, under the first task: instances that were gone before the drill terminated any, with EC2's word.

A mapping of instance id to state; None as state where the instance was there when it was looked at.
"""
STOPPED_KEY = "stopped"
"""The XCom key, beside the event of the run's first task, for the request that stopped a drill."""

WAITING_KEY = "waiting_for_aws"
"""XCom key of a try's wait for AWS: ``since`` and ``last`` in epoch seconds, ``asked``, ``operation``, ``reason``."""

NOTIFIED_KEY = "notified"
"""With an underscore and the event's name the XCom key for what became of a notification: one delivery a channel."""

Time = datetime | str
Section = Literal["pre_launch", "post_launch", "rollback"]
ScriptKind = Literal["automation", "run_command"]


def _iso(time: Time) -> str:
    if isinstance(time, datetime):
        return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc).isoformat()
    return time


def _times(started: Time, ended: Time, status: str) -> Times:
    return {"started": _iso(started), "ended": _iso(ended), "status": status}


def confirm_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    mode: str,
    triggered_by: str | None,
    reason: str | None = None,
    missed: Sequence[Time] = (),
) -> ConfirmEvent:
    """Build the event of the run's first task.

    :param triggered_by: Airflow's user name; None for the schedule.
    :param reason: why the run was refused, or not held.
    :param missed: the moments of the schedule at which no drill was held.
    """
    return {
        "kind": "confirm",
        **_times(started, ended, status),
        "mode": mode,
        "triggered_by": triggered_by,
        "reason": reason,
        "missed": [_iso(moment) for moment in missed],
    }


def approval_event(
    *, started: Time, ended: Time, where: str, approver: str | None, decision: str, comment: str | None = None
) -> ApprovalEvent:
    """Build the event of a person's decision.

    :param started: when the question was asked.
    :param ended: when it was answered, or given up.
    :param where: the wave's name, or ``recovery`` for the approval of the whole run.
    :param decision: ``approved``, ``rejected``, ``timed out``, or ``refused: why``.
    """
    return {
        "kind": "approval",
        **_times(started, ended, decision),
        "where": where,
        "approver": approver,
        "comment": comment,
    }


def preflight_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    findings: Sequence[Mapping[str, Any]],
    overridden: Sequence[str] = (),
    override_reason: str | None = None,
    override_by: str | None = None,
    reason: str | None = None,
) -> PreflightEvent:
    """Build the event of the readiness checks.

    :param findings: as ``readiness.Finding.as_dict`` gives them.
    :param overridden: the codes that a person decided to go on with, with that person's reason and user name.
    :param reason: why no check was made.
    """
    return {
        "kind": "preflight",
        **_times(started, ended, status),
        "findings": [dict(finding) for finding in findings],
        "overridden": sorted(overridden),
        "override_reason": override_reason,
        "override_by": override_by,
        "reason": reason,
    }


def launch_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    wave: str,
    jobs: Sequence[LaunchedJob] = (),
    servers: Mapping[str, ServerToLaunch] | None = None,
    left_out: Sequence[ServerLeftOut] = (),
    overridden: Sequence[str] = (),
    replaced: Sequence[ReplacedInstance] = (),
    reason: str | None = None,
) -> LaunchEvent:
    """Build the event of a wave's launch.

    :param servers: what was asked of DRS for each source server id.
    :param left_out: what the wave selects and does not launch.
    :param overridden: the codes of what stood in the way at that moment, and that a person decided to go on with.
    :param replaced: live instances that the launch was about to replace.
    :param reason: why nothing was launched, such as a lag above the plan's limit.
    """
    return {
        "kind": "launch",
        **_times(started, ended, status),
        "wave": wave,
        "jobs": list(jobs),
        "servers": dict(servers or {}),
        "left_out": list(left_out),
        "overridden": sorted(overridden),
        "replaced": list(replaced),
        "reason": reason,
    }


def wait_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    wave: str,
    servers: Mapping[str, ServerResult] | None = None,
    jobs: Sequence[LaunchedJob] = (),
    reason: str | None = None,
) -> WaitEvent:
    """Build the event of the end of a wave's jobs.

    :param jobs: jobs that the wait itself started, for servers that failed before.
    """
    return {
        "kind": "wait",
        **_times(started, ended, status),
        "wave": wave,
        "servers": dict(servers or {}),
        "jobs": list(jobs),
        "reason": reason,
    }


def script_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    wave: str,
    name: str,
    section: Section | str,
    script_kind: ScriptKind | str,
    document: str,
    execution_id: str | None = None,
    instances: Mapping[str, Mapping[str, Any]] | None = None,
    output_tail: str | None = None,
    reason: str | None = None,
) -> ScriptEvent:
    """Build the event of one script.

    :param status: SSM's own, or ``skipped``.
    :param section: ``pre_launch``, ``post_launch`` or ``rollback``.
    :param execution_id: the command's or automation execution's id.
    :param instances: ``{"status", "exit_code", "output_tail"}`` for each EC2 instance id; empty for an automation.
    :param output_tail: the end of an automation's output.
    """
    return {
        "kind": "script",
        **_times(started, ended, status),
        "wave": wave,
        "name": name,
        "section": section,
        "script_kind": script_kind,
        "document": document,
        "execution_id": execution_id,
        "instances": {key: dict(value) for key, value in (instances or {}).items()},
        "output_tail": output_tail,
        "reason": reason,
    }


def health_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    wave: str,
    name: str,
    check: str,
    instances: Mapping[str, Mapping[str, Any]] | None = None,
    reason: str | None = None,
) -> HealthEvent:
    """Build the event of one health check.

    :param name: the task's own name in the wave, such as ``tcp_2``.
    :param check: what was asked, for people: ``tcp 5432``, ``http :8080/healthz → 200``.
    :param instances: ``{"status", "detail"}`` for each EC2 instance id.
    """
    return {
        "kind": "health",
        **_times(started, ended, status),
        "wave": wave,
        "name": name,
        "check": check,
        "instances": {key: dict(value) for key, value in (instances or {}).items()},
        "reason": reason,
    }


def settle_event(*, started: Time, ended: Time, wave: str, status: str = "success") -> SettleEvent:
    """Build the event of the pause after a launch."""
    return {"kind": "settle", **_times(started, ended, status), "wave": wave}


def rollback_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    wave: str,
    terminated: Sequence[str] = (),
    stopped: Sequence[str] = (),
    left: Sequence[InstanceLeft] = (),
    scripts: Sequence[ScriptEvent] = (),
    reason: str | None = None,
) -> RollbackEvent:
    """Build the event of the unwinding of one wave.

    :param terminated: EC2 instance ids that are gone.
    :param stopped: EC2 instance ids that existed before they were launched into, and are stopped.
    :param left: instances that should have ended and did not.
    """
    return {
        "kind": "rollback",
        **_times(started, ended, status),
        "wave": wave,
        "terminated": list(terminated),
        "stopped": list(stopped),
        "left": list(left),
        "scripts": list(scripts),
        "reason": reason,
    }


def terminate_event(
    *,
    started: Time,
    ended: Time,
    status: str,
    terminated: Sequence[str] = (),
    stopped: Sequence[str] = (),
    left: Sequence[InstanceLeft] = (),
    jobs: Sequence[str] = (),
    reason: str | None = None,
) -> TerminateEvent:
    """Build the event of the end of a drill's instances.

    :param terminated: EC2 instance ids that are gone.
    :param stopped: EC2 instance ids that existed before they were launched into, and are stopped.
    :param left: instances that run on, with the reason.
    :param jobs: ids of the TERMINATE jobs.
    """
    return {
        "kind": "terminate",
        **_times(started, ended, status),
        "terminated": list(terminated),
        "stopped": list(stopped),
        "left": list(left),
        "jobs": list(jobs),
        "reason": reason,
    }
