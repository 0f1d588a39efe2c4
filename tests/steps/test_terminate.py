"""The end of a drill is judged by jobs and instances that change meanwhile."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.aws.drs.launch_key import RUN_TAG, run_tag_value
from drs_provider.hooks.drs import DrsHook
from drs_provider.requests.model import RunRequest
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.terminate import work as terminate
from drs_provider.steps.terminate.work import TerminateWork
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
    original = DrsHook.instance_states

    def while_the_job_ends(*args: Any) -> Any:
        drs_simulator.advance(3600)
        return original(*args)

    monkeypatch.setattr(DrsHook, "instance_states", while_the_job_ends)
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
        work = TerminateWork(task_id="terminate", loaded=PLAN)
        work.after_end(context, {"status": "success", "value": []}, instance_ids=[])
    assert [left["instance_id"] for left in told["evidence"]["left"]] == [SERVER]


@pytest.fixture
def stopping(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The end of a drill with a job on the wire that is asked to stop, its context, and what is told."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"region": "us-west-2", "servers": [{"id": SERVER, "hostname": "web01"}]}, speed=1)
    boto3.client("drs", "us-west-2").start_recovery(
        sourceServers=[{"sourceServerID": SERVER}], isDrill=True, tags={RUN_TAG: run_tag_value("shop", "manual__1")}
    )
    request = RunRequest(
        kind="stop_drill",
        dag_id="shop",
        from_run="recovery__1",
        by="alice",
        at=datetime.now(timezone.utc),
        reason="a recovery of shop waits for this drill to end",
    )
    messages: list[Any] = []
    monkeypatch.setattr(terminate, "stop_request", lambda context: request)
    monkeypatch.setattr(terminate, "notify", lambda loaded, context, message: messages.append(message))
    ti = SimpleNamespace(
        dag_id="shop",
        run_id="manual__1",
        task_id="terminate",
        xcom_pull=lambda **_: None,
        xcom_push=lambda key, value: None,
    )
    now = datetime.now(timezone.utc)
    dag_run = SimpleNamespace(dag_id="shop", run_id="manual__1", run_after=now, start_date=now)
    context: Any = {"ti": ti, "dag_run": dag_run, "params": {}}
    plan = loaded_plan({"name": "web", "servers": [{"id": SERVER}]}, drill={"keep_for": "2h"})
    return TerminateWork(task_id="terminate", loaded=plan), context, messages


def test_the_end_of_a_stopped_drill_shows_the_job_that_the_recovery_waits_for(stopping: Any) -> None:
    work, context, messages = stopping
    with pytest.raises(TaskDeferred) as deferred:
        work.after_keeping(context)
    assert type(deferred.value.trigger).__name__ == "DrsJobTrigger"
    assert deferred.value.trigger.stop_requests_of is None, "the end of a drill is not stopped itself"
    (message,) = messages
    assert message.event == "drill_stopping"
    assert "It waits for 1 DRS job on the wire, which DRS cannot cancel:\n- drsjob-" in message.text
    assert SERVER in message.text


def test_a_drill_that_is_asked_to_stop_keeps_its_instances_no_longer(stopping: Any) -> None:
    work, context, _ = stopping
    with pytest.raises(TaskDeferred) as deferred:
        work.execute(context)
    assert type(deferred.value.trigger).__name__ == "DrsJobTrigger", "and not the pause of two hours"


def test_the_pause_in_which_instances_are_kept_ends_when_the_drill_is_asked_to_stop(
    stopping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, context, _ = stopping
    monkeypatch.setattr(terminate, "stop_request", lambda context: None)
    with pytest.raises(TaskDeferred) as deferred:
        work.execute(context)
    assert type(deferred.value.trigger).__name__ == "PauseTrigger"
    assert deferred.value.trigger.stop_requests_of == "shop"
