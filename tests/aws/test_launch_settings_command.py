"""drs-plan launch-settings: what differs and where the plan says so, applied with a yes, adopted with every comment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from drs_provider.aws.clients import Clients
from drs_provider.aws.launch_settings import read
from drs_provider.cli import app
from drs_provider.plan import load_plan
from drs_provider.readiness.preflight import run_preflight
from tests.simulator.drs.launches import ONE, THREE, TWO, change_template, server, start

REGION = "us-west-2"
PLAN = f"""\
version: 1
name: shop
target: {{region: us-west-2}}
defaults: {{launch: {{copy_tags: false}}}}
waves:
  - name: db
    launch:
      right_sizing: none
      metadata_tokens: required   # the auditors want it
    servers:
      - id: {ONE}
        launch: {{instance_type: [r6i.4xlarge, r5.4xlarge], private_ip: 172.31.0.99}}
      - {{hostname: host-2}}
"""


@pytest.fixture
def plan(drs_simulator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    drs_simulator.freeze()
    drs_simulator.load({"servers": [server(ONE), server(TWO), server(THREE)]})
    path = tmp_path / "shop.yaml"
    path.write_text(PLAN)
    return path


def run(*words: Any, answer: str | None = None, width: int = 80) -> tuple[int, str]:
    done = CliRunner().invoke(
        app, ["launch-settings", *map(str, words)], input=answer, env={"COLUMNS": str(width)}, catch_exceptions=False
    )
    return done.exit_code, done.output


def clients() -> Clients:
    return Clients.from_session(boto3.session.Session("testing", "testing", region_name=REGION), REGION)


def test_diff_shows_now_wanted_and_the_line_and_apply_makes_it_so(plan: Path, drs_simulator: Any) -> None:
    code, text = run("diff", plan)
    assert code == 1
    assert "db: host-1 (s-00000000000000001)" in text
    row = next(line for line in text.splitlines() if line.strip().startswith("instance_type"))
    assert row.split() == ["instance_type", "c5.large", "r6i.4xlarge,", "r5.4xlarge", "shop.yaml:12"]
    assert "10 settings" not in text and text.splitlines()[-1] == "8 settings differ at 2 of 2 servers in us-west-2."
    assert max(len(line) for line in text.splitlines()) <= 80
    wide = run("diff", plan, width=160)[1]
    assert "shop.yaml:4  defaults.launch.copy_tags" in wide
    code, text = run("diff", plan, "--format", "json")
    data = json.loads(text)
    assert (code, data["differs"], [one["hostname"] for one in data["servers"]]) == (1, True, ["host-1", "host-2"])
    assert {"key": "metadata_tokens", "now": None, "plan": "required", "file": str(plan), "line": 9,
            "path": "waves[0].launch.metadata_tokens"} in data["servers"][1]["differs"]  # fmt: skip
    # Nobody says yes: nothing is changed.
    calls = len(drs_simulator.log)
    assert run("apply", plan, answer="n\n")[0] == 1
    assert run("apply", plan, answer="")[0] == 1
    assert run("apply", plan, "--format", "json")[0] == 2
    written = ("UpdateLaunchConfiguration", "CreateLaunchTemplateVersion", "ModifyLaunchTemplate")
    assert not [one for one in drs_simulator.log[calls:] if one.get("operation") in written]
    code, text = run("apply", plan, answer="y\n")
    assert (code, text.splitlines()[-1]) == (0, "Applied at 2 of 2 servers.")
    settings = read(clients(), ONE).settings
    assert (settings.instance_type, settings.private_ip, settings.copy_tags) == ("r6i.4xlarge", "172.31.0.99", False)
    calls = len(drs_simulator.log)
    code, text = run("apply", plan, "--yes")
    # A busy machine takes longer than two seconds, and the command says what it waits for.
    assert (code, text.splitlines()[-1]) == (0, "Nothing differs at 2 servers in us-west-2.")
    assert not [one for one in drs_simulator.log[calls:] if one.get("operation") in written]


def test_what_cannot_be_looked_at_or_applied_has_its_exit_status(plan: Path, drs_simulator: Any) -> None:
    drs = boto3.client("drs", REGION)
    # A job writes versions of the template itself.
    job = start(drs, ONE)
    code, text = run("apply", plan, "--yes")
    assert code == 1 and f"the job {job} holds the server" in " ".join(text.split())
    assert read(clients(), ONE).settings.copy_tags is True
    assert read(clients(), TWO).settings.copy_tags is False
    drs_simulator.advance(1500)
    boto3.client("ec2", REGION).delete_launch_template(LaunchTemplateId=read(clients(), TWO).template_id)
    code, text = run("diff", plan)
    assert code == 2 and "cannot look: its EC2 launch template lt-" in text
    assert "1 could not be looked at." in text
    plan.write_text(PLAN.replace("host-2", "host-9"))
    code, text = run("diff", plan)
    assert code == 2 and "No source server matches hostname host-9" in text
    plan.write_text(PLAN.replace("us-west-2}", 'us-west-2, account: "210987654321"}'))
    code, text = run("apply", plan, "--yes")
    assert code == 2 and "these credentials are of account 123456789012" in text
    assert run("diff", plan.with_name("none.yaml"))[0] == 2
    assert run("diff", plan, "--waves", "web")[0] == 2
    assert run("adopt", plan, "--keys", "instance_typ")[0] == 2


def test_adopt_writes_what_the_account_has_and_keeps_the_comments(plan: Path) -> None:
    drs = boto3.client("drs", REGION)
    change_template(drs, ONE, InstanceType="m5.large")
    drs.update_launch_configuration(sourceServerID=TWO, targetInstanceTypeRightSizingMethod="NONE")
    code, text = run("adopt", plan, "--dry-run")
    assert plan.read_text() == PLAN and "+      right_sizing" not in text and "+++" in text
    code, text = run("adopt", plan)
    adopted = plan.read_text()
    assert (code, "Written to" in text) == (1, True), text
    assert "not adopted: the account leaves metadata_tokens of host-1 open: apply it, or remove it" in text
    assert "# the auditors want it" in adopted
    loaded = load_plan(plan).plan
    one, two = loaded.selectors(loaded.waves[0])
    assert (one.launch.right_sizing, two.launch.right_sizing) == ("basic", "none")
    assert one.launch.copy_tags is True and two.launch.instance_type == ("c5.large",)
    assert one.launch.subnet == two.launch.subnet == read(clients(), ONE).settings.subnet
    # What the template does not say stays as the plan has it: only that still differs.
    code, text = run("diff", plan, "--format", "json")
    left = {(server["hostname"], each["key"]) for server in json.loads(text)["servers"] for each in server["differs"]}
    assert left == {("host-1", "metadata_tokens"), ("host-2", "metadata_tokens"), ("host-1", "private_ip"),
                    ("host-1", "instance_type")}  # fmt: skip
    assert run("apply", plan, "--yes")[0] == 0
    assert run("adopt", plan) == (0, f"{plan} says already what the account has.\n")


def test_preflight_warns_of_drift_and_of_nothing_once_it_is_applied(plan: Path) -> None:
    def drifts() -> list[Any]:
        found = run_preflight(load_plan(plan).plan, clients(), mode="drill").findings.findings
        return [one for one in found if one.code == "launch-drift"]

    first, second = drifts()
    assert (first.server, second.server, first.severity) == (ONE, TWO, "warning")
    assert "metadata_tokens is none, not required" in second.message
    assert run("apply", plan, "--yes")[0] == 0
    assert drifts() == []
    plan.write_text(PLAN.replace("right_sizing: none", "subnet: {tags: {Tier: none}}"))
    assert "match no subnet; expected exactly one" in drifts()[0].message


def test_preflight_looks_at_what_a_launch_and_the_end_of_a_drill_will_meet(plan: Path, drs_simulator: Any) -> None:
    def findings(mode: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for one in run_preflight(load_plan(plan).plan, clients(), mode=mode).findings.findings:
            found.setdefault(one.code, []).append(one.message)
        return found

    plan.write_text(PLAN.replace("right_sizing: none", "right_sizing: basic"))
    ec2, drs = boto3.client("ec2", REGION), boto3.client("drs", REGION)
    vpc = ec2.describe_subnets(SubnetIds=[read(clients(), ONE).settings.subnet])["Subnets"][0]["VpcId"]
    small = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/28")["Subnet"]["SubnetId"]
    for number in range(10):  # A /28 has 11 addresses for others.
        ec2.create_network_interface(SubnetId=small, PrivateIpAddress=f"172.31.240.{number + 4}")
    for one in (ONE, TWO):
        interface = {**read(clients(), one).data["NetworkInterfaces"][0], "SubnetId": small}
        change_template(drs, one, NetworkInterfaces=[interface], DisableApiTermination=True)
    drill, recovery = findings("drill"), findings("recovery")
    assert len(drill["termination-protected"]) == 2 and "termination-protected" not in recovery
    assert drill["subnet-too-small"] == [f"The subnet {small} has 1 free address, and this run launches 2 into it."]
    (overwritten,) = drill["launch-settings-overwritten"]
    assert "right-sizing is basic, and overwrites instance_type" in overwritten
    plan.write_text(plan.read_text().replace("version: 1", "version: 1\ndrill: {terminate: never}"))
    assert "termination-protected" not in findings("drill")
