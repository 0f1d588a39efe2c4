"""The steps of a run and of its waves in their order: the one list of the DAG, the estimate, the report, the progress.

A step is one task. Its name is the task's id, within the wave's task group where it is a wave's, and part of the
contract of a plan: runs, reports and people refer to it. Which steps there are, the kinds of steps say
(:mod:`drs_provider.plan.kinds`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from drs_provider.plan.kinds import Place, StepGroup, StepKind, kinds, run_kinds

if TYPE_CHECKING:
    from drs_provider.plan.health import HealthCheck
    from drs_provider.plan.models import RecoveryPlan
    from drs_provider.plan.waves import Script, Wave

__all__ = [
    "LAUNCH",
    "WAIT_FOR_LAUNCH",
    "Section",
    "Step",
    "activity_of",
    "kind_of",
    "rollback_scripts",
    "run_steps",
    "steps_of",
    "undo_of",
    "wave_steps",
    "work_of",
]

Section = Literal["pre_launch", "post_launch"]

LAUNCH = "launch"
WAIT_FOR_LAUNCH = "wait_for_launch"


@dataclass(frozen=True)
class Step:
    """One step of a wave, or of the whole run.

    :param name: the task's id, within the wave where it is a wave's, such as ``launch``, ``pre_launch.freeze`` or
        ``health.tcp_2``.
    :param kind: the name of its kind.
    :param limit: the longest that it may take, every attempt used; zero where a person decides.
    :param script: the script, for the kind ``script``.
    :param section: where the plan has the script.
    :param check: the health check, for the kind ``health``.
    :param detail: what the plan says of it, for a kind from outside of this package.
    """

    name: str
    kind: str
    limit: timedelta = timedelta(0)
    script: Script | None = None
    section: Section | None = None
    check: HealthCheck | None = None
    detail: Any = None

    @property
    def title(self) -> str:
        """The name of the script or the check alone, without its section; else the step's own name."""
        return self.name.rpartition(".")[2]

    def takes_part(self, mode: str, *, skip_scripts: bool = False) -> bool:
        """Whether a run does the step.

        :param mode: ``drill`` or ``recovery``.
        :param skip_scripts: whether the run leaves the scripts out.
        """
        return self.script is None or (mode in self.script.modes and not skip_scripts)


def wave_steps(wave: Wave) -> tuple[tuple[Step, ...], ...]:
    """Return the steps of a wave. Those of one group run side by side, and a group when the one before it has ended.

    :param wave: a wave of a plan.
    """
    groups = [group for kind in kinds() for group in kind.groups(wave) if group.steps]
    return tuple(group.steps for group in sorted(groups, key=lambda group: group.place))


def run_steps(plan: RecoveryPlan) -> tuple[StepGroup, ...]:
    """Return the steps of the whole run, in their order: before the waves, after them, and at the end of every run.

    :param plan: the plan.
    :raises ValueError: a kind has one at a place that is a wave's.
    """
    groups = [group for kind in run_kinds() for group in kind.groups(plan) if group.steps]
    for group in groups:
        if Place.APPROVAL <= group.place <= Place.SERVICE or group.place == Place.ROLLBACK:
            raise ValueError(f"the step {group.steps[0].name} of the run stands at {group.place}, a place of waves")
    return tuple(sorted(groups, key=lambda group: group.place))


def undo_of(wave: Wave, plan: RecoveryPlan) -> Step | None:
    """Return the step that undoes a wave where a step failed; None where the plan has none."""
    return next(filter(None, (kind.undoes(wave, plan) for kind in kinds())), None)


def rollback_scripts(wave: Wave) -> tuple[Step, ...]:
    """Return the scripts of a wave's rollback as steps: the task of the rollback runs them."""
    return tuple(Step(f"rollback.{script.name}", "script", script.timeout, script=script) for script in wave.rollback)


def steps_of(wave: Wave) -> Iterator[Step]:
    """Yield the steps of a wave one by one, in the order of :func:`wave_steps`."""
    for group in wave_steps(wave):
        yield from group


def work_of(wave: Wave, mode: str, *, skip_scripts: bool) -> list[str]:
    """Return the names of the steps of a wave that a run does.

    :param wave: a wave of a plan.
    :param mode: ``drill`` or ``recovery``.
    :param skip_scripts: whether the run leaves the scripts out.
    """
    return [step.name for step in steps_of(wave) if step.takes_part(mode, skip_scripts=skip_scripts)]


def kind_of(name: str) -> StepKind | None:
    """Return what kind of step of a wave a name is of; None where no kind that is known has such a step.

    For tasks of a run whose plan is not at hand, or was another one.

    :param name: a task's id within its wave.
    """
    prefix = name.partition(".")[0]
    return next((kind for kind in kinds() if prefix in kind.names), None)


def activity_of(name: str) -> str:
    """Return what a wave does in a step, for a person: ``script promote``, ``health check tcp``, ``launching``.

    :param name: a task's id within its wave.
    """
    kind = kind_of(name)
    return kind.activity(name.partition(".")[2]) if kind else "launching"
