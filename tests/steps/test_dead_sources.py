"""A server whose agent is not seen is launched from its newest snapshot, and the RPO is the snapshot really used."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.record import Server
from drs_provider.evidence.storage import reports_of
from drs_provider.readiness import server_checks
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

SERVER = "s-00000000000000001"
SITE_LOST = {"findings": ["replication-state", "replication-lag"], "reason": "the site is gone"}


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulation:
    """A region with one server, dead, whose last snapshots are 20 minutes and 3 hours old."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    dead = {"replication": "STALLED", "replication_error": "AGENT_NOT_SEEN", "lag": "PT20M"}
    server = {"id": SERVER, "hostname": "one", **dead, "snapshots": [{"age": "20m"}, {"age": "3h"}]}
    drs_simulator.load({"region": "us-west-2", "servers": [server]}, speed=60)
    return drs_simulator


def recovered(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Server:
    """The server in the report of a recovery that a person let go on."""
    plan = loaded_plan({"name": "web", "servers": [{"id": SERVER}]}, objectives={"rpo": "5m"})
    parameters = {"mode": "recovery", "confirm": "shop", "override": SITE_LOST}
    with quick_aws(monkeypatch):
        assert InProcessRun(build_dag(plan), parameters, random.Random(1)).go() == "success"
    ((report,), _) = reports_of("shop", str(folder))
    (server,) = report.waves[0].servers
    assert report.rpo.achieved_seconds == server.rpo_seconds
    assert report.rpo.met is False
    return server


def newest(site: Simulation) -> dict[str, Any]:
    points = boto3.client("drs", "us-west-2").describe_recovery_snapshots(sourceServerID=SERVER, order="DESC")
    return dict(points["items"][0])


def job_events(site: Simulation) -> list[str]:
    return [entry["event"] for entry in site.log if entry.get("event")]


def test_it_is_launched_from_its_newest_snapshot_by_id(
    site: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    point = newest(site)["snapshotID"]
    server = recovered(monkeypatch, tmp_path)
    (call,) = [entry for entry in site.log if entry.get("operation") == "StartRecovery"]
    assert call["params"]["sourceServers"] == [{"sourceServerID": SERVER, "recoverySnapshotID": point}]
    assert "SNAPSHOT_FAIL" not in job_events(site), "five minutes that DRS would wait for the agent"
    assert server.snapshot_id == point
    assert server.rpo_seconds == pytest.approx(1200, abs=600)


def test_where_drs_falls_back_on_a_snapshot_the_rpo_is_that_snapshots(
    site: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The agent dies right after the look before the launch."""
    point = newest(site)["snapshotID"]
    monkeypatch.setattr(server_checks, "source_gone", lambda server: False)
    server = recovered(monkeypatch, tmp_path)
    (call,) = [entry for entry in site.log if entry.get("operation") == "StartRecovery"]
    assert call["params"]["sourceServers"] == [{"sourceServerID": SERVER}]
    assert "USING_PREVIOUS_SNAPSHOT" in job_events(site)
    assert (server.snapshot_id, server.rpo_source) == (point, "snapshot")
    assert server.rpo_seconds == pytest.approx(1200, abs=600)
