"""The approval before a wave, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import Step
from drs_provider.steps.approve.event import ApprovalEvent

if TYPE_CHECKING:
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class Approve(StepKind):
    """``approval`` of a wave."""

    name = "approve"
    task = "drs_provider.steps.approve.task.ApproveWave"
    event = ApprovalEvent
    phase = "approval"
    forecast = "drs_provider.steps.approve.forecast.forecast_approval"

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the approval, where the wave has one."""
        if wave.approval:
            yield StepGroup(Place.APPROVAL, (Step("approve", self.name),))

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return "approval"

    def counted(self, steps: int) -> str:
        """Return that a person is asked."""
        return "approval"


KIND = Approve()
