"""The example DAGs: each is a DAG that Airflow can serialise, and each runs against the simulator."""

from __future__ import annotations

import importlib.util
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


def load(name: str) -> Any:
    """Return the DAG of an example, made anew."""
    path = next(path for path in EXAMPLES if path.stem == name)
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Annotations of task functions are looked up in the module.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.dag


def called(simulator: Any, operation: str) -> list[dict[str, Any]]:
    return [entry["params"] for entry in simulator.log if entry.get("operation") == operation]


def test_there_are_examples_and_each_is_run() -> None:
    names = [path.stem for path in EXAMPLES]
    assert names == ["drs_drill", "drs_failback", "drs_point_in_time", "ssm_automation", "ssm_script"]


@pytest.mark.parametrize("name", [path.stem for path in EXAMPLES])
def test_an_example_is_a_dag_that_survives_serialisation(name: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    dag = load(name)
    assert dag.dag_id == name
    data = DagSerialization.to_dict(dag)
    assert {task["__var"]["task_id"] for task in data["dag"]["tasks"]} == set(dag.task_ids)


def test_the_drill_runs_and_leaves_nothing_behind(drs_simulator_server: Any, run_dag: Any) -> None:
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
    drs_simulator_server.load({"servers": servers}, speed=1500)
    dag = load("drs_drill")
    assert dag.get_task("terminate").is_teardown
    results = run_dag(dag)
    assert results["databases"]["launched"] == 2
    assert (results["application"]["launched"], len(results["application"]["failed"])) == (4, 1)
    assert len(results["terminate"]["terminated"]) == 6
    events = [entry for entry in drs_simulator_server.log if entry.get("event") in ("JOB_START", "JOB_END")]
    assert [entry["event"] for entry in events] == ["JOB_START", "JOB_END"] * 3


def test_the_recovery_to_a_moment_launches_stopped_from_the_chosen_snapshots(
    drs_simulator_server: Any, run_dag: Any
) -> None:
    ids = ["s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002"]
    snapshots = [
        [{"age": "1h", "id": f"pit-0000000000000{n}001"}, {"age": "1d", "id": f"pit-0000000000000{n}024"}]
        for n in (1, 2)
    ]
    servers = [{"id": one, "hostname": f"host{n}", "snapshots": snapshots[n]} for n, one in enumerate(ids)]
    drs_simulator_server.load({"servers": servers}, speed=1500)
    moment = datetime.now(timezone.utc) - timedelta(hours=6)
    results = run_dag(load("drs_point_in_time"), at_or_before=moment.isoformat())
    assert results["wait"]["launched"] == 2
    (call,) = called(drs_simulator_server, "StartRecovery")
    assert call["isDrill"] is False
    assert {one["sourceServerID"]: one["recoverySnapshotID"] for one in call["sourceServers"]} == {
        one: snapshots[n][1]["id"] for n, one in enumerate(ids)
    }
    instances = [one["ec2_instance_id"] for one in results["wait"]["servers"].values()]
    found = boto3.client("ec2", region_name="us-west-2").describe_instances(InstanceIds=instances)["Reservations"]
    assert {one["State"]["Name"] for group in found for one in group["Instances"]} == {"stopped"}


def test_the_script_runs_on_every_instance(drs_simulator_server: Any, run_dag: Any) -> None:
    instances = [{"id": f"i-{n:017x}", "name": f"app{n}"} for n in (1, 2, 3)]
    documents = {"AWS-RunShellScript": {"duration": 10, "output": "active"}}
    drs_simulator_server.load({"instances": instances, "documents": documents}, speed=100)
    ids = [one["id"] for one in instances]
    results = run_dag(load("ssm_script"), instance_ids=ids)
    assert results["status_checks"] == dict.fromkeys(ids, "ok")
    assert {result["output_tail"] for result in results["start_application"]["instances"].values()} == {"active"}
    assert set(results["answer"]["instances"]) == set(ids)
    assert len([entry for entry in drs_simulator_server.log if entry.get("event") == "COMMAND_START"]) == 3


def test_the_automations_run_one_after_the_other(drs_simulator_server: Any, run_dag: Any) -> None:
    documents = {
        "Shop-PromoteReplica": {"kind": "Automation", "duration": 10, "outputs": {"promote.Endpoint": ["db-2"]}},
        "Shop-MoveName": {"kind": "Automation", "duration": 10},
    }
    drs_simulator_server.load({"documents": documents}, speed=100)
    results = run_dag(load("ssm_automation"), replica="shop-db-replica")
    assert results["promote"]["outputs"]["promote.Endpoint"] == ["db-2"]
    assert results["dns"]["automation_execution_id"] == results["start_dns"]["automation_execution_id"]
    assert results["dns"]["status"] == "Success"
    started = called(drs_simulator_server, "StartAutomationExecution")
    assert started[0]["Parameters"] == {"Replica": ["shop-db-replica"]}
