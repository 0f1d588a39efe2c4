"""The pause between a wave's launch and what comes after it, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import Step
from drs_provider.steps.settle.event import SettleEvent

if TYPE_CHECKING:
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class Settle(StepKind):
    """``settle`` of a wave."""

    name = "settle"
    task = "drs_provider.steps.settle.task.SettleWave"
    event = SettleEvent
    phase = "settle"
    forecast = "drs_provider.steps.settle.forecast.forecast_settle"

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the pause, where the wave has one."""
        if wave.settle:
            yield StepGroup(Place.SETTLE, (Step("settle", self.name, wave.settle),))

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return "settling"


KIND = Settle()
