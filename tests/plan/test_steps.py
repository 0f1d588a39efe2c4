"""The one list of a wave's steps: its order, its names, and that the DAG has exactly these tasks."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import load_plan
from drs_provider.plan.graph import longest_time
from drs_provider.plan.kinds import kind_named
from drs_provider.plan.steps import activity_of, kind_of, steps_of, wave_steps, work_of

PLAN = """
version: 1
name: steps
target: {region: us-west-2}
waves:
  - name: db
    servers: [{id: s-0123456789abcdef0}]
    approval: {message: Go on?}
    pre_launch: [{name: freeze, automation: Shop-A, modes: [recovery]}, {name: tell, automation: Shop-B, timeout: 1m}]
    settle: 90s
    health_checks:
      - {type: tcp, port: 5432, timeout: 2m}
      - {type: ssm_online, timeout: 3m}
      - {type: tcp, port: 22, timeout: 4m}
    post_launch: [{name: open, run_command: Shop-C, timeout: 5m}]
  - name: web
    depends_on: [db]
    servers: [{id: s-0123456789abcdef1}]
"""
DB = [
    ["approve"],
    ["pre_launch.freeze"],
    ["pre_launch.tell"],
    ["launch"],
    ["wait_for_launch"],
    ["settle"],
    ["health.ssm_online"],
    ["post_launch.open"],
    ["health.tcp", "health.tcp_2"],
]


@pytest.fixture
def loaded(tmp_path: Path):
    file = tmp_path / "steps.yaml"
    file.write_text(PLAN)
    return load_plan(file)


def test_the_order_of_a_waves_steps(loaded):
    db, web = loaded.plan.waves
    assert [[step.name for step in group] for group in wave_steps(db)] == DB
    assert [[step.name for step in group] for group in wave_steps(web)] == [["launch"], ["wait_for_launch"]]


def test_the_dag_has_these_steps_in_this_order_and_no_others(loaded):
    dag = build_dag(loaded)
    for wave in loaded.plan.waves:
        tasks = {task.task_id for task in dag.tasks if task.task_id.startswith(f"{wave.name}.")}
        assert tasks == {f"{wave.name}.{step.name}" for step in steps_of(wave)}
    for before, after in pairwise(DB):
        for name in after:
            assert dag.get_task(f"db.{name}").upstream_task_ids == {f"db.{one}" for one in before}


def test_each_name_tells_its_kind_and_what_goes_on(loaded):
    steps = list(steps_of(loaded.plan.waves[0]))
    assert [kind_of(step.name) for step in steps] == [kind_named(step.kind) for step in steps]
    assert (kind_of("rollback"), kind_of("unheard_of")) == (kind_named("rollback"), None)
    assert [activity_of(step.name) for step in steps] == [
        "approval",
        "script freeze",
        "script tell",
        "launching",
        "launching",
        "settling",
        "health check ssm_online",
        "script open",
        "health check tcp",
        "health check tcp_2",
    ]


def test_what_a_run_leaves_out(loaded):
    db = loaded.plan.waves[0]
    everything = [name for group in DB for name in group]
    assert work_of(db, "recovery", skip_scripts=False) == everything
    assert work_of(db, "drill", skip_scripts=False) == [name for name in everything if name != "pre_launch.freeze"]
    assert work_of(db, "recovery", skip_scripts=True) == [name for name in everything if "_launch." not in name]


def test_the_longest_time_is_the_sum_of_the_limits(loaded):
    db = loaded.plan.waves[0]
    freeze = db.pre_launch[0].timeout
    launch = db.launch_timeout * (1 + db.retries)
    assert longest_time(db) == freeze + launch + timedelta(minutes=1 + 2 + 3 + 4 + 5, seconds=90)
