"""The DAG of a plan: its tasks, its edges, and what Airflow is told of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import load_plan
from tests.dag.plans import loaded_plan, upstream, wave

PLANS = sorted((Path(__file__).parents[2] / "plans").glob("*.yaml"))


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_every_example_becomes_a_dag(path: Path) -> None:
    assert build_dag(load_plan(path)).dag_id == path.stem


def test_a_wave_waits_for_every_last_task_of_every_wave_that_it_names() -> None:
    checks = [{"type": "tcp", "port": 80}, {"type": "http", "path": "/"}]
    dag = build_dag(loaded_plan(wave("a", health_checks=checks), wave("b"), wave("c", "a", "b")))
    assert upstream(dag, "c.launch") == {"a.health.tcp", "a.health.http", "b.wait_for_launch"}
