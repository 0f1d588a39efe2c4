"""Servers and tags that are there no more, and an optional server whose agent is not seen any more."""

from __future__ import annotations

import boto3
import pytest
import yaml

from tests.cases.world import ONE, REGION, THREE, TWO, Case, of


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
