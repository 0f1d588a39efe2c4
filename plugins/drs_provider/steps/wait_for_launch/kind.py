"""The wait for a wave's DRS jobs, as everything but its task knows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import WAIT_FOR_LAUNCH, Step
from drs_provider.steps.wait_for_launch.event import WaitEvent

if TYPE_CHECKING:
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]


class WaitForLaunch(StepKind):
    """The wait for the launch, which every wave has. Its time is that of the DRS jobs."""

    name = "wait_for_launch"
    task = "drs_provider.steps.wait_for_launch.task.WaitForLaunch"
    event = WaitEvent
    phase = ""
    forecast = ""

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the wait, which lasts for every attempt at most."""
        limit = wave.launch_timeout * (1 + wave.retries)
        yield StepGroup(Place.WAIT, (Step(WAIT_FOR_LAUNCH, self.name, limit),))

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return "launching"


KIND = WaitForLaunch()
