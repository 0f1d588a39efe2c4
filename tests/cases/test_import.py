"""What people have elsewhere: the record of a run, and a plan with its groups inside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.plan import load_plan
from tests.cases.world import CASES, ONE, TWO


def _import(case_or_folder: Path, *options: str) -> Any:
    (file,) = case_or_folder.glob("*.json")
    return CliRunner().invoke(app, ["import", str(file), "--from", "orchestrator", *options])


def test_a_record_of_a_run_is_no_plan(tmp_path: Path) -> None:
    result = _import(CASES / "run-record", "--region", "us-east-2", "--out", str(tmp_path))
    assert result.exit_code == 1
    assert "is a record of a run, not a plan (executionId, executionType, totalWaves, status)" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "record",
    [
        {"Items": [{"ExecutionId": {"S": "e"}, "Status": {"S": "COMPLETED"}, "Waves": {"L": []}}]},
        {"planName": "P", "waves": [{"waveName": "W", "jobId": "drsjob-1", "status": "COMPLETED", "serverIds": [ONE]}]},
        {"planName": "P", "waves": [{"waveName": "W", "startTime": 1, "endTime": 2, "serverIds": [ONE]}]},
        {"executionArn": "arn:aws:states:…", "waves": [{"waveName": "W", "serverIds": [ONE]}]},
    ],
    ids=["typed", "by its jobs", "by its times", "by its ARN"],
)
def test_other_records_of_runs_are_none_either(tmp_path: Path, record: dict[str, Any]) -> None:
    (tmp_path / "record.json").write_text(json.dumps(record))
    result = _import(tmp_path, "--region", "us-east-2")
    assert result.exit_code == 1
    assert "is a record of a run, not a plan" in result.output


def test_a_plan_with_its_groups_inside_is_imported(tmp_path: Path) -> None:
    result = _import(CASES / "plan-with-groups", "--out", str(tmp_path))
    assert result.exit_code == 0
    plan = load_plan(tmp_path / "books.yaml").plan
    assert plan.target.region == "eu-west-1"
    assert [(wave.name, tuple(wave.depends_on)) for wave in plan.waves] == [("store", ()), ("shop", ("store",))]
    chosen = [[one.id for one in plan.selectors(wave)] for wave in plan.waves]
    assert chosen == [[ONE], [TWO]]
