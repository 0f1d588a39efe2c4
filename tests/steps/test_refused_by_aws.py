"""Scripts and checks that AWS does not even start: a failure of their own, as the plan's ``on_failure`` says."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

SERVER, LOST = "s-00000000000000001", "s-00000000000000002"
REFUSED = {"name": "refused", "automation": "Shop-Refused"}


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulation:
    """An account that refuses to start one of its two automations."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    servers = [{"id": SERVER, "hostname": "one"}, {"id": LOST, "hostname": "two", "outcome": "failed"}]
    documents = {name: {"kind": "Automation", "duration": 1} for name in ("Shop-Refused", "Shop-Undo")}
    drs_simulator.load({"region": "us-west-2", "servers": servers, "documents": documents}, speed=60)
    drs_simulator.add_fault("StartAutomationExecution", error="AccessDeniedException", contains="Shop-Refused")
    return drs_simulator


def run_of(**wave: Any) -> InProcessRun:
    plan = loaded_plan({"name": "web", "servers": [{"id": SERVER}], **wave})
    return InProcessRun(build_dag(plan), {"mode": "recovery", "confirm": "shop"}, random.Random(1))


@pytest.mark.parametrize(("on_failure", "state"), [("continue", "success"), ("stop", "failed")])
def test_a_script_that_aws_refuses_has_failed(
    site: Simulation, monkeypatch: pytest.MonkeyPatch, on_failure: str, state: str
) -> None:
    run = run_of(post_launch=[{**REFUSED, "on_failure": on_failure}])
    with quick_aws(monkeypatch):
        assert run.go() == state
    evidence = run.xcoms["web.post_launch.refused"]["evidence"]
    assert evidence["status"] == "Failed"
    assert "AccessDeniedException" in evidence["reason"]


def test_after_a_rollback_script_that_aws_refuses_the_next_still_runs(
    site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    undo = [REFUSED, {"name": "undo", "automation": "Shop-Undo"}]
    run = run_of(servers=[{"id": SERVER}, {"id": LOST}], on_failure="rollback", retries=0, rollback=undo)
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    scripts = run.xcoms["web.rollback"]["evidence"]["scripts"]
    assert [(script["name"], script["status"]) for script in scripts] == [("refused", "Failed"), ("undo", "Success")]


def test_a_check_that_aws_refuses_to_make_has_failed(site: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add_fault("SendCommand", error="AccessDeniedException")
    run = run_of(health_checks=[{"type": "tcp", "port": 80, "via": "ssm"}])
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    evidence = run.xcoms["web.health.tcp"]["evidence"]
    assert evidence["status"] == "failed"
    assert "AccessDeniedException" in evidence["reason"]


def test_an_instance_that_ssm_does_not_know_for_a_moment_is_asked_again(
    site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It restarts between the look at its agent and the command."""
    site.add_fault("SendCommand", error="InvalidInstanceId", times=1)
    run = run_of(
        post_launch=[{"name": "warm", "run_command": "AWS-RunShellScript", "parameters": {"commands": ["true"]}}]
    )
    with quick_aws(monkeypatch):
        assert run.go() == "success"
