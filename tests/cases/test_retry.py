"""Servers that fail once are launched again: whatever their rank, and after a pause where EC2 lacked capacity."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import boto3
import pytest
import yaml

from drs_provider.aws.drs import launch as hook_launch
from drs_provider.steps.wait_for_launch import work as wait_for_launch
from tests.cases.world import FOUR, ONE, REGION, THREE, TWO, Case, of


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
