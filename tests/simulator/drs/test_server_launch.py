"""Launching servers whose source is dead, and servers that a job passes over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.simulator.drs.launches import ONE, TWO, ends, events, log_items, server, start

DEAD = {"replication": "STALLED", "replication_error": "AGENT_NOT_SEEN"}


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def newest_point(drs: Any, server_id: str) -> str:
    points = drs.describe_recovery_snapshots(sourceServerID=server_id, order="DESC")["items"]
    return str(next(point["timestamp"] for point in points if "timestamp" in point))


def test_a_silent_agent_costs_five_minutes_and_the_previous_snapshot_is_used(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, **DEAD, snapshots=[{"age": "20m"}, {"age": "3h"}])]})
    point = newest_point(drs, ONE)
    job = start(drs, ONE, drill=False)
    drs_simulator.advance(299)
    assert events(drs, job) == ["JOB_START", "SNAPSHOT_START"]
    drs_simulator.advance(700)
    assert events(drs, job)[:5] == [
        "JOB_START",
        "SNAPSHOT_START",
        "SNAPSHOT_FAIL",
        "USING_PREVIOUS_SNAPSHOT",
        "CONVERSION_START",
    ]
    at = {item["event"]: datetime.fromisoformat(item["logDateTime"]) for item in log_items(drs, job)}
    assert (at["SNAPSHOT_FAIL"] - at["SNAPSHOT_START"]).total_seconds() == pytest.approx(300, abs=0.001)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    (instance,) = drs.describe_recovery_instances()["items"]
    assert instance["pointInTimeSnapshotDateTime"] == point


def test_a_named_snapshot_of_a_dead_source_costs_nothing(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, **DEAD)]})
    point = drs.describe_recovery_snapshots(sourceServerID=ONE, order="DESC")["items"][0]
    chosen = [{"sourceServerID": ONE, "recoverySnapshotID": point["snapshotID"]}]
    job = drs.start_recovery(sourceServers=chosen)["job"]["jobID"]
    drs_simulator.advance(620)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    assert "SNAPSHOT_FAIL" not in events(drs, job)


def test_a_dead_source_without_a_snapshot_is_refused(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, **DEAD, snapshots=[])]})
    with pytest.raises(ClientError, match="ConflictException"):
        start(drs, ONE, drill=False)


def test_a_silent_agent_may_fail_the_launch(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, **DEAD)], "launching": {"silent_agent": "fail"}})
    job = start(drs, ONE, drill=False)
    drs_simulator.advance(320)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert events(drs, job)[-3:] == ["SNAPSHOT_FAIL", "USING_PREVIOUS_SNAPSHOT_FAILED", "JOB_END"]


def test_a_stalled_server_whose_agent_is_seen_is_snapshot_as_ever(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, replication="STALLED", replication_error="NOT_CONVERGING")]})
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "LAUNCHED"} and "SNAPSHOT_FAIL" not in events(drs, job)


def test_a_dead_source_was_last_seen_when_it_died(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, **DEAD), server(TWO)]})
    drs_simulator.advance(3600)
    seen = {
        one["sourceServerID"]: datetime.fromisoformat(one["lifeCycle"]["lastSeenByServiceDateTime"])
        for one in drs.describe_source_servers()["items"]
    }
    assert (seen[TWO] - seen[ONE]).total_seconds() >= 3600


def test_a_skipped_server_is_not_launched(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, outcome="skipped"), server(TWO)]})
    job = start(drs, ONE, TWO)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED", TWO: "LAUNCHED"}
    assert events(drs, job, ONE) == ["SERVER_SKIPPED"]
