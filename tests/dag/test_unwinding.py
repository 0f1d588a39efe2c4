"""A failed recovery is unwound dependents first, once, and without a hand on anything that it did not launch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

TOPIC = "arn:aws:sns:us-west-2:123456789012:events"
TIERS = ("base", "middle", "top", "other", "earlier")


def server_id(tier: str) -> str:
    return f"s-{TIERS.index(tier) + 1:017d}"


def server(tier: str, **more: Any) -> dict[str, Any]:
    return {"id": server_id(tier), "hostname": tier, "tags": {"Tier": tier}, **more}


def wave(name: str, *needed: str, **keys: Any) -> dict[str, Any]:
    return {"name": name, "depends_on": list(needed), "servers": [{"id": server_id(name)}], "retries": 0, **keys}


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
        # A person clears the rollbacks: they look again, and end nothing twice.
        seen = len(log)
        for task in ("middle.rollback", "other.rollback"):
            recovery.states[task] = None
        recovery.go()
        assert recovery.states["middle.rollback"] == recovery.states["other.rollback"] == "success"
        assert servers_of(drs_simulator.log, launched, seen) == []


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
    assert [entry["params"]["Subject"] for entry in sent] == ["[RECOVERY] shop: started", "[RECOVERY] shop: FAILED"]
    told = {(each["event"], each["to"]): each["state"] for each in report["notifications"]}
    assert told == {
        (event, topic): state
        for event in ("started", "ended")
        for topic, state in ((TOPIC, "success"), (f"{TOPIC}-missing", "failed"))
    }
