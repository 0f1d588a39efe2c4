"""A failed recovery is unwound dependents first, once, and without a hand on anything that it did not launch."""

from __future__ import annotations

import json
import random
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.dag.factory import build_dag
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.chaos.silence import Silence
from tests.dag.plans import loaded_plan

TOPIC = "arn:aws:sns:us-west-2:123456789012:events"
TIERS = ("base", "middle", "top", "other", "earlier")


def server_id(tier: str) -> str:
    return f"s-{TIERS.index(tier) + 1:017d}"


def server(tier: str, **more: Any) -> dict[str, Any]:
    return {"id": server_id(tier), "hostname": tier, "tags": {"Tier": tier}, **more}


def wave(name: str, *needed: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "depends_on": list(needed), "servers": [{"id": server_id(name)}], "retries": 0, **keys}


@pytest.fixture(autouse=True)
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Who was asked what, as each answer says: carol approves, unless a test puts another answer in front."""
    told: list[tuple[str, str]] = []

    def execute(self: Any, context: Any) -> Any:
        told.append((context["ti"].task_id, self.subject))
        option = "Reject" if "reject" in told_otherwise else "Approve"
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": {"id": "carol", "name": "carol"},
        }
        if "silence" in told_otherwise:
            event = {"error": "no answer", "error_type": "timeout"}
        raise TaskDeferred(trigger=SimpleNamespace(), method_name="execute_complete", kwargs={"event": event})

    told_otherwise: set[str] = set()
    monkeypatch.setattr(ApprovalOperator, "execute", execute)
    monkeypatch.setattr(ApprovalOperator, "told_otherwise", told_otherwise, raising=False)
    return told


@pytest.fixture
def recovery(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> InProcessRun:
    """A recovery of three waves, the last of which fails, beside a wave of its own and instances of earlier runs."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    servers = [
        server("base"),
        server("middle"),
        server("top", outcome="failed"),
        server("other"),
        server("earlier", launched="drill"),
    ]
    documents = {"Undo-Base": {"kind": "Automation", "duration": 1}}
    drs_simulator.load({"servers": servers, "documents": documents, "topics": [TOPIC]}, speed=60)
    undo = [{"name": "undo", "automation": "Undo-Base"}]
    plan = loaded_plan(
        wave("base", rollback=undo),
        wave("middle", "base"),
        wave("top", "middle"),
        wave("other"),
        recovery={"on_failure": "rollback"},
        notify=[{"sns": TOPIC}, {"sns": f"{TOPIC}-missing"}],
    )
    return InProcessRun(build_dag(plan), {"mode": "recovery", "confirm": "shop"}, random.Random(1))


TERMINATE = "TerminateRecoveryInstances"


def servers_of(log: list[dict[str, Any]], instances: dict[str, str], since: int = 0) -> list[str]:
    """The servers whose instances were terminated, in the order of the calls."""
    calls = [entry for entry in log[since:] if entry.get("operation") == "TerminateRecoveryInstances"]
    return [instances[one] for call in calls for one in call["params"]["recoveryInstanceIDs"]]


def test_dependents_first_once_and_nothing_else(
    recovery: InProcessRun, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    drs = boto3.client("drs", "us-west-2")
    with quick_aws(monkeypatch):
        assert recovery.go() == "failed"
        log = drs_simulator.log
        launched = {
            str(item["eventData"]["targetInstanceID"]): str(item["eventData"]["sourceServerID"])
            for job in drs.describe_jobs()["items"]
            for item in drs.describe_job_log_items(jobID=job["jobID"])["items"]
            if item["event"] == "LAUNCH_END" and item["eventData"].get("targetInstanceID")
        }
        ended = servers_of(log, launched)
        assert sorted(ended) == sorted(map(server_id, ("base", "middle", "other")))
        assert ended.index(server_id("middle")) < ended.index(server_id("base"))
        (left,) = drs.describe_recovery_instances()["items"]
        assert (left["sourceServerID"], left["ec2InstanceState"]) == (server_id("earlier"), "RUNNING")
        automations = [entry for entry in log if entry.get("operation") == "StartAutomationExecution"]
        assert [entry["params"]["DocumentName"] for entry in automations] == ["Undo-Base"]
        # A person clears the rollbacks of the run that is over: they leave everything as it is.
        seen = len(log)
        for task in ("middle.rollback", "other.rollback"):
            recovery.states[task] = None
        recovery.go()
        assert recovery.states["middle.rollback"] == recovery.states["other.rollback"] == "skipped"
        assert servers_of(drs_simulator.log, launched, seen) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "operation",
    ["TerminateRecoveryInstances", "DescribeInstances", "StartAutomationExecution", "GetAutomationExecution"],
)
def test_a_rollback_waits_for_an_aws_that_is_silent(
    recovery: InProcessRun,
    drs_simulator: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[str, str]],
    operation: str,
) -> None:
    """Twenty minutes: it terminates everything once, sends its script once, and asks people once."""
    silence = Silence(frozenset({operation}), 20)
    with quick_aws(monkeypatch), silence.in_force(monkeypatch):
        assert recovery.go() == "failed"
    assert silence.refused[operation] > 1
    assert {recovery.states[f"{name}.rollback"] for name in ("base", "middle", "other")} == {"success"}
    calls = [entry for entry in drs_simulator.log if not entry.get("error")]
    ended = [entry["params"]["recoveryInstanceIDs"] for entry in calls if entry.get("operation") == TERMINATE]
    assert len(ended) == len({one for each in ended for one in each}) == 3
    tokens = {entry["params"]["ClientToken"] for entry in calls if entry.get("operation") == "StartAutomationExecution"}
    assert len(tokens) == 1
    assert len(answers) == 1


@pytest.mark.parametrize("answer", ["reject", "silence"])
def test_what_was_up_stays_where_nobody_approves_its_rollback(
    recovery: InProcessRun,
    drs_simulator: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[str, str]],
    answer: str,
) -> None:
    ApprovalOperator.told_otherwise.add(answer)  # type: ignore[attr-defined]
    with quick_aws(monkeypatch):
        assert recovery.go() == "failed"
    assert [task for task, _ in answers] == ["top.rollback"], "one question for the whole unwinding"
    assert "base, middle, other, top" in answers[0][1]
    assert not [one for one in drs_simulator.log if one.get("operation") == "TerminateRecoveryInstances"]
    assert not [one for one in drs_simulator.log if one.get("operation") == "StartAutomationExecution"]
    folder = str(recovery.xcoms["report"]["report_folder"]).removeprefix("file://")
    report = json.loads((Path(folder) / "report.json").read_text())
    waves = {each["name"]: each["rollback"] for each in report["waves"]}
    assert "verything stays" in waves["top"]["reason"]
    assert "verything stays" in waves["base"]["reason"]
    (asked,) = report["approvals"]
    assert (asked["where"], asked["decision"]) == ("rollback", {"reject": "rejected", "silence": "timed out"}[answer])


def test_what_was_never_up_is_unwound_unasked(
    recovery: InProcessRun,
    drs_simulator: Simulation,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[tuple[str, str]],
) -> None:
    servers = [server(tier, outcome="failed") for tier in ("base", "other")] + [server("middle"), server("top")]
    documents = {"Undo-Base": {"kind": "Automation", "duration": 1}}
    drs_simulator.load({"servers": servers, "documents": documents, "topics": [TOPIC]}, speed=60)
    with quick_aws(monkeypatch):
        assert recovery.go() == "failed"
    assert answers == []
    assert recovery.states["base.rollback"] == "success"


def test_an_approval_of_before_does_not_count_for_what_was_up_since(
    recovery: InProcessRun, monkeypatch: pytest.MonkeyPatch, answers: list[tuple[str, str]]
) -> None:
    with quick_aws(monkeypatch):
        assert recovery.go() == "failed"
        assert len(answers) == 1
        recovery.clear("base.launch")
        assert recovery.go() == "failed"
    assert len(answers) == 2


def test_a_check_that_is_cleared_and_fails_terminates_no_wave_unasked(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, answers: list[tuple[str, str]], tmp_path: Path
) -> None:
    """In an open run: another wave still goes on, and Airflow forgot that this one was up."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"servers": [server("base"), server("middle")]}, speed=60)
    ApprovalOperator.told_otherwise.add("silence")  # type: ignore[attr-defined]
    check = {"health_checks": [{"type": "instance_status"}], "on_failure": "rollback"}
    plan = loaded_plan(wave("base", **check), wave("middle", "base"))
    run = InProcessRun(build_dag(plan), {"mode": "recovery", "confirm": "shop"}, random.Random(1))
    launch = run.dag.get_task("middle.launch")
    execute = launch.work.execute

    def clear_meanwhile(context: Any) -> Any:
        result = execute(context)
        run.states["base.health.instance_status"] = "failed"
        return result

    launch.work.execute = clear_meanwhile  # type: ignore[method-assign]
    monkeypatch.setattr(run.rng, "choice", lambda ready: sorted(ready, key=lambda one: "rollback" in one.task_id)[0])
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert [task for task, _ in answers] == ["base.rollback"]
    assert not [one for one in drs_simulator.log if one.get("operation") == "TerminateRecoveryInstances"]


def test_the_report_says_what_was_unwound_and_who_was_told(
    recovery: InProcessRun, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with quick_aws(monkeypatch):
        recovery.go()
    folder = str(recovery.xcoms["report"]["report_folder"]).removeprefix("file://")
    report = json.loads((Path(folder) / "report.json").read_text())
    waves = {each["name"]: each for each in report["waves"]}
    assert report["run"]["state"] == "failed"
    assert {name: waves[name]["rollback"]["state"] for name in waves} == dict.fromkeys(waves, "success")
    assert [script["name"] for script in waves["base"]["rollback"]["scripts"]] == ["undo"]
    assert report["termination"]["state"] == "not_applicable"
    sent = [entry for entry in drs_simulator.log if entry.get("operation") == "Publish" and not entry["error"]]
    assert [entry["params"]["Subject"] for entry in sent] == [
        "[RECOVERY] shop: started",
        "[RECOVERY] shop: approval wanted before anything is rolled back",
        "[RECOVERY] shop: FAILED",
    ]
    told = {(each["event"], each["to"]): each["state"] for each in report["notifications"]}
    assert told == {
        (event, topic): state
        for event in ("started", "approval_wanted", "ended")
        for topic, state in ((TOPIC, "success"), (f"{TOPIC}-missing", "failed"))
    }
