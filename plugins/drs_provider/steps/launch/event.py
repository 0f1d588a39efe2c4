"""What is recorded of the launch of a wave."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Fact, Moment, Text

__all__ = ["LaunchEvent", "LaunchResult", "LaunchedJob", "ReplacedInstance", "ServerLeftOut", "ServerToLaunch"]


class LaunchedJob(Fact):
    """A DRS job that a launch started, or adopted from an earlier try."""

    job_id: str
    launch_key: str = ""
    attempt: int | None = None
    adopted: bool = False
    source_servers: list[str] = []


class ServerToLaunch(Fact):
    """What a launch asked of DRS for one server.

    :param snapshot_id: the snapshot; None for the newest data.
    :param lag_seconds: its replication lag, as it was read at ``lag_read``, before the launch.
    """

    hostname: Text = None
    critical: bool = True
    snapshot_id: Text = None
    snapshot_time: Moment | None = None
    lag_seconds: float | None = None
    lag_read: Moment | None = None


class ReplacedInstance(Fact):
    """A live instance that a launch replaced: DRS deletes a server's previous instance. ``what`` says whose it was."""

    server: str
    instance_id: str
    what: str


class ServerLeftOut(Fact):
    """What a wave selects and does not launch: a source server's id, or the selection that matches none, and why."""

    server: str
    critical: bool = False
    reason: str = "no reason was given"


class LaunchEvent(Event):
    """The launch of a wave. ``status``: ``success`` or ``failed``.

    :param region: where it was launched.
    :param account: in which account; None where neither the plan nor preflight says.
    :param target: the plan's name for that, where it has several.
    :param servers: what was asked of DRS, by source server id.
    :param left_out: what the wave selects and does not launch.
    :param overridden: the codes of what stood in the way at that moment, and that a person decided to go on with.
    :param replaced: live instances that the launch was about to replace.
    :param reason: why nothing was launched, such as a lag above the plan's limit.
    """

    kind: Literal["launch"] = "launch"
    wave: str
    region: Text = None
    account: Text = None
    target: Text = None
    jobs: list[LaunchedJob] = []
    servers: dict[str, ServerToLaunch] = {}
    left_out: list[ServerLeftOut] = []
    overridden: list[str] = []
    replaced: list[ReplacedInstance] = []
    reason: Text = None


class LaunchResult(Fact):
    """What the report needs of the return value of a launch."""

    jobs: list[LaunchedJob] = []
