"""Plans as tests write them, and what a test asks of the DAG that one becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash


def wave(name: str, *needed: str, **keys: Any) -> dict[str, Any]:
    """The data of a wave that depends on others."""
    return {"name": name, "depends_on": list(needed), "servers": [{"tags": {"wave": name}}], **keys}


def loaded_plan(*waves: dict[str, Any], **keys: Any) -> LoadedPlan:
    """A plan named ``shop`` with these waves, as if it had been read from a file."""
    data = {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": list(waves), **keys}
    plan = RecoveryPlan.model_validate(data)
    return LoadedPlan(plan, Path("plans/shop.yaml"), plan_hash(plan))


def upstream(dag: DAG, task_id: str) -> set[str]:
    """Ids of the tasks that a task waits for."""
    return set(dag.get_task(task_id).upstream_task_ids)
