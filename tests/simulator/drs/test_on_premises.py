"""Failback to machines on premises: what persons do there, a job of its own, and how it fails."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.exceptions import ClientError

ONE = "s-00000000000000001"
CONFLICT = "ConflictException"


class Site:
    """A machine on premises, its source server and its recovery instance."""

    def __init__(self, simulator: Any, **server: Any) -> None:
        spec = {"id": ONE, "hostname": "db01", "origin": "on_premises", **server}
        simulator.load({"servers": [spec]})
        simulator.freeze()
        self.simulator = simulator
        self.drs = boto3.client("drs", "us-west-2")
        self.drs.start_recovery(isDrill=False, sourceServers=[{"sourceServerID": ONE}])
        while not self.drs.describe_recovery_instances()["items"]:
            simulator.advance(1)
        self.id = self.shown["recoveryInstanceID"]
        simulator.advance(5)  # JOB_END

    @property
    def shown(self) -> dict[str, Any]:
        (found,) = self.drs.describe_recovery_instances()["items"]
        return dict(found)

    @property
    def state(self) -> str:
        return str(self.shown["failback"]["state"])

    @property
    def server(self) -> dict[str, Any]:
        (found,) = self.drs.describe_source_servers()["items"]
        return dict(found["dataReplicationInfo"])

    def launch(self) -> dict[str, Any]:
        job = self.drs.start_failback_launch(recoveryInstanceIDs=[self.id], tags={"run": "1"})["job"]
        self.simulator.advance(300)
        (found,) = self.drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"]
        return dict(found)

    def log(self, job: dict[str, Any]) -> list[tuple[str, str | None]]:
        items = self.drs.describe_job_log_items(jobID=job["jobID"])["items"]
        return [(item["event"], item.get("eventData", {}).get("rawError")) for item in items]


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    return str(error.value.response["Error"]["Code"])


def test_a_whole_failback(drs_simulator: Any) -> None:
    site = Site(drs_simulator, failback_client="5m", failback_media_removed="10m")
    assert code(site.drs.reverse_replication, recoveryInstanceID=site.id) == "ValidationException"
    site.drs.update_failback_replication_configuration(recoveryInstanceID=site.id, bandwidthThrottling=100)
    seen = []
    for seconds in (0, 295, 61, 600, 300):
        drs_simulator.advance(seconds)
        seen.append((site.state, site.shown["dataReplicationInfo"]["dataReplicationState"]))
        if site.state != "FAILBACK_READY_FOR_LAUNCH":
            assert code(site.drs.start_failback_launch, recoveryInstanceIDs=[site.id]) == CONFLICT
    assert seen == [
        ("FAILBACK_NOT_STARTED", "NOT_STARTED"),
        ("FAILBACK_IN_PROGRESS", "INITIATING"),
        ("FAILBACK_IN_PROGRESS", "INITIAL_SYNC"),
        ("FAILBACK_READY_FOR_LAUNCH", "CONTINUOUS"),
        ("FAILBACK_READY_FOR_LAUNCH", "CONTINUOUS"),
    ]
    assert site.shown["dataReplicationInfo"]["lagDuration"] == "P0D"
    assert site.server["dataReplicationState"] == "STALLED", "the client runs where the agent ran"
    assert code(site.drs.terminate_recovery_instances, recoveryInstanceIDs=[site.id]) == CONFLICT
    job = site.launch()
    assert (job["initiatedBy"], job["status"], job["tags"]["run"]) == ("FAILBACK", "COMPLETED", "1")
    assert job["participatingServers"][0]["launchStatus"] == "LAUNCHED"
    assert site.state == "FAILBACK_COMPLETED"
    assert site.server["dataReplicationState"] == "STALLED", "the machine still has the ISO in"
    drs_simulator.advance(700)
    assert site.server["dataReplicationState"] == "RESCAN"
    drs_simulator.advance(1000)
    assert (site.server["dataReplicationState"], site.server["lagDuration"]) == ("CONTINUOUS", "P0D")
    site.drs.terminate_recovery_instances(recoveryInstanceIDs=[site.id])


def test_persons_do_it_when_a_test_says_so(drs_simulator: Any) -> None:
    site = Site(drs_simulator, failback_agent="lost")
    drs_simulator.advance(86400)
    assert site.state == "FAILBACK_NOT_STARTED", "nobody has booted the client"
    drs_simulator.happen("failback_client_booted", ONE)
    assert site.state == "FAILBACK_IN_PROGRESS"
    with pytest.raises(ValueError, match="is FAILBACK_IN_PROGRESS"):
        drs_simulator.happen("failback_client_booted", ONE)
    drs_simulator.advance(960)
    site.launch()
    drs_simulator.happen("failback_media_removed", ONE)
    drs_simulator.advance(3600)
    assert site.server["dataReplicationState"] == "STALLED", "its agent did not survive"
    drs_simulator.happen("agent_installed", ONE)
    assert site.server["dataReplicationState"] == "RESCAN"
    events = [entry["event"] for entry in drs_simulator.log if entry.get("event", "").isupper()]
    assert events[-2:] == ["FAILBACK_MEDIA_REMOVED", "AGENT_INSTALLED"]


@pytest.mark.parametrize(("event", "server"), [("agent_eaten", ONE), ("agent_installed", "s-" + "9" * 17)])
def test_what_cannot_happen_is_refused(drs_simulator: Any, event: str, server: str) -> None:
    site = Site(drs_simulator)
    with pytest.raises(ValueError, match=r"unknown event|no source server"):
        drs_simulator.happen(event, server)
    assert site.state == "FAILBACK_NOT_STARTED"


def test_nobody_boots_a_client_for_an_aws_origin_or_without_an_instance(drs_simulator: Any) -> None:
    site = Site(drs_simulator)
    site.drs.terminate_recovery_instances(recoveryInstanceIDs=[site.id])
    drs_simulator.advance(60)
    with pytest.raises(ValueError, match="no recovery instance"):
        drs_simulator.happen("failback_client_booted", ONE)
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01"}]})
    with pytest.raises(ValueError, match="does not come from a machine on premises"):
        drs_simulator.happen("failback_client_booted", ONE)


def test_events_over_http(drs_simulator_server: Any) -> None:
    server = {"id": ONE, "hostname": "db01", "origin": "on_premises", "launched": "recovery"}
    drs_simulator_server.load({"servers": [server]})
    drs_simulator_server.happen("failback_client_booted", ONE)
    (shown,) = boto3.client("drs").describe_recovery_instances()["items"]
    assert shown["failback"]["state"] == "FAILBACK_IN_PROGRESS"
    with pytest.raises(RuntimeError, match="unknown event"):
        drs_simulator_server.happen("agent_eaten", ONE)
    request = Request(f"{drs_simulator_server.endpoint_url}/moto-api/drs/events", data=b"{}", method="POST")
    with pytest.raises(OSError, match="400"):
        json.load(urlopen(request))


def test_a_client_that_cannot_replicate_says_why_and_is_booted_again(drs_simulator: Any) -> None:
    reason = "FAILED_TO_PAIR_AGENT_WITH_REPLICATION_SOFTWARE"
    site = Site(drs_simulator, failback_error=[reason, None])
    drs_simulator.happen("failback_client_booted", ONE)
    drs_simulator.advance(61)
    assert site.state == "FAILBACK_ERROR"
    assert site.shown["dataReplicationInfo"]["dataReplicationError"] == {"error": reason}
    assert code(site.drs.start_failback_launch, recoveryInstanceIDs=[site.id]) == CONFLICT
    site.drs.stop_failback(recoveryInstanceID=site.id)
    assert site.state == "FAILBACK_NOT_STARTED"
    drs_simulator.advance(3600)
    assert site.state == "FAILBACK_NOT_STARTED", "nothing begins by itself"
    drs_simulator.happen("failback_client_booted", ONE)
    drs_simulator.advance(961)
    assert site.state == "FAILBACK_READY_FOR_LAUNCH"
    assert site.launch()["participatingServers"][0]["launchStatus"] == "LAUNCHED"


def test_a_failback_launch_that_fails(drs_simulator: Any) -> None:
    site = Site(drs_simulator, failback_client=0, failback_outcome=["failed", "launched"], error="no boot loader")
    drs_simulator.advance(961)
    job = site.launch()
    assert job["status"] == "COMPLETED", "a job never fails"
    assert job["participatingServers"][0]["launchStatus"] == "FAILED"
    assert ("CONVERSION_FAIL", "no boot loader") in site.log(job)
    assert site.state == "FAILBACK_ERROR"
    drs_simulator.happen("failback_client_booted", ONE)
    drs_simulator.advance(961)
    assert site.launch()["participatingServers"][0]["launchStatus"] == "LAUNCHED"
    assert site.state == "FAILBACK_COMPLETED"


def test_a_failback_launch_that_hangs_and_one_in_silence(drs_simulator: Any) -> None:
    site = Site(drs_simulator, failback_client=0, failback_outcome="hangs")
    drs_simulator.advance(961)
    assert site.launch()["status"] == "STARTED"
    assert code(site.drs.terminate_recovery_instances, recoveryInstanceIDs=[site.id]) == CONFLICT
    site = Site(drs_simulator, failback_client=0, failback_outcome="failed_silently")
    drs_simulator.advance(961)
    job = site.launch()
    assert job["participatingServers"][0]["launchStatus"] == "FAILED"
    assert [event for event, _ in site.log(job)] == ["JOB_START", "CONVERSION_START", "JOB_END"]


def test_a_failback_that_is_stopped_during_the_launch_fails(drs_simulator: Any) -> None:
    site = Site(drs_simulator, failback_client=0)
    drs_simulator.advance(961)
    job = site.drs.start_failback_launch(recoveryInstanceIDs=[site.id])["job"]
    drs_simulator.advance(10)
    site.drs.stop_failback(recoveryInstanceID=site.id)
    drs_simulator.advance(300)
    (found,) = site.drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"]
    assert (found["status"], found["participatingServers"][0]["launchStatus"]) == ("COMPLETED", "FAILED")
    assert site.state == "FAILBACK_NOT_STARTED"


def test_a_drill_is_not_failed_back_by_itself(drs_simulator: Any) -> None:
    server = {"id": ONE, "hostname": "db01", "origin": "on_premises", "failback_client": 60}
    drs_simulator.load({"servers": [{**server, "launched": "drill"}]})
    drs_simulator.freeze()
    drs_simulator.advance(3600)
    (shown,) = boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
    assert shown["failback"]["state"] == "FAILBACK_NOT_STARTED"
