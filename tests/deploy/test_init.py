"""`drs-plan init`: what a new user starts from is valid and complete, and what is there stays."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS, as_environment
from drs_provider.plan import load_plan

ROOT = Path(__file__).parents[2]


def test_a_new_folder_has_all_that_a_first_drill_needs(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["init", str(tmp_path / "dr")])
    assert done.exit_code == 0, done.output
    for name in ("recovery_plans.py", "recovery_plan_errors.py"):
        assert (tmp_path / "dr" / "dags" / name).read_text() == (ROOT / "dags" / name).read_text()
    plan = load_plan(tmp_path / "dr" / "plans" / "first-drill.yaml").plan
    assert [wave.name for wave in plan.waves] == ["database", "web"]
    assert plan.waves[1].depends_on == ("database",)


def test_the_settings_file_sets_what_the_project_recommends_and_says_why(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["init", str(tmp_path)])
    lines = (tmp_path / "airflow-settings.env").read_text().splitlines()
    assert dict(line.split("=", 1) for line in lines if line and not line.startswith("#")) == as_environment()
    for setting in RECOMMENDED_SETTINGS:
        assert lines[lines.index(f"{setting.variable}={setting.value}") - 1] == f"# {setting.reason}"


def test_a_folder_that_cannot_be_made_exits_2(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = CliRunner().invoke(app, ["init", str(tmp_path / "file" / "dr")])
    assert done.exit_code == 2
    assert "Not a directory" in done.stderr


def test_files_that_are_there_stay(tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans" / "first-drill.yaml").write_text("mine")
    done = CliRunner().invoke(app, ["init", str(tmp_path)])
    assert (tmp_path / "plans" / "first-drill.yaml").read_text() == "mine"
    assert f"kept:    {tmp_path / 'plans' / 'first-drill.yaml'}" in done.output
