"""The launch of a wave, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import LAUNCH, Step
from drs_provider.steps.launch.event import LaunchEvent
from drs_provider.steps.launch.permissions import GRANTS

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class Launch(StepKind):
    """The launch, which every wave has. Its time is that of its DRS jobs."""

    name = "launch"
    task = "drs_provider.steps.launch.task.LaunchWave"
    event = LaunchEvent
    grants = GRANTS
    phase = ""
    forecast = ""

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the launch."""
        yield StepGroup(Place.LAUNCH, (Step(LAUNCH, self.name),))

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return the launch alone: whether it launches into instances or with profiles, DRS knows."""
        return ("launch",)

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return "launching"


KIND = Launch()
