"""The scripts before and after a wave's launch, as everything but their tasks knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.plan.kinds import Place, StepGroup, StepKind
from drs_provider.plan.steps import Section, Step
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.steps.script.permissions import GRANTS, script_needs

if TYPE_CHECKING:
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Wave

__all__ = ["KIND"]

_PLACES: dict[Section, Place] = {"pre_launch": Place.BEFORE_LAUNCH, "post_launch": Place.AFTER_LAUNCH}


class RunScript(StepKind):
    """``pre_launch`` and ``post_launch`` of a wave: one script after another."""

    name = "script"
    prefixes = ("pre_launch", "post_launch")
    task = "drs_provider.steps.script.task.RunScript"
    event = ScriptEvent
    grants = GRANTS
    checks = "drs_provider.steps.script.checks.script_checks"
    phase = "scripts"
    forecast = "drs_provider.steps.script.forecast.forecast_script"

    def groups(self, wave: Wave) -> Iterator[StepGroup]:
        """Return the scripts in their order, each a group of its own."""
        for section, place in _PLACES.items():
            for script in getattr(wave, section):
                name = f"{section}.{script.name}"
                yield StepGroup(place, (Step(name, self.name, script.timeout, script=script, section=section),))

    def needs(self, step: Step, wave: Wave | None, plan: RecoveryPlan, mode: str) -> Iterable[str]:
        """Return what the script runs with, where it takes part in a run of that mode."""
        return script_needs(step.script, mode) if step.script else ()

    def activity(self, title: str) -> str:
        """Return what the wave does meanwhile."""
        return f"script {title}"

    def counted(self, steps: int) -> str:
        """Return how many scripts the wave has."""
        return f"{steps} script{'s' * (steps != 1)}"


KIND = RunScript()
