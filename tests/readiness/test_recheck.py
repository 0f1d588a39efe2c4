"""The second look, right before a wave's launch."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3

from drs_provider.aws.drs.run_identity import RunIdentity
from drs_provider.readiness.recheck import recheck_wave
from drs_provider.readiness.result import PreflightResult

if TYPE_CHECKING:
    from conftest import Room

DB1, DB2, DB3 = "s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002", "s-1a2b3c4d5e6f70003"
APP1, APP2 = "s-1a2b3c4d5e6f70011", "s-1a2b3c4d5e6f70012"


def recheck(room: Room, wave: str = "app", **options: Any) -> PreflightResult:
    return recheck_wave(room.plan, wave, room.clients, mode="drill", **options)


def codes(result: PreflightResult) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.server) for finding in result.findings]


def test_it_makes_three_calls(room: Room) -> None:
    room.scenario["page_size"] = 100
    room.load()
    before = len(room.simulator.log)
    result = recheck(room)
    assert codes(result) == []
    assert [one.id for one in result.resolved["app"]] == [APP1, APP2]
    calls = [entry["operation"] for entry in room.simulator.log[before:] if "operation" in entry]
    assert sorted(calls) == ["DescribeJobs", "DescribeRecoveryInstances", "DescribeSourceServers"]


def test_a_plan_of_ids_describes_only_those(room: Room) -> None:
    room.plan_data["waves"] = [{"name": "database", "servers": [{"id": DB1}, {"id": DB2}]}]
    room.load()
    recheck(room, "database")
    described = [entry for entry in room.simulator.log if entry.get("operation") == "DescribeSourceServers"]
    assert described[-1]["params"]["filters"] == {"sourceServerIDs": [DB1, DB2]}


def test_it_sees_what_changed_since_preflight(room: Room) -> None:
    room.server(APP1)["changes"] = [{"after": "10m", "replication": "STALLED", "lag": "1h"}]
    room.load()
    assert codes(recheck(room)) == []
    room.simulator.advance(660)
    assert codes(recheck(room)) == [("replication-state", APP1), ("replication-lag", APP1)]
    assert codes(recheck(room, "database")) == []


def test_a_server_tagged_meanwhile_is_launched_too(room: Room) -> None:
    room.load()
    drs = boto3.client("drs", region_name="us-west-2")
    arn = f"arn:aws:drs:us-west-2:123456789012:source-server/{DB3}"
    drs.tag_resource(resourceArn=arn, tags={"Application": "shop", "Tier": "app"})
    result = recheck(room, waves=["app"])
    assert [one.id for one in result.resolved["app"]] == [DB3, APP1, APP2]
    # With the wave that names it also in the run, it is selected twice.
    assert codes(recheck(room)) == [("server-selected-twice", DB3)]


def test_busy_with_another_run_only(room: Room) -> None:
    room.load()
    drs = boto3.client("drs", region_name="us-west-2")
    drs.start_recovery(sourceServers=[{"sourceServerID": APP2}], isDrill=True, tags={"drs-provider:run": "shop/a"})
    assert codes(recheck(room, own=RunIdentity("shop", "a"))) == []
    assert codes(recheck(room, own=RunIdentity("shop", "b"))) == [("server-busy", APP2)]


def test_snapshots_are_chosen_where_a_time_is_given(room: Room) -> None:
    room.load()
    result = recheck(room, snapshot_time=datetime.now(timezone.utc) - timedelta(hours=1))
    assert codes(result) == []
    assert {one.snapshot for one in result.resolved["app"]} == {"pit-00000000000000002"}
    assert room.calls("DescribeRecoverySnapshots") == 2


def test_it_fails_closed(room: Room) -> None:
    for operation in ("DescribeSourceServers", "DescribeJobs"):
        room.scenario["faults"] = [{"operation": operation, "error": "ValidationException"}]
        room.load()
        result = recheck(room)
        assert codes(result) == [("check-failed", None)]
        assert result.findings.blocking()
