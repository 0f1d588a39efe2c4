"""What jobs look like, and how the servers of one job move: as live, awkward shapes included."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.simulator.drs.launches import ONE, TWO, ends, events, job_of, log_items, server, start


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def moments(drs: Any, job_id: str, event: str) -> dict[str, datetime]:
    return {
        item["eventData"]["sourceServerID"]: datetime.fromisoformat(item["logDateTime"])
        for item in log_items(drs, job_id)
        if item["event"] == event
    }


def apart(found: dict[str, datetime]) -> float:
    return (max(found.values()) - min(found.values())).total_seconds()


def test_a_conflict_names_neither_server_nor_job(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="drill"), server(TWO)]})
    instance = drs.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    job = start(drs, ONE)
    for call, request in (
        (drs.start_recovery, {"sourceServers": [{"sourceServerID": ONE}, {"sourceServerID": TWO}]}),
        (drs.terminate_recovery_instances, {"recoveryInstanceIDs": [instance]}),
        (drs.stop_replication, {"sourceServerID": ONE}),
    ):
        with pytest.raises(ClientError) as caught:
            call(**request)
        answer = str(caught.value.response)
        assert caught.value.response["Error"]["Code"] == "ConflictException"
        assert not any(named in answer for named in (ONE, TWO, job, instance)), answer


def test_a_conflict_over_a_servers_state_does_not_name_the_server_either(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, replication="STOPPED"), server(TWO)]})
    with pytest.raises(ClientError) as caught:
        start(drs, ONE, TWO)
    answer = str(caught.value.response)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    assert "STOPPED" in answer and ONE not in answer and TWO not in answer


def test_a_job_has_what_live_jobs_have(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE)]})
    job = job_of(drs, start(drs, ONE, tags={"wave": "db"}))
    assert job["tags"] == {"wave": "db", "resourceArn": job["arn"]}
    assert drs.list_tags_for_resource(resourceArn=job["arn"])["tags"] == {"wave": "db"}
    assert job["participatingResources"] == []
    assert job["participatingServers"][0]["launchActionsStatus"] == {"runs": []}


def test_an_earlier_launch_has_a_log(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="recovery")]})
    (instance,) = drs.describe_recovery_instances()["items"]
    items = log_items(drs, instance["jobID"])
    assert [item["event"] for item in items] == [
        "JOB_START",
        "SNAPSHOT_START",
        "SNAPSHOT_END",
        "CONVERSION_START",
        "CONVERSION_END",
        "LAUNCH_START",
        "LAUNCH_END",
        "JOB_END",
    ]
    assert items[-2]["eventData"] == {"sourceServerID": ONE, "targetInstanceID": instance["ec2InstanceID"]}
    job = job_of(drs, instance["jobID"])
    assert job["creationDateTime"] < items[0]["logDateTime"] < items[-1]["logDateTime"] == job["endDateTime"]


def test_servers_of_one_job_do_not_move_in_step(drs_simulator, drs):
    many = [f"s-{number:017d}" for number in range(10)]
    drs_simulator.load({"servers": [server(one) for one in many]})
    job = start(drs, *many)
    drs_simulator.advance(700)
    assert set(ends(drs, job).values()) == {"LAUNCHED"}
    ended = moments(drs, job, "LAUNCH_END")
    assert len(set(ended.values())) == len(many)
    assert 20 < apart(ended) < 90, "two of the same system ended 64 seconds apart live"
    assert apart(moments(drs, job, "SNAPSHOT_START")) < 0.2


def test_the_spread_is_seeded_and_can_be_switched_off(drs_simulator, drs):
    found = []
    for rules in ({"seed": 1}, {"seed": 1}, {"seed": 2}, {"spread": 0}):
        drs_simulator.load({"servers": [server(ONE), server(TWO)], "launching": rules})
        job = start(drs, ONE, TWO)
        created = datetime.fromisoformat(job_of(drs, job)["creationDateTime"])
        drs_simulator.advance(700)
        found.append({one: at - created for one, at in moments(drs, job, "LAUNCH_END").items()})
    assert found[0] == found[1] != found[2]
    assert found[3][ONE] == found[3][TWO]


def test_a_server_s_own_durations_are_exact(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, durations={"conversion": 100})]})
    job = start(drs, ONE)
    drs_simulator.advance(700)
    took = moments(drs, job, "CONVERSION_END")[ONE] - moments(drs, job, "CONVERSION_START")[ONE]
    assert took.total_seconds() == pytest.approx(100, abs=0.001)


def test_windows_has_its_own_times(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, os="windows")], "launching": {"spread": 0}})
    job = start(drs, ONE)
    created = datetime.fromisoformat(job_of(drs, job)["creationDateTime"])
    drs_simulator.advance(1500)

    def between(first: str, last: str) -> float:
        return (moments(drs, job, last)[ONE] - moments(drs, job, first)[ONE]).total_seconds()

    assert between("SNAPSHOT_END", "CONVERSION_START") == pytest.approx(191, abs=1)
    assert 839 <= between("CONVERSION_START", "CONVERSION_END") <= 845
    assert 327 <= between("LAUNCH_START", "LAUNCH_END") <= 391
    whole = (datetime.fromisoformat(job_of(drs, job)["endDateTime"]) - created).total_seconds()
    assert whole == pytest.approx(1436, rel=0.03)


def test_a_drill_deletes_a_real_recovery_too(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="recovery")]})
    (production,) = drs.describe_recovery_instances()["items"]
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert events(drs, job)[:4] == ["JOB_START", "CLEANUP_START", "CLEANUP_END", "SNAPSHOT_START"]
    found = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=[production["ec2InstanceID"]])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"
    assert len(drs.describe_recovery_instances()["items"]) == 1


def test_a_scenario_may_spare_real_recoveries(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="recovery")], "launching": {"replaces": "drills"}})
    (production,) = drs.describe_recovery_instances()["items"]
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert "CLEANUP_START" not in events(drs, job)
    assert production["recoveryInstanceID"] in {
        one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]
    }


@pytest.mark.parametrize("speed", [1.0, 60.0])
def test_recovery_points_stay_while_the_lag_grows(drs_simulator, drs, speed):
    drs_simulator.load({"servers": [server(ONE, lag_growth=1)]}, speed=speed)
    points = drs.describe_recovery_snapshots(sourceServerID=ONE)["items"]
    drs_simulator.advance(300)
    later = [one["snapshotID"] for one in drs.describe_recovery_snapshots(sourceServerID=ONE)["items"]]
    assert [one["snapshotID"] for one in points] == later[: len(points)]
