"""A drill of two servers, by unmodified clients: what happens, in which order, and when."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any

import aiobotocore.session
import boto3
import pytest

from drs_provider.simulator.drs import server_launch

SERVERS = ["s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002"]
SCENARIO = {
    "servers": [{"id": SERVERS[0], "hostname": "db01"}, {"id": SERVERS[1], "hostname": "db02"}],
    "launching": {"spread": 0.02},
}
#: Seconds after the creation of the job, from two live drills of two Linux servers each.
LIVE = {
    "JOB_START": (0.3, 0.3),
    "SNAPSHOT_START": (0.8, 0.8),
    "SNAPSHOT_END": (1.0, 1.0),
    "CONVERSION_START": (52, 52),
    "CONVERSION_END": (227, 250),
    "LAUNCH_START": (227, 251),
    "LAUNCH_END": (529, 537),
    "JOB_END": (533, 539),
}
SPEED = 300.0


def assert_times(created: float, items: list[dict[str, Any]], speed: float, slack: float) -> None:
    order = [item["event"] for item in items]
    assert list(dict.fromkeys(order)) == list(LIVE)
    for item in items:
        took = (datetime.fromisoformat(item["logDateTime"]).timestamp() - created) * speed
        low, high = LIVE[item["event"]]
        assert low * 0.9 - slack <= took <= high * 1.1 + slack, (item["event"], took)


def test_two_servers_in_process(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    drs = boto3.client("drs", "us-west-2")
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": server} for server in SERVERS])["job"]
    assert (job["status"], job["type"], job["initiatedBy"]) == ("PENDING", "LAUNCH", "START_DRILL")
    created = datetime.fromisoformat(job["creationDateTime"]).timestamp()

    drs_simulator.advance(60)
    assert statuses(drs, job) == ("STARTED", {"PENDING"}), "PENDING through snapshot and conversion"
    drs_simulator.advance(200)
    assert statuses(drs, job) == ("STARTED", {"IN_PROGRESS"})
    drs_simulator.advance(300)
    assert statuses(drs, job) == ("COMPLETED", {"LAUNCHED"})

    items = drs.describe_job_log_items(jobID=job["jobID"])["items"]
    assert_times(created, items, speed=1.0, slack=0.0)
    launched = {
        item["eventData"]["sourceServerID"]: item["eventData"]["targetInstanceID"]
        for item in items
        if item["event"] == "LAUNCH_END"
    }
    instances = drs.describe_recovery_instances(filters={"sourceServerIDs": SERVERS})["items"]
    assert {one["sourceServerID"]: one["ec2InstanceID"] for one in instances} == launched
    assert {one["ec2InstanceState"] for one in instances} == {"RUNNING"}

    ended = drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]
    assert all("recoveryInstanceID" not in server for server in ended["participatingServers"])
    events = [entry for entry in drs_simulator.log if "event" in entry]
    assert [entry["event"] for entry in events] == [item["event"] for item in items]
    assert events[-1]["t"] == pytest.approx(created + 536, abs=12)


def statuses(drs: Any, job: dict[str, Any]) -> tuple[str, set[str]]:
    shown = drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]
    return shown["status"], {server["launchStatus"] for server in shown["participatingServers"]}


def test_boto3_over_http_at_speed(drs_simulator_server):
    """Nobody polls while the phases pass; they are in the log file all the same."""
    drs_simulator_server.load(SCENARIO, speed=SPEED)
    drs = boto3.client("drs")
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": server} for server in SERVERS])["job"]
    created = datetime.fromisoformat(job["creationDateTime"]).timestamp()
    give_up = time.monotonic() + 60
    while '"event":"JOB_END"' not in drs_simulator_server.log_path.read_text():
        assert time.monotonic() < give_up
        time.sleep(0.1)
    assert statuses(drs, job) == ("COMPLETED", {"LAUNCHED"})
    items = drs.describe_job_log_items(jobID=job["jobID"])["items"]
    assert_times(created, items, speed=SPEED, slack=0.1)


async def test_aiobotocore_over_http(drs_simulator_server):
    drs_simulator_server.load(SCENARIO, speed=1000.0)
    async with aiobotocore.session.get_session().create_client("drs") as drs:
        answer = await drs.start_recovery(
            isDrill=True, sourceServers=[{"sourceServerID": server} for server in SERVERS]
        )
        job = answer["job"]
        give_up = time.monotonic() + 60
        while job["status"] != "COMPLETED" and time.monotonic() < give_up:
            await asyncio.sleep(0.05)
            job = (await drs.describe_jobs(filters={"jobIDs": [job["jobID"]]}))["items"][0]
        assert {server["launchStatus"] for server in job["participatingServers"]} == {"LAUNCHED"}
        items = [
            item
            async for page in drs.get_paginator("describe_job_log_items").paginate(jobID=job["jobID"])
            for item in page["items"]
        ]
        created = datetime.fromisoformat(job["creationDateTime"]).timestamp()
        assert_times(created, items, speed=1000.0, slack=0.1)
        instances = (await drs.describe_recovery_instances())["items"]
    async with aiobotocore.session.get_session().create_client("ec2") as ec2:
        described = await ec2.describe_instances(InstanceIds=[one["ec2InstanceID"] for one in instances])
        found = {one["InstanceId"]: one["State"]["Name"] for r in described["Reservations"] for one in r["Instances"]}
    assert found == {one["ec2InstanceID"]: "running" for one in instances}


def test_the_phases_count_from_the_creation_of_the_job(drs_simulator, monkeypatch):
    """However long the call takes, as on a busy machine."""
    monkeypatch.setattr(server_launch, "lacking", lambda data: time.sleep(0.05))
    drs_simulator.load(SCENARIO, speed=SPEED)
    drs = boto3.client("drs", "us-west-2")
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": server} for server in SERVERS])["job"]
    drs_simulator.advance(560 / SPEED)
    items = drs.describe_job_log_items(jobID=job["jobID"])["items"]
    assert_times(datetime.fromisoformat(job["creationDateTime"]).timestamp(), items, speed=SPEED, slack=0.1)
