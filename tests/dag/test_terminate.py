"""The end of a drill is judged by jobs and instances that change meanwhile."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.dag.work import terminate
from drs_provider.dag.work.terminate import TerminateWork
from drs_provider.hooks.launch_key import RUN_TAG, run_tag_value
from drs_provider.simulator.simulation import Simulation
from tests.dag.plans import loaded_plan

SERVER = "s-00000000000000001"
PLAN = loaded_plan({"name": "web", "servers": [{"id": SERVER}]})


def test_a_job_that_ends_while_the_end_is_judged_is_not_overlooked(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"region": "us-west-2", "servers": [{"id": SERVER, "hostname": "web01"}]}, speed=1)
    boto3.client("drs", "us-west-2").start_recovery(
        sourceServers=[{"sourceServerID": SERVER}], isDrill=True, tags={RUN_TAG: run_tag_value("shop", "manual__1")}
    )
    original = terminate.instance_states

    def while_the_job_ends(*args: Any) -> Any:
        drs_simulator.advance(3600)
        return original(*args)

    monkeypatch.setattr(terminate, "instance_states", while_the_job_ends)
    told: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="shop",
        run_id="manual__1",
        task_id="terminate",
        xcom_pull=lambda **_: None,
        xcom_push=lambda key, value: told.update({key: value}),
    )
    now = datetime.now(timezone.utc)
    dag_run = SimpleNamespace(dag_id="shop", run_id="manual__1", run_after=now, start_date=now)
    context: Any = {"ti": ti, "dag_run": dag_run, "params": {}}
    with pytest.raises(AirflowException, match=f"{SERVER}: job .* has not ended, and may still launch it"):
        TerminateWork(task_id="terminate", loaded=PLAN)._finished(context, [])
    assert [left["instance_id"] for left in told["evidence"]["left"]] == [SERVER]
