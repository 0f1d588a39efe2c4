"""Lag that stands, grows, stalls and recovers; snapshots that age; replication stopped and started."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.durations import parse_seconds

ONE = "s-00000000000000001"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2")


def replication(drs: Any) -> tuple[str, str | None]:
    shown = drs.describe_source_servers()["items"][0]["dataReplicationInfo"]
    return shown["dataReplicationState"], shown.get("lagDuration")


def load(simulator: Any, **server: Any) -> None:
    simulator.load({"servers": [{"id": ONE, "hostname": "db01", **server}]})


def ages(simulator: Any, drs: Any) -> list[int]:
    now = simulator.clock.now()
    pages = drs.get_paginator("describe_recovery_snapshots").paginate(sourceServerID=ONE, order="DESC")
    items = [item for page in pages for item in page["items"]]
    return [round(now - datetime.fromisoformat(item["expectedTimestamp"]).timestamp()) for item in items]


def test_lag_stands_unless_told_otherwise(drs_simulator, drs):
    load(drs_simulator)
    assert replication(drs) == ("CONTINUOUS", "P0D")
    load(drs_simulator, lag="PT4M30S")
    drs_simulator.advance(100)
    assert replication(drs) == ("CONTINUOUS", "PT4M30S")


def test_lag_grows_stalls_and_recovers(drs_simulator, drs):
    load(
        drs_simulator,
        lag="PT10S",
        lag_growth=0.5,
        changes=[
            {"after": "2m", "replication": "STALLED", "error": "NOT_CONVERGING"},
            {"after": "10m", "replication": "CONTINUOUS", "lag": "P0D"},
        ],
    )
    drs_simulator.advance(60)
    assert replication(drs) == ("CONTINUOUS", "PT40S")
    drs_simulator.advance(120)
    assert replication(drs) == ("STALLED", "PT2M10S"), "a stalled server lags a second more every second"
    shown = drs.describe_source_servers()["items"][0]["dataReplicationInfo"]
    assert shown["dataReplicationError"] == {"error": "NOT_CONVERGING"}
    drs_simulator.advance(420)
    assert replication(drs) == ("CONTINUOUS", "P0D")


def test_lag_follows_the_speed(drs_simulator, drs):
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01", "lag_growth": 1}]}, speed=60)
    drs_simulator.advance(2)
    assert replication(drs) == ("CONTINUOUS", "PT2M")


@pytest.mark.parametrize("state", ["INITIATING", "INITIAL_SYNC", "STOPPED", "DISCONNECTED"])
def test_without_a_recovery_point_there_is_no_lag_and_no_launch(drs_simulator, drs, state):
    load(drs_simulator, replication=state)
    assert replication(drs) == (state, None)
    with pytest.raises(ClientError) as error:
        drs.start_recovery(sourceServers=[{"sourceServerID": ONE}])
    assert error.value.response["Error"]["Code"] == "ConflictException"


@pytest.mark.parametrize("state", ["STALLED", "PAUSED", "BACKLOG", "RESCAN"])
def test_drs_itself_launches_what_lags(drs_simulator, drs, state):
    load(drs_simulator, replication=state, lag="PT3H")
    assert drs.start_recovery(sourceServers=[{"sourceServerID": ONE}])["job"]["status"] == "PENDING"


def test_the_default_policy_keeps_snapshots_of_a_week(drs_simulator, drs):
    load(drs_simulator)
    found = ages(drs_simulator, drs)
    assert found[:6] == [120, 720, 1320, 1920, 2520, 3120]
    assert found[-1] == 120 + 6 * 86400 and len(found) == 6 + 23 + 6
    drs_simulator.advance(470)
    assert ages(drs_simulator, drs)[0] == 590
    drs_simulator.advance(20)
    newest = drs.describe_recovery_snapshots(sourceServerID=ONE, order="DESC")["items"][0]
    assert "timestamp" not in newest and ages(drs_simulator, drs)[0] == 10, "unfinished ones have no timestamp"
    drs_simulator.advance(30)
    newest = drs.describe_recovery_snapshots(sourceServerID=ONE, order="DESC")["items"][0]
    assert newest["timestamp"] == newest["expectedTimestamp"]


def test_a_stalled_server_takes_no_new_snapshots(drs_simulator, drs):
    load(drs_simulator, changes=[{"after": 60, "replication": "STALLED"}])
    drs_simulator.advance(3600)
    assert ages(drs_simulator, drs)[0] == 3720


def test_snapshots_of_a_scenario_age(drs_simulator, drs):
    load(drs_simulator, snapshots=[{"age": "10m", "id": "pit-0123456789abcdef0"}, {"age": "5m", "finished": False}])
    drs_simulator.advance(60)
    assert ages(drs_simulator, drs) == [360, 660]
    newest, pinned = drs.describe_recovery_snapshots(sourceServerID=ONE, order="DESC")["items"]
    assert "timestamp" not in newest and pinned["snapshotID"] == "pit-0123456789abcdef0"

    with pytest.raises(ClientError) as error:
        chosen = {"sourceServerID": ONE, "recoverySnapshotID": newest["snapshotID"]}
        drs.start_recovery(sourceServers=[chosen])
    assert error.value.response["Error"]["Code"] == "ConflictException"
    drs.start_recovery(sourceServers=[{"sourceServerID": ONE, "recoverySnapshotID": pinned["snapshotID"]}])
    drs_simulator.advance(600)
    launched = drs.describe_recovery_instances()["items"][0]
    assert launched["pointInTimeSnapshotDateTime"] == pinned["timestamp"]


def test_the_latest_state_is_as_old_as_the_lag(drs_simulator, drs):
    load(drs_simulator, lag="PT5M")
    began = drs_simulator.clock.now()
    drs.start_recovery(sourceServers=[{"sourceServerID": ONE}])
    drs_simulator.advance(600)
    launched = drs.describe_recovery_instances()["items"][0]
    point = datetime.fromisoformat(launched["pointInTimeSnapshotDateTime"]).timestamp()
    assert point == pytest.approx(began + 1 - 300, abs=0.5)


def test_replication_stops_and_starts_again(drs_simulator, drs):
    load(drs_simulator)
    drs.stop_replication(sourceServerID=ONE)
    assert replication(drs) == ("STOPPED", None) and ages(drs_simulator, drs) == []
    drs.start_replication(sourceServerID=ONE)
    seen = []
    for _ in range(4):
        seen.append(replication(drs)[0])
        drs_simulator.advance(240)
    assert seen == ["INITIATING", "INITIAL_SYNC", "INITIAL_SYNC", "CONTINUOUS"]
    assert ages(drs_simulator, drs) == [960 - 660]


def test_only_what_is_stuck_can_be_retried(drs_simulator, drs):
    load(drs_simulator)
    with pytest.raises(ClientError) as error:
        drs.retry_data_replication(sourceServerID=ONE)
    assert error.value.response["Error"]["Code"] == "ValidationException"
    load(drs_simulator, replication="STALLED", lag="PT1H")
    drs.retry_data_replication(sourceServerID=ONE)
    assert replication(drs)[0] == "RESCAN"
    drs_simulator.advance(601)
    state, lag = replication(drs)
    assert state == "CONTINUOUS" and 3600 < parse_seconds(lag) < 4200
    drs_simulator.advance(300)
    assert replication(drs) == ("CONTINUOUS", "P0D")


def test_answers_show_the_state_after_the_call(drs_simulator):
    """The clock runs: the answer may not be as of the moment before the change."""
    drs = boto3.client("drs", "us-west-2")
    load(drs_simulator)
    stopped = drs.stop_replication(sourceServerID=ONE)["sourceServer"]["dataReplicationInfo"]
    assert stopped["dataReplicationState"] == "STOPPED"
    started = drs.start_replication(sourceServerID=ONE)["sourceServer"]["dataReplicationInfo"]
    assert started["dataReplicationState"] == "INITIATING"
    load(drs_simulator, replication="STALLED")
    retried = drs.retry_data_replication(sourceServerID=ONE)["dataReplicationInfo"]
    assert retried["dataReplicationState"] == "RESCAN"


def rescanned(drs: Any) -> float:
    (disk,) = drs.describe_source_servers()["items"][0]["dataReplicationInfo"]["replicatedDisks"]
    return float(disk["rescannedStorageBytes"] / disk["totalStorageBytes"])


def test_a_healthy_server_is_rescanned_and_one_that_was_away_is_not_yet(drs_simulator, drs):
    load(drs_simulator, durations={"rescan": "10m", "catch_up": "10m"})
    assert rescanned(drs) == 1
    load(drs_simulator, replication="STALLED", durations={"rescan": "10m", "catch_up": "10m"})
    drs.retry_data_replication(sourceServerID=ONE)
    seen = []
    for _ in range(5):
        seen.append((replication(drs)[0], round(rescanned(drs), 2)))
        drs_simulator.advance(300)
    assert seen == [("RESCAN", 0.0), ("RESCAN", 0.4), ("CONTINUOUS", 0.8), ("CONTINUOUS", 0.9), ("CONTINUOUS", 1.0)]
    load(drs_simulator, rescanned=0.6, lag="PT11M", changes=[{"after": 60, "rescanned": 0.7}])
    assert (replication(drs), rescanned(drs)) == (("CONTINUOUS", "PT11M"), pytest.approx(0.6))
    drs_simulator.advance(60)
    assert rescanned(drs) == pytest.approx(0.7)


@pytest.mark.parametrize("speed", [1, 60])
def test_recovery_points_stay_however_fast_the_lag_grows(drs_simulator, drs, speed):
    growing = {"id": ONE, "hostname": "db01", "lag_growth": 2}
    drs_simulator.load({"servers": [growing]}, speed=speed)
    before = ages(drs_simulator, drs)
    drs_simulator.advance(60)
    assert [age - 60 for age in ages(drs_simulator, drs)] == before


def test_the_quota_of_replicating_servers(drs_simulator, drs):
    other = {"id": "s-00000000000000002", "hostname": "app", "replication": "STOPPED"}
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db"}, other], "quotas": {"replicating_servers": 1}})
    with pytest.raises(ClientError) as error:
        drs.start_replication(sourceServerID=other["id"])
    assert error.value.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert error.value.response["quotaCode"] == "L-C1D14A2B"
