"""The termination of a drill's instances, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.steps import Step
from drs_provider.steps.terminate.event import TerminateEvent

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan

__all__ = ["KIND"]


class Terminate(RunKind):
    """The end of a drill; a recovery passes over it."""

    name = "terminate"
    task = "drs_provider.steps.terminate.task.TerminateDrill"
    event = TerminateEvent
    in_report = False

    def groups(self, plan: RecoveryPlan) -> Iterator[StepGroup]:
        """Return the one step, which every run has."""
        yield StepGroup(Place.TERMINATE, (Step("terminate", self.name),))

    def activity(self, title: str) -> str:
        """Return what the run does meanwhile."""
        return "terminating the drill's instances"


KIND = Terminate()
