"""The launch back to machines on premises: ready ones only, in chunks, each job once, adopted after a crash."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws import pauses
from drs_provider.aws.drs import failback_launch
from drs_provider.hooks.drs import DrsHook
from drs_provider.operators.drs_failback import (
    DrsStartFailbackLaunchOperator,
    DrsStopFailbackOperator,
    DrsUpdateFailbackReplicationConfigurationOperator,
)
from drs_provider.sensors.drs import DrsJobSensor
from drs_provider.triggers.posts import WorkerPost

SERVERS = [f"s-{n:017d}" for n in range(3)]
AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-west-2"}


@pytest.fixture
def simulator(drs_simulator: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Three machines on premises whose failback clients were booted, and the clock standing."""
    server = {"origin": "on_premises", "launched": "recovery", "failback_client": 60, "failback_media_removed": 60}
    servers = [{"id": one, "hostname": one[-4:], **server} for one in SERVERS]
    drs_simulator.load({"servers": servers, "quotas": {"servers_per_job": 2}})
    drs_simulator.freeze()
    paused = SimpleNamespace(sleep=lambda seconds: drs_simulator.advance(30), monotonic=time.monotonic)

    async def wait(post: Any, seconds: float) -> None:
        drs_simulator.advance(30)

    monkeypatch.setattr(pauses, "time", paused)
    monkeypatch.setattr(WorkerPost, "sleep", wait)
    monkeypatch.setattr(failback_launch, "LISTING_SECONDS", 0.2)
    return drs_simulator


def hook() -> DrsHook:
    return DrsHook(**AWS)


def instances() -> list[str]:
    return [str(hook().recovery_instances(server_ids=[one])[0]["recoveryInstanceID"]) for one in SERVERS]


def calls(simulator: Any, operation: str) -> list[dict[str, Any]]:
    return [entry for entry in simulator.log if entry.get("operation") == operation]


def launch(task_context: Any, **more: Any) -> dict[str, Any]:
    task = DrsStartFailbackLaunchOperator(task_id="launch", recovery_instance_ids=instances(), **AWS)
    return dict(task.execute(task_context(task, **more)))


@pytest.mark.parametrize("fault", [None, "after", "before"])
def test_each_machine_is_in_one_job_whatever_became_of_the_answer(
    simulator: Any, task_context: Any, fault: str | None
) -> None:
    simulator.advance(2000)
    if fault:
        simulator.add_fault("StartFailbackLaunch", error="InternalServerException", times=1, when=fault)
    jobs = launch(task_context)["jobs"]
    assert sorted(len(job["source_servers"]) for job in jobs) == [1, 2], "no more than the quota in a job"
    assert sorted(server for job in jobs for server in job["source_servers"]) == SERVERS
    again = launch(task_context)["jobs"]
    assert {job["job_id"] for job in again} == {job["job_id"] for job in jobs}
    assert {job["adopted"] for job in again} == {True}
    accepted = [call["params"] for call in calls(simulator, "StartFailbackLaunch")]
    assert len(accepted) == (3 if fault == "before" else 2)
    assert all(len(call["recoveryInstanceIDs"]) <= 2 for call in accepted)
    assert {call["tags"]["drs-provider:run"] for call in accepted} == {"tests/manual__1"}
    sensor = DrsJobSensor(task_id="wait", job_ids=jobs, poke_interval=10, **AWS)
    assert sensor.execute(task_context(sensor))["launched"] == 3


def test_nothing_is_launched_unless_all_are_ready(simulator: Any, task_context: Any) -> None:
    with pytest.raises(AirflowException, match="is FAILBACK_NOT_STARTED: its failback client has not finished"):
        launch(task_context)
    simulator.advance(2000)
    hook().conn.stop_failback(recoveryInstanceID=instances()[0])
    with pytest.raises(AirflowException, match=f"{instances()[0]} is FAILBACK_NOT_STARTED"):
        launch(task_context)
    assert calls(simulator, "StartFailbackLaunch") == []


def test_somebody_elses_job_is_named_and_not_adopted(simulator: Any, task_context: Any) -> None:
    simulator.advance(2000)
    launch(task_context, run_id="manual__other")
    with pytest.raises(AirflowException, match=r"in job drsjob-.* started by tests/manual__other/launch"):
        launch(task_context)


def test_before_the_launch_it_can_be_stopped_and_its_settings_are_set_once(simulator: Any, task_context: Any) -> None:
    ids = instances()
    for _ in range(2):
        settings = {"bandwidthThrottling": 100, "usePrivateIP": True}
        task = DrsUpdateFailbackReplicationConfigurationOperator(
            task_id="settings", recovery_instance_ids=ids, settings=settings, **AWS
        )
        result = task.execute(task_context(task))
        assert [result[one]["bandwidthThrottling"] for one in ids] == [100] * 3
    assert len(calls(simulator, "UpdateFailbackReplicationConfiguration")) == 3
    simulator.advance(2000)
    for _ in range(2):
        stop = DrsStopFailbackOperator(task_id="stop", recovery_instance_ids=ids, **AWS)
        assert stop.execute(task_context(stop)) == dict.fromkeys(ids, "FAILBACK_NOT_STARTED")
    assert len(calls(simulator, "StopFailback")) == 3
    with pytest.raises(ValueError, match="not a failback replication setting: bandwith"):
        DrsUpdateFailbackReplicationConfigurationOperator(
            task_id="settings", recovery_instance_ids=ids, settings={"bandwith": 1}
        )
