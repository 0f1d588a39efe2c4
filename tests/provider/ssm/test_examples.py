"""The example DAGs of scripts and automations: serialisable, and run against the simulator."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("ssm_*.py"))


def load(name: str) -> Any:
    path = next(path for path in EXAMPLES if path.stem == name)
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


def test_there_are_examples():
    assert [path.stem for path in EXAMPLES] == ["ssm_automation", "ssm_script"]


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_an_example_is_a_dag_that_survives_serialisation(name):
    from airflow.serialization.serialized_objects import DagSerialization

    dag = load(name)
    assert dag.dag_id == name
    data = DagSerialization.to_dict(dag)
    assert {task["__var"]["task_id"] for task in data["dag"]["tasks"]} == set(dag.task_ids)


def run_dag(dag: Any, run_task: Any, task_context: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Run the tasks in order, with their templates rendered."""
    results: dict[str, Any] = {}
    for task in dag.topological_sort():
        task.aws_conn_id = None
        context = task_context(task)
        context["ti"].xcom_pull = lambda task_ids: results[task_ids]
        task.render_template_fields({**context, "params": params})
        results[task.task_id] = run_task(task, context).value
    return results


def test_the_script_runs_on_every_instance(region, run_task, task_context):
    ids = region.load(3, documents={"AWS-RunShellScript": {"duration": 10, "output": "active"}})
    results = run_dag(load("ssm_script"), run_task, task_context, {"instance_ids": ids})
    assert results["status_checks"] == dict.fromkeys(ids, "ok")
    assert {result["output_tail"] for result in results["start_application"]["instances"].values()} == {"active"}
    assert set(results["answer"]["instances"]) == set(ids)
    assert len(region.events("COMMAND_START")) == 3


def test_the_automations_run_one_after_the_other(region, run_task, task_context):
    documents = {
        "Shop-PromoteReplica": {"kind": "Automation", "duration": 10, "outputs": {"promote.Endpoint": ["db-2"]}},
        "Shop-MoveName": {"kind": "Automation", "duration": 10},
    }
    region.load(0, documents=documents)
    results = run_dag(load("ssm_automation"), run_task, task_context, {"replica": "shop-db-replica"})
    assert results["promote"]["outputs"]["promote.Endpoint"] == ["db-2"]
    assert results["dns"]["automation_execution_id"] == results["start_dns"]["automation_execution_id"]
    assert results["dns"]["status"] == "Success"
    started = region.calls("StartAutomationExecution")
    assert started[0]["params"]["Parameters"] == {"Replica": ["shop-db-replica"]}
