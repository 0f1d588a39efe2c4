"""What is recorded of the end of a wave's jobs."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Fact, Text
from drs_provider.steps.launch.event import LaunchedJob

__all__ = ["ServerResult", "WaitEvent", "WaitResult"]


class ServerResult(Fact):
    """How the launch of one server ended, as the task returns it."""

    job_id: Text = None
    launch_status: Text = None
    recovery_instance_id: Text = None
    ec2_instance_id: Text = None
    reason: Text = None
    critical: bool | None = None
    hostname: Text = None


class WaitEvent(Event):
    """The end of a wave's jobs where it failed, later attempts included.

    :param servers: by source server id.
    :param jobs: the jobs of all attempts.
    """

    kind: Literal["wait"] = "wait"
    wave: str
    servers: dict[str, ServerResult] = {}
    jobs: list[LaunchedJob] = []
    reason: Text = None


class WaitResult(Fact):
    """What the report needs of the return value of a wait."""

    servers: dict[str, ServerResult] = {}
