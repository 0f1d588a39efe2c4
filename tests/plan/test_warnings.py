"""What drs-plan validate says of valid plans: warnings with a place, and what this Airflow does not let plans name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drs_provider.cli import app
from drs_provider.plan import load_plan
from drs_provider.plan.warnings import remarks

HEAD = "version: 1\nname: shop\ntarget: {region: us-west-2}\n"
SCRIPT = "{name: start, run_command: Shop-Start%s}"
WAVES = "waves:\n  - name: a\n    servers: [{hostname: h}]\n    post_launch:\n      - " + SCRIPT + "\n"


def validate(path: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["validate", str(path), *options])


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "shop.yaml"


def test_a_script_behind_the_launch_without_modes_is_a_warning(plan: Path) -> None:
    plan.write_text(HEAD + WAVES % "")
    result = validate(plan)
    assert result.exit_code == 0
    assert f"{plan}:8:16 warning: waves[0].post_launch[0].name: start runs in drills too" in result.stdout
    assert f"valid {plan}: shop, 1 wave" in result.stdout
    (problem,) = json.loads(validate(plan, "--format", "json").stdout)
    assert (problem["severity"], problem["line"]) == ("warning", 8)
    assert validate(plan, "--format", "github").stdout.startswith("::warning file=")


@pytest.mark.parametrize(
    "text",
    [
        HEAD + WAVES % ", modes: [drill, recovery]",
        HEAD + WAVES % ", modes: [recovery]",
        HEAD + "defaults: {script_modes: [recovery]}\n" + WAVES % "",
    ],
    ids=["both", "recovery", "default"],
)
def test_one_with_modes_is_none(plan: Path, text: str) -> None:
    plan.write_text(text)
    load_plan(plan)
    assert remarks(plan) == []


def test_scripts_that_every_wave_has_by_default_are_looked_at_too(plan: Path) -> None:
    script = SCRIPT % ""
    plan.write_text(HEAD + f"defaults: {{post_launch: [{script}]}}\nwaves: [{{name: a, servers: [{{hostname: h}}]}}]\n")
    (problem,) = remarks(plan)
    assert problem.path == "defaults.post_launch[0].name"


def test_the_shipped_plans_give_no_warning() -> None:
    folder = Path(__file__).parents[2] / "plans"
    assert [str(problem) for path in sorted(folder.glob("*.yaml")) for problem in remarks(path)] == []


def test_a_notifier_that_is_not_allowed_is_an_error_with_its_place(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", raising=False)
    plan.write_text(HEAD + "notify: [{notifier: shop.Pager}]\nwaves: [{name: a, servers: [{hostname: h}]}]\n")
    load_plan(plan)
    result = validate(plan)
    assert result.exit_code == 1
    assert f"{plan}:4:21 notify[0].notifier: shop.Pager is not allowed by [drs_provider] notifiers" in result.stdout
    assert "valid" not in result.stdout
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", "shop.*")
    assert validate(plan).exit_code == 0


def test_a_connection_that_is_not_allowed_is_an_error_with_its_place(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "target: {region: us-west-2, aws_conn_id: slack_default}\n"
    plan.write_text(f"version: 1\nname: shop\n{target}waves: [{{name: a, servers: [{{hostname: h}}]}}]\n")
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__CONNECTIONS", "aws_dr_*")
    result = validate(plan)
    assert result.exit_code == 1
    assert "target.aws_conn_id: slack_default is not allowed by [drs_provider] connections: aws_dr_*" in result.stdout


def test_the_name_of_a_file_does_not_reach_the_terminal_as_a_command(tmp_path: Path) -> None:
    for text in (HEAD + WAVES % "", "version: 2\n"):
        path = tmp_path / "a\x1b[2J\x1b]0;owned\x07.yaml"
        path.write_text(text)
        assert "\x1b" not in validate(path).stdout
        assert "\x07" not in validate(path).stdout
