"""A recovery plan becomes an Airflow DAG: a task group for each wave, and edges exactly those of the dependencies."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, TaskGroup, TriggerRule

from drs_provider.dag.docs import plan_page
from drs_provider.dag.params import run_params
from drs_provider.plan.kinds import kind_named, load
from drs_provider.plan.steps import wave_steps
from drs_provider.runs.alarm import deadlines
from drs_provider.runs.notify import notify_wave_failed
from drs_provider.steps.confirm.task import ConfirmRun
from drs_provider.steps.preflight.task import Preflight
from drs_provider.steps.report.task import WriteReport
from drs_provider.steps.rollback.task import RollBackWave
from drs_provider.steps.terminate.task import TerminateDrill
from drs_provider.tasks.delegation import QUESTIONS

if TYPE_CHECKING:
    from drs_provider.plan import Drill, LoadedPlan, Wave
    from drs_provider.plan.steps import Step

__all__ = ["build_dag"]

# Every task finds out on its own whether its wave takes part in the run. With all_success, one script that is left out
# in a drill would skip the launch behind it.
_WAVE_TASK = {"trigger_rule": TriggerRule.NONE_FAILED, "on_failure_callback": notify_wave_failed}


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
        confirm = ConfirmRun(task_id="confirm", loaded=loaded, retries=QUESTIONS)
        preflight = Preflight(task_id="preflight", loaded=loaded)
        confirm >> preflight
        waves = {wave.name: _WaveTasks(loaded, wave) for wave in plan.waves}
        for wave in plan.waves:
            needed = [task for name in wave.depends_on for task in waves[name].last] or [preflight]
            for first in waves[wave.name].first:
                needed >> first
        _add_ending(loaded, waves, confirm, preflight)
    # Last: Airflow copies the DAG's parameters deeply into each task that is made after them, once for every class of
    # the task that has an __init__, and the tasks see them without (more than half of this function).
    dag.params = run_params(plan)  # type: ignore[assignment]
    return dag


class _WaveTasks:
    """The task group of one wave."""

    def __init__(self, loaded: LoadedPlan, wave: Wave) -> None:
        self.loaded = loaded
        self.wave = wave
        with TaskGroup(wave.name, tooltip=wave.description) as self.group:
            steps = [[self._task(step) for step in group] for group in wave_steps(wave)]
            for before, after in pairwise(steps):
                for task in before:
                    task >> after
        self.first = steps[0]
        self.last = steps[-1]
        self.all = [task for step in steps for task in step]

    # Scripts and checks have no task groups of their own within the wave's. Checks come before and after scripts, and
    # Airflow's UI cannot draw two groups of which each comes before the other.
    def _task(self, step: Step) -> BaseOperator:
        common: dict[str, Any] = {"task_id": step.name, "loaded": self.loaded, "wave": self.wave, **_WAVE_TASK}
        task: BaseOperator = load(kind_named(step.kind).task).of(step, **common)
        return task


def _add_ending(
    loaded: LoadedPlan, waves: dict[str, _WaveTasks], confirm: BaseOperator, preflight: BaseOperator
) -> None:
    """Add what comes after the waves: rollbacks, the end of the drill, the report."""
    plan = loaded.plan
    work = [confirm, preflight, *(task for wave in waves.values() for task in wave.all)]
    unwind_all = plan.recovery.on_failure == "rollback"
    rollbacks: dict[str, BaseOperator] = {}
    for name, tasks in waves.items():
        if unwind_all or tasks.wave.on_failure == "rollback":
            watched = work if unwind_all else tasks.all
            rollbacks[name] = RollBackWave(
                task_id="rollback",
                task_group=tasks.group,
                loaded=loaded,
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
    # Teardown tasks still run when a person marks the whole run as failed; other tasks would be skipped.
    terminate = TerminateDrill(task_id="terminate", loaded=loaded).as_teardown(on_failure_fail_dagrun=True)
    # The report is the last task and passes the verdict: it is the only leaf, so its state is the run's state.
    # It is tried for longer than others: what stands in its way, a full disk or a store that does not answer, passes.
    patient: dict[str, Any] = {"retries": 12, "retry_delay": timedelta(seconds=10)}
    report = WriteReport(task_id="report", loaded=loaded, **patient).as_teardown(on_failure_fail_dagrun=True)
    [*(task for task in work if not _ends_before_a_successor(task)), *rollbacks.values()] >> terminate >> report


def _ends_before_a_successor(task: BaseOperator) -> bool:
    """Whether the end of some successor implies the end of a task, so that who waits for it need not wait for the task.

    A successor of several tasks is over as soon as one of them has failed, while the others still run and may launch.
    """
    return any(
        after.trigger_rule == TriggerRule.ALL_DONE or after.upstream_task_ids == {task.task_id}
        for after in task.downstream_list
    )
