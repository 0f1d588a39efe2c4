"""A recovery plan becomes an Airflow DAG: a task group for each wave, and edges exactly those of the dependencies."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, TaskGroup, TriggerRule

from drs_provider.dag.docs import plan_page
from drs_provider.dag.params import run_params
from drs_provider.plan.kinds import kind_named, load
from drs_provider.plan.steps import run_steps, undo_of, wave_steps
from drs_provider.runs.alarm import deadlines
from drs_provider.runs.notify import notify_wave_failed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drs_provider.plan import Drill, LoadedPlan, Wave
    from drs_provider.plan.steps import Step

__all__ = ["build_dag"]

# Every task finds out on its own whether its wave takes part in the run. With all_success, one script that is left out
# in a drill would skip the launch behind it.
_WAVE_TASK = {"trigger_rule": TriggerRule.NONE_FAILED, "on_failure_callback": notify_wave_failed}
_AFTER_WAVES: dict[str, Any] = {"trigger_rule": TriggerRule.NONE_FAILED}


def _timetable(drill: Drill) -> CronTriggerTimetable | None:
    """Return the schedule of a plan's drills.

    Without a start date, and with no time in which a missed moment still counts, a plan that is deployed on a Tuesday
    does not begin with the drill of the Saturday before.
    """
    if drill.schedule is None:
        return None
    return CronTriggerTimetable(drill.schedule, timezone=drill.timezone, run_immediately=timedelta(0))


def build_dag(loaded: LoadedPlan) -> DAG:
    """Build the DAG of a plan. It reads nothing but its argument: no network, no database, no clock.

    :param loaded: a valid plan with its file and hash.
    :returns: the DAG, whose id is the plan's name.
    """
    plan = loaded.plan
    with DAG(
        dag_id=plan.name,
        description=plan.description,
        doc_md=plan_page(loaded),
        schedule=_timetable(plan.drill),
        catchup=False,
        max_active_runs=1,
        max_active_tasks=256,
        tags=["drs", *plan.tags],
        deadline=deadlines(plan),
        # The DAG file says which DAGs are its own. The file that only looks for broken plans builds DAGs too, and
        # Airflow would take the last file that did for the DAG's home.
        auto_register=False,
        default_args={
            "owner": plan.owner,
            # A retry costs nothing: every task looks first for what an earlier try started.
            "retries": 3,
            "retry_delay": timedelta(seconds=5),
        },
    ) as dag:
        _add_tasks(loaded)
    # Last: Airflow copies the DAG's parameters deeply into each task that is made after them, once for every class of
    # the task that has an __init__, and the tasks see them without (more than half of this function).
    dag.params = run_params(plan)  # type: ignore[assignment]
    return dag


def _add_tasks(loaded: LoadedPlan) -> None:
    """Add the tasks of the plan's steps, in the order of its one list of them."""
    plan = loaded.plan
    groups = run_steps(plan)
    before = _in_turn(loaded, (group.steps for group in groups if group.is_before_the_waves))
    waves = {wave.name: _WaveTasks(loaded, wave) for wave in plan.waves}
    for wave in plan.waves:
        needed = [task for name in wave.depends_on for task in waves[name].last] or before[-1]
        _then(needed, waves[wave.name].first)
    rest = [group for group in groups if not group.is_before_the_waves]
    after = _in_turn(loaded, (group.steps for group in rest if not group.ends_the_run), **_AFTER_WAVES)
    if after:
        _then([task for wave in waves.values() for task in wave.last if not task.downstream_list], after[0])
    tasks = (*before, *(wave.all for wave in waves.values()), *after)
    work = [task for group in tasks for task in group]
    rollbacks = _add_rollbacks(loaded, waves, work)
    ends = _in_turn(loaded, (group.steps for group in rest if group.ends_the_run))
    for task in (task for group in ends for task in group):
        # Teardown tasks still run when a person marks the whole run as failed; other tasks would be skipped.
        task.as_teardown(on_failure_fail_dagrun=True)
    _then([*(task for task in work if not _ends_before_a_successor(task)), *rollbacks], ends[0])


def _in_turn(
    loaded: LoadedPlan, groups: Iterable[Iterable[Step]], wave: Wave | None = None, **settings: Any
) -> list[list[BaseOperator]]:
    """Make the tasks of steps: a group begins when the one before it has ended."""
    if wave is not None:
        settings["wave"] = wave
    made = [[_task(loaded, step, **settings) for step in group] for group in groups]
    for before, after in pairwise(made):
        _then(before, after)
    return made


def _then(before: list[BaseOperator], after: list[BaseOperator]) -> None:
    for task in after:
        before >> task


def _task(loaded: LoadedPlan, step: Step, **settings: Any) -> BaseOperator:
    task: BaseOperator = load(kind_named(step.kind).task).of(step, task_id=step.name, loaded=loaded, **settings)
    return task


class _WaveTasks:
    """The task group of one wave.

    Scripts and checks have no task groups of their own within it. Checks come before and after scripts, and Airflow's
    UI cannot draw two groups of which each comes before the other.
    """

    def __init__(self, loaded: LoadedPlan, wave: Wave) -> None:
        self.wave = wave
        with TaskGroup(wave.name, tooltip=wave.description) as self.group:
            steps = _in_turn(loaded, wave_steps(wave), wave, **_WAVE_TASK)
        self.first = steps[0]
        self.last = steps[-1]
        self.all = [task for step in steps for task in step]


def _add_rollbacks(loaded: LoadedPlan, waves: dict[str, _WaveTasks], work: list[BaseOperator]) -> list[BaseOperator]:
    """Add what undoes waves where a task failed: one of the wave, or any where the plan unwinds all of it."""
    plan = loaded.plan
    unwind_all = plan.recovery.on_failure == "rollback"
    rollbacks: dict[str, BaseOperator] = {}
    for name, tasks in waves.items():
        if step := undo_of(tasks.wave, plan):
            watched = work if unwind_all else tasks.all
            rollbacks[name] = _task(
                loaded,
                step,
                task_group=tasks.group,
                wave=tasks.wave,
                watched=[task.task_id for task in watched],
                trigger_rule=TriggerRule.ALL_DONE,
                on_failure_callback=notify_wave_failed,
            )
            watched >> rollbacks[name]
    if unwind_all:
        # Dependents first: a wave is unwound when every wave that stands on it has been.
        for wave in plan.waves:
            for name in wave.depends_on:
                rollbacks[wave.name] >> rollbacks[name]
    return list(rollbacks.values())


def _ends_before_a_successor(task: BaseOperator) -> bool:
    """Whether the end of some successor implies the end of a task, so that who waits for it need not wait for the task.

    A successor of several tasks is over as soon as one of them has failed, while the others still run and may launch.
    """
    return any(
        after.trigger_rule == TriggerRule.ALL_DONE or after.upstream_task_ids == {task.task_id}
        for after in task.downstream_list
    )
