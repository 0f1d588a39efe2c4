"""The DAG of a plan: its tasks, its edges, and what Airflow is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.serialization.serialized_objects import DagSerialization
from hypothesis import HealthCheck, given, settings

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, Wave, load_plan, plan_hash
from drs_provider.steps.approve.task import ApproveWave
from drs_provider.steps.confirm.task import ConfirmRun
from drs_provider.steps.launch.task import LaunchWave
from drs_provider.steps.preflight.task import Preflight
from drs_provider.steps.report.task import WriteReport
from drs_provider.steps.rollback.task import RollBackWave
from drs_provider.steps.script.task import RunAutomation, RunCommand
from drs_provider.steps.settle.task import SettleWave
from drs_provider.steps.terminate.task import TerminateDrill
from drs_provider.steps.wait_for_launch.task import WaitForLaunch
from tests.dag.plans import loaded_plan, upstream, wave
from tests.plan.strategies import plans

PLANS = sorted((Path(__file__).parents[2] / "plans").glob("*.yaml"))
ANY_PLAN = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])

FULL = wave(
    "database",
    approval={"approvers": ["alice"]},
    pre_launch=[
        {"name": "fence", "automation": "Shop-Fence"},
        {"name": "promote", "run_command": "AWS-RunShellScript", "targets": {"tags": {"Role": "db"}}},
    ],
    settle="2m",
    post_launch=[
        {"name": "start", "run_command": "AWS-RunShellScript"},
        {"name": "warm", "automation": "Shop-Warm", "on_failure": "continue"},
    ],
    health_checks=[
        {"type": "http", "path": "/"},
        {"type": "ssm_online"},
        {"type": "tcp", "port": 5432},
        {"type": "instance_status"},
        {"type": "tcp", "port": 5433},
    ],
    on_failure="rollback",
    rollback=[{"name": "undo", "automation": "Shop-Undo"}],
)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_example_becomes_a_dag(path: Path) -> None:
    assert build_dag(load_plan(path)).dag_id == path.stem


def test_the_smallest_plan_has_the_tasks_that_every_plan_has() -> None:
    dag = build_dag(loaded_plan(wave("web")))
    kinds = {task.task_id: type(task) for task in dag.tasks}
    assert kinds == {
        "confirm": ConfirmRun,
        "preflight": Preflight,
        "web.launch": LaunchWave,
        "web.wait_for_launch": WaitForLaunch,
        "terminate": TerminateDrill,
        "report": WriteReport,
    }


def test_every_part_of_a_wave_has_its_task_in_the_order_in_which_it_happens() -> None:
    dag = build_dag(loaded_plan(FULL))
    assert {task.task_id: upstream(dag, task.task_id) for task in dag.tasks if task.task_id.startswith("data")} == {
        "database.approve": {"preflight"},
        "database.pre_launch.fence": {"database.approve"},
        "database.pre_launch.promote": {"database.pre_launch.fence"},
        "database.launch": {"database.pre_launch.promote"},
        "database.wait_for_launch": {"database.launch"},
        "database.settle": {"database.wait_for_launch"},
        "database.health.ssm_online": {"database.settle"},
        "database.health.instance_status": {"database.settle"},
        "database.post_launch.start": {"database.health.ssm_online", "database.health.instance_status"},
        "database.post_launch.warm": {"database.post_launch.start"},
        "database.health.http": {"database.post_launch.warm"},
        "database.health.tcp": {"database.post_launch.warm"},
        "database.health.tcp_2": {"database.post_launch.warm"},
        "database.rollback": set(dag.task_group.children["database"].children) - {"database.rollback"},
    }
    kinds = {
        "approve": ApproveWave,
        "pre_launch.fence": RunAutomation,
        "pre_launch.promote": RunCommand,
        "settle": SettleWave,
        "rollback": RollBackWave,
    }
    for name, kind in kinds.items():
        assert type(dag.get_task(f"database.{name}")) is kind


def test_a_wave_waits_for_every_last_task_of_every_wave_that_it_names() -> None:
    checks = [{"type": "tcp", "port": 80}, {"type": "http", "path": "/"}]
    dag = build_dag(loaded_plan(wave("a", health_checks=checks), wave("b"), wave("c", "a", "b")))
    assert upstream(dag, "c.launch") == {"a.health.tcp", "a.health.http", "b.wait_for_launch"}


@ANY_PLAN
@given(plans())
def test_edges_are_exactly_those_of_the_dependencies(data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    dag = build_dag(LoadedPlan(plan, Path("plan.yaml"), plan_hash(plan)))
    own = {each.name: wave_tasks(dag, each) for each in plan.waves}
    first = {name: {task for task in tasks if not upstream(dag, task) & tasks} for name, tasks in own.items()}
    last = {name: {task for task in tasks if not downstream(dag, task) & tasks} for name, tasks in own.items()}
    for each in plan.waves:
        needed = set().union(*(last[name] for name in each.depends_on)) if each.depends_on else {"preflight"}
        for task in own[each.name]:
            assert upstream(dag, task) - own[each.name] == (needed if task in first[each.name] else set())
    assert upstream(dag, "preflight") == {"confirm"}
    assert upstream(dag, "confirm") == set()


@ANY_PLAN
@given(plans())
def test_the_report_comes_last_and_nothing_still_runs_when_the_drill_is_ended(data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    dag = build_dag(LoadedPlan(plan, Path("plan.yaml"), plan_hash(plan)))
    assert [task.task_id for task in dag.tasks if not task.downstream_task_ids] == ["report"]
    assert upstream(dag, "report") == {"terminate"}
    # The end of a task tells of the end of what is before it only where it waits for that alone, or waits for all come
    # what may: else it is over as soon as one of them has failed, while the others still run, and may yet launch.
    over: set[str] = set()
    found = upstream(dag, "terminate")
    while found:
        over |= found
        found = set()
        for task in map(dag.get_task, over):
            if task.trigger_rule == TriggerRule.ALL_DONE or len(task.upstream_task_ids) == 1:
                found |= task.upstream_task_ids
        found -= over
    assert over == set(dag.task_ids) - {"terminate", "report"}


@ANY_PLAN
@given(plans())
def test_the_ui_can_draw_any_plan(data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    dag = build_dag(LoadedPlan(plan, Path("plan.yaml"), plan_hash(plan)))
    drawn = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    for group in drawn.task_group.get_task_group_dict().values():
        group.topological_sort()


def wave_tasks(dag: DAG, of: Wave) -> set[str]:
    return {
        task.task_id
        for task in dag.tasks
        if task.task_id.startswith(f"{of.name}.") and task.task_id != f"{of.name}.rollback"
    }


def downstream(dag: DAG, task_id: str) -> set[str]:
    return set(dag.get_task(task_id).downstream_task_ids)
