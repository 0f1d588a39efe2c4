"""The AWS CLI, which knows nothing of this package, drives a drill and a failback over HTTP.

It has an environment of its own (`make .venv-awscli/.ready`): it pins another botocore than Airflow's amazon provider.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, RECOVERY

ROOT = Path(__file__).parents[2]
Aws = Callable[..., Any]
#: A command of the CLI takes seconds where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def program() -> Iterator[subprocess.Popen[str]]:
    with (Path(tempfile.gettempdir()) / "drs-provider-awscli.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Several test processes begin at once.
        subprocess.run(["make", "-s", ".venv-awscli/.ready"], cwd=ROOT, check=True)
    words = [str(ROOT / ".venv-awscli" / "bin" / "python"), str(Path(__file__).with_name("aws_cli.py"))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def aws(drs_simulator_server: Any, program: subprocess.Popen[str], tmp_path: Path) -> Aws:
    """Run a command of the CLI: its answer, or the code of the error that AWS answers with."""
    environment = {**os.environ, "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_MAX_ATTEMPTS": "1"}

    def run(command: str, *more: str, region: str = RECOVERY) -> Any:
        words = [*command.split(), *more, "--region", region, "--output", "json"]
        assert program.stdin is not None and program.stdout is not None
        print(json.dumps([words, environment]), file=program.stdin, flush=True)
        code, out, err = json.loads(program.stdout.readline())
        if code:
            assert "An error occurred (" in err, err
            return err.split("An error occurred (")[1].split(")")[0]
        return json.loads(out or "null")

    return run


def launched(aws: Aws, simulator: Any, server: str, mode: str, region: str = RECOVERY) -> str:
    """Launch a server, and wait as a script would; return its recovery instance."""
    job = aws(f"drs start-recovery {mode} --source-servers sourceServerID={server} --tags run=cli", region=region)
    job_id = job["job"]["jobID"]
    simulator.advance(700)
    (shown,) = aws("drs describe-jobs", "--filters", json.dumps({"jobIDs": [job_id]}), region=region)["items"]
    assert shown["status"] == "COMPLETED"
    assert [one["launchStatus"] for one in shown["participatingServers"]] == ["LAUNCHED"]
    filters = json.dumps({"sourceServerIDs": [server]})
    (instance,) = aws("drs describe-recovery-instances", "--filters", filters, region=region)["items"]
    assert instance["jobID"] == job_id
    events = [item["event"] for item in aws(f"drs describe-job-log-items --job-id {job_id}", region=region)["items"]]
    assert events[0] == "JOB_START" and events[-2:] == ["LAUNCH_END", "JOB_END"]
    return str(instance["recoveryInstanceID"])


def test_the_cli_drives_a_drill(drs_simulator_server: Any, aws: Aws) -> None:
    simulator = drs_simulator_server
    simulator.load({"servers": [{"id": B1, "hostname": "db01"}]})
    simulator.freeze()
    assert [one["sourceServerID"] for one in aws("drs describe-source-servers")["items"]] == [B1]
    assert aws(f"drs describe-recovery-snapshots --source-server-id {B1} --max-items 1")["items"]
    assert aws("drs describe-jobs", region="eu-west-1") == "UninitializedAccountException"
    instance = launched(aws, simulator, B1, "--is-drill")
    states = "Reservations[].Instances[].State.Name"
    assert aws(f"ec2 describe-instances --instance-ids {instance} --query {states}") == ["running"]
    again = f"drs terminate-recovery-instances --recovery-instance-ids {instance}"
    aws(again)
    assert aws(again) == "ConflictException"
    simulator.advance(300)
    assert aws("drs describe-recovery-instances")["items"] == []
    assert aws(f"ec2 describe-instances --instance-ids {instance} --query {states}") == ["terminated"]


def test_the_cli_drives_a_failback(drs_simulator_server: Any, aws: Aws) -> None:
    simulator = drs_simulator_server
    servers = [{"id": B1, "hostname": "db01", "origin_region": ORIGIN, "origin_instance": A1}]
    simulator.load({"servers": servers, "accounts": [{"region": ORIGIN}]})
    simulator.freeze()
    b2 = launched(aws, simulator, B1, "--no-is-drill")
    simulator.advance(60)
    aws(f"drs reverse-replication --recovery-instance-id {b2}")
    (found,) = aws("drs describe-source-servers", region=ORIGIN)["items"]
    a2 = found["sourceServerID"]
    assert found["replicationDirection"] == "FAILBACK"
    assert found["sourceProperties"]["identificationHints"]["awsInstanceID"] == b2
    simulator.advance(7200)
    _complete_template(aws, a2)
    a3 = launched(aws, simulator, a2, "--no-is-drill", region=ORIGIN)
    simulator.advance(60)
    aws(f"drs reverse-replication --recovery-instance-id {a3}", region=ORIGIN)
    simulator.advance(7200)
    (home,) = aws("drs describe-source-servers")["items"]
    assert home["sourceServerID"] == B1 and home["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS"
    assert home["sourceProperties"]["identificationHints"]["awsInstanceID"] == a3
    terminate = f"drs terminate-recovery-instances --recovery-instance-ids {b2}"
    assert aws(terminate) == "ConflictException"
    aws(f"drs stop-replication --source-server-id {a2}", region=ORIGIN)
    aws(f"drs stop-failback --recovery-instance-id {b2}")
    aws(terminate)
    simulator.advance(300)
    aws(f"drs delete-recovery-instance --recovery-instance-id {a3}", region=ORIGIN)
    aws(f"drs disconnect-source-server --source-server-id {a2}", region=ORIGIN)
    aws(f"drs delete-source-server --source-server-id {a2}", region=ORIGIN)
    assert aws("drs describe-source-servers", region=ORIGIN)["items"] == []
    assert aws("drs describe-recovery-instances", region=ORIGIN)["items"] == []
    assert aws("drs describe-recovery-instances")["items"] == []


def _complete_template(aws: Aws, server: str) -> None:
    """The launch template of the way back is empty: give it what a launch needs."""
    update = (
        f"drs update-launch-configuration --source-server-id {server} --target-instance-type-right-sizing-method NONE"
    )
    template = aws(update, region=ORIGIN)["ec2LaunchTemplateID"]
    subnet = aws("ec2 describe-subnets", region=ORIGIN)["Subnets"][0]
    of_vpc = [f"Name=vpc-id,Values={subnet['VpcId']}", "Name=group-name,Values=default"]
    group = aws("ec2 describe-security-groups --filters", *of_vpc, region=ORIGIN)["SecurityGroups"][0]["GroupId"]
    data = {
        "NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group]}],
        "IamInstanceProfile": {"Name": "AWSElasticDisasterRecoveryRecoveryInstanceRole"},
    }
    create = f"ec2 create-launch-template-version --launch-template-id {template} --source-version $Default"
    made = aws(create, "--launch-template-data", json.dumps(data), region=ORIGIN)
    version = made["LaunchTemplateVersion"]["VersionNumber"]
    aws(f"ec2 modify-launch-template --launch-template-id {template} --default-version {version}", region=ORIGIN)
