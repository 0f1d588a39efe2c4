"""What is recorded of the rollback of a wave."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, InstanceLeft, Text
from drs_provider.steps.script.event import ScriptEvent

__all__ = ["RollbackEvent"]


class RollbackEvent(Event):
    """The rollback of one wave. ``status``: ``success`` or ``failed``. Instance ids are those of EC2.

    :param terminated: what is gone.
    :param stopped: what existed before it was launched into, and is stopped.
    :param left: what should have been terminated and was not.
    :param scripts: the rollback scripts, in the order in which they ran.
    """

    kind: Literal["rollback"] = "rollback"
    wave: str
    terminated: list[str] = []
    stopped: list[str] = []
    left: list[InstanceLeft] = []
    scripts: list[ScriptEvent] = []
    reason: Text = None
