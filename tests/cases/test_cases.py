"""Small inputs with what is right for each, as a list: a folder is a plan and the world that it meets."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws

CASES = Path(__file__).parent
REGION = "us-west-2"
ONE, TWO, THREE = "s-00000000000000001", "s-00000000000000002", "s-00000000000000003"
STANDBY = "i-0aaaaaaaaaaaaaaa1"


@dataclass
class Case:
    """A case in its world.

    :param folder: where its files are.
    :param simulation: AWS.
    :param reports: where reports are written.
    """

    folder: Path
    simulation: Simulation
    reports: Path
    monkeypatch: pytest.MonkeyPatch

    def plan(self, **changes: Any) -> LoadedPlan:
        """Return the plan, with top-level keys in the place of the file's."""
        data = {**yaml.safe_load((self.folder / "plan.yaml").read_text()), **changes}
        plan = RecoveryPlan.model_validate(data)
        return LoadedPlan(plan, self.folder / "plan.yaml", plan_hash(plan))

    def run(self, mode: str = "drill", plan: LoadedPlan | None = None, run_id: str = "run0", **more: Any) -> Run:
        """Run the plan to its end."""
        loaded = plan or self.plan()
        parameters = {"mode": mode, "confirm": loaded.plan.name if mode == "recovery" else "", **more}
        run = InProcessRun(build_dag(loaded), parameters, random.Random(1))
        run.run_id = run._dag_run.run_id = run_id
        with quick_aws(self.monkeypatch):
            state = run.go()
        folder = run.xcoms.get("report", {}).get("report_folder", "").removeprefix("file://")
        report = json.loads((Path(folder) / "report.json").read_text()) if folder else {}
        text = "\n".join((Path(folder) / name).read_text() for name in ("report.html", "summary.md")) if folder else ""
        return Run(state, run, report, text)

    def check(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Return exit code and answer of ``drs-plan check``."""
        result = CliRunner().invoke(app, ["check", str(self.folder / "plan.yaml"), "--format", "json", *options])
        return result.exit_code, json.loads(result.stdout)

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of the calls of an operation that AWS carried out."""
        return [
            entry["params"]
            for entry in self.simulation.log
            if entry.get("operation") == operation and not entry.get("error")
        ]

    @property
    def launched(self) -> list[str]:
        """The servers that were launched, in order."""
        return [one["sourceServerID"] for call in self.calls("StartRecovery") for one in call["sourceServers"]]


@dataclass
class Run:
    """A run that has ended.

    :param state: its state.
    :param tasks: what its tasks left.
    :param report: report.json.
    :param text: the page and the summary.
    """

    state: str
    tasks: InProcessRun
    report: dict[str, Any]
    text: str

    def wave(self, name: str) -> dict[str, Any]:
        """Return a wave of the report."""
        return next(wave for wave in self.report["waves"] if wave["name"] == name)

    @property
    def findings(self) -> set[tuple[str, str, str]]:
        """Code, severity and server of what preflight found."""
        return {(one["code"], one["severity"], one["server"]) for one in self.report["preflight"]["findings"]}


@pytest.fixture
def case(
    request: pytest.FixtureRequest, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Case]:
    """Load the case of the test's ``case`` parameter."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    folder = CASES / request.param
    drs_simulator.load(folder / "scenario.yaml", speed=60)
    drs_simulator.events.clear()
    yield Case(folder, drs_simulator, tmp_path, monkeypatch)


def of(name: str) -> pytest.MarkDecorator:
    """Run a test in a case."""
    return pytest.mark.parametrize("case", [name], indirect=True)


# optional-gone: servers and tags that are there no more.


@of("optional-gone")
@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_optional_servers_that_are_gone_hold_up_nothing(case: Case, mode: str) -> None:
    run = case.run(mode)
    assert run.state == "success"
    assert case.launched == [ONE, THREE]
    gone = ("server-not-found", "warning", "id s-00000000000000009")
    assert run.findings == {gone, ("selection-empty", "warning", "tags Tier=batch")}
    for wave, what in (("web", "id s-00000000000000009"), ("batch", "tags Tier=batch")):
        (left_out,) = run.wave(wave)["left_out"]
        assert (left_out["server"], left_out["critical"]) == (what, False)
        assert f"{what}" in run.text
    assert "Not launched in web, optional: id s-00000000000000009" in run.text


@of("optional-gone")
def test_check_warns_of_what_is_gone(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    assert {one["severity"] for one in answer["findings"]} == {"warning"}
    assert [one["server"] for one in answer["left_out"]] == ["id s-00000000000000009", "tags Tier=batch"]


@of("optional-gone")
def test_a_required_server_that_is_gone_can_be_overridden_in_a_recovery(case: Case) -> None:
    waves = yaml.safe_load((case.folder / "plan.yaml").read_text())["waves"]
    waves[0]["servers"][1]["critical"] = True
    plan = case.plan(waves=waves, objectives={"rto": "4h", "rpo": "1h"})
    assert case.run("drill", plan, "drill0").state == "failed"
    refused = case.run("recovery", plan, "refused0")
    assert refused.state == "failed"
    assert case.launched == []
    override = {"findings": ["server-not-found"], "reason": "it was retired"}
    run = case.run("recovery", plan, "recovery0", override=override)
    assert run.state == "success"
    assert case.launched == [ONE, THREE]
    (left_out,) = run.wave("web")["left_out"]
    assert (left_out["server"], left_out["critical"]) == ("id s-00000000000000009", True)
    assert "Not launched in web, required: id s-00000000000000009" in run.text
    # What a required server is missing from has not met the objectives of the whole.
    assert run.report["rto"]["met"] is None
    assert "id s-00000000000000009 of web" in run.report["rto"]["remark"]


@of("optional-gone")
def test_a_wave_of_which_nothing_is_left_is_passed_over(case: Case) -> None:
    waves = yaml.safe_load((case.folder / "plan.yaml").read_text())["waves"]
    waves[1]["servers"].pop()
    waves[1]["health_checks"] = [{"type": "instance_status"}]
    waves[1]["post_launch"] = [
        {"name": "warm", "run_command": "AWS-RunShellScript", "parameters": {"commands": ["true"]}}
    ]
    run = case.run("drill", case.plan(waves=waves))
    assert run.state == "success"
    assert case.launched == [ONE]
    assert not case.calls("SendCommand")


# optional-stalled: an optional server whose agent is not seen any more.


@of("optional-stalled")
def test_an_optional_server_that_stalls_is_launched_from_its_last_snapshot(case: Case) -> None:
    run = case.run()
    assert run.state == "success"
    assert case.launched == [ONE, TWO]
    (call,) = case.calls("StartRecovery")
    snapshots = {one["sourceServerID"]: one.get("recoverySnapshotID") for one in call["sourceServers"]}
    assert snapshots[ONE] is None
    assert str(snapshots[TWO]).startswith("pit-")
    assert ("replication-state", "warning", TWO) in run.findings
    assert f"launched from its snapshot {snapshots[TWO]}" in run.text
    servers = {one["source_server_id"]: one for one in run.wave("web")["servers"]}
    assert (servers[TWO]["snapshot_id"], servers[TWO]["rpo_source"]) == (snapshots[TWO], "snapshot")


@of("optional-stalled")
def test_one_whose_last_snapshot_is_too_old_is_left_out(case: Case) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][1]["snapshots"] = [{"age": "3h"}]
    case.simulation.load(scenario, speed=60)
    run = case.run("drill", case.plan(objectives={"rpo": "1h"}))
    assert run.state == "success"
    assert case.launched == [ONE]
    (left_out,) = run.wave("web")["left_out"]
    assert (left_out["server"], left_out["critical"]) == (TWO, False)
    assert f"Not launched in web, optional: {TWO}" in run.text


@of("optional-stalled")
def test_a_required_server_whose_agent_is_not_seen_is_launched_from_a_listed_snapshot_in_a_recovery(
    case: Case,
) -> None:
    waves = [{"name": "web", "servers": [{"id": ONE}, {"id": TWO}]}]
    plan = case.plan(waves=waves)
    override = {"findings": ["replication-state", "replication-lag"], "reason": "the site is gone"}
    run = case.run("recovery", plan, override=override)
    assert run.state == "success"
    (call,) = case.calls("StartRecovery")
    snapshots = {one["sourceServerID"]: one.get("recoverySnapshotID") for one in call["sourceServers"]}
    assert snapshots[ONE] is None
    newest = boto3.client("drs", REGION).describe_recovery_snapshots(sourceServerID=TWO, order="DESC")["items"]
    newest = [one for one in newest if one.get("timestamp")]
    assert snapshots[TWO] == newest[0]["snapshotID"]
    servers = {one["source_server_id"]: one for one in run.wave("web")["servers"]}
    assert servers[TWO]["snapshot_id"] == snapshots[TWO]


# launch-into: a standby that existed before the drill.


@contextmanager
def _standby(case: Case, *, stopped: bool = True, tagged: bool = True) -> Iterator[Any]:
    ec2, drs = boto3.client("ec2", REGION), boto3.client("drs", REGION)
    into = {"launchIntoEC2InstanceID": STANDBY}
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into, copyTags=False)
    if stopped:
        ec2.stop_instances(InstanceIds=[STANDBY])
        case.simulation.advance(60)  # It takes a while.
    if not tagged:
        ec2.delete_tags(Resources=[STANDBY], Tags=[{"Key": "AWSDRS"}])
    case.simulation.events.clear()
    yield ec2


def _state_of(ec2: Any) -> str:
    (group,) = ec2.describe_instances(InstanceIds=[STANDBY])["Reservations"]
    return str(group["Instances"][0]["State"]["Name"])


@of("launch-into")
@pytest.mark.parametrize("tagged", [True, False], ids=["by its tag", "by the launch settings"])
def test_a_drill_stops_what_was_there_before(case: Case, tagged: bool) -> None:
    with _standby(case) as ec2:
        if not tagged:
            # Somebody takes the tag away while the drill runs.
            original = case.simulation.record

            def untag(event: str, *args: Any, **more: Any) -> None:
                original(event, *args, **more)
                if event == "LAUNCH_END":
                    ec2.delete_tags(Resources=[STANDBY], Tags=[{"Key": "AWSDRS"}])

            case.monkeypatch.setattr(case.simulation, "record", untag)
        run = case.run()
        assert run.state == "success"
        assert _state_of(ec2) == "stopped"
    assert case.launched == [ONE]
    assert not case.calls("TerminateRecoveryInstances")
    assert not case.calls("TerminateInstances")
    (stopped,) = case.calls("StopInstances")
    assert STANDBY in str(stopped)
    assert run.report["termination"]["stopped"] == [STANDBY]
    assert run.report["termination"]["terminated"] == []
    assert "stopped, was there before" in run.text


@of("launch-into")
def test_the_next_drill_launches_into_it_again(case: Case) -> None:
    with _standby(case) as ec2:
        assert case.run(run_id="run0").state == "success"
        time.sleep(0.1)
        assert case.run(run_id="run1").state == "success"
        assert _state_of(ec2) == "stopped"
    assert case.launched == [ONE, ONE]
    assert not case.calls("TerminateRecoveryInstances")


@of("launch-into")
def test_a_rollback_stops_it_too(case: Case) -> None:
    case.simulation.load(
        {
            **yaml.safe_load((case.folder / "scenario.yaml").read_text()),
            "documents": {"Case-Fails": {"kind": "Automation", "duration": 1, "outcome": "Failed"}},
        },
        speed=60,
    )
    waves = [
        {
            "name": "app",
            "servers": [{"id": ONE}],
            "on_failure": "rollback",
            "post_launch": [{"name": "fails", "automation": "Case-Fails"}],
        }
    ]
    with _standby(case) as ec2:
        run = case.run("recovery", case.plan(waves=waves))
        assert run.state == "failed"
        assert _state_of(ec2) == "stopped"
    assert not case.calls("TerminateRecoveryInstances")
    assert run.wave("app")["rollback"]["stopped"] == [STANDBY]


@of("launch-into")
def test_check_says_what_it_will_be_launched_into(case: Case) -> None:
    with _standby(case):
        code, answer = case.check()
    assert code == 0
    (finding,) = [one for one in answer["findings"] if one["code"] == "launches-into"]
    assert STANDBY in finding["message"]
    assert finding["severity"] == "warning"


@of("launch-into")
@pytest.mark.parametrize(
    ("how", "words"), [({"stopped": False}, "is running, not stopped"), ({"tagged": False}, "lacks the tag AWSDRS")]
)
def test_check_finds_a_standby_that_cannot_be_launched_into(case: Case, how: dict[str, bool], words: str) -> None:
    with _standby(case, **how):
        code, answer = case.check()
    assert code == 1
    (finding,) = [one for one in answer["findings"] if one["code"] == "launch-into-unusable"]
    assert words in finding["message"]
