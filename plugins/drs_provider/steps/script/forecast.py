"""How long a script takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drs_provider.estimate.likely import Case
    from drs_provider.estimate.work import Moment, TimedStep, Workload
    from drs_provider.plan.steps import Step
    from drs_provider.plan.waves import Wave

__all__ = ["forecast_script"]


def forecast_script(load: Workload, wave: Wave, step: Step, case: Case) -> TimedStep | None:
    """Return the script; what runs on the launched instances waits for their agents."""
    script = step.script
    if script is None:
        return None
    history = load.durations.history
    document = str(script.automation or script.run_command)
    learnt = history.script(load.plan.name, wave.name, script.name, document) if history else None
    on_instances = step.section == "post_launch" and script.targets == "recovery_instances"
    until: Moment | None = "agents" if on_instances else None
    return load.waited("scripts", script.name, learnt, load.durations.script(script), case, until)
