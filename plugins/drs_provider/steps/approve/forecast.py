"""How long people take to approve a wave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.estimate.work import TimedStep

if TYPE_CHECKING:
    from drs_provider.estimate.likely import Case
    from drs_provider.estimate.work import Workload
    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = ["forecast_approval"]


def forecast_approval(load: Workload, wave: Wave, step: Step, case: Case) -> TimedStep:
    """Return the wait for an answer, as earlier drills tell, or else as the estimate was asked."""
    history = load.durations.history
    learnt = history.approval(load.plan.name, wave.name) if history else None
    seconds = (learnt or load.durations.answer).of(case)
    # The task that asks sees the answer as any task sees what it waits for.
    return TimedStep("approval", step.title, load.overhead.task.of(case), seconds, load.overhead.look.of(case))
