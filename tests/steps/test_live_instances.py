"""DRS deletes a server's previous instance at its next launch: what is live is looked at right before every one."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.storage import reports_of
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.launch import work as launch
from drs_provider.steps.wait_for_launch.work import WaitForLaunchWork
from drs_provider.tasks import recovery_work as base
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

FIRST, SECOND = (f"s-{number:017d}" for number in (1, 2))


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


def load(simulator: Simulation, **second: Any) -> None:
    servers = [{"id": FIRST, "hostname": "one"}, {"id": SECOND, "hostname": "two", **second}]
    simulator.load({"region": "us-west-2", "servers": servers}, speed=60)


def run_of(mode: str = "drill", **parameters: Any) -> InProcessRun:
    """A run of two waves, a server each."""
    first = {"name": "first", "servers": [{"id": FIRST}]}
    second = {"name": "second", "servers": [{"id": SECOND}], "depends_on": ["first"], "retries": 1}
    confirm = "shop" if mode == "recovery" else ""
    dag = build_dag(loaded_plan(first, second))
    return InProcessRun(dag, {"mode": mode, "confirm": confirm, **parameters}, random.Random(1))


def recover_elsewhere(simulator: Simulation, *, drill: bool = False) -> None:
    """Somebody launches the second server from the console, and it comes up."""
    boto3.client("drs", "us-west-2").start_recovery(sourceServers=[{"sourceServerID": SECOND}], isDrill=drill)
    simulator.advance(3600)


def starts(simulator: Simulation) -> Counter[str]:
    """The servers of the calls of StartRecovery that had the tags of a plan."""
    return Counter(
        server["sourceServerID"]
        for entry in simulator.log
        if entry.get("operation") == "StartRecovery" and entry["params"].get("tags")
        for server in entry["params"]["sourceServers"]
    )


def instance() -> dict[str, Any]:
    """The second server's recovery instance."""
    (found,) = [
        one
        for one in boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
        if one["sourceServerID"] == SECOND
    ]
    return dict(found)


@pytest.fixture(params=["after preflight", "after the last checks"])
def meanwhile(request: pytest.FixtureRequest, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have something done once, while the run is between preflight and the second wave's StartRecovery."""
    original = launch.recheck_wave

    def arrange(act: Any) -> None:
        acts = [act]

        def recheck_wave(plan: Any, wave: str, *args: Any, **kwargs: Any) -> Any:
            early = request.param == "after preflight"
            if wave == "second" and acts and early:
                acts.pop()()
            result = original(plan, wave, *args, **kwargs)
            if wave == "second" and acts:
                acts.pop()()
            return result

        monkeypatch.setattr(launch, "recheck_wave", recheck_wave)

    return arrange


@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_a_server_that_was_recovered_meanwhile_is_not_launched(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any, mode: str
) -> None:
    load(drs_simulator)
    before: list[dict[str, Any]] = []
    meanwhile(lambda: [recover_elsewhere(drs_simulator), before.append(instance())])
    run = run_of(mode)
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert starts(drs_simulator) == {FIRST: 1}
    assert [instance()] == before
    assert "recovered-instance-live" in run.xcoms["second.launch"]["evidence"]["reason"]


def test_a_drill_does_not_destroy_another_drills_instance(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any
) -> None:
    load(drs_simulator)
    before: list[dict[str, Any]] = []
    meanwhile(lambda: [recover_elsewhere(drs_simulator, drill=True), before.append(instance())])
    run = run_of()
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert starts(drs_simulator) == {FIRST: 1}
    assert [instance()] == before
    assert "drill-instance-live" in run.xcoms["second.launch"]["evidence"]["reason"]


def test_a_recovery_goes_on_over_a_drills_instance_and_says_so(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any, tmp_path: Path
) -> None:
    load(drs_simulator)
    before: list[dict[str, Any]] = []
    meanwhile(lambda: [recover_elsewhere(drs_simulator, drill=True), before.append(instance())])
    with quick_aws(monkeypatch):
        assert run_of("recovery").go() == "success"
    assert starts(drs_simulator) == {FIRST: 1, SECOND: 1}
    ((report,), _) = reports_of("shop", str(tmp_path))
    assert [one.instance_id for wave in report.waves for one in wave.replaced] == [before[0]["ec2InstanceID"]]


@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_an_instance_that_a_person_named_is_replaced(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: str
) -> None:
    load(drs_simulator)
    recover_elsewhere(drs_simulator)
    given_up = instance()["ec2InstanceID"]
    with quick_aws(monkeypatch):
        assert run_of(mode).go() == "failed"
        assert run_of(mode, replace_instances=[given_up]).go() == "success"
    assert starts(drs_simulator) == {FIRST: 1, SECOND: 1}
    ((report,), _) = reports_of("shop", str(tmp_path))
    assert [one.instance_id for wave in report.waves for one in wave.replaced] == [given_up]
    assert report.run.parameters["replace_instances"] == [given_up]


def test_a_second_chance_looks_too(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's launch fails, and somebody recovers it from the console before the plan tries again."""
    load(drs_simulator, outcome=["failed", "launched"])
    relaunch = WaitForLaunchWork._relaunch
    acts = [lambda: recover_elsewhere(drs_simulator)]

    def first_they(self: Any, *args: Any, **kwargs: Any) -> None:
        if acts:
            acts.pop()()
        relaunch(self, *args, **kwargs)

    monkeypatch.setattr(WaitForLaunchWork, "_relaunch", first_they)
    with quick_aws(monkeypatch):
        assert run_of("recovery").go() == "failed"
    assert starts(drs_simulator) == {FIRST: 1, SECOND: 1}
    assert instance()["isDrill"] is False


@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_a_run_whose_instance_another_job_took_is_no_success(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any, tmp_path: Path, mode: str
) -> None:
    """While the second wave is launched, somebody launches the server of the first from the console."""
    load(drs_simulator)
    # By the clock of AWS, which is put forward.
    now = lambda: datetime.fromtimestamp(time.time(), timezone.utc).isoformat()  # noqa: E731
    monkeypatch.setattr(base, "utc_now", now)
    theirs: list[str] = []

    def launch_the_first_server() -> None:
        drs: Any = boto3.client("drs", "us-west-2")
        job = drs.start_recovery(sourceServers=[{"sourceServerID": FIRST}], isDrill=True)["job"]
        theirs.append(job["jobID"])
        drs_simulator.advance(3600)

    meanwhile(launch_the_first_server)
    with quick_aws(monkeypatch):
        assert run_of(mode).go() == "failed"
    ((report,), _) = reports_of("shop", str(tmp_path))
    assert report.recovered is None
    first, second = report.waves
    assert report.run.state == "failed"
    assert (first.state, second.state) == ("failed", "success")
    assert f"was deleted by job {theirs[0]} (START_DRILL)" in str(first.reason)
    assert first.servers[0].taken
    assert theirs[0] not in {job.job_id for wave in report.waves for job in wave.jobs}


@pytest.mark.parametrize("by", ["a job of DRS", "EC2"])
@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_a_run_whose_instance_somebody_terminated_is_no_success(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any, tmp_path: Path, mode: str, by: str
) -> None:
    """While the second wave is launched, somebody terminates the instance of the first."""
    load(drs_simulator)
    now = lambda: datetime.fromtimestamp(time.time(), timezone.utc).isoformat()  # noqa: E731
    monkeypatch.setattr(base, "utc_now", now)
    by_whom: list[str] = []

    def terminate_the_first_server() -> None:
        drs: Any = boto3.client("drs", "us-west-2")
        (found,) = [one for one in drs.describe_recovery_instances()["items"] if one["sourceServerID"] == FIRST]
        if by == "EC2":
            boto3.client("ec2", "us-west-2").terminate_instances(InstanceIds=[found["ec2InstanceID"]])
            by_whom.append("DRS lists no job that terminates since then")
        else:
            job = drs.terminate_recovery_instances(recoveryInstanceIDs=[found["recoveryInstanceID"]])["job"]
            by_whom.append(f"terminations in DRS since then: job {job['jobID']} (TERMINATE")
        drs_simulator.advance(3600)

    meanwhile(terminate_the_first_server)
    run = run_of(mode)
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    ((report,), _) = reports_of("shop", str(tmp_path))
    assert (report.run.state, report.recovered) == ("failed", None)
    first, second = report.waves
    assert (first.state, second.state) == ("failed", "success")
    assert f"was terminated before the run ended (EC2 says: terminated); {by_whom[0]}" in str(first.reason)
    # A second report of the drill does not take the drill's own end for somebody else's.
    if mode == "drill":
        run.states["terminate"] = run.states["report"] = None
        with quick_aws(monkeypatch):
            assert run.go() == "failed"
        ((report,), _) = reports_of("shop", str(tmp_path))
        assert [wave.state for wave in report.waves] == ["failed", "success"]


def test_a_drill_that_keeps_instances_which_it_may_not_look_at_ends_as_kept(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, meanwhile: Any
) -> None:
    load(drs_simulator)
    meanwhile(lambda: drs_simulator.add_fault(operation="DescribeInstances", error="UnauthorizedOperation"))
    run = run_of(keep_drill_instances=True)
    with quick_aws(monkeypatch):
        run.go()
    assert run.states["terminate"] == "skipped"
    assert run.xcoms["terminate"]["evidence"]["status"] == "kept"


def test_a_launch_after_the_end_of_a_recovery_changes_nothing_of_its_report(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load(drs_simulator)
    run = run_of("recovery")
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    drs_simulator.advance(3600)
    recover_elsewhere(drs_simulator)
    # A person clears the report, to have it again.
    run.states["report"] = None
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    ((report,), _) = reports_of("shop", str(tmp_path))
    assert (report.run.state, {wave.state for wave in report.waves}) == ("success", {"success"})


def test_ids_that_are_none_are_refused(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    load(drs_simulator)
    run = run_of(replace_instances=["all"])
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert starts(drs_simulator) == {}
    assert "expected a list of instance ids" in run.xcoms["confirm"]["evidence"]["reason"]
