"""The shapes of the events that tasks push, one for each kind; :mod:`drs_provider.evidence.events` builds them."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

__all__ = [
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
    "Times",
    "WaitEvent",
]


class Times(TypedDict):
    """What all events share."""

    started: str
    ended: str
    status: str


class ConfirmEvent(Times):
    """The run's first task: its parameters were checked. ``status``: ``success`` | ``failed`` | ``missed``; ``missed``
    lists the moments of the schedule at which no drill was held."""

    kind: Literal["confirm"]
    mode: str
    triggered_by: str | None
    reason: str | None
    missed: list[str]


class ApprovalEvent(Times):
    """A person was asked. ``status`` is the decision: ``approved``, ``rejected``, ``timed out``, ``refused: why``."""

    kind: Literal["approval"]
    where: str
    approver: str | None
    comment: str | None


class PreflightEvent(Times):
    """The readiness checks. ``findings`` as ``readiness.Finding.as_dict``; ``status``: ``success`` | ``failed``."""

    kind: Literal["preflight"]
    findings: list[dict[str, Any]]
    overridden: list[str]
    override_reason: str | None
    override_by: str | None
    reason: str | None


class LaunchedJob(TypedDict):
    """A DRS job that a launch started, or adopted from an earlier try."""

    job_id: str
    launch_key: str
    attempt: int
    adopted: bool
    source_servers: list[str]


class ServerToLaunch(TypedDict):
    """What a launch asked of DRS for one server. ``lag_seconds`` is its replication lag at ``lag_read``, before it."""

    hostname: str | None
    critical: bool
    snapshot_id: str | None
    snapshot_time: str | None
    lag_seconds: float | None
    lag_read: str


class ReplacedInstance(TypedDict):
    """A live instance that a launch replaced: DRS deletes a server's previous instance. ``what`` says whose it was."""

    server: str
    instance_id: str
    what: str


class ServerLeftOut(TypedDict):
    """What a wave selects and does not launch: a source server's id, or the selection that matches none, and why."""

    server: str
    critical: bool
    reason: str


class LaunchEvent(Times):
    """The launch of a wave. ``servers`` by source server id."""

    kind: Literal["launch"]
    wave: str
    jobs: list[LaunchedJob]
    servers: dict[str, ServerToLaunch]
    left_out: list[ServerLeftOut]
    overridden: list[str]
    replaced: list[ReplacedInstance]
    reason: str | None


class ServerResult(TypedDict):
    """How the launch of one server ended, as ``wait_for_launch`` returns it."""

    job_id: str | None
    launch_status: str | None
    recovery_instance_id: str | None
    ec2_instance_id: str | None
    reason: str | None
    critical: bool
    hostname: str | None


class WaitEvent(Times):
    """The end of a wave's jobs, failed servers' later attempts included. ``servers`` by source server id."""

    kind: Literal["wait"]
    wave: str
    servers: dict[str, ServerResult]
    jobs: list[LaunchedJob]
    reason: str | None


class ScriptEvent(Times):
    """One script. ``status`` is SSM's own, or ``skipped``. ``instances`` by EC2 instance id, with ``status``,
    ``exit_code`` and ``output_tail``."""

    kind: Literal["script"]
    wave: str
    name: str
    section: str
    script_kind: str
    document: str
    execution_id: str | None
    instances: dict[str, dict[str, Any]]
    output_tail: str | None
    reason: str | None


class HealthEvent(Times):
    """One health check. ``instances`` by EC2 instance id, with ``status`` and ``detail``."""

    kind: Literal["health"]
    wave: str
    name: str
    check: str
    instances: dict[str, dict[str, Any]]
    reason: str | None


class SettleEvent(Times):
    """The pause after a launch."""

    kind: Literal["settle"]
    wave: str


class InstanceLeft(TypedDict):
    """An instance that should have ended and did not, and why."""

    instance_id: str
    reason: str


class RollbackEvent(Times):
    """The unwinding of one wave. Instance ids are those of EC2; ``stopped`` existed before; ``scripts`` ran with it.
    ``status``: ``success`` | ``failed`` | ``skipped``."""

    kind: Literal["rollback"]
    wave: str
    terminated: list[str]
    stopped: list[str]
    left: list[InstanceLeft]
    scripts: list[ScriptEvent]
    reason: str | None


class TerminateEvent(Times):
    """The end of a drill's instances. ``status``: ``success`` | ``failed`` | ``kept`` | ``skipped``; with ``kept``,
    ``left`` lists what runs on. ``stopped`` are those that existed before the drill."""

    kind: Literal["terminate"]
    terminated: list[str]
    stopped: list[str]
    left: list[InstanceLeft]
    jobs: list[str]
    reason: str | None


Event = (
    ConfirmEvent
    | ApprovalEvent
    | PreflightEvent
    | LaunchEvent
    | WaitEvent
    | ScriptEvent
    | HealthEvent
    | SettleEvent
    | RollbackEvent
    | TerminateEvent
)
