"""`drs-sim` as people start it: its options, what it serves, how it ends, and what it refuses."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from typer.testing import CliRunner

from drs_provider.plan import load_plan
from drs_provider.simulator.cli import app
from drs_provider.simulator.plan_scenario import scenario_from_plan
from drs_provider.simulator.remote import RemoteSimulator
from drs_provider.simulator.scenario_file import load_scenario

HERE, THERE = "s-00000000000000001", "s-00000000000000002"
PLAN = Path(__file__).parents[2] / "plans" / "cross-account.yaml"
SCENARIO = {
    "region": "eu-west-1",
    "account": "111111111111",
    "servers": [{"id": HERE, "hostname": "here"}],
    "accounts": [{"account": "222222222222", "servers": [{"id": THERE, "hostname": "there"}]}],
    "topics": ["dr-events"],
    "roles": ["arn:aws:iam::222222222222:role/recovery"],
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def drs_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], str, Path]]:
    """The process, the endpoint that it printed, and its log."""
    folder = tmp_path_factory.mktemp("drs-sim")
    (folder / "scenario.yaml").write_text(yaml.safe_dump(SCENARIO))
    port = free_port()
    options = ["--scenario", "scenario.yaml", "--port", str(port), "--speed", "2000", "--log", "log.jsonl"]
    command = [sys.executable, "-m", "drs_provider.simulator.cli", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        endpoint = process.stdout.readline().strip()
        assert endpoint == f"http://127.0.0.1:{port}"
        yield process, endpoint, folder / "log.jsonl"
        process.kill()


@pytest.fixture
def client(drs_sim: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of a service, which knows nothing but the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", drs_sim[1])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    return lambda service, **keys: boto3.session.Session(**keys).client(service)


def test_a_drill_at_speed_is_in_the_log_file(drs_sim, client):
    drs = client("drs")
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": HERE}])["job"]
    give_up = time.monotonic() + 60
    while drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]["status"] != "COMPLETED":
        assert time.monotonic() < give_up
        time.sleep(0.05)
    entries = [json.loads(line) for line in drs_sim[2].read_text().splitlines()]
    calls = [entry for entry in entries if entry.get("operation") == "StartRecovery"]
    assert [(set(entry) >= {"t", "params"}, entry["status"], entry["error"]) for entry in calls] == [(True, 202, None)]
    events = {entry["event"]: entry for entry in entries if entry.get("job") == job["jobID"]}
    assert ([*events][:2], [*events][-1]) == (["JOB_START", "SNAPSHOT_START"], "JOB_END")
    assert events["LAUNCH_END"]["server"] == HERE and events["JOB_END"]["server"] is None
    assert events["JOB_END"]["t"] - events["JOB_START"]["t"] == pytest.approx(536 / 2000, rel=0.1)


def test_motos_own_services_are_behind_the_same_endpoint(client):
    ec2, s3, sns, iam, sts = (client(name) for name in ("ec2", "s3", "sns", "iam", "sts"))
    (instance,) = ec2.run_instances(ImageId="ami-760aaa0f", MinCount=1, MaxCount=1)["Instances"]
    assert ec2.describe_instances(InstanceIds=[instance["InstanceId"]])["Reservations"]
    s3.create_bucket(Bucket="reports", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="reports", Key="a/b.json", Body=b"{}")
    assert s3.get_object(Bucket="reports", Key="a/b.json")["Body"].read() == b"{}"
    (topic,) = sns.list_topics()["Topics"]
    assert topic["TopicArn"] == "arn:aws:sns:eu-west-1:111111111111:dr-events"
    assert sns.publish(TopicArn=topic["TopicArn"], Message="hello")["MessageId"]
    iam.create_role(RoleName="drill", AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
    assert iam.get_role(RoleName="drill")["Role"]["Arn"] == "arn:aws:iam::111111111111:role/drill"
    assert sts.get_caller_identity()["Account"] == "111111111111"
    (image,) = ec2.describe_images(ImageIds=["ami-760aaa0f"])["Images"]
    assert image["Public"], "moto's images, however late it makes them"


def test_another_account_is_reached_by_an_assumed_role(client):
    role = "arn:aws:iam::222222222222:role/recovery"
    given = client("sts").assume_role(RoleArn=role, RoleSessionName="drill")["Credentials"]
    there = client(
        "drs",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    shown = [
        [one["sourceServerID"] for one in drs.describe_source_servers()["items"]] for drs in (client("drs"), there)
    ]
    assert shown == [[HERE], [THERE]]


def test_it_ends_when_it_is_told_to(drs_sim, client):
    process, endpoint, _ = drs_sim
    simulator = RemoteSimulator(endpoint)
    simulator.add_fault("StartRecovery", error="ConflictException", contains="no such server")
    simulator.add_fault("DescribeJobs", delay=0.01)
    simulator.add_fault("DescribeJobs", page_size=1)
    simulator.clear_faults()
    client("drs").describe_jobs()
    simulator.add_fault("DescribeJobs", delay=0.01, times=1)
    client("drs").describe_jobs()
    assert [fault["id"] for fault in simulator.unstruck_faults()] == [1, 2, 3]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    assert process.stderr is not None
    said = process.stderr.read().splitlines()
    assert said == [
        "drs-sim: fault 1 never struck: StartRecovery (ConflictException, contains 'no such server')",
        "drs-sim: fault 2 never struck: DescribeJobs (delay)",
        "drs-sim: fault 3 never struck: DescribeJobs (page_size)",
    ]


def refused(*options: str) -> str:
    ran = CliRunner().invoke(app, [*options])
    assert (ran.exit_code, ran.stdout) == (2, ""), ran
    return ran.stderr


def test_what_it_cannot_do_it_says(tmp_path, monkeypatch):
    (tmp_path / "bad.yaml").write_text("servers:\n  - {id: nonsense, hostname: a}\n")
    bad = str(tmp_path / "bad.yaml")
    assert f"{bad}:2: servers[0].id: String should match pattern" in refused("--scenario", bad)
    assert "No such file" in refused("--scenario", str(tmp_path / "none.yaml"))
    assert "the log cannot be written" in refused("--log", f"{bad}/log.jsonl", "--port", "0")
    for speed in ("0", "-1", "nan", "inf"):
        assert "must be above 0" in refused("--speed", speed)
    assert "not in the range" in refused("--port", "99999")
    monkeypatch.setattr("drs_provider.simulator.server.SimulatorServer.__init__", lambda *_, **__: sys.exit(1))
    assert "cannot listen on 127.0.0.1:5555: choose another --port" in refused()


def test_a_scenario_is_written_for_a_plan(tmp_path):
    output = tmp_path / "scenario.yaml"
    ran = CliRunner().invoke(app, ["scenario", "--from-plan", str(PLAN), "--output", str(output)])
    assert (ran.exit_code, ran.stdout) == (0, "")
    assert load_scenario(output).to_dict() == load_scenario(scenario_from_plan(load_plan(PLAN))).to_dict()
    printed = CliRunner().invoke(app, ["scenario", "--from-plan", str(PLAN)])
    assert printed.stdout == output.read_text()
    none = CliRunner().invoke(app, ["scenario", "--from-plan", str(tmp_path / "none.yaml")])
    assert none.exit_code == 1 and "none.yaml:1:1: does not exist" in none.stderr
    assert "cannot be written" in refused("scenario", "--from-plan", str(PLAN), "--output", str(tmp_path))
