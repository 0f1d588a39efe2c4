"""The DRS sensors, in a worker and deferred, over HTTP to the simulator."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, TaskDeferred
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.exceptions import AirflowRescheduleException, TaskDeferralError
from airflow.triggers.base import TaskSuccessEvent

from drs_provider.aws.drs.job_wait import LaunchFailed
from drs_provider.hooks.drs import DrsHook
from drs_provider.sensors.drs import DrsJobSensor, DrsReplicationSensor
from drs_provider.timestamps import parse_timestamp
from drs_provider.triggers import drs as triggers
from drs_provider.triggers.drs import JobSnapshot, job_poll_seconds
from tests.provider.drs_servers import AWS, SERVERS, calls, load


def start(servers: list[str] | None = None) -> str:
    wanted = [{"sourceServerID": one} for one in servers or SERVERS]
    return str(DrsHook(**AWS).conn.start_recovery(sourceServers=wanted, isDrill=True)["job"]["jobID"])


def fire(trigger: Any) -> Any:
    """Run a trigger to its one event."""

    async def run() -> list[Any]:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(run())
    return event


@pytest.fixture
def job_sensor(deferrable: bool) -> Any:
    def make(job_ids: Any, **more: Any) -> DrsJobSensor:
        options = {"poke_interval": 0.2, "deferrable": deferrable, **AWS, **more}
        return DrsJobSensor(task_id="wait", job_ids=job_ids, **options)

    return make


class TestJobSensor:
    def test_all_launched(self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any) -> None:
        load(drs_simulator_server)
        job = start()
        sensor = job_sensor({"jobs": [{"job_id": job}]})
        context = task_context(sensor)
        result = wait(sensor, context)
        assert (result["launched"], result["failed"]) == (4, [])
        assert sorted(result["servers"]) == SERVERS
        instances = {one["sourceServerID"]: one for one in DrsHook(**AWS).recovery_instances(job_id=job)}
        for i, server in enumerate(SERVERS):
            assert result["servers"][server] == {
                "job_id": job,
                "launch_status": "LAUNCHED",
                "recovery_instance_id": instances[server]["recoveryInstanceID"],
                "ec2_instance_id": instances[server]["ec2InstanceID"],
                "reason": None,
                "critical": True,
                "hostname": f"host{i}",
            }
        assert context["ti"].xcoms["_link_DrsJobLink"].endswith(f"region=us-west-2#/launchHistory/{job}")

    def test_progress_is_told_from_the_job_log_each_line_once(
        self,
        drs_simulator_server: Any,
        job_sensor: Any,
        task_context: Any,
        wait: Any,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        load(drs_simulator_server)
        job = start(SERVERS[:1])
        sensor = job_sensor(job)
        wait(sensor, task_context(sensor))
        told = [line for line in capfd.readouterr().out.splitlines() if f"{job}: " in line]
        for event in ("SNAPSHOT_START", "CONVERSION_START", "LAUNCH_START", "LAUNCH_END", "JOB_END"):
            # The trigger goes on where the look before the deferral ended.
            assert sum(event in line for line in told) == 1, event

    def test_a_required_server_fails(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any
    ) -> None:
        load(drs_simulator_server, s1={"outcome": "failed", "error": "no capacity for m5.large"})
        sensor = job_sensor([start()])
        with pytest.raises(LaunchFailed, match=rf"(?s)3 of 4.*host1 \({SERVERS[1]}\): FAILED.*no capacity") as caught:
            wait(sensor, task_context(sensor))
        assert caught.value.failed == [SERVERS[1]]
        assert caught.value.servers[SERVERS[0]]["launch_status"] == "LAUNCHED"

    def test_a_silent_failure_is_told_with_its_known_causes(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any
    ) -> None:
        load(drs_simulator_server, s1={"outcome": "failed_silently"})
        sensor = job_sensor([start()])
        with pytest.raises(LaunchFailed, match=r"iam:PassRole.*launch template"):
            wait(sensor, task_context(sensor))

    @pytest.mark.parametrize("terms", [{"optional": [SERVERS[1]]}, {"required": SERVERS[:1]}, {"min_launched": "3"}])
    def test_enough_launched(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any, terms: dict[str, Any]
    ) -> None:
        load(drs_simulator_server, s1={"outcome": "failed"})
        sensor = job_sensor(start(), **terms)
        result = wait(sensor, task_context(sensor))
        assert (result["launched"], result["failed"]) == (3, [SERVERS[1]])
        assert result["servers"][SERVERS[1]]["reason"]

    def test_a_hanging_job_ends_at_the_deadline_of_its_creation(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any
    ) -> None:
        load(drs_simulator_server, s1={"outcome": "hangs"})
        job = start()
        created = parse_timestamp(DrsHook(**AWS).jobs([job])[0]["creationDateTime"]).timestamp()
        sensor = job_sensor(job, timeout=3)
        with pytest.raises(LaunchFailed, match=r"(?s)Not ended within 3 s.*CONVERSION_START") as caught:
            wait(sensor, task_context(sensor))
        assert time.time() > created + 3
        assert SERVERS[1] in caught.value.failed
        # The next try, or a triggerer that comes back late, has no time left and still judges what there is.
        looks = len(calls(drs_simulator_server, "DescribeJobs"))
        again = job_sensor(job, timeout=3)
        with pytest.raises(LaunchFailed, match="Not ended within 3 s"):
            wait(again, task_context(again, try_number=2))
        assert len(calls(drs_simulator_server, "DescribeJobs")) == looks + 1

    def test_two_jobs_are_one_wait(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any
    ) -> None:
        load(drs_simulator_server)
        jobs = [start(SERVERS[:2]), start(SERVERS[2:])]
        sensor = job_sensor(jobs)
        result = wait(sensor, task_context(sensor))
        assert result["launched"] == 4
        assert {outcome["job_id"] for outcome in result["servers"].values()} == set(jobs)

    @pytest.mark.slow
    @pytest.mark.parametrize("error", ["InternalServerException", "ThrottlingException", "ExpiredTokenException"])
    def test_transient_errors_do_not_end_it(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any, error: str
    ) -> None:
        load(drs_simulator_server, speed=500)
        job = start()
        for operation in ("DescribeJobs", "DescribeJobLogItems", "DescribeRecoveryInstances", "DescribeSourceServers"):
            drs_simulator_server.add_fault(operation, error=error, probability=0.3, seed=3)
        sensor = job_sensor(job)
        assert wait(sensor, task_context(sensor))["launched"] == 4

    def test_a_job_that_does_not_exist(
        self,
        drs_simulator_server: Any,
        job_sensor: Any,
        task_context: Any,
        wait: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        load(drs_simulator_server)
        monkeypatch.setattr(triggers, "UNSEEN_SECONDS", 1.0)
        sensor = job_sensor("drsjob-00000000000000000")
        with pytest.raises(LaunchFailed, match="DRS has no job drsjob-0"):
            wait(sensor, task_context(sensor))

    def test_ending_the_wait_leaves_the_job_alone(
        self, drs_simulator_server: Any, job_sensor: Any, task_context: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator_server, speed=1)
        job = start()
        sensor = job_sensor(job)
        before = len([entry for entry in drs_simulator_server.log if entry.get("operation")])
        sensor.on_kill()
        trigger = triggers.DrsJobTrigger(job_ids=[job], timeout=60, **AWS)
        said: list[str] = []
        monkeypatch.setattr(trigger.log, "warning", lambda text, *args: said.append(text % args))
        asyncio.run(trigger.on_kill())
        assert said == [f"The wait was ended by a person; jobs go on in DRS: {job}"]
        assert len([entry for entry in drs_simulator_server.log if entry.get("operation")]) == before
        assert DrsHook(**AWS).jobs([job])[0]["status"] != "COMPLETED"


class TestReschedule:
    """Between looks the task has no worker, and nothing but what Airflow keeps."""

    def sensor(self, job_ids: Any, **more: Any) -> DrsJobSensor:
        return DrsJobSensor(task_id="wait", job_ids=job_ids, mode="reschedule", poke_interval=30, **AWS, **more)

    def test_it_comes_back_until_the_jobs_have_ended(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1)
        sensor = self.sensor(start())
        context = task_context(sensor)
        with pytest.raises(AirflowRescheduleException) as putting_off:
            sensor.execute(context)
        assert 20 < (putting_off.value.reschedule_date - datetime.now(timezone.utc)).total_seconds() <= 30
        drs_simulator_server.advance(1200)
        assert sensor.execute(context)["launched"] == 4

    def test_its_own_deadline_ends_it(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, s1={"outcome": "hangs"})
        sensor = self.sensor(start(), timeout=0)
        with pytest.raises(LaunchFailed, match=r"(?s)Not ended within 0 s.*last seen"):
            sensor.execute(task_context(sensor))

    def test_a_job_that_never_shows_counts_from_the_first_look(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        load(drs_simulator_server, speed=1)
        sensor = self.sensor("drsjob-00000000000000000")
        context = task_context(sensor)
        with pytest.raises(AirflowRescheduleException):
            sensor.execute(context)
        context["ti"].first_reschedule = datetime.now(timezone.utc) - timedelta(minutes=6)
        with pytest.raises(LaunchFailed, match="DRS has no job drsjob-0"):
            sensor.execute(context)


class TestTriggererAway:
    """Airflow ends a deferral that outlasts its time-out: the task then looks for itself."""

    TIMED_OUT = (TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value})

    def test_jobs_that_ended_well_are_a_success(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1)
        sensor = DrsJobSensor(task_id="wait", job_ids=start(), timeout=60, deferrable=True, **AWS)
        context = task_context(sensor)
        with pytest.raises(TaskDeferred):
            sensor.execute(context)
        drs_simulator_server.advance(1200)
        assert sensor.resume_execution(*self.TIMED_OUT, context)["launched"] == 4

    def test_jobs_that_hang_are_judged(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1, s1={"outcome": "hangs"})
        job = start()
        drs_simulator_server.advance(1200)
        sensor = DrsJobSensor(task_id="wait", job_ids=job, timeout=1, deferrable=True, **AWS)
        with pytest.raises(LaunchFailed, match="Not ended within 1 s") as caught:
            sensor.resume_execution(*self.TIMED_OUT, task_context(sensor))
        assert caught.value.servers[SERVERS[0]]["launch_status"] == "LAUNCHED"

    def test_a_server_that_may_fail_may_hang_too(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=1, s1={"outcome": "hangs"})
        job = start()
        drs_simulator_server.advance(1200)
        sensor = DrsJobSensor(task_id="wait", job_ids=job, timeout=1, deferrable=True, **AWS)
        sensor.required, sensor.optional = [SERVERS[0], SERVERS[2], SERVERS[3]], [SERVERS[1]]
        result = sensor.resume_execution(*self.TIMED_OUT, task_context(sensor))
        assert (result["launched"], result["failed"]) == (3, [SERVERS[1]])
        sensor.required, sensor.optional = SERVERS, []
        with pytest.raises(LaunchFailed, match="Not ended within 1 s"):
            sensor.resume_execution(*self.TIMED_OUT, task_context(sensor))

    @pytest.mark.parametrize("lag", [0, 600])
    def test_replication_gets_one_more_look(self, drs_simulator_server: Any, task_context: Any, lag: int) -> None:
        load(drs_simulator_server, s1={"lag": lag})
        sensor = DrsReplicationSensor(task_id="wait", source_server_ids=SERVERS, max_lag=300, deferrable=True, **AWS)
        if not lag:
            assert set(sensor.resume_execution(*self.TIMED_OUT, task_context(sensor))) == set(SERVERS)
        else:
            with pytest.raises(AirflowException, match=f"{SERVERS[1]} lags 10m"):
                sensor.resume_execution(*self.TIMED_OUT, task_context(sensor))

    def test_a_trigger_that_broke_fails_the_task(self, task_context: Any) -> None:
        sensor = DrsJobSensor(task_id="wait", job_ids="drsjob-1", **AWS)
        with pytest.raises(TaskDeferralError):
            sensor.resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger failure"}, task_context(sensor))


@pytest.mark.parametrize("may_fail", ["soft_fail", "never_fail"])
def test_a_wait_that_may_fail_is_skipped_and_says_why(
    drs_simulator_server: Any, job_sensor: Any, task_context: Any, wait: Any, may_fail: str
) -> None:
    load(drs_simulator_server, s1={"outcome": "failed"})
    sensor = job_sensor(start(), **{may_fail: True})
    with pytest.raises(AirflowSkipException, match=f"3 of 4.*{SERVERS[1]}"):
        wait(sensor, task_context(sensor))


class TestDeferral:
    def test_what_has_ended_is_judged_without_a_deferral(self, drs_simulator_server: Any, task_context: Any) -> None:
        load(drs_simulator_server, speed=2000)
        job = start()
        drs_simulator_server.advance(3600)
        sensor = DrsJobSensor(task_id="wait", job_ids=job, deferrable=True, **AWS)
        assert sensor.execute(task_context(sensor))["launched"] == 4

    def test_the_trigger_carries_connection_and_configuration(
        self, drs_simulator_server: Any, task_context: Any
    ) -> None:
        load(drs_simulator_server, speed=1)
        sensor = DrsJobSensor(
            task_id="wait",
            job_ids=start(),
            timeout=timedelta(minutes=3),
            deferrable=True,
            verify=False,
            botocore_config={"read_timeout": 7},
            **AWS,
        )
        with pytest.raises(TaskDeferred) as deferral:
            sensor.execute(task_context(sensor))
        _, arguments = deferral.value.trigger.serialize()
        assert arguments["verify"] is False
        assert arguments["botocore_config"] == {"read_timeout": 7}
        assert arguments["region_name"] == "us-west-2"
        assert arguments["timeout"] == 180.0
        assert deferral.value.timeout is not None
        assert deferral.value.timeout > timedelta(minutes=3)
        assert deferral.value.trigger.hook("drs").config.read_timeout == 7

    @pytest.mark.own_pace
    def test_an_event_never_comes_within_two_seconds_of_the_deferral(self, drs_simulator_server: Any) -> None:
        load(drs_simulator_server, speed=5000)
        job = start()
        time.sleep(0.5)
        begun = time.monotonic()
        event = fire(triggers.DrsJobTrigger(job_ids=[job], timeout=60, **AWS))
        assert isinstance(event, TaskSuccessEvent)
        assert time.monotonic() - begun >= 2.0

    def test_many_waits_for_jobs_share_one_call_a_tick(self, drs_simulator_server: Any) -> None:
        ids = [f"s-{i:017d}" for i in range(15)]
        servers = [{"id": one, "hostname": one} for one in ids]
        drs_simulator_server.load({"servers": servers}, speed=300)
        waits = [triggers.DrsJobTrigger(job_ids=[start([one])], timeout=120, **AWS) for one in ids]
        drs_simulator_server.clear_log()

        async def all_events() -> list[Any]:
            async def first(trigger: Any) -> Any:
                (event,) = [event async for event in trigger.run()]
                return event

            return await asyncio.gather(*(first(trigger) for trigger in waits))

        assert all(isinstance(event, TaskSuccessEvent) for event in asyncio.run(all_events()))
        asked = [call["params"]["filters"]["jobIDs"] for call in calls(drs_simulator_server, "DescribeJobs")]
        assert len(asked[0]) == 15
        # Who waits alone for the end of its job asks alone; one by one it would be 15 for each call of all.
        assert len(asked) < sum(len(some) for some in asked) / 3

    def test_a_triggerer_that_was_down_finds_what_ended_meanwhile(self, drs_simulator_server: Any, remake: Any) -> None:
        load(drs_simulator_server, speed=2000)
        job = start()
        trigger = triggers.DrsJobTrigger(job_ids=[job], timeout=1.0, **AWS)
        time.sleep(2.0)
        event = fire(remake(trigger))
        assert isinstance(event, TaskSuccessEvent)

    def test_a_task_with_outlets_ends_in_the_worker(self, drs_simulator_server: Any, remake: Any) -> None:
        load(drs_simulator_server, speed=2000)
        event = fire(triggers.DrsJobTrigger(job_ids=[start()], timeout=60, end_task=False, **AWS))
        assert event.payload["status"] == "success"
        sensor = DrsJobSensor(task_id="wait", job_ids="drsjob-1", **AWS)
        assert sensor.execute_complete({}, event=event.payload)["launched"] == 4

    def test_a_definite_refusal_reaches_the_worker(self, drs_simulator_server: Any) -> None:
        load(drs_simulator_server, speed=1)
        job = start()
        drs_simulator_server.add_fault("DescribeJobs", error="AccessDeniedException")
        event = fire(triggers.DrsJobTrigger(job_ids=[job], timeout=60, **AWS))
        sensor = DrsJobSensor(task_id="wait", job_ids=job, **AWS)
        with pytest.raises(LaunchFailed, match="AccessDeniedException"):
            sensor.execute_complete({}, event=event.payload)


@pytest.mark.parametrize(
    ("age", "statuses", "seconds"),
    [
        (1, ["PENDING"], 2.0),
        (100, ["PENDING"], 5.0),
        (900, ["PENDING"], 15.0),
        (900, ["FAILED", "PENDING"], 15.0),
        (400, ["LAUNCHED", "IN_PROGRESS"], 2.0),
        (7200, ["IN_PROGRESS"], 15.0),
        # The job itself ends a few seconds after its last server.
        (540, ["LAUNCHED", "FAILED"], 1.0),
        (7200, ["LAUNCHED"], 15.0),
    ],
)
@pytest.mark.own_pace
def test_polls_are_slow_in_conversion_and_fast_near_the_end(age: float, statuses: list[str], seconds: float) -> None:
    created = datetime.now(timezone.utc) - timedelta(seconds=age)
    job = {
        "creationDateTime": created.isoformat(),
        "status": "STARTED",
        "participatingServers": [{"launchStatus": status} for status in statuses],
    }
    assert job_poll_seconds({"j": JobSnapshot(job, [])}) == pytest.approx(seconds, abs=0.1)
