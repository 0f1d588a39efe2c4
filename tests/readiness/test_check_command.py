"""``drs-plan check``: what it prints, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
import yaml
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from drs_provider.commands.check import check

if TYPE_CHECKING:
    from conftest import Room

WEB1 = "s-1a2b3c4d5e6f70021"


@pytest.fixture
def plan_file(room: Room, tmp_path: Path) -> Path:
    """The plan as a file; the region is loaded when the command is run."""
    return tmp_path / "shop.yaml"


def run(room: Room, path: Path, *arguments: str) -> tuple[int, str]:
    path.write_text(yaml.safe_dump(room.plan_data), encoding="utf-8")
    room.load()
    app = typer.Typer()
    app.command()(check)
    result = CliRunner().invoke(app, [str(path), *arguments])
    return result.exit_code, result.output if result.exit_code == 2 else result.stdout


def test_ready(room: Room, plan_file: Path) -> None:
    status, text = run(room, plan_file)
    assert status == 0, text
    assert "database: 3 servers (db01, db02, db-archive)" in text
    assert text.splitlines()[-1] == "Ready: no findings (drill)."
    looked = text.splitlines()[-2]
    assert re.fullmatch(
        r"Looked at 6 servers with \d+ checks: worst replication lag 30s \(web01\); "
        r"\d+ permissions simulated as arn:aws:sts::\d+:user/moto\.",
        looked,
    ), looked


def test_each_account_and_region_of_a_plan(room: Room, plan_file: Path) -> None:
    room.plan_data["targets"] = {"europe": {"region": "eu-west-1"}}
    room.wave("web")["target"] = "europe"
    there = room.server(WEB1)
    room.scenario["servers"].remove(there)
    room.scenario["accounts"] = [{"region": "eu-west-1", "servers": [{**there, "replication": "STALLED"}]}]
    status, text = run(room, plan_file)
    assert status == 1
    assert re.search(r"error +replication-state +web +s-1a2b3c4d5e6f70021 +europe", text)
    assert re.search(r"us-west-2: account \d{12}, as \S+\. Looked at 5 servers", text)
    assert re.search(r"europe \(eu-west-1\): account \d{12}, as \S+\. Looked at 1 server ", text)
    # Another account is reached by a connection of its own, never by whatever credentials there are.
    room.plan_data["targets"]["europe"]["aws_conn_id"] = "aws_europe"
    status, text = run(room, plan_file)
    assert status == 2
    assert "shop acts through the connections aws_default, aws_europe: give --aws-conn-id plan" in text


def test_not_ready(room: Room, plan_file: Path) -> None:
    room.server(WEB1)["replication"] = "STALLED"
    status, text = run(room, plan_file, "--mode", "recovery")
    assert status == 1
    assert "replication-state" in text
    assert "Not ready (recovery): 1 blocking" in text


def test_warnings_alone_are_ready(room: Room, plan_file: Path) -> None:
    room.scenario["quotas"] = {"servers_per_job": 2}
    status, text = run(room, plan_file)
    assert status == 0
    assert "quota-servers-per-job" in text
    assert "1 warnings" in text


def test_waves_and_json(room: Room, plan_file: Path) -> None:
    room.server(WEB1)["replication"] = "STALLED"
    status, text = run(room, plan_file, "--waves", "app, web", "--format", "json")
    data = json.loads(text)
    assert status == 1
    assert (data["plan"], data["region"], data["mode"], data["ready"]) == ("shop", "us-west-2", "drill", False)
    assert list(data["waves"]) == ["app", "web"]
    assert [finding["server"] for finding in data["findings"]] == [WEB1]


def test_snapshot_time(room: Room, plan_file: Path) -> None:
    status, text = run(room, plan_file, "--snapshot-time", "2020-01-01T00:00:00Z")
    assert status == 1
    assert text.count("no-snapshot-before") == 6


def test_a_connection_that_airflow_lacks_is_not_exchanged_for_the_environment(room: Room, plan_file: Path) -> None:
    status, text = run(room, plan_file, "--aws-conn-id", "no_such_account")
    assert status == 2
    assert "no connection no_such_account: set AIRFLOW_CONN_NO_SUCH_ACCOUNT" in text


REPORTS = ("--reports-folder", "s3://recovery_account@reports", "--format", "json")


@pytest.mark.parametrize(
    "arguments",
    [
        ("orphans", "--region", "us-west-2", "--aws-conn-id", "recovery_account", "--format", "json"),
        ("history", "shop", *REPORTS),
        ("report", "shop", "run", *REPORTS),
    ],
)
def test_airflows_log_is_not_on_standard_output(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Where the answer stands, which may be JSON. Airflow logs there of the connection and its credentials.

    And an AWS that does not answer is no answer: the exit code is not 1, and the message is one line.
    """
    command = [sys.executable, "-c", "from drs_provider.cli import main; main()", *arguments]
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_RECOVERY_ACCOUNT": "aws://testing:testing@",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_MAX_ATTEMPTS": "1",
    }
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "AWS Connection (conn_id='recovery_account'" in done.stderr
    assert "Could not connect to the endpoint URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--mode", "panic"),
        ("--format", "xml"),
        ("--waves", "webb"),
        ("--snapshot-time", "noon"),
        ("--profile", "no-such-profile"),
        ("--aws-conn-id", "no_such_connection"),
    ],
)
def test_cannot_run(room: Room, plan_file: Path, arguments: tuple[str, ...]) -> None:
    assert run(room, plan_file, *arguments)[0] == 2


def test_a_role_that_may_not_be_assumed_is_no_plan_that_is_not_ready(
    room: Room, plan_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    def refuse(*args: object, **kwargs: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "not authorised"}}, "AssumeRole")

    monkeypatch.setattr(AwsBaseHook, "get_session", refuse)
    status, text = run(room, plan_file, "--aws-conn-id", "aws_default")
    assert status == 2
    assert "AccessDenied" in text


def test_a_broken_plan_cannot_be_checked(room: Room, plan_file: Path) -> None:
    room.wave("app")["depends_on"] = ["nowhere"]
    status, text = run(room, plan_file)
    assert status == 2
    assert "nowhere" in text
