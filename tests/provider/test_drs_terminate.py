"""Recovery instances are ended once, whatever happens meanwhile, over HTTP to the simulator."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.exceptions import AirflowException, TaskDeferred
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.triggers.base import TaskSuccessEvent

from drs_provider.aws.drs import termination
from drs_provider.aws.drs.launch import launch_once
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.aws.faults import ActionFailed
from drs_provider.operators.drs import DrsStartRecoveryOperator, DrsTerminateRecoveryInstancesOperator
from tests.provider.drs_servers import AWS, SERVERS, calls, finish, hook, load


class TestTerminate:
    @pytest.fixture(params=[False, True], ids=["sync", "deferred"])
    def end(self, request: pytest.FixtureRequest, task_context: Any, remake: Any) -> Any:
        def run(run_id: str = "manual__1", **more: Any) -> Any:
            options = {
                "deferrable": request.param,
                "poke_interval": 0.2,
                "timeout": timedelta(seconds=120),
                **AWS,
                **more,
            }
            task = DrsTerminateRecoveryInstancesOperator(task_id="terminate", **options)
            context = task_context(task, run_id)
            try:
                return task.execute(context)
            except TaskDeferred as deferral:
                trigger = remake(deferral.trigger)

                async def events() -> list[Any]:
                    return [event async for event in trigger.run()]

                (event,) = asyncio.run(events())
                if isinstance(event, TaskSuccessEvent):
                    assert event.xcoms is not None
                    return event.xcoms["return_value"]
                return task.execute_complete(context, event.payload, **(deferral.kwargs or {}))

        return run

    def launched(self, task_context: Any, servers: list[str], run_id: str = "manual__1", **more: Any) -> str:
        task = DrsStartRecoveryOperator(task_id="launch", servers=servers, **AWS, **more)
        job = str(task.execute(task_context(task, run_id))["jobs"][0]["job_id"])
        finish(job)
        return job

    def test_by_job_and_a_second_time(self, drs_simulator_server: Any, task_context: Any, end: Any) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS)
        instances = {one["ec2InstanceID"] for one in hook().recovery_instances(job_id=job)}
        result = end(job_ids={"jobs": [{"job_id": job}]})
        assert set(result["terminated"]) == instances
        assert len(instances) == 4
        assert [one["type"] for one in hook().jobs(result["jobs"])] == ["TERMINATE"]
        states = hook().client("ec2").describe_instances(InstanceIds=sorted(instances))["Reservations"]
        assert {one["Instances"][0]["State"]["Name"] for one in states} == {"terminated"}
        assert end(job_ids=job) == {"terminated": [], "stopped": [], "jobs": []}
        assert len(calls(drs_simulator_server, "TerminateRecoveryInstances")) == 1

    def test_what_was_there_before_is_stopped_and_never_terminated(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        standby = "i-0aaaaaaaaaaaaaaa1"
        there = {"id": standby, "name": "standby", "tags": {"AWSDRS": "AllowLaunchingIntoThisInstance"}}
        servers = [{"id": one, "hostname": one} for one in SERVERS[:2]]
        drs_simulator_server.load({"region": "us-west-2", "servers": servers, "instances": [there]}, speed=2000)
        ec2, drs = hook().client("ec2"), hook().client("drs")
        into = {"launchIntoEC2InstanceID": standby}
        drs.update_launch_configuration(sourceServerID=SERVERS[0], launchIntoInstanceProperties=into, copyTags=False)
        ec2.stop_instances(InstanceIds=[standby])
        drs_simulator_server.advance(60)
        result = end(job_ids=self.launched(task_context, SERVERS[:2]))
        assert result["stopped"] == [standby]
        assert len(result["terminated"]) == 1 and standby not in result["terminated"]
        (group,) = ec2.describe_instances(InstanceIds=[standby])["Reservations"]
        assert group["Instances"][0]["State"]["Name"] == "stopped"
        assert all(one.get("ec2InstanceID") != standby for one in hook().recovery_instances()), "DRS forgets it"

    def test_more_instances_than_one_call_takes(
        self, drs_simulator_server: Any, task_context: Any, end: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(termination, "MAX_INSTANCES", 3)
        load(drs_simulator_server)
        result = end(job_ids=self.launched(task_context, SERVERS))
        asked = calls(drs_simulator_server, "TerminateRecoveryInstances")
        assert sorted(len(call["params"]["recoveryInstanceIDs"]) for call in asked) == [1, 3]
        assert (len(result["terminated"]), len(result["jobs"])) == (4, 2)

    def test_more_instances_than_a_job_may_have(self, drs_simulator_server: Any, task_context: Any, end: Any) -> None:
        servers = [{"id": one, "hostname": one} for one in SERVERS]
        drs_simulator_server.load({"servers": servers, "quotas": {"servers_per_job": 3}}, speed=2000)
        task = DrsStartRecoveryOperator(task_id="launch", servers=SERVERS, **AWS)
        jobs = [str(job["job_id"]) for job in task.execute(task_context(task, "manual__1"))["jobs"]]
        finish(*jobs)
        result = end(job_ids=jobs)
        asked = calls(drs_simulator_server, "TerminateRecoveryInstances")
        assert sorted(len(call["params"]["recoveryInstanceIDs"]) for call in asked) == [1, 3]
        assert (len(result["terminated"]), len(result["jobs"])) == (4, 2)

    def test_everything_of_this_run_and_nothing_of_another(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        load(drs_simulator_server)
        self.launched(task_context, SERVERS[:2])
        other = self.launched(task_context, SERVERS[2:], "manual__2")
        assert len(end(of_this_run=True)["terminated"]) == 2
        left = hook().recovery_instances(job_id=other)
        assert [one["ec2InstanceState"] for one in left] == ["RUNNING", "RUNNING"]

    def test_a_real_recovery_is_refused_unless_allowed(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS[:1], is_drill=False)
        with pytest.raises(AirflowException, match="launched by a real recovery, not by a drill"):
            end(job_ids=job)
        assert not calls(drs_simulator_server, "TerminateRecoveryInstances")
        assert len(end(job_ids=job, drills_only=False)["terminated"]) == 1

    @pytest.mark.parametrize(
        "fault",
        [
            {"error": "InternalServerException", "when": "after"},
            {"error": "InternalServerException", "when": "before"},
            {"error": "ThrottlingException", "when": "before"},
            {"error": "ConflictException", "when": "before"},
        ],
        ids=lambda fault: "-".join(fault.values()),
    )
    def test_it_goes_on_through_errors(
        self, drs_simulator_server: Any, task_context: Any, end: Any, fault: dict[str, Any]
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS)
        drs_simulator_server.add_fault("TerminateRecoveryInstances", times=1, **fault)
        assert len(end(job_ids=job)["terminated"]) == 4
        states = {one["ec2InstanceState"] for one in hook().recovery_instances(job_id=job)}
        assert states <= {"TERMINATED", "NOT_FOUND"}

    def test_a_refusal_of_all_is_told_with_its_reason(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS[:2])
        drs_simulator_server.add_fault("TerminateRecoveryInstances", error="AccessDeniedException", message="not you")
        with pytest.raises(ActionFailed, match=r"does not end 2 of 2 .*AccessDeniedException: not you"):
            end(job_ids=job)

    def test_a_deferral_that_timed_out_is_taken_up_by_the_worker(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS[:2])
        drs_simulator_server.freeze()
        task = DrsTerminateRecoveryInstancesOperator(
            task_id="terminate", job_ids=job, deferrable=True, poke_interval=0.2, **AWS
        )
        context = task_context(task)
        with pytest.raises(TaskDeferred):
            task.execute(context)
        drs_simulator_server.resume()
        drs_simulator_server.advance(600)
        error = {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}
        task.resume_execution(TRIGGER_FAIL_REPR, error, context)
        assert {one["ec2InstanceState"] for one in hook().recovery_instances(job_id=job)} <= {"TERMINATED", "NOT_FOUND"}
        assert len(calls(drs_simulator_server, "TerminateRecoveryInstances")) == 1

    def test_instances_that_stay_are_named_when_the_time_is_up(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS[:1])
        (instance,) = hook().recovery_instances(job_id=job)
        drs_simulator_server.freeze()
        with pytest.raises((AirflowException, ActionFailed), match=f"in time: .*{instance['ec2InstanceID']}"):
            end(job_ids=job, timeout=timedelta(seconds=1))

    def test_a_refusal_of_one_does_not_keep_the_others(
        self, drs_simulator_server: Any, task_context: Any, end: Any
    ) -> None:
        load(drs_simulator_server)
        job = self.launched(task_context, SERVERS)
        bad = hook().recovery_instances(job_id=job)[1]["recoveryInstanceID"]
        drs_simulator_server.add_fault("TerminateRecoveryInstances", error="ValidationException", contains=bad)
        with pytest.raises(ActionFailed, match=f"does not end 1 of 4 recovery instances: {bad}: Validation"):
            end(job_ids=job)
        ended = {
            one
            for call in calls(drs_simulator_server, "TerminateRecoveryInstances")
            if call["status"] == 202 or call["status"] == 200
            for one in call["params"]["recoveryInstanceIDs"]
        }
        assert len(ended) == 3
        assert bad not in ended


def test_an_instance_that_an_overdue_job_holds_is_asked_for_once(
    drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator_server, s1={"outcome": "hangs"}, s3={"outcome": "hangs"})
    since = datetime.now(timezone.utc) - timedelta(hours=1)
    (started,) = launch_once(hook(), LaunchKey("shop", "run", "db"), SERVERS, is_drill=True, since=since)
    job = started.job_id
    held: list[Any] = []
    give_up = time.monotonic() + 60
    while len(held) < 2:
        assert time.monotonic() < give_up
        held = hook().recovery_instances(job_id=job)
    pauses: list[float] = []
    monkeypatch.setattr(termination.time, "sleep", pauses.append)
    ending = termination.Termination(hook(), logging.getLogger(__name__))
    with pytest.raises(ActionFailed, match="DRS does not end 2 of 2"):
        ending.end(held, time.time() + 20, overdue=[job])
    # Both together, and each alone to see that it is not only the other's job that is in the way.
    assert len(calls(drs_simulator_server, "TerminateRecoveryInstances")) == 3
    assert len(pauses) == 1
