"""Waves that are launched again: by their own retries, after a wait for a slot, and because a person clears tasks."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.aws.drs.launch import launch_once
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.aws.faults import ActionFailed
from drs_provider.aws.quotas import Quotas
from drs_provider.dag.factory import build_dag
from drs_provider.evidence.events import EVIDENCE_KEY
from drs_provider.hooks.drs import DrsHook
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.launch import work as launch
from drs_provider.steps.launch.work import LaunchWork
from drs_provider.steps.preflight import work as preflight
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.wait_for_launch.work import WaitForLaunchWork
from drs_provider.tasks import recovery_work as base
from drs_provider.tasks.recovery_work import PLAN_KEY
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import all_succeeded, loaded_plan, passed

FIRST, SECOND, THEIRS = (f"s-{number:017d}" for number in (1, 2, 3))
AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-west-2"}


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


def load(simulator: Simulation, first: Any = "launched", second: Any = "launched", **scenario: Any) -> None:
    servers = [
        {"id": FIRST, "hostname": "one", "outcome": first},
        {"id": SECOND, "hostname": "two", "outcome": second},
        {"id": THEIRS, "hostname": "theirs"},
    ]
    simulator.load({"region": "us-west-2", "servers": servers, **scenario}, speed=60)


def web(**keys: Any) -> LoadedPlan:
    plan: dict[str, Any] = {name: keys.pop(name) for name in ("drill", "recovery") if name in keys}
    return loaded_plan({"name": "web", "servers": [{"id": FIRST}, {"id": SECOND}], **keys}, **plan)


def run_of(plan: LoadedPlan, mode: str = "drill") -> InProcessRun:
    confirm = plan.plan.name if mode == "recovery" else ""
    return InProcessRun(build_dag(plan), {"mode": mode, "confirm": confirm}, random.Random(1))


def launches(simulator: Simulation) -> Counter[str]:
    """How often each server was launched, by the calls that were accepted."""
    return Counter(
        server["sourceServerID"]
        for entry in simulator.log
        if entry.get("operation") == "StartRecovery" and not entry.get("error")
        for server in entry["params"]["sourceServers"]
    )


def running() -> set[str]:
    """The servers with a recovery instance."""
    found = boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
    return {instance["sourceServerID"] for instance in found}


class TestCleared:
    """A person clears ``web.launch`` with its downstream tasks, or the whole run."""

    @pytest.fixture(autouse=True)
    def no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let a wave that is launched again without end fail, and not hang."""
        original, left = WaitForLaunchWork._relaunch, iter(range(10))

        def relaunch(self: Any, *args: Any, **kwargs: Any) -> None:
            if next(left, None) is None:
                pytest.fail("launched again without end")
            original(self, *args, **kwargs)

        monkeypatch.setattr(WaitForLaunchWork, "_relaunch", relaunch)

    @pytest.mark.parametrize(("last", "state"), [("failed", "failed"), ("launched", "success")])
    def test_a_server_gets_all_its_tries_again(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, last: str, state: str
    ) -> None:
        load(drs_simulator, second=["failed", "failed", "failed", last])
        run = run_of(web(retries=1), "recovery")
        with quick_aws(monkeypatch):
            assert run.go() == "failed"
            assert launches(drs_simulator) == {FIRST: 1, SECOND: 2}
            run.clear("web.launch")
            assert run.go() == state
        assert launches(drs_simulator) == {FIRST: 1, SECOND: 4}

    def test_a_job_that_went_on_from_before_is_no_attempt_of_its_own(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The second chance is under way when the task is cleared, and fails afterwards."""
        load(drs_simulator, second=["failed", "failed", "launched"])
        run = run_of(web(retries=1), "recovery")
        original = WaitForLaunchWork._relaunch

        def clear_afterwards(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            monkeypatch.setattr(WaitForLaunchWork, "_relaunch", original)
            raise AirflowFailException("a person clears the tasks")

        monkeypatch.setattr(WaitForLaunchWork, "_relaunch", clear_afterwards)
        with quick_aws(monkeypatch):
            run.go()
            run.clear("web.launch")
            assert run.go() == "success"
        assert launches(drs_simulator) == {FIRST: 1, SECOND: 3}

    def test_what_the_drill_has_ended_is_launched_again(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator, second=["failed", "launched"])
        run = run_of(web(retries=0))
        up: list[set[str]] = []
        with quick_aws(monkeypatch):
            assert run.go() == "failed"
            assert run.states["terminate"] == "success"
            run.clear("web.launch")
            terminate = run.dag.get_task("terminate")
            execute = terminate.work.execute
            monkeypatch.setattr(terminate.work, "execute", lambda context: [up.append(running()), execute(context)][1])
            assert run.go() == "success"
        assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}
        assert up == [{FIRST, SECOND}]
        assert running() == set()

    def test_a_whole_drill_is_made_again(self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
        load(drs_simulator)
        run = run_of(web())
        with quick_aws(monkeypatch):
            assert run.go() == "success"
            run.clear("confirm")
            assert run.go() == "success"
        assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}
        assert running() == set()

    def test_what_was_unwound_is_launched_again(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator, second=["failed", "launched"])
        run = run_of(web(retries=0, on_failure="rollback"), "recovery")
        with quick_aws(monkeypatch):
            assert run.go() == "failed"
            assert run.states["web.rollback"] == "success"
            run.clear("web.launch")
            assert run.go() == "success"
        assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}
        assert running() == {FIRST, SECOND}

    def test_what_failed_again_after_it_had_been_ended_is_launched_by_the_launch(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator, second=["launched", "failed", "launched"])
        run = run_of(web(retries=0))
        with quick_aws(monkeypatch):
            for state in ("success", "failed", "success"):
                assert run.go() == state
                jobs = run.xcoms["web.launch"]["return_value"]["jobs"]
                started = {one for job in jobs if not job["adopted"] for one in job["source_servers"]}
                assert started == {FIRST, SECOND}
                # What ended with success is launched again only with all its gates.
                run.clear("confirm" if state == "success" else "web.launch")
        assert launches(drs_simulator) == {FIRST: 3, SECOND: 3}

    @pytest.mark.parametrize(("retries", "launched"), [(0, 1), (1, 2)])
    def test_what_goes_on_from_a_deleted_run_of_the_same_id_is_one_attempt(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, retries: int, launched: int
    ) -> None:
        """The deleted run had been cleared, so that its job is of a later generation than this run's first."""
        load(drs_simulator, second=["failed", "failed", "launched"])
        run = run_of(web(retries=retries))
        key = LaunchKey(run.dag.dag_id, run.run_id, "web", generation=2)
        with quick_aws(monkeypatch):
            now = datetime.now(timezone.utc)
            launch_once(DrsHook(**AWS), key, [SECOND], is_drill=True, since=now)
            assert run.go() == "failed"
        assert launches(drs_simulator) == {FIRST: 1, SECOND: launched}


def test_a_server_that_left_the_wave_while_others_waited_for_a_slot_fails_no_launch(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tags are resolved at each look; the job that was started before holds the server all the same."""
    third = "s-00000000000000004"
    servers = [{"id": one, "hostname": one, "tags": {"Tier": "web"}} for one in (FIRST, SECOND, third)]
    theirs = [THEIRS, "s-00000000000000005"]
    servers += [{"id": one, "hostname": one} for one in theirs]
    quotas = {"concurrent_jobs": 2, "servers_per_job": 2}
    drs_simulator.load({"region": "us-west-2", "servers": servers, "quotas": quotas}, speed=60)
    drs: Any = boto3.client("drs", "us-west-2")
    execute, after_slot = LaunchWork.execute, LaunchWork.after_slot
    waits: list[Any] = []

    def take_slots(*servers: str) -> None:
        for one in servers:
            drs.start_recovery(sourceServers=[{"sourceServerID": one}], isDrill=True)

    def take_one(self: Any, context: Any) -> Any:
        take_slots(THEIRS)
        return execute(self, context)

    def take_both(self: Any, *args: Any, **kwargs: Any) -> Any:
        waits.append(self)
        if len(waits) == 1:
            arns = {one["sourceServerID"]: one["arn"] for one in drs.describe_source_servers(filters={})["items"]}
            drs.untag_resource(resourceArn=arns[SECOND], tagKeys=["Tier"])
            take_slots(*theirs)
        return after_slot(self, *args, **kwargs)

    monkeypatch.setattr(LaunchWork, "execute", take_one)
    monkeypatch.setattr(LaunchWork, "after_slot", take_both)
    run = run_of(loaded_plan({"name": "web", "servers": [{"tags": {"Tier": "web"}}]}))
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert len(waits) == 2
    assert launches(drs_simulator) == {FIRST: 1, SECOND: 1, third: 1, theirs[0]: 2, theirs[1]: 1}


@pytest.mark.parametrize("wrong", [0, 1])
def test_a_connection_that_airflow_cannot_look_up_for_a_moment_is_asked_for_again(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    """In preflight, and in the launch: nothing is done with the worker's own role meanwhile."""
    load(drs_simulator)
    plan = loaded_plan(
        {"name": "web", "servers": [{"id": FIRST}]}, target={"region": "us-west-2", "aws_conn_id": "recovery_account"}
    )
    monkeypatch.setenv("AIRFLOW_CONN_RECOVERY_ACCOUNT", "aws://")
    asked: list[str] = []
    for module in (base, preflight):
        monkeypatch.setattr(
            module, "is_missing", lambda name: asked.append(name) or len(asked) in (wrong + 1, wrong + 2)
        )
    run = run_of(plan)
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert len(asked) > wrong + 2
    assert launches(drs_simulator) == {FIRST: 1}


def test_a_run_of_the_same_id_as_one_that_was_deleted_launches_for_itself(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    with quick_aws(monkeypatch):
        assert run_of(web()).go() == "success"
        time.sleep(3600)
        again = run_of(web())
        moment = datetime.fromtimestamp(time.time(), timezone.utc)
        again._dag_run.run_after = again._dag_run.queued_at = again._dag_run.start_date = moment
        assert again.go() == "success"
    assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}


def test_a_wave_that_waited_for_a_slot_is_not_failed_by_a_server_that_is_up(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two jobs is through when there is a slot for the second, and its server has changed since."""
    load(drs_simulator, quotas={"concurrent_jobs": 2, "servers_per_job": 1})
    execute, after_slot = LaunchWork.execute, LaunchWork.after_slot

    def take_a_slot(self: Any, context: Any) -> Any:
        boto3.client("drs", "us-west-2").start_recovery(sourceServers=[{"sourceServerID": THEIRS}], isDrill=True)
        return execute(self, context)

    def change(self: Any, *args: Any, **kwargs: Any) -> Any:
        boto3.client("drs", "us-west-2").stop_replication(sourceServerID=FIRST)
        return after_slot(self, *args, **kwargs)

    monkeypatch.setattr(LaunchWork, "execute", take_a_slot)
    monkeypatch.setattr(LaunchWork, "after_slot", change)
    run = run_of(web())
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert launches(drs_simulator) == {FIRST: 1, SECOND: 1, THEIRS: 1}


def test_a_launch_that_stood_still_after_its_last_checks_looks_again(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine is suspended; another try launches meanwhile, and the job of that ends."""
    load(drs_simulator)
    original = launch.recheck_wave
    others: list[str] = []

    def recheck_wave(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        key = LaunchKey("shop", "run0", "web")
        now = datetime.now(timezone.utc)
        jobs = launch_once(DrsHook(**AWS), key, [FIRST, SECOND], is_drill=True, since=now, quotas=Quotas())
        others.extend(job.job_id for job in jobs)
        time.sleep(1200)
        return result

    monkeypatch.setattr(launch, "recheck_wave", recheck_wave)
    run = run_of(web())
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert launches(drs_simulator) == {FIRST: 1, SECOND: 1}
    assert [job["job_id"] for job in run.xcoms["web.launch"]["return_value"]["jobs"]] == others


def test_others_that_were_faster_fail_no_wave_although_their_jobs_are_not_listed_yet(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    drs_simulator.add_fault("StartRecovery", error="ServiceQuotaExceededException", times=4)
    run = run_of(web())
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert launches(drs_simulator) == {FIRST: 1, SECOND: 1}


def test_a_second_job_that_is_not_listed_at_once_is_waited_for(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator, second=["failed", "launched"])
    original = DrsHook.jobs_since

    def late(hook: Any, moment: Any) -> list[dict[str, Any]]:
        """Jobs are listed a minute after they were started; by their ids they are found at once."""
        listed = datetime.fromtimestamp(time.time() - 60, timezone.utc).isoformat()
        return [job for job in original(hook, moment) if str(job["creationDateTime"]) < listed]

    monkeypatch.setattr(DrsHook, "jobs_since", late)
    run = run_of(web())
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert not any(entry.get("error") for entry in drs_simulator.log if entry.get("operation") == "StartRecovery")
    assert launches(drs_simulator) == {FIRST: 1, SECOND: 2}


def wait_of(plan: LoadedPlan, **xcoms: Any) -> tuple[WaitForLaunchWork, dict[str, Any]]:
    """The wait for the wave and its context, behind a launch in the account."""
    now = datetime.now(timezone.utc)
    key = LaunchKey("shop", "manual__1", "web")
    jobs = launch_once(DrsHook(**AWS), key, [FIRST, SECOND], is_drill=True, since=now, quotas=Quotas())
    launched = {
        "region": "us-west-2",
        "mode": "drill",
        "generation": 0,
        "jobs": [job.as_dict() for job in jobs],
        "servers": {one: {"hostname": one, "critical": True, "snapshot": None} for one in (FIRST, SECOND)},
    }
    values = {("web.launch", "return_value"): launched, **xcoms}
    values |= {("confirm", name): value for name, value in passed(plan).items()}
    checked = PreflightEvent(started=now, ended=now, status="success")
    values["preflight", EVIDENCE_KEY] = checked.written()
    work = WaitForLaunchWork(task_id="web.wait_for_launch", loaded=plan, wave=plan.plan.waves[0])
    ti = SimpleNamespace(
        dag_id="shop",
        run_id="manual__1",
        task_id=work.task_id,
        task=work,
        map_index=-1,
        try_number=1,
        max_tries=0,
        xcom_pull=lambda task_ids, key="return_value": values.get((task_ids, key)),
        get_task_states=all_succeeded,
        xcom_push=lambda key, value: values.update({(work.task_id, key): json.loads(json.dumps(value))}),
    )
    dag_run = SimpleNamespace(dag_id="shop", run_id="manual__1", run_after=now, start_date=now)
    dag_run.triggering_user_name = "alice"
    return work, {"ti": ti, "task": work, "dag_run": dag_run, "params": {"mode": "drill"}, "values": values}


def test_a_second_chance_that_ended_while_the_triggerer_was_away_is_judged(drs_simulator: Simulation) -> None:
    """All of it within one try: a deferral goes on with the try that it was made in."""
    load(drs_simulator, second=["failed", "launched"])
    drs_simulator.freeze()
    work, context = wait_of(web())
    with pytest.raises(TaskDeferred):
        work.execute(context)
    drs_simulator.advance(3600)
    with pytest.raises(TaskDeferred):
        work.execute_complete(context, {"status": "error", "message": "1 of 2 servers launched", "servers": {}})
    drs_simulator.advance(3600)
    timed_out = {"error": TriggerFailureReason.TRIGGER_TIMEOUT}
    assert work.resume_execution(TRIGGER_FAIL_REPR, timed_out, context)["launched"] == 2


def test_a_wave_without_another_chance_fails_for_its_servers_and_not_for_a_changed_plan(
    drs_simulator: Simulation,
) -> None:
    load(drs_simulator, second="failed")
    drs_simulator.freeze()
    work, context = wait_of(web(retries=0, description="as it is now"))
    context["values"]["confirm", PLAN_KEY] = web(retries=0, description="as it was").record()
    drs_simulator.advance(3600)
    with pytest.raises(AirflowFailException, match=f"1 of 2 servers launched; required and not launched: .*{SECOND}"):
        work.execute(context)
    assert context["values"][work.task_id, "evidence"]["status"] == "failed"


def test_a_triggerer_that_may_not_look_fails_no_wave(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    work, context = wait_of(web())
    with pytest.raises(TaskDeferred):
        work.execute(context)
    refused = {"status": "error", "message": "drsjob-1: AccessDeniedException: no", "timed_out": False}
    with quick_aws(monkeypatch):
        assert work.execute_complete(context, refused)["launched"] == 2


def test_a_look_from_a_worker_that_is_refused_is_tried_again_and_gives_no_wave_up(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    work, context = wait_of(web())
    context["ti"].max_tries = 3
    work.deferrable = False
    drs_simulator.add_fault("DescribeJobs", error="AccessDeniedException", times=20)
    with quick_aws(monkeypatch), pytest.raises(ActionFailed) as refused:
        work.execute(context)
    assert not isinstance(refused.value, AirflowFailException)
