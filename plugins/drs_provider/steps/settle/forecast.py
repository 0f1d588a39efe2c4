"""How long the pause after a launch takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.estimate.overhead import SHORTEST_WAIT
from drs_provider.estimate.work import TimedStep

if TYPE_CHECKING:
    from drs_provider.estimate.likely import Case
    from drs_provider.estimate.work import Workload
    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = ["forecast_settle"]


def forecast_settle(load: Workload, wave: Wave, step: Step, case: Case) -> TimedStep:
    """Return the pause, which is as short as its AWS in a rehearsal."""
    seconds = max(wave.settle.total_seconds() / max(load.speed, 1.0), SHORTEST_WAIT)
    return TimedStep("settle", step.title, load.overhead.task.of(case), seconds)
