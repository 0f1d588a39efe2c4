"""The report of jobs that DRS itself, as the simulator plays it, ran: read through the hook, to the last page."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import boto3
import pytest

from drs_provider.aws.drs.launch_key import LaunchKey
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.hooks.drs import DrsHook

SERVERS = ["s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002"]


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> DrsHook:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return DrsHook(aws_conn_id=None, region_name="us-west-2")


def test_times_and_outcomes_are_those_of_the_job_log(drs_simulator: Any, hook: DrsHook, loaded: Any) -> None:
    drs_simulator.load(
        {
            "servers": [
                {"id": SERVERS[0], "hostname": "db01"},
                {"id": SERVERS[1], "hostname": "db02", "outcome": "failed"},
            ],
            "page_size": 2,
        }
    )
    drs_simulator.freeze()
    key = LaunchKey("three-tier-web", "manual__1", "database")
    began = datetime.now(timezone.utc)
    job = boto3.client("drs", region_name="us-west-2").start_recovery(
        isDrill=True,
        sourceServers=[{"sourceServerID": one} for one in SERVERS],
        tags=key.tags(SERVERS, is_drill=True),
    )["job"]
    drs_simulator.advance(3600)
    log = hook.job_log(job["jobID"])
    assert "JOB_END" in [line["event"] for line in log]

    facts = RunFacts("three-tier-web", "manual__1", started=began, parameters={"mode": "drill"})
    record = collect_record(loaded, facts, hook)
    assert record.unread == []
    wave = record.waves[0]
    when = {
        line["event"]: datetime.fromisoformat(line["logDateTime"].replace("Z", "+00:00"))
        for line in log
        if line.get("eventData", {}).get("sourceServerID", SERVERS[0]) == SERVERS[0]
    }
    (found,) = wave.jobs
    assert (found.job_id, found.started, found.ended) == (job["jobID"], when["JOB_START"], when["JOB_END"])
    launched, failed = (next(one for one in wave.servers if one.source_server_id == each) for each in SERVERS)
    assert {phase.kind: (phase.started, phase.ended) for phase in launched.phases} == {
        "snapshot": (when["SNAPSHOT_START"], when["SNAPSHOT_END"]),
        "conversion": (when["CONVERSION_START"], when["CONVERSION_END"]),
        "launch": (when["LAUNCH_START"], when["LAUNCH_END"]),
    }
    assert (launched.launch_status, launched.ec2_instance_id is not None) == ("LAUNCHED", True)
    assert (failed.launch_status, failed.ec2_instance_id) == ("FAILED", None)
    assert failed.reason
