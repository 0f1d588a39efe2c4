"""The steps of a wave in their order: the one list that the DAG, the estimate, the report and the progress are made of.

A step is one task. Its name is the task's id within the wave's task group, and part of the contract of a plan: runs,
reports and people refer to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from drs_provider.plan.health import HealthCheck
    from drs_provider.plan.waves import Script, Wave

__all__ = [
    "LAUNCH",
    "WAIT_FOR_LAUNCH",
    "Section",
    "Step",
    "StepKind",
    "activity_of",
    "kind_of",
    "steps_of",
    "wave_steps",
    "work_of",
]

StepKind = Literal["approve", "script", "launch", "wait_for_launch", "settle", "health"]
Section = Literal["pre_launch", "post_launch"]

LAUNCH = "launch"
WAIT_FOR_LAUNCH = "wait_for_launch"

_KINDS: dict[str, StepKind] = {
    "approve": "approve",
    "pre_launch": "script",
    LAUNCH: "launch",
    WAIT_FOR_LAUNCH: "wait_for_launch",
    "settle": "settle",
    "health": "health",
    "post_launch": "script",
}

# Checks of the instance itself come before the scripts that need it; checks of the service on it come after those that
# start the service.
_INSTANCE_CHECKS = frozenset({"instance_status", "ssm_online"})


@dataclass(frozen=True)
class Step:
    """One step of a wave.

    :param name: the task's id within the wave, such as ``launch``, ``pre_launch.freeze`` or ``health.tcp_2``.
    :param kind: what it does.
    :param limit: the longest that it may take, every attempt used; zero where a person decides.
    :param script: the script, for the kind ``script``.
    :param section: where the plan has the script.
    :param check: the health check, for the kind ``health``.
    """

    name: str
    kind: StepKind
    limit: timedelta = timedelta(0)
    script: Script | None = None
    section: Section | None = None
    check: HealthCheck | None = None

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
    instance: list[Step] = []
    service: list[Step] = []
    for name, check in wave.checks_by_name().items():
        step = Step(f"health.{name}", "health", check.timeout, check=check)
        (instance if check.type in _INSTANCE_CHECKS else service).append(step)
    groups: list[list[Step]] = [
        [Step("approve", "approve")] if wave.approval else [],
        *_scripts(wave, "pre_launch"),
        [Step(LAUNCH, "launch")],
        [Step(WAIT_FOR_LAUNCH, "wait_for_launch", wave.launch_timeout * (1 + wave.retries))],
        [Step("settle", "settle", wave.settle)] if wave.settle else [],
        instance,
        *_scripts(wave, "post_launch"),
        service,
    ]
    return tuple(tuple(group) for group in groups if group)


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
    """Return what kind of step a name is of; None for a task of a wave that is no step, such as its rollback.

    For tasks of a run whose plan is not at hand, or was another one.

    :param name: a task's id within its wave.
    """
    return _KINDS.get(name.partition(".")[0])


def activity_of(name: str) -> str:
    """Return what a wave does in a step, for a person: ``script promote``, ``health check tcp``, ``launching``.

    :param name: a task's id within its wave.
    """
    title = name.partition(".")[2]
    words = {
        "approve": "approval",
        "script": f"script {title}",
        "settle": "settling",
        "health": f"health check {title}",
    }
    return words.get(str(kind_of(name)), "launching")


def _scripts(wave: Wave, section: Section) -> list[list[Step]]:
    return [
        [Step(f"{section}.{script.name}", "script", script.timeout, script=script, section=section)]
        for script in getattr(wave, section)
    ]
