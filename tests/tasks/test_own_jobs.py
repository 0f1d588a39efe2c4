"""A run adopts, terminates and reports the jobs that it started, and those of nobody else."""

from __future__ import annotations

import random
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.aws.drs.run_identity import INSTALLATION_TAG, MODE_TAG, RunIdentity
from drs_provider.dag.factory import build_dag
from drs_provider.evidence.storage import reports_of
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

FIRST, SECOND = (f"s-{number:017d}" for number in (1, 2))


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


def load(simulator: Simulation, **first: Any) -> None:
    servers = [{"id": FIRST, "hostname": "one", **first}, {"id": SECOND, "hostname": "two"}]
    simulator.load({"region": "us-west-2", "servers": servers}, speed=60)


def web(*ids: str, **keys: Any) -> LoadedPlan:
    plan = {name: keys.pop(name) for name in ("drill", "recovery") if name in keys}
    servers = [{"id": one} for one in ids or (FIRST, SECOND)]
    return loaded_plan({"name": "web", "servers": servers, **keys}, **plan)


def run_of(plan: LoadedPlan, mode: str = "drill", **parameters: Any) -> InProcessRun:
    """A run; every run here has the same run id."""
    confirm = plan.plan.name if mode == "recovery" else ""
    return InProcessRun(build_dag(plan), {"mode": mode, "confirm": confirm, **parameters}, random.Random(1))


def launches(simulator: Simulation) -> Counter[str]:
    """How often each server was launched, by the calls that were accepted."""
    return Counter(
        server["sourceServerID"]
        for entry in simulator.log
        if entry.get("operation") == "StartRecovery" and not entry.get("error")
        for server in entry["params"]["sourceServers"]
    )


def instances() -> dict[str, dict[str, Any]]:
    """The recovery instances by source server."""
    found = boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
    return {instance["sourceServerID"]: instance for instance in found}


def reported_jobs(tmp_path: Path) -> set[str]:
    ((report,), _) = reports_of("shop", str(tmp_path))
    return {job.job_id for wave in report.waves for job in wave.jobs}


class TestADeletedRun:
    def test_a_scheduled_drill_that_is_made_again_launches_for_itself(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is due when the first one was, so no time tells the two apart."""
        load(drs_simulator)
        with quick_aws(monkeypatch):
            first = run_of(web())
            assert first.go() == "success"
            again = run_of(web())
            again._dag_run = first._dag_run
            assert again.go() == "success"
        assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}
        assert instances() == {}

    def test_a_recovery_with_the_run_id_of_a_drill_launches_and_leaves_the_drills_job_alone(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        load(drs_simulator)
        with quick_aws(monkeypatch):
            assert run_of(web(), keep_drill_instances=True).go() == "success"
            drill = {job["jobID"] for job in boto3.client("drs", "us-west-2").describe_jobs()["items"]}
            recovery = run_of(web(), "recovery")
            assert recovery.go() == "success"
        assert launches(drs_simulator) == {FIRST: 2, SECOND: 2}
        assert [one["isDrill"] for one in instances().values()] == [False, False]
        assert reported_jobs(tmp_path).isdisjoint(drill)

    def test_a_drill_with_the_run_id_of_a_recovery_touches_nothing_of_it(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator)
        with quick_aws(monkeypatch):
            assert run_of(web(), "recovery").go() == "success"
            before = instances()
            assert run_of(web()).go() == "failed"
        assert instances() == before
        assert launches(drs_simulator) == {FIRST: 1, SECOND: 1}


class TestScripts:
    """What a script of another run with the same run id did is not done for this one."""

    def shop(self, simulator: Simulation) -> LoadedPlan:
        documents = {
            "Promote": {"kind": "Automation", "duration": 1},
            "Tell": {"kind": "Command", "duration": 1},
        }
        servers = [{"id": FIRST, "hostname": "one"}]
        simulator.load({"region": "us-west-2", "servers": servers, "documents": documents}, speed=60)
        scripts = {
            "pre_launch": [{"name": "promote", "automation": "Promote"}],
            "post_launch": [{"name": "tell", "run_command": "Tell"}],
        }
        return web(FIRST, **scripts)

    def ran(self, simulator: Simulation) -> tuple[int, int]:
        events = Counter(entry.get("event") for entry in simulator.log)
        return events["AUTOMATION_START"], events["COMMAND_START"]

    def test_a_recovery_runs_its_scripts_though_a_drill_had_its_run_id(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = self.shop(drs_simulator)
        with quick_aws(monkeypatch):
            assert run_of(plan).go() == "success"
            assert self.ran(drs_simulator) == (1, 1)
            assert run_of(plan, "recovery").go() == "success"
        assert self.ran(drs_simulator) == (2, 2)

    def test_a_drill_that_is_made_again_runs_its_scripts(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = self.shop(drs_simulator)
        with quick_aws(monkeypatch):
            assert run_of(plan).go() == "success"
            time.sleep(3600)
            again = run_of(plan)
            again._dag_run.start_date = datetime.fromtimestamp(time.time(), timezone.utc)
            assert again.go() == "success"
        assert self.ran(drs_simulator) == (2, 2)

    def test_another_airflow_runs_its_own(self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
        plan = self.shop(drs_simulator)
        with quick_aws(monkeypatch):
            for installation in ("north", "south"):
                monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", installation)
                assert run_of(plan).go() == "success"
        assert self.ran(drs_simulator) == (2, 2)


class TestTwoInstallations:
    def test_neither_adopts_nor_terminates_what_the_other_launched(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Both have the same plan, and the same run of it; the second's wave is of another server by now."""
        load(drs_simulator)
        with quick_aws(monkeypatch):
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "north")
            assert run_of(web(FIRST), keep_drill_instances=True).go() == "success"
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "south")
            assert run_of(web(SECOND)).go() == "success"
        assert launches(drs_simulator) == {FIRST: 1, SECOND: 1}
        assert set(instances()) == {FIRST}
        ((report,), _) = reports_of("shop", str(tmp_path))
        assert [server.source_server_id for wave in report.waves for server in wave.servers] == [SECOND]

    def test_the_second_drill_of_the_same_servers_is_stopped_before_it_launches(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator)
        with quick_aws(monkeypatch):
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "north")
            assert run_of(web(), keep_drill_instances=True).go() == "success"
            before = instances()
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "south")
            second = run_of(web())
            assert second.go() == "failed"
        assert instances() == before
        findings = second.xcoms["preflight"]["evidence"]["findings"]
        assert {finding["code"] for finding in findings} == {"drill-instance-live"}

    def test_a_standby_takes_a_lost_one_over_when_a_person_says_so(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        load(drs_simulator)
        with quick_aws(monkeypatch):
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "north")
            assert run_of(web(), "recovery").go() == "success"
            before = instances()
            monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "south")
            time.sleep(3600)
            standby = run_of(web(), "recovery", take_over="north")
            moment = datetime.fromtimestamp(time.time(), timezone.utc)
            standby._dag_run.run_after = standby._dag_run.start_date = moment
            assert standby.go() == "success"
        assert launches(drs_simulator) == {FIRST: 1, SECOND: 1}
        assert instances() == before
        ((report,), _) = reports_of("shop", str(tmp_path))
        assert report.run.parameters["take_over"] == "north"
        assert [job.adopted for wave in report.waves for job in wave.jobs] == [True]

    def test_one_that_is_named_by_mistake_is_refused(
        self, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        load(drs_simulator)
        with quick_aws(monkeypatch):
            assert run_of(web(), take_over="tests").go() == "failed"
        assert launches(drs_simulator) == {}


class TestIdentity:
    OURS = RunIdentity("shop", "run0", "drill", "north")

    def job(self, **tags: str) -> dict[str, Any]:
        return {"initiatedBy": "START_DRILL", "tags": {**self.OURS.tags, **tags}}

    def test_its_own(self) -> None:
        assert self.OURS.owns(self.job())

    def test_jobs_of_the_first_version_have_no_installation(self) -> None:
        job = self.job()
        del job["tags"][INSTALLATION_TAG]
        assert self.OURS.owns(job)

    def test_another_installation_mode_or_run_is_not_its_own(self) -> None:
        assert not self.OURS.owns(self.job(**{INSTALLATION_TAG: "south"}))
        assert not self.OURS.owns(self.job(**{MODE_TAG: "recovery"}))
        assert not self.OURS.owns({**self.job(), "initiatedBy": "START_RECOVERY"})
        assert not RunIdentity("shop", "run1", "drill", "north").owns(self.job())

    def test_who_does_not_know_the_installation_owns_none_that_has_one(self) -> None:
        assert not RunIdentity("shop", "run0", "drill").owns(self.job())
