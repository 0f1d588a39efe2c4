"""Plans as tests write them, and what a test asks of the DAG that one becomes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.runs.custody import CUSTODY_KEY, GateRecord
from drs_provider.runs.recovery_run import RecoveryRun
from drs_provider.tasks.gates import PLAN_KEY


def wave(name: str, *needed: str, **keys: Any) -> dict[str, Any]:
    """The data of a wave that depends on others."""
    return {"name": name, "depends_on": list(needed), "servers": [{"tags": {"wave": name}}], **keys}


def loaded_plan(*waves: dict[str, Any], **keys: Any) -> LoadedPlan:
    """A plan named ``shop`` with these waves, as if it had been read from a file."""
    data = {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": list(waves), **keys}
    plan = RecoveryPlan.model_validate(data)
    return LoadedPlan(plan, Path("plans/shop.yaml"), plan_hash(plan))


def passed(loaded: LoadedPlan, **parameters: Any) -> dict[str, Any]:
    """What ``confirm`` leaves of a run that needs no approval, by XCom key."""
    run = RecoveryRun.from_parameters("shop", "manual__1", parameters)
    record = GateRecord(
        decision="confirmed",
        decided=datetime.now(timezone.utc),
        plan_hash=loaded.hash,
        mode=run.mode,
        parameters=run.as_record(),
        starter="alice",
    )
    return {PLAN_KEY: loaded.record(), CUSTODY_KEY: record.model_dump(mode="json")}


def all_succeeded(dag_id: str, run_ids: list[str], task_ids: list[str]) -> dict[str, dict[str, str]]:
    """Answer for a task instance that every task which is asked for has succeeded."""
    return {run_ids[0]: dict.fromkeys(task_ids, "success")}


def upstream(dag: DAG, task_id: str) -> set[str]:
    """Ids of the tasks that a task waits for."""
    return set(dag.get_task(task_id).upstream_task_ids)
