"""The confirmation of a run, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.steps import Step
from drs_provider.steps.confirm.event import ConfirmEvent

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan

__all__ = ["KIND"]


class Confirm(RunKind):
    """The run's first step."""

    name = "confirm"
    task = "drs_provider.steps.confirm.task.ConfirmRun"
    event = ConfirmEvent
    in_report = False

    def groups(self, plan: RecoveryPlan) -> Iterator[StepGroup]:
        """Return the one step, which every run has."""
        yield StepGroup(Place.CONFIRM, (Step("confirm", self.name),))

    def activity(self, title: str) -> str:
        """Return what the run does meanwhile."""
        return "confirming the run"


KIND = Confirm()
