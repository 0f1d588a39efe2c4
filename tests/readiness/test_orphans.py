"""Drill instances that no run owns any more."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import typer
from typer.testing import CliRunner

from drs_provider.commands.orphans import orphans
from drs_provider.readiness.orphans import find_drill_instances

if TYPE_CHECKING:
    from conftest import Room

DB1, DB2, DB3 = "s-1a2b3c4d5e6f70001", "s-1a2b3c4d5e6f70002", "s-1a2b3c4d5e6f70003"
APP1 = "s-1a2b3c4d5e6f70011"


def launch(room: Room, server: str, *, drill: bool = True, run: str | None = None) -> None:
    drs = boto3.client("drs", region_name="us-west-2")
    tags = {"drs-provider:run": run} if run else {}
    drs.start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=drill, tags=tags)


@pytest.fixture
def left(room: Room) -> Room:
    """Instances of a dead drill, of a drill that is going on, of a person's drill, and of a recovery."""
    room.load()
    launch(room, DB1, run="shop/dead")
    launch(room, DB2)
    launch(room, DB3, drill=False, run="shop/real")
    room.simulator.advance(3600)
    launch(room, APP1, run="shop/alive")
    return room


def verdicts(room: Room, **options: Any) -> dict[str, tuple[str, str | None]]:
    now = datetime.fromtimestamp(room.simulator.clock.now(), timezone.utc)
    options.setdefault("older_than", timedelta(minutes=30))
    found = find_drill_instances(room.clients, now=now, **options)
    return {one.source_server_id or "": (one.verdict, one.run) for one in found}


def test_only_drills_are_listed_and_only_ours_are_orphans(left: Room) -> None:
    assert verdicts(left) == {DB1: ("orphan", "shop/dead"), DB2: ("unknown", None)}


def test_a_run_with_an_active_job_owns_all_its_instances(left: Room) -> None:
    launch(left, "s-1a2b3c4d5e6f70012", run="shop/dead")
    assert verdicts(left)[DB1] == ("owned", "shop/dead")


def test_young_instances_may_be_owned(left: Room) -> None:
    assert verdicts(left, older_than=timedelta(hours=2))[DB1] == ("owned", "shop/dead")


def test_airflow_knows_better_than_age(left: Room) -> None:
    assert verdicts(left, is_alive={"shop/dead": True}.get)[DB1] == ("owned", "shop/dead")
    old = timedelta(hours=48)
    assert verdicts(left, older_than=old, is_alive={"shop/dead": False}.get)[DB1] == ("orphan", "shop/dead")
    assert verdicts(left, older_than=old, is_alive={}.get)[DB1] == ("owned", "shop/dead")


def test_terminated_ones_are_gone(left: Room) -> None:
    drs = boto3.client("drs", region_name="us-west-2")
    pages = drs.get_paginator("describe_recovery_instances").paginate()
    ids = [one["recoveryInstanceID"] for page in pages for one in page["items"] if one["isDrill"]]
    drs.terminate_recovery_instances(recoveryInstanceIDs=ids)
    left.simulator.advance(3600)
    assert {server for server in verdicts(left) if server in (DB1, DB2)} == set()


def run(*arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(orphans)
    result = CliRunner().invoke(app, ["--region", "us-west-2", *arguments])
    return result.exit_code, result.output


def test_the_command(left: Room) -> None:
    status, text = run("--older-than", "0s")
    assert status == 1
    assert "orphan" in text
    assert "shop/dead" in text
    assert text.splitlines()[-1] == "1 orphans, 1 unknown, 0 owned."
    status, text = run("--older-than", "0s", "--format", "json")
    data = json.loads(text)
    assert (status, data["orphans"]) == (1, 1)
    assert {one["verdict"] for one in data["instances"]} == {"orphan", "unknown"}


def test_the_command_without_orphans(room: Room) -> None:
    room.load()
    assert run() == (0, "0 orphans, 0 unknown, 0 owned.\n")


def test_the_command_cannot_look(room: Room) -> None:
    assert run("--older-than", "soon")[0] == 2
    assert run("--format", "xml")[0] == 2
    room.scenario["faults"] = [{"operation": "DescribeJobs", "error": "AccessDeniedException"}]
    room.load()
    status, text = run()
    assert status == 2
    assert "AccessDeniedException" in text
