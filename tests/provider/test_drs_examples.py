"""The example DAGs: each is a DAG that Airflow can serialise, and the drill runs against the simulator."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("drs_*.py"))


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Annotations of task functions are looked up in the module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.dag


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == ["drs_drill", "drs_failback", "drs_point_in_time"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_dag_that_survives_serialisation(path: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = load(path)
    assert dag.dag_id == path.stem
    data = DagSerialization.to_dict(dag)
    assert {task["__var"]["task_id"] for task in data["dag"]["tasks"]} == set(dag.task_ids)


def execute(dag: Any, contexts: Any, remake: Any) -> dict[str, Any]:
    """Run the tasks in order, as Airflow would, without Airflow."""
    import asyncio

    from airflow.exceptions import TaskDeferred

    results: dict[str, Any] = {}
    for task in dag.topological_sort():
        if hasattr(task, "job_ids") and not isinstance(task.job_ids, (str, list, type(None))):
            task.job_ids = results[task.job_ids.operator.task_id]
        task.aws_conn_id = None
        context = contexts(task)
        try:
            results[task.task_id] = task.execute(context)
        except TaskDeferred as deferral:
            trigger = remake(deferral.trigger)

            async def run(trigger: Any = trigger) -> list[Any]:
                return [event async for event in trigger.run()]

            (event,) = asyncio.run(run())
            results[task.task_id] = event.xcoms["return_value"]
    return results


def test_the_drill_runs_and_leaves_nothing_behind(drs_simulator_server: Any, task_context: Any, remake: Any) -> None:
    servers = [
        {
            "id": f"s-{i:017d}",
            "hostname": f"host{i}",
            "tags": {"Application": "shop", "Tier": "db" if i < 2 else "app"},
            # One of five application servers fails: four are enough.
            "outcome": "failed" if i == 6 else "launched",
        }
        for i in range(7)
    ]
    drs_simulator_server.load({"servers": servers}, speed=600)
    dag = load(EXAMPLES[0])
    assert dag.get_task("terminate").is_teardown
    results = execute(dag, task_context, remake)
    assert results["databases"]["launched"] == 2
    assert (results["application"]["launched"], len(results["application"]["failed"])) == (4, 1)
    assert len(results["terminate"]["terminated"]) == 6
    events = [entry for entry in drs_simulator_server.log if entry.get("event") in ("JOB_START", "JOB_END")]
    assert [entry["event"] for entry in events] == ["JOB_START", "JOB_END"] * 3
