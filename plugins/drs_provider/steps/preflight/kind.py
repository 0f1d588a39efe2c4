"""The readiness checks of a run, as everything but their task knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.steps import Step
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.preflight.permissions import GRANTS

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class CheckReadiness(RunKind):
    """The readiness checks before the waves."""

    name = "preflight"
    task = "drs_provider.steps.preflight.task.Preflight"
    event = PreflightEvent
    grants = GRANTS
    in_report = False

    def groups(self, plan: RecoveryPlan) -> Iterator[StepGroup]:
        """Return the one step, which every run has."""
        yield StepGroup(Place.PREFLIGHT, (Step("preflight", self.name),))

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return nothing: it finds less where it may not look."""
        return ()

    def activity(self, title: str) -> str:
        """Return what the run does meanwhile."""
        return "checking readiness"


KIND = CheckReadiness()
