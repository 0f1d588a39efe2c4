"""The termination of a drill's instances, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.steps import Step
from drs_provider.steps.terminate.event import TerminateEvent
from drs_provider.steps.terminate.permissions import GRANTS

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class Terminate(RunKind):
    """The end of a drill; a recovery passes over it."""

    name = "terminate"
    task = "drs_provider.steps.terminate.task.TerminateDrill"
    event = TerminateEvent
    grants = GRANTS
    in_report = False

    def groups(self, plan: RecoveryPlan) -> Iterator[StepGroup]:
        """Return the one step, which every run has."""
        yield StepGroup(Place.TERMINATE, (Step("terminate", self.name),))

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return the termination, where the plan's drills terminate their instances."""
        return ("terminate",) if mode == "drill" and plan.drill.terminate != "never" else ()

    def activity(self, title: str) -> str:
        """Return what the run does meanwhile."""
        return "terminating the drill's instances"


KIND = Terminate()
