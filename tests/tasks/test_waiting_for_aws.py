"""A task whose AWS does not answer waits in the triggerer, and fails only when its time is over."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.html import render_html
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.storage import reports_of
from drs_provider.simulator.simulation import Simulation
from drs_provider.tasks import patience
from drs_provider.triggers.availability import AwsAvailableTrigger
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.chaos.silence import Silence
from tests.dag.plans import loaded_plan

ONE = "s-00000000000000001"


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulation:
    """A region with one server."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"region": "us-west-2", "servers": [{"id": ONE, "hostname": "web01"}]}, speed=60)
    return drs_simulator


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[AwsAvailableTrigger]:
    """The waits for AWS that tasks were deferred to."""
    made: list[AwsAvailableTrigger] = []

    class Noted(AwsAvailableTrigger):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            made.append(self)

    monkeypatch.setattr(patience, "AwsAvailableTrigger", Noted)
    return made


def run_of(mode: str = "recovery", **wave: Any) -> InProcessRun:
    plan = loaded_plan({"name": "web", "servers": [{"id": ONE}], **wave})
    return InProcessRun(build_dag(plan), {"mode": mode, "confirm": "shop"}, random.Random(1))


def test_the_wait_says_what_for_and_since_when_and_takes_no_worker(
    site: Simulation, waits: list[AwsAvailableTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    with quick_aws(monkeypatch), Silence(frozenset({"StartRecovery"}), 4).in_force(monkeypatch):
        assert run.go() == "success"
    assert len(waits) > 2
    assert {wait.operation for wait in waits} == {"StartRecovery"}
    assert len({wait.since for wait in waits}) == 1, "one wait, however often it is asked in vain"
    assert [wait.pause for wait in waits] == sorted(wait.pause for wait in waits), "it backs off"
    assert waits[0].deadline == pytest.approx(waits[0].since + 3600), "the wave's launch_timeout"
    text = str(waits[0])
    assert "StartRecovery since 20" in text
    assert "ThrottlingException" in text


def test_people_are_notified_once_and_the_report_lists_the_wait(
    site: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    topic = "arn:aws:sns:us-west-2:123456789012:dr-events"
    servers = [{"id": ONE, "hostname": "web01"}]
    site.load({"region": "us-west-2", "servers": servers, "topics": [topic]}, speed=60)
    plan = loaded_plan({"name": "web", "servers": [{"id": ONE}]}, notify=[{"sns": topic}])
    run = InProcessRun(build_dag(plan), {"mode": "recovery", "confirm": "shop"}, random.Random(1))
    with quick_aws(monkeypatch), Silence(frozenset({"StartRecovery"}), 20).in_force(monkeypatch):
        assert run.go() == "success"
    sent = [entry["params"] for entry in site.log if entry.get("operation") == "Publish"]
    (message,) = [one for one in sent if one["Subject"] == "[RECOVERY] shop: waiting for AWS"]
    assert "waits for AWS in the task web.launch" in message["Message"]
    assert "Waiting for AWS to answer StartRecovery since 20" in message["Message"]
    ((report,), _) = reports_of("shop", str(tmp_path))
    (wait,) = report.aws_waits
    assert (wait.task, wait.operation) == ("web.launch", "StartRecovery")
    assert "ThrottlingException" in wait.reason
    assert (wait.until - wait.since).total_seconds() > 15 * 60
    assert ("waiting_for_aws", "success") in {(each.event, each.state) for each in report.notifications}
    assert "waited for AWS (StartRecovery)" in render_markdown(report)
    assert "Waits for AWS" in render_html(report)


def test_when_the_time_is_over_the_launch_fails_with_what_can_be_done(
    site: Simulation, waits: list[AwsAvailableTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(launch_timeout="10m")
    # What preflight asks passes: it waits for an hour at least.
    with quick_aws(monkeypatch), Silence(frozenset({"DescribeJobs"}), 60, skip=1).in_force(monkeypatch):
        assert run.go() == "failed"
    assert run.states["preflight"] == "success"
    evidence = run.xcoms["web.launch"]["evidence"]
    assert evidence["status"] == "failed"
    assert "ThrottlingException" in evidence["reason"]
    assert not [one for one in site.log if one.get("operation") == "StartRecovery"]


def test_a_drill_waits_for_credentials_only_so_long(
    site: Simulation, waits: list[AwsAvailableTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("drill")
    silence = Silence(frozenset({"*"}), 600, "expired credentials")
    with quick_aws(monkeypatch), silence.in_force(monkeypatch):
        began = time.time()
        assert run.go() == "failed"
        assert time.time() - began < 2 * 3600
    assert waits[0].deadline == pytest.approx(waits[0].since + 900)


@pytest.mark.parametrize("operations", [{"SimulatePrincipalPolicy", "GetRole"}, {"ListServiceQuotas"}])
def test_a_recovery_does_not_wait_for_another_region(
    operations: set[str], site: Simulation, waits: list[AwsAvailableTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    with quick_aws(monkeypatch), Silence(frozenset(operations), 600).in_force(monkeypatch):
        assert run.go() == "success"
    assert not waits
    findings = run.xcoms["preflight"]["evidence"]["findings"]
    assert {finding["severity"] for finding in findings} <= {"warning"}


def test_what_blocks_a_launch_names_the_run_that_goes_on_in_spite_of_it(
    site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls = [{"after": "5m", "replication": "STALLED"}]
    servers = [{"id": ONE, "hostname": "web01"}, {"id": "s-00000000000000002", "hostname": "web02", "changes": stalls}]
    site.load({"region": "us-west-2", "servers": servers}, speed=1)
    plan = loaded_plan(
        {"name": "db", "servers": [{"id": ONE}]},
        {"name": "web", "depends_on": ["db"], "servers": [{"id": "s-00000000000000002"}]},
    )
    run = InProcessRun(build_dag(plan), {"mode": "recovery", "confirm": "shop"}, random.Random(1))
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
        reason = run.xcoms["web.launch"]["evidence"]["reason"]
        parameters = json.loads(reason[reason.index('{"mode"') :])
        again = InProcessRun(build_dag(plan), parameters, random.Random(1))
        again.run_id = again._dag_run.run_id = "run1"
        assert again.go() == "success"
    assert parameters == {
        "mode": "recovery",
        "confirm": "shop",
        "waves": ["web"],
        "override_findings": ["replication-state"],
        "override_reason": "...",
    }


def test_a_script_that_failed_while_nobody_could_see_it_is_not_sent_again(
    site: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command ends while its status cannot be read, long after its deadline."""
    servers = [{"id": ONE, "hostname": "web01"}]
    documents = {"Shop-Warm": {"kind": "Command", "duration": 30, "outcome": "Failed"}}
    site.load({"region": "us-west-2", "servers": servers, "documents": documents}, speed=1)
    run = run_of(post_launch=[{"name": "warm", "run_command": "Shop-Warm", "timeout": "2m"}])
    silence = Silence(frozenset({"ListCommandInvocations"}), 20)
    with quick_aws(monkeypatch), silence.in_force(monkeypatch):
        assert run.go() == "failed"
    sent = [one for one in site.log if one.get("operation") == "SendCommand" and not one.get("error")]
    assert len(sent) == 1
    assert run.xcoms["web.post_launch.warm"]["evidence"]["status"] == "Failed"
