"""The report of a run, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, RunKind, StepGroup
from drs_provider.plan.steps import Step

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan

__all__ = ["KIND"]


class Report(RunKind):
    """The run's last step."""

    name = "report"
    task = "drs_provider.steps.report.task.WriteReport"
    in_report = False

    def groups(self, plan: RecoveryPlan) -> Iterator[StepGroup]:
        """Return the one step, which every run has."""
        yield StepGroup(Place.REPORT, (Step("report", self.name),))

    def activity(self, title: str) -> str:
        """Return what the run does meanwhile."""
        return "writing the report"


KIND = Report()
