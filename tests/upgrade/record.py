"""Writes down what this version of the package leaves behind for the next: in Airflow's database, in AWS, in reports.

Run once for each release, before it is tagged, and commit what it writes::

    python -m tests.upgrade.record

A drill with everything in it runs on a real Airflow: scripts, checks, an approval, a launch that fails twice and is
rolled back. While it runs, every deferred task and its trigger are copied from Airflow's database; at the end its
XComs, its report, and what it asked of AWS. Triggers that a drill does not meet are made by hand.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from drs_provider.plan import load_plan
from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from drs_provider.rehearsal.scenario import write_scenario
from tests.e2e.stack import Stack
from tests.upgrade.identities import IDENTITIES, written_identities

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
DRILL = "whole-drill"


def other_triggers() -> Iterator[Any]:
    """Make the triggers that the drill does not meet."""
    from drs_provider.aws.quotas import Quotas
    from drs_provider.triggers.availability import AwsAvailableTrigger
    from drs_provider.triggers.drs import DrsReplicationTrigger
    from drs_provider.triggers.drs_failback import DrsFailbackSyncTrigger, DrsProtectionTrigger
    from drs_provider.triggers.health import Ec2InstanceStatusTrigger, HttpHealthTrigger, TcpPortTrigger
    from drs_provider.triggers.pause import PauseTrigger
    from drs_provider.triggers.slots import DrsJobSlotTrigger
    from drs_provider.triggers.ssm import SsmAgentTrigger
    from drs_provider.triggers.stoppable import StoppableTrigger

    common: dict[str, Any] = {"aws_conn_id": "aws_default", "region_name": "us-west-2", "deferred_at": 1800000000.5}
    instances = ["i-0123456789abcdef0"]
    yield DrsReplicationTrigger(
        source_server_ids=["s-1a2b3c4d5e6f70001"],
        states=["CONTINUOUS"],
        max_lag=300.0,
        deadline=1800003600.0,
        **common,
    )
    yield Ec2InstanceStatusTrigger(instance_ids=instances, deadline=1800003600.0, **common)
    yield TcpPortTrigger(instance_ids=instances, port=5432, deadline=1800003600.0, **common)
    yield HttpHealthTrigger(instance_ids=instances, path="/healthz", port=80, deadline=1800003600.0, **common)
    yield SsmAgentTrigger(instance_ids=instances, end_task=False, deadline=1800003600.0, **common)
    yield DrsJobSlotTrigger(
        servers=3, quotas=vars(Quotas()), is_drill=False, since=1800000000.0, deadline=1800003600.0, **common
    )
    yield AwsAvailableTrigger(
        operation="StartRecovery",
        reason="ThrottlingException: Rate exceeded",
        since=1800000000.0,
        pause=5.0,
        end_task=False,
        deadline=1800003600.0,
        **common,
    )
    yield PauseTrigger(deadline=1800003600.0, **common)
    sync = {"source_server_ids": ["s-1a2b3c4d5e6f70001"], "max_lag": 0.0, "stall_after": 1800.0}
    yield DrsFailbackSyncTrigger(deadline=1800003600.0, **sync, **common)
    peer = {"aws_conn_id": "aws_default", "region_name": "us-east-1"}
    yield DrsProtectionTrigger(
        protects={"s-1a2b3c4d5e6f70001": instances[0]}, peer=peer, deadline=1800003600.0, **sync, **common
    )
    path = "airflow.providers.standard.triggers.temporal.TimeDeltaTrigger"
    yield StoppableTrigger(classpath=path, kwargs={"delta": 30.0}, dag_id="shop")


def deferrals(database: Path) -> Iterator[dict[str, Any]]:
    """Read the tasks that are deferred now on a trigger of this package, as Airflow has stored them."""
    from airflow.models.trigger import Trigger

    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        rows = connection.execute(
            "select task_id, next_method, next_kwargs, classpath, kwargs from task_instance "
            "join trigger on trigger.id = trigger_id"
        ).fetchall()
    # What is stored is Airflow's own form of it, and Airflow's to keep readable.
    read = Trigger._decrypt_kwargs
    for task_id, method, method_arguments, path, arguments in rows:
        if path.startswith("drs_provider."):
            yield {
                "task": task_id,
                "method": method,
                "method_arguments": read(method_arguments),
                "path": path,
                "arguments": read(arguments),
            }


def record_drill(folder: Path) -> dict[str, Any]:
    """Run the drill, and return everything that it left behind."""
    plan = HERE / "plans" / f"{DRILL}.yaml"
    scenario = yaml.safe_load(write_scenario(plan, folder / "scenario.yaml").read_text())
    for server in scenario["servers"]:
        if server.get("tags", {}).get("Tier") == "web":
            server["outcome"] = "failed"
    stack = Stack(folder, scenario, {DRILL: plan.read_text()}, speed=30)
    waited: dict[tuple[str, str, str], dict[str, Any]] = {}
    with stack.running():
        run_id = stack.start(DRILL)
        while stack.api.run(DRILL, run_id)["state"] not in FINISHED_STATES:
            for each in deferrals(stack.airflow.home / "airflow.db"):
                waited.setdefault((each["task"], each["method"], each["path"]), each)
            for task in stack.api.pending_approvals(DRILL, run_id):
                stack.api.answer_approval(DRILL, run_id, task, "Approve")
            time.sleep(0.2)
        run = stack.api.run(DRILL, run_id)
        tasks = stack.api.task_instances(DRILL, run_id)
        listed = stack.api.call("GET", f"/dags/{DRILL}/dagRuns/{run_id}/taskInstances/~/xcomEntries?limit=1000")
        xcoms: dict[str, dict[str, Any]] = {}
        for entry in listed["xcom_entries"]:
            value = stack.api.xcom(DRILL, run_id, entry["task_id"], entry["key"])
            xcoms.setdefault(entry["task_id"], {})[entry["key"]] = value
        (report,) = (stack.airflow.home / "reports").rglob("report.json")
        sent = {
            operation: [call["params"] for call in stack.simulator.log.calls(operation)]
            for operation in ("StartRecovery", "SendCommand", "StartAutomationExecution")
        }
        return {
            "run": {key: run[key] for key in ("dag_id", "dag_run_id", "state", "run_type", "start_date", "conf")},
            "tasks": {name: {"state": task["state"]} for name, task in sorted(tasks.items()) if name != "report"},
            "xcoms": dict(sorted(xcoms.items())),
            "deferrals": [each for _, each in sorted(waited.items())],
            "scenario": scenario,
            "sent": sent,
            "report": json.loads(report.read_text()),
        }


def record_plans(folder: Path) -> dict[str, Any]:
    """Copy the plan files; return of each its hash, what a run records of it, and the tasks of its DAG."""
    from drs_provider.dag.factory import build_dag

    folder.mkdir()
    written = {}
    for file in sorted([*(ROOT / "plans").glob("*.yaml"), *(HERE / "plans").glob("*.yaml")]):
        loaded = load_plan(shutil.copy(file, folder))
        dag = build_dag(loaded)
        written[loaded.plan.name] = {
            "hash": loaded.hash,
            "plan": loaded.plan.model_dump(mode="json"),
            "tasks": {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks},
        }
    return written


def callbacks(folder: Path) -> list[dict[str, Any]]:
    """Return the callbacks of the deadlines of every plan, one of each path, as Airflow's database has them."""
    from drs_provider.dag.factory import build_dag

    found: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.glob("*.yaml")):
        for alert in build_dag(load_plan(file)).deadline or []:
            callback = alert.callback
            found.setdefault(callback.path, {"path": callback.path, "arguments": callback.kwargs})
    return [found[path] for path in sorted(found)]


def main() -> None:
    """Write the folder of the present version."""
    out = HERE / version("airflow-provider-aws-drs")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def write(name: str, content: Any) -> None:
        (out / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    write("plans", record_plans(out / "plans"))
    write("callbacks", callbacks(out / "plans"))
    write("identities", [written_identities(**identity) for identity in IDENTITIES])
    write("triggers", [{"path": path, "arguments": args} for path, args in (t.serialize() for t in other_triggers())])
    with tempfile.TemporaryDirectory(prefix="drs-record-") as folder:
        drill = json.dumps(record_drill(Path(folder)))
        write("drill", json.loads(drill.replace(folder, "/recorded")))


if __name__ == "__main__":
    main()
