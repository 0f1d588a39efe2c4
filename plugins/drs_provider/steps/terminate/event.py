"""What is recorded of the end of a drill."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, InstanceLeft, Text

__all__ = ["TerminateEvent"]


class TerminateEvent(Event):
    """The termination of a drill's instances. ``status``: ``success``, ``failed`` or ``kept``.

    :param terminated: EC2 ids of the instances that are gone.
    :param stopped: EC2 ids of those that existed before they were launched into, and are stopped.
    :param left: what runs on, and why.
    :param jobs: ids of the TERMINATE jobs.
    """

    kind: Literal["terminate"] = "terminate"
    terminated: list[str] = []
    stopped: list[str] = []
    left: list[InstanceLeft] = []
    jobs: list[str] = []
    reason: Text = None
