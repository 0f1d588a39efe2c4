"""Small inputs with what is right for each, as a list: a folder is a plan and the world that it meets."""

from __future__ import annotations

import ipaddress
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from botocore.client import BaseClient
from botocore.exceptions import ClientError, EndpointConnectionError
from pydantic import ValidationError
from typer.testing import CliRunner

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs import launch as hook_launch
from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.cli import app
from drs_provider.dag.factory import build_dag
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import forecast
from drs_provider.estimate.site import ServerFacts, Site
from drs_provider.hooks.drs import DrsHook
from drs_provider.plan import LoadedPlan, RecoveryPlan, load_plan, plan_hash
from drs_provider.plan.regions import misspelt
from drs_provider.readiness import preflight
from drs_provider.readiness.preflight import run_preflight
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.wait_for_launch import work as wait_for_launch
from tests.chaos.in_process import InProcessRun, quick_aws

CASES = Path(__file__).parent
REGION = "us-west-2"
ONE, TWO, THREE, FOUR = (f"s-{number:017x}" for number in range(1, 5))
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


# retry-optional: optional servers, and those above min_launched, fail once.


@of("retry-optional")
@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_failed_servers_are_launched_once_more_whatever_their_rank(case: Case, mode: str) -> None:
    run = case.run(mode)
    assert run.state == "success"
    assert Counter(case.launched) == {ONE: 1, TWO: 2, THREE: 1, FOUR: 2}
    for wave, server in (("web", TWO), ("farm", FOUR)):
        # The wave had what it needs, and was not held up.
        waited = run.tasks.xcoms[f"{wave}.wait_for_launch"]["return_value"]
        assert waited["on_their_way"] == [server]
        servers = {one["source_server_id"]: one for one in run.wave(wave)["servers"]}
        assert servers[server]["attempts"] == 2
        assert "launched again" in servers[server]["reason"]
        assert f"{servers[server]['hostname']}" in run.text
    if mode == "recovery":
        case.simulation.advance(3600)
        found = boto3.client("drs", REGION).describe_recovery_instances()["items"]
        assert {one["sourceServerID"] for one in found} == {ONE, TWO, THREE, FOUR}
    else:
        assert len(run.report["termination"]["terminated"]) == 4
        assert run.report["termination"]["left"] == []


@of("retry-optional")
def test_the_end_of_a_second_launch_is_in_the_report_when_it_ends_during_the_run(case: Case) -> None:
    waves = yaml.safe_load((case.folder / "plan.yaml").read_text())["waves"]
    later = {"name": "later", "depends_on": ["web", "farm"], "servers": [{"id": "s-00000000000000005"}]}
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"].append({"id": "s-00000000000000005", "hostname": "later01"})
    case.simulation.load(scenario, speed=60)
    run = case.run("recovery", case.plan(waves=[*waves, later]))
    assert run.state == "success"
    servers = {one["source_server_id"]: one for one in run.wave("web")["servers"]}
    assert servers[TWO]["launch_status"] == "LAUNCHED"
    assert servers[TWO]["ec2_instance_id"].startswith("i-")
    assert "no script and no health check of the wave was run on it" in servers[TWO]["reason"]


@of("retry-optional")
@pytest.mark.parametrize(("retries", "launches"), [(0, 1), (1, 2), (3, 2)])
def test_a_wave_that_has_enough_asks_for_no_third_launch_and_obeys_retries(
    case: Case, retries: int, launches: int
) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][1]["outcome"] = ["failed", "failed", "failed", "failed"]
    case.simulation.load(scenario, speed=60)
    waves = [{"name": "web", "servers": [{"id": ONE}, {"id": TWO, "critical": False}], "retries": retries}]
    run = case.run("recovery", case.plan(waves=waves))
    assert run.state == "success"
    assert Counter(case.launched) == {ONE: 1, TWO: launches}


@of("retry-optional")
def test_an_optional_server_gets_its_tries_while_the_wave_waits_for_another(case: Case) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][0]["outcome"] = ["failed", "failed", "launched"]
    scenario["servers"][1]["outcome"] = ["failed", "failed", "launched"]
    case.simulation.load(scenario, speed=60)
    waves = [{"name": "web", "servers": [{"id": ONE}, {"id": TWO, "critical": False}], "retries": 2}]
    run = case.run("recovery", case.plan(waves=waves))
    assert run.state == "success"
    assert Counter(case.launched) == {ONE: 3, TWO: 3}
    assert {one["launch_status"] for one in run.wave("web")["servers"]} == {"LAUNCHED"}


@of("retry-optional")
def test_a_failed_server_is_launched_again_while_another_job_of_its_wave_runs(case: Case) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][0]["durations"] = {"conversion": "40m"}
    scenario["quotas"] = {"servers_per_job": 1}
    case.simulation.load(scenario, speed=60)
    waves = [{"name": "web", "servers": [{"id": ONE}, {"id": TWO}], "retries": 1, "launch_timeout": "3h"}]
    run = case.run("recovery", case.plan(waves=waves))
    assert run.state == "success"
    assert Counter(case.launched) == {ONE: 1, TWO: 2}
    jobs = {one["job_id"]: one for one in run.wave("web")["jobs"]}
    second = next(one for one in jobs.values() if one["attempt"] == 2)
    slow = next(one for one in jobs.values() if one["source_servers"] == [ONE])
    assert second["started"] < slow["ended"]
    assert {one["launch_status"] for one in run.wave("web")["servers"]} == {"LAUNCHED"}


@of("retry-optional")
def test_a_second_launch_that_aws_refuses_does_not_fail_a_wave_that_has_enough(case: Case) -> None:
    original, calls = hook_launch.launch_once, []

    def refuse(hook: Any, key: Any, *args: Any, **more: Any) -> Any:
        if key.attempt > 1:
            calls.append(key.attempt)
            raise hook_launch.LaunchError("DRS did not start a job")
        return original(hook, key, *args, **more)

    case.monkeypatch.setattr(wait_for_launch, "launch_once", refuse)
    run = case.run("recovery")
    assert calls == [2, 2]
    assert run.state == "success"
    assert Counter(case.launched) == {ONE: 1, TWO: 1, THREE: 1, FOUR: 1}
    assert {one["launch_status"] for one in run.wave("web")["servers"]} == {"LAUNCHED", "FAILED"}


# Item 2's: a launch that fails for capacity is made again after a pause, and says what to do.


@of("retry-optional")
@pytest.mark.parametrize(
    ("error", "paused", "hint"),
    [
        ("Client.InsufficientInstanceCapacity: We currently do not have sufficient capacity", True, "instance type"),
        ("VcpuLimitExceeded: You have requested more vCPU capacity than your limit", True, "Service Quotas"),
        ("UnauthorizedOperation: You are not authorized to perform ec2:DeleteVolume", False, "StartRecovery"),
        ("Server.InternalError: Internal error on launch", False, None),
    ],
)
def test_a_launch_that_lacked_capacity_is_made_again_after_a_pause(
    case: Case, error: str, paused: bool, hint: str | None
) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][0] |= {"outcome": ["failed", "launched"], "error": error}
    case.simulation.load(scenario, speed=60)
    pauses: list[float] = []
    original = wait_for_launch.PauseTrigger

    def pause(**arguments: Any) -> Any:
        pauses.append(arguments["deadline"] - time.time())
        return original(**arguments)

    case.monkeypatch.setattr(wait_for_launch, "PauseTrigger", pause)
    reasons: list[str] = []
    given = wait_for_launch.WaitForLaunchWork._relaunch

    def note(self: Any, context: Any, launched: Any, failure: Any, *more: Any) -> None:
        reasons.append(str(failure))
        given(self, context, launched, failure, *more)

    case.monkeypatch.setattr(wait_for_launch.WaitForLaunchWork, "_relaunch", note)
    run = case.run("recovery", case.plan(waves=[{"name": "web", "servers": [{"id": ONE}], "retries": 2}]))
    assert run.state == "success"
    assert case.launched == [ONE, ONE]
    assert [pause > 60 for pause in pauses] == ([True] if paused else [])
    assert error in reasons[0]
    assert hint is None or hint in reasons[0]


# template-rot: launch templates after a year of unattended changes; copy-private-ip: an address outside of the subnet.


def _rotten(case: Case) -> None:
    exec(compile((case.folder / "hook.py").read_text(), "hook.py", "exec"), {})
    case.simulation.events.clear()


ROT = {
    ONE: ("launch-template-incomplete", "Version 3, the latest, has a network and is not the default"),
    TWO: ("launch-template-broken", "the subnet subnet-"),
    THREE: ("launch-template-broken", "the security group sg-"),
    FOUR: ("launch-template-broken", "the instance type z9x.mega does not exist"),
    "s-00000000000000005": ("launch-template-broken", "the instance profile profile-that-was-deleted does not exist"),
    "s-00000000000000006": ("launch-template-incomplete", "does not exist"),
    "s-00000000000000007": ("launch-template-broken", "is of vpc-"),
}


@of("template-rot")
def test_check_finds_each_template_that_cannot_launch_and_a_drill_is_refused(case: Case) -> None:
    _rotten(case)
    code, answer = case.check()
    assert code == 1
    errors = [one for one in answer["findings"] if one["severity"] == "error"]
    assert {one["server"]: one["code"] for one in errors} == {server: code for server, (code, _) in ROT.items()}
    assert len(errors) == len(ROT)
    for finding in errors:
        assert ROT[finding["server"]][1] in finding["message"]
    # What many servers name is looked up once.
    looked_up = [one["operation"] for one in case.simulation.log if one.get("operation") == "GetInstanceProfile"]
    assert len(looked_up) <= 2
    assert case.run().state == "failed"
    assert case.launched == []


@of("template-rot")
def test_templates_that_nothing_happened_to_have_no_finding(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    assert [one["code"] for one in answer["findings"]] == []


@of("template-rot")
def test_a_type_that_the_subnets_zone_does_not_offer_is_found(case: Case) -> None:
    ec2, drs = boto3.client("ec2", REGION), boto3.client("drs", REGION)
    template = drs.get_launch_configuration(sourceServerID=ONE)["ec2LaunchTemplateID"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    subnet = ec2.describe_subnets(SubnetIds=[data["NetworkInterfaces"][0]["SubnetId"]])["Subnets"][0]
    offered: dict[str, set[str]] = {}
    for page in ec2.get_paginator("describe_instance_type_offerings").paginate(LocationType="availability-zone"):
        for one in page["InstanceTypeOfferings"]:
            offered.setdefault(one["InstanceType"], set()).add(one["Location"])
    data["InstanceType"] = min(name for name, zones in offered.items() if subnet["AvailabilityZone"] not in zones)
    made = ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)
    code, answer = case.check()
    assert code == 1
    (finding,) = answer["findings"]
    assert f"is not offered in {subnet['AvailabilityZone']}" in finding["message"]


@of("template-rot")
def test_a_caller_who_may_not_look_templates_up_is_warned_once_a_server(case: Case) -> None:
    original = BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: Any) -> Any:
        if operation in ("DescribeSubnets", "GetInstanceProfile"):
            code = {"DescribeSubnets": "UnauthorizedOperation", "GetInstanceProfile": "AccessDenied"}[operation]
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
        return original(client, operation, parameters)

    case.monkeypatch.setattr(BaseClient, "_make_api_call", call)
    code, answer = case.check()
    assert code == 0
    assert {(one["code"], one["severity"]) for one in answer["findings"]} == {
        ("launch-template-not-checked", "warning")
    }


@of("copy-private-ip")
def test_an_address_outside_of_the_subnet_is_found(case: Case) -> None:
    code, answer = case.check()
    assert code == 1
    (finding,) = [one for one in answer["findings"] if one["severity"] == "error"]
    assert finding["code"] == "launch-template-broken"
    assert "the address 192.168.77.10 is outside of the subnet subnet-" in finding["message"]
    assert "copyPrivateIp" in finding["message"]


@of("copy-private-ip")
def test_the_simulator_fails_such_a_launch_as_aws_does(case: Case) -> None:
    drs = boto3.client("drs", REGION)
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": ONE}])["job"]["jobID"]
    case.simulation.advance(3600)
    (item,) = drs.describe_jobs(filters={"jobIDs": [job]})["items"]
    assert item["participatingServers"][0]["launchStatus"] == "FAILED"
    errors = [one.get("eventData", {}).get("rawError", "") for one in drs.describe_job_log_items(jobID=job)["items"]]
    assert any("does not fall within the subnet" in error for error in errors)


@of("copy-private-ip")
@pytest.mark.parametrize(
    ("host", "words"), [(3, "is one that EC2 reserves"), (77, "is in use by i-"), (78, None)], ids=str
)
def test_reserved_and_taken_addresses_are_found_too(case: Case, host: int, words: str | None) -> None:
    ec2 = boto3.client("ec2", REGION)
    drs = boto3.client("drs", REGION)
    template = drs.get_launch_configuration(sourceServerID=ONE)["ec2LaunchTemplateID"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    subnet = data["NetworkInterfaces"][0]["SubnetId"]
    network = ipaddress.ip_network(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["CidrBlock"])
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][0]["private_ip"] = str(network[host])
    case.simulation.load(scenario, speed=60)
    subnet = boto3.client("ec2", REGION).describe_subnets(Filters=[{"Name": "cidr-block", "Values": [str(network)]}])
    ec2.run_instances(
        ImageId="ami-1e749f67",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet["Subnets"][0]["SubnetId"],
        PrivateIpAddress=str(network[77]),
    )
    code, answer = case.check()
    assert code == (1 if words else 0)
    messages = [one["message"] for one in answer["findings"] if one["code"] == "launch-template-broken"]
    assert len(messages) == bool(words)
    assert words is None or words in messages[0]


# many-waves: 25 waves side by side, of which 20 jobs run at a time.


@of("many-waves")
def test_launches_that_wait_for_a_job_are_a_warning_and_each_server_is_launched_once(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    (finding,) = answer["findings"]
    assert (finding["code"], finding["severity"]) == ("quota-jobs", "warning")
    assert "25 jobs; the quota is 20, so 5 launches wait until others have ended, about 9m" in finding["message"]
    run = case.run()
    assert run.state == "success"
    assert sorted(case.launched) == [f"s-{number:017x}" for number in range(1, 26)]
    assert len(run.report["termination"]["terminated"]) == 25


@of("many-waves")
def test_at_most_twenty_jobs_run_at_a_time(case: Case) -> None:
    """Every wave is asked to launch before any job has ended: AWS refuses none, and the last ones wait."""
    plan = case.plan()
    case.simulation.freeze()
    limit = 20
    started, refused = 0, 0
    for wave in plan.plan.waves:
        key = LaunchKey("parallel", "run0", wave.name)
        try:
            hook_launch.launch_once(
                DrsHook(aws_conn_id=None, region_name=REGION),
                key,
                [wave.servers[0].id],
                is_drill=True,
                since=datetime.now(timezone.utc),
                patience=hook_launch.NO_SLOT_PATIENCE,
            )
            started += 1
        except hook_launch.NoFreeSlot:
            refused += 1
    assert (started, refused) == (limit, 5)
    assert not [one for one in case.simulation.log if one.get("operation") == "StartRecovery" and one.get("error")]


@of("many-waves")
def test_more_servers_than_all_jobs_may_hold_wait_too(case: Case) -> None:
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    case.simulation.load({**scenario, "quotas": {"servers_in_jobs": 10}}, speed=60)
    code, answer = case.check()
    assert code == 0
    (finding,) = [one for one in answer["findings"] if one["code"] == "quota-servers-in-jobs"]
    assert finding["severity"] == "warning"
    assert "15 servers wait" in finding["message"]


# short-timeout: a time-out that is over before what it waits for.


def _estimate(case: Case, *options: str, plan: dict[str, Any] | None = None) -> tuple[int, str]:
    file = case.folder / "plan.yaml"
    if plan:
        file = case.reports / "plan.yaml"
        file.write_text(yaml.safe_dump({**yaml.safe_load((case.folder / "plan.yaml").read_text()), **plan}))
    scenario = ["--scenario", str(case.folder / "scenario.yaml")]
    result = CliRunner().invoke(app, ["estimate", str(file), *scenario, *options])
    return result.exit_code, result.stdout


@of("short-timeout")
def test_estimate_says_that_the_wave_gives_up_too_early(case: Case) -> None:
    code, text = _estimate(case)
    assert code == 1
    assert "the launch of dc01 (Windows) takes about 23m18s" in text
    assert "the wave gives up after 15m (launch_timeout)" in text
    code, text = _estimate(case, "--format", "json")
    (short,) = json.loads(text)["short_timeouts"]
    assert (short["wave"], short["what"], short["limit_seconds"], short["gives_up"]) == (
        "windows",
        "launch_timeout",
        900,
        True,
    )


@of("short-timeout")
@pytest.mark.parametrize(
    ("wave", "status", "words"),
    [
        ({"launch_timeout": "30m"}, 0, "may give up after 30m"),
        ({"launch_timeout": "60m"}, 0, None),
        (
            {"launch_timeout": "60m", "health_checks": [{"type": "instance_status", "timeout": "1m"}]},
            1,
            "the wave gives up after 1m (timeout of the health check instance_status)",
        ),
    ],
    ids=["at worst", "enough", "a health check's"],
)
def test_estimate_compares_each_time_out(case: Case, wave: dict[str, Any], status: int, words: str | None) -> None:
    waves = [{"name": "windows", "servers": [{"id": ONE}], **wave}]
    code, text = _estimate(case, plan={"waves": waves})
    assert code == status
    assert ("give" in text.partition("\nFrom ")[0].partition("Note:")[2] or "Time-out:" in text) == (words is not None)
    assert words is None or words in text


@of("short-timeout")
def test_check_warns_of_it(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    (finding,) = answer["findings"]
    assert (finding["code"], finding["severity"], finding["wave"]) == ("launch-timeout-short", "warning", "windows")
    assert "Windows takes about 23m" in finding["message"]
    assert "gives up after 15m" in finding["message"]


def test_a_live_job_of_25_windows_servers_lies_within_the_estimate() -> None:
    """It took 28 min 46 s."""
    servers = [{"id": f"s-{number:017x}"} for number in range(1, 26)]
    plan = RecoveryPlan.model_validate(
        {
            "version": 1,
            "name": "site",
            "target": {"region": REGION},
            "waves": [{"name": "all", "servers": servers, "launch_timeout": "1h"}],
        }
    )
    known = tuple({"sourceServerID": one["id"], "tags": {}, "sourceProperties": {}} for one in servers)
    facts = {one["id"]: ServerFacts("windows") for one in servers}
    found = forecast(plan, Durations(Site("the account", known, facts, spread=True)))
    assert found.rto.low < 1726 < found.rto.high
    assert found.rto.typical == pytest.approx(1726, rel=0.05)
    assert found.timeouts == ()


# run-record and plan-with-groups: what people have elsewhere.


def _import(case_or_folder: Path, *options: str) -> Any:
    (file,) = case_or_folder.glob("*.json")
    return CliRunner().invoke(app, ["import", str(file), "--from", "orchestrator", *options])


def test_a_record_of_a_run_is_no_plan(tmp_path: Path) -> None:
    result = _import(CASES / "run-record", "--region", "us-east-2", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "is a record of a run, not a plan (executionId, executionType, totalWaves, status)" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "record",
    [
        {"Items": [{"ExecutionId": {"S": "e"}, "Status": {"S": "COMPLETED"}, "Waves": {"L": []}}]},
        {"planName": "P", "waves": [{"waveName": "W", "jobId": "drsjob-1", "status": "COMPLETED", "serverIds": [ONE]}]},
        {"planName": "P", "waves": [{"waveName": "W", "startTime": 1, "endTime": 2, "serverIds": [ONE]}]},
        {"executionArn": "arn:aws:states:…", "waves": [{"waveName": "W", "serverIds": [ONE]}]},
    ],
    ids=["typed", "by its jobs", "by its times", "by its ARN"],
)
def test_other_records_of_runs_are_none_either(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "record.json").write_text(json.dumps(record))
    result = _import(tmp_path, "--region", "us-east-2")
    assert result.exit_code == 1
    assert "is a record of a run, not a plan" in result.output


def test_a_plan_with_its_groups_inside_is_imported(tmp_path: Path) -> None:
    result = _import(CASES / "plan-with-groups", "--out", str(tmp_path))
    assert result.exit_code == 0
    plan = load_plan(tmp_path / "books.yaml").plan
    assert plan.target.region == "eu-west-1"
    assert [(wave.name, tuple(wave.depends_on)) for wave in plan.waves] == [("store", ()), ("shop", ("store",))]
    chosen = [[one.id for one in plan.selectors(wave)] for wave in plan.waves]
    assert chosen == [[ONE], [TWO]]


# cron-either: days of the month *or* days of the week.


def test_a_schedule_with_both_day_fields_is_warned_of() -> None:
    result = CliRunner().invoke(app, ["validate", str(CASES / "cron-either" / "plan.yaml")])
    assert result.exit_code == 0
    assert 'For the first one of the month write "0 3 * */3 SUN#1"' in result.output
    assert "next drills: " in result.output
    assert result.output.count("(Europe/London)") == 1


# references: only SSM's own pass.


def test_each_reference_that_is_none_is_an_error_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["validate", str(CASES / "references" / "plan.yaml")])
    assert result.exit_code == 1
    assert "5 problems in 1 of 1 file" in result.output
    for line, words in (
        (8, "did you mean {{connection:drs_secret_NAME.FIELD}}?"),
        (9, "write {{connection:drs_secret_shop.password}}"),
        (10, "write {{connection:drs_secret_NAME.FIELD}}"),
        (11, "{{wave.instances}} is not a reference"),
        (12, "{{ recovery_instances }} is not a reference"),
    ):
        (told,) = [one for one in result.output.splitlines() if f"plan.yaml:{line}:" in one]
        assert words in told


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"target": {"region": "us-wset-2"}}, "there is no AWS region us-wset-2; did you mean us-west-2?"),
        ({"target": {"region": "eu-cental-1"}}, "did you mean eu-central-1?"),
        ({"target": {"region": "us-east-3"}}, "warning: target.region: us-east-3 is no region that this version knows"),
        ({"name": "App CRM"}, 'found "App CRM"; write app-crm'),
        ({"drill": {"schedule": "@daily", "timezone": "W. Europe Standard Time"}}, "write Europe/Berlin"),
        ({"drill": {"schedule": "@daily", "timezone": "eastern standard time"}}, "write America/New_York"),
        (
            {"waves": [{"name": "a", "servers": [{"id": "i-0123456789abcdef0"}]}]},
            "is an EC2 instance id: write {instance: i-0123456789abcdef0}",
        ),
        ({"waves": [{"name": "a", "servers": [{"id": "web01"}]}]}, "for a host name or a Name tag write {name: web01}"),
        ({"waves": [{"name": "a", "servers": [{"instance": ONE}]}]}, f"write {{id: {ONE}}}"),
        (
            {"waves": [{"name": "a", "servers": [{"id": ONE}], "subnet": "subnet-1"}]},
            "unknown key subnet; it is set in the server's EC2 launch template",
        ),
        ({"instanceType": "t3.large"}, "it is set in the server's EC2 launch template"),
        ({"copy_private_ip": True}, "it is set in the server's launch settings in DRS"),
        ({"snapshot_time": "2026-01-01"}, "it is a run parameter"),
        ({"role_arn": "arn:aws:iam::1:role/x"}, "it belongs into the Airflow connection"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else next(iter(value)),
)
def test_validate_says_what_was_meant(tmp_path: Path, keys: dict[str, Any], words: str) -> None:
    plan = {
        "version": 1,
        "name": "p",
        "target": {"region": REGION},
        "waves": [{"name": "a", "servers": [{"id": ONE}]}],
        **keys,
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "plan.yaml")])
    assert words in result.output
    warned = "warning" in words
    assert result.exit_code == (0 if warned else 1)
    assert warned or "1 problem in 1 of 1 file" in result.output


def test_an_illegal_name_is_not_offered_and_one_mistake_is_one_problem(tmp_path: Path) -> None:
    plan = {
        "version": 1,
        "name": "p",
        "target": {"region": REGION},
        "waves": [
            {"name": "App CRM", "servers": [{"id": ONE}]},
            {"name": "web", "depends_on": ["app-crm"], "servers": [{"id": TWO}]},
        ],
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    result = CliRunner().invoke(app, ["validate", str(tmp_path / "plan.yaml")])
    assert "1 problem in 1 of 1 file" in result.output
    assert "did you mean App CRM" not in result.output


def test_every_region_of_botocore_is_known() -> None:
    session = boto3.session.Session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("ec2", partition_name=partition)
    }
    assert known
    for region in known:
        assert misspelt(region) is None, region


# Servers by the source's EC2 instance, and by name; near misses.

CRM = {
    "region": REGION,
    "servers": [
        {"id": ONE, "hostname": "crm01", "fqdn": "crm01.corp.example", "origin_instance": "i-0aaaaaaaaaaaaaaa1"},
        {"id": TWO, "hostname": "crm02.corp.example", "tags": {"Name": "CRM database", "Tier": "db", "Site": "a"}},
        {"id": THREE, "hostname": "web01", "tags": {"Name": "web", "Tier": "web", "Site": "b"}},
    ],
}


@of("optional-gone")
@pytest.mark.parametrize(
    ("selector", "server"),
    [
        ({"instance": "i-0aaaaaaaaaaaaaaa1"}, ONE),
        ({"name": "crm01"}, ONE),
        ({"name": "CRM01.corp.example"}, ONE),
        ({"name": "crm02"}, TWO),
        ({"name": "CRM database"}, TWO),
        ({"name": "Web"}, THREE),
    ],
    ids=str,
)
def test_a_server_is_found_by_instance_and_by_name(case: Case, selector: dict[str, str], server: str) -> None:
    case.simulation.load(CRM, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [selector]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    assert [one.id for one in result.resolved["a"]] == [server]
    assert not result.findings.errors


@of("optional-gone")
def test_a_drill_launches_servers_by_instance_and_by_name(case: Case) -> None:
    case.simulation.load(CRM, speed=60)
    waves = [{"name": "a", "servers": [{"instance": "i-0aaaaaaaaaaaaaaa1"}, {"name": "web"}]}]
    assert case.run("drill", case.plan(waves=waves)).state == "success"
    assert sorted(case.launched) == [ONE, THREE]


@of("optional-gone")
@pytest.mark.parametrize(
    ("selector", "code", "words"),
    [
        ({"instance": "i-0aaaaaaaaaaaaaaa2"}, "server-not-found", "did you mean instance i-0aaaaaaaaaaaaaaa1 (s-"),
        ({"name": "crm1"}, "server-not-found", "did you mean name crm01 (s-"),
        ({"hostname": "web1"}, "server-not-found", "did you mean hostname web01 (s-"),
        ({"hostname": "crm02"}, "server-not-found", "did you mean name crm02 (s-"),
        ({"tags": {"Tier": "wbe"}}, "selection-empty", "no server has Tier=wbe; did you mean Tier=web?"),
        ({"tags": {"tier": "web"}}, "selection-empty", "no server has a tag tier; did you mean Tier=web?"),
        ({"tags": {"Tier": "web", "Site": "a"}}, "selection-empty", "each tag is there, and no server has all of them"),
        ({"tags": {"Zzz": "qq"}}, "selection-empty", "no server has a tag Zzz."),
    ],
    ids=str,
)
def test_near_misses_are_offered(case: Case, selector: dict[str, Any], code: str, words: str) -> None:
    case.simulation.load(CRM, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [selector]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    (finding,) = result.findings.errors
    assert finding.code == code
    assert words in finding.message


@of("optional-gone")
def test_a_name_that_two_servers_have_is_refused(case: Case) -> None:
    scenario = {**CRM, "servers": [*CRM["servers"], {"id": FOUR, "hostname": "web"}]}
    case.simulation.load(scenario, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [{"name": "web"}]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    assert [one.code for one in result.findings.errors] == ["hostname-ambiguous"]
    assert "name web matches 2 source servers" in result.findings.errors[0].message


def test_one_server_in_two_waves_is_an_error_by_instance_and_by_name_too() -> None:
    for selector in ({"instance": "i-0aaaaaaaaaaaaaaa1"}, {"name": "web"}):
        waves = [{"name": name, "servers": [selector]} for name in ("a", "b")]
        with pytest.raises(ValidationError, match=r"web|i-0aaaaaaaaaaaaaaa1"):
            RecoveryPlan.model_validate({"version": 1, "name": "p", "target": {"region": REGION}, "waves": waves})


# An endpoint that does not answer: progress, one line, exit status 2.


@pytest.mark.parametrize("command", ["check"])
def test_a_silent_endpoint_is_given_up(tmp_path: Path, command: str) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        env = {**os.environ, "AWS_ENDPOINT_URL": address, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        arguments = [command, str(CASES / "short-timeout" / "plan.yaml"), "--timeout", "3"]
        result = subprocess.run(
            [sys.executable, "-c", "from drs_provider.cli import main; main()", *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert result.returncode == 2
    assert result.stdout == ""
    *progress, last = result.stderr.strip().splitlines()
    assert progress[0].startswith(f"asking AWS ({address}): 0 answers in ")
    assert last == f"AWS gave no answer for 3 s: {address}. Nothing was checked."


@of("short-timeout")
def test_servers_that_could_not_be_read_are_not_told_as_none(case: Case) -> None:
    original = BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: Any) -> Any:
        if operation == "DescribeSourceServers":
            raise EndpointConnectionError(endpoint_url="https://drs.us-west-2.amazonaws.com")
        return original(client, operation, parameters)

    case.monkeypatch.setattr(BaseClient, "_make_api_call", call)
    case.monkeypatch.setattr(preflight, "PATIENCE", ())
    result = CliRunner().invoke(app, ["check", str(case.folder / "plan.yaml")])
    assert result.exit_code == 2
    assert "0 servers" not in result.output
    assert "Nothing was checked." in result.output
