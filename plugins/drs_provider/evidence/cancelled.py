"""Whether a person ended a run before its work was done: Airflow tells no task so, and what the tasks left does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drs_provider.evidence.facts import RunFacts, step_state
from drs_provider.evidence.record import Wave
from drs_provider.plan.steps import work_of

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["cancelled_by_hand"]

_MOST_NAMED = 5


def cancelled_by_hand(
    plan: RecoveryPlan, facts: RunFacts, waves: Sequence[Wave], mode: str, *, skip_scripts: bool
) -> str | None:
    """Say what was ended when a person cancelled the run; None where nobody did.

    Airflow kills the tasks in progress of a run that is marked as failed, and skips those to come. Neither leaves a
    record. The package skips tasks too, and says which: of waves and scripts that the run leaves out, and behind a gate
    that refused the run.

    :param plan: the plan.
    :param facts: the run and its tasks.
    :param waves: the waves as the run left them.
    :param mode: ``drill`` or ``recovery``.
    :param skip_scripts: whether the run leaves all scripts out.
    """
    gates = [facts.task("confirm"), facts.task("preflight")]
    if any(gate.step == "failed" and gate.events for gate in gates):
        return None
    part = {wave.name for wave in waves if wave.state != "skipped"}
    work = [gate.task_id for gate in gates] + [
        f"{wave.name}.{step}"
        for wave in plan.waves
        if wave.name in part
        for step in work_of(wave, mode, skip_scripts=skip_scripts)
    ]
    tasks = [facts.task(task_id) for task_id in work]
    never = [task.task_id for task in tasks if step_state(task.state) == "skipped" and not task.events]
    if not never:
        return None
    stopped = [task.task_id for task in tasks if task.state == "failed" and not task.events]
    told = [f"stopped while in progress: {_named(stopped)}"] if stopped else []
    return "; ".join([*told, f"never begun: {_named(never)}"])


def _named(tasks: Sequence[str]) -> str:
    more = len(tasks) - _MOST_NAMED
    return ", ".join(tasks[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
