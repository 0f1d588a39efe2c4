"""Plans from a git repository, as the Helm values have them: a run finds the plan of the commit that it began with."""

from __future__ import annotations

import json
import runpy
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.providers.git.bundles.git import GitDagBundle
from typer.testing import CliRunner

from drs_provider.cli import app

VALUES = resources.files("drs_provider.deploy") / "kubernetes" / "values.yaml"


def git(repository: Path, *words: str) -> str:
    identity = ["-c", "user.name=Dr", "-c", "user.email=dr@example.com"]
    done = subprocess.run(["git", *identity, *words], cwd=repository, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with what `drs-plan init` writes, behind the connection that the values name."""
    made = tmp_path / "recovery-plans"
    assert CliRunner().invoke(app, ["init", str(made)]).exit_code == 0
    git(made, "init", "--quiet", "--initial-branch", "main")
    git(made, "add", ".")
    git(made, "commit", "--quiet", "--message", "First plan")
    connection = json.dumps({"conn_type": "git", "host": str(made)})
    monkeypatch.setenv("AIRFLOW_CONN_RECOVERY_PLANS_GIT", connection)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH", str(tmp_path / "bundles"))
    monkeypatch.delenv("AIRFLOW__DRS_PROVIDER__PLANS_FOLDER", raising=False)
    return made


def bundle(version: str | None = None) -> GitDagBundle:
    (configured,) = yaml.safe_load(VALUES.read_text())["dagProcessor"]["dagBundleConfigList"]
    made = GitDagBundle(name=configured["name"], version=version, **configured["kwargs"])
    made.initialize()
    return made


def dag_of(found: GitDagBundle) -> Any:
    """The DAG of the plan, as Airflow makes it of the bundle's files."""
    return runpy.run_path(str(found.path / "recovery_plans.py"))["first-drill"]


def test_a_run_keeps_the_plan_of_its_commit(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    before = dag_of(bundle())
    plan = repository / "plans" / "first-drill.yaml"
    plan.write_text(plan.read_text().replace("depends_on: [database]", "depends_on: []"))
    git(repository, "commit", "--quiet", "--all", "--message", "Start both waves at once")

    newest = bundle()
    newest.refresh()
    assert dag_of(newest).get_task("web.launch").upstream_task_ids == {"preflight"}
    # What a worker asks for, whose run began before.
    pinned = dag_of(bundle(first))
    assert pinned.get_task("web.launch").upstream_task_ids == before.get_task("web.launch").upstream_task_ids
    assert pinned.get_task("web.launch").loaded.hash == before.get_task("web.launch").loaded.hash
