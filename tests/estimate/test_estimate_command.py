"""``drs-plan estimate``: from a scenario, from an account, from reports; its text, its JSON and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from drs_provider.cli import app
from tests.estimate.conftest import server, wave
from tests.estimate.test_forecast import report

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "target": {"region": "us-west-2"},
    "objectives": {"rto": "1h"},
    "waves": [wave("db"), wave("web", "db")],
}
SCENARIO: dict[str, Any] = {"region": "us-west-2", "servers": [server(1, "db"), server(2, "web", os="windows")]}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    plan, scenario = tmp_path / "shop.yaml", tmp_path / "scenario.yaml"
    plan.write_text(yaml.safe_dump(PLAN))
    scenario.write_text(yaml.safe_dump(SCENARIO))
    return plan, scenario


def estimate(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def test_as_text(files: tuple[Path, Path]) -> None:
    plan, scenario = files
    result = estimate(plan, "--scenario", scenario)
    assert result.exit_code == 0, result.output
    assert "shop: a drill recovers in about 32m" in result.stdout
    assert "* critical path: db → web" in result.stdout
    assert "The objective of 1h is met" in result.stdout
    assert "Shorten web first" in result.stdout


def test_as_json(files: tuple[Path, Path]) -> None:
    plan, scenario = files
    found = json.loads(estimate(plan, "--scenario", scenario, "--format", "json").stdout)
    assert found["rto_seconds"]["low"] < found["rto_seconds"]["typical"] < found["rto_seconds"]["high"]
    assert found["critical_path"] == ["db", "web"]
    assert found["shorten_first"]["wave"] == "web"
    assert [each["waited_for"] for each in found["waves"]] == [None, "db"]
    assert found["judgement"] in ("met", "tight")


def test_an_objective_that_is_missed_is_the_exit_status(files: tuple[Path, Path]) -> None:
    plan, scenario = files
    plan.write_text(yaml.safe_dump({**PLAN, "objectives": {"rto": "5m"}}))
    result = estimate(plan, "--scenario", scenario)
    assert result.exit_code == 1
    assert "cannot be met at all" in result.stdout


def test_an_account_says_the_same(files: tuple[Path, Path], drs_simulator: Any) -> None:
    plan, scenario = files
    drs_simulator.load(SCENARIO)
    of_account = json.loads(estimate(plan, "--format", "json").stdout)
    of_scenario = json.loads(estimate(plan, "--scenario", scenario, "--format", "json").stdout)
    assert of_account["rto_seconds"] == of_scenario["rto_seconds"]
    assert of_account["basis"][0] == "2 source servers of the account in us-west-2"


def test_reports_of_earlier_drills(files: tuple[Path, Path], tmp_path: Path) -> None:
    plan, scenario = files
    folder = tmp_path / "reports" / "shop" / "run-1"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(report({"conversion": (0, 7), "launch": (10, 20)}).to_json())
    broken = tmp_path / "reports" / "shop" / "run-2"
    broken.mkdir()
    (broken / "report.json").write_text("{}")
    result = estimate(plan, "--scenario", scenario, "--history", tmp_path / "reports")
    assert "what 1 earlier run took" in result.stdout
    assert "run-2/report.json" in result.stdout
    unknown = estimate(plan, "--scenario", scenario, "--history", "nosuchstore://x/y")
    assert (unknown.exit_code, "cannot be read: ValueError" in unknown.output) == (2, True)
    nothing = estimate(plan, "--scenario", scenario, "--history", tmp_path / "nowhere")
    assert nothing.exit_code == 2
    assert "no report.json below" in nothing.stderr


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- x", "expected a mapping"),
        ("servers: 3", "servers: expected a list"),
        ("servers: [{hostname: x}]", "servers[0].id: expected a source server id"),
        ("region: eu-west-1\nservers: [{id: s-1}]", "has no servers in us-west-2"),
        ("servers: [{id: s-1, durations: {launch: soon}}]", "durations.launch of s-1: expected a duration"),
        ("a: [", "scenario.yaml:1:5: not valid YAML"),
        ("a: x\nb: c: d\n", "scenario.yaml:2:5: not valid YAML: mapping values are not allowed"),
    ],
)
def test_a_scenario_that_is_none(files: tuple[Path, Path], text: str, expected: str) -> None:
    plan, scenario = files
    scenario.write_text(text)
    result = estimate(plan, "--scenario", scenario)
    assert result.exit_code == 2, result.output
    assert expected in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--mode", "panic"], "expected drill or recovery"),
        (["--format", "xml"], "expected text or json"),
        (["--approval", "5"], "--approval 5: has no unit"),
    ],
)
def test_bad_options(files: tuple[Path, Path], arguments: list[str], expected: str) -> None:
    plan, scenario = files
    result = estimate(plan, "--scenario", scenario, *arguments)
    assert result.exit_code == 2
    assert expected in result.stderr


def test_a_plan_that_is_not_valid(files: tuple[Path, Path]) -> None:
    plan, scenario = files
    plan.write_text("version: 1\n")
    assert estimate(plan, "--scenario", scenario).exit_code == 2


PAYMENTS = "210987654321"
EVERYWHERE: dict[str, Any] = {
    **PLAN,
    "objectives": {"rto": "1h"},
    "targets": {
        "payments": {"region": "us-west-2", "aws_conn_id": "aws_payments", "account": PAYMENTS},
        "vault": {"region": "us-west-2", "aws_conn_id": "aws_vault", "account": PAYMENTS},
        "tokyo": {"region": "ap-northeast-1"},
    },
    "waves": [
        wave("db"),
        wave("web", "db"),
        wave("ledger", target="payments"),
        wave("audit", target="vault"),
        wave("far", target="tokyo"),
    ],
}


def in_accounts(payments: int, tokyo: int) -> dict[str, Any]:
    """A scenario of three accounts and regions, with what is added to the server ids of each."""
    ledger, audit = server(payments + 1, "ledger"), server(payments + 2, "audit")
    return {
        "region": "us-west-2",
        "servers": [server(1, "db"), server(2, "web"), server(3, "ledger")],
        "accounts": [
            {"account": PAYMENTS, "quotas": {"concurrent_jobs": 1}, "servers": [ledger, audit]},
            {"region": "ap-northeast-1", "servers": [server(tokyo + 1, "far", os="windows")]},
        ],
        "roles": [f"arn:aws:iam::{PAYMENTS}:role/recovery"],
    }


def test_one_rto_over_every_account_and_region(
    files: tuple[Path, Path], drs_simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, scenario = files
    plan.write_text(yaml.safe_dump(EVERYWHERE))
    scenario.write_text(yaml.safe_dump(in_accounts(0, 0)))
    found = json.loads(estimate(plan, "--scenario", scenario, "--format", "json").stdout)
    waves = {one["name"]: one for one in found["waves"]}
    assert {name: one["servers"] for name, one in waves.items()} == dict.fromkeys(waves, 1)
    assert waves["far"]["target"] == "tokyo (ap-northeast-1)"
    assert found["rto_seconds"]["typical"] == max(one["ends"] for one in found["waves"])
    assert waves["far"]["spent"]["drs"] > 2 * waves["db"]["spent"]["drs"], "the id is a Linux server elsewhere"
    # Two targets in one account share its one job; the others wait for nobody.
    assert [name for name, one in waves.items() if "slots" in one["spent"]] == ["audit"]
    assert waves["audit"]["launches"] == pytest.approx(waves["ledger"]["launches"] + waves["ledger"]["spent"]["drs"])
    text = estimate(plan, "--scenario", scenario).stdout
    assert "ledger in payments (us-west-2)" in text
    assert "1 jobs with 500 servers at a time in payments (us-west-2), vault (us-west-2)" in text
    # The accounts themselves say the same, each through its own connection.
    drs_simulator.load(in_accounts(10, 20))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    role = json.dumps({"conn_type": "aws", "extra": {"role_arn": f"arn:aws:iam::{PAYMENTS}:role/recovery"}})
    monkeypatch.setenv("AIRFLOW_CONN_AWS_PAYMENTS", role)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_VAULT", role)
    of_accounts = json.loads(estimate(plan, "--format", "json", "--aws-conn-id", "plan").stdout)
    assert of_accounts["rto_seconds"] == found["rto_seconds"]
    assert f"2 source servers of account {PAYMENTS} in us-west-2" in of_accounts["basis"]
    monkeypatch.setenv("AIRFLOW_CONN_AWS_VAULT", "aws://")
    elsewhere = estimate(plan, "--aws-conn-id", "plan")
    assert elsewhere.exit_code == 2
    assert f"vault (us-west-2): these credentials are of account 123456789012; the plan states {PAYMENTS}" in (
        elsewhere.stderr
    )
