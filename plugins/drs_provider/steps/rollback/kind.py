"""The rollback of a wave, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import StepGroup, StepKind
from drs_provider.plan.steps import Step
from drs_provider.steps.rollback.event import RollbackEvent

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class RollBack(StepKind):
    """``on_failure: rollback`` of a wave, or of the whole recovery. The report has its time from its own event."""

    name = "rollback"
    task = "drs_provider.steps.rollback.task.RollBackWave"
    event = RollbackEvent
    phase = ""
    forecast = ""

    def groups(self, wave: Wave) -> tuple[StepGroup, ...]:
        """Return nothing: a wave that succeeds has no rollback."""
        return ()

    def undoes(self, wave: Wave, plan: RecoveryPlan) -> Step | None:
        """Return the rollback, where the wave or the whole recovery asks for it."""
        asks = "rollback" in (plan.recovery.on_failure, wave.on_failure)
        return Step("rollback", self.name) if asks else None

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return the termination of what was launched."""
        return ("terminate",)

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return "rolling back"


KIND = RollBack()
