"""A person marks a task as done in the middle of a run: what was not launched never counts as launched."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.cases import REGION
from tests.chaos.in_process import InProcessRun, quick_aws

DB = "s-00000000w00000000"
PLAN = {
    "version": 1,
    "name": "shop",
    "target": {"region": REGION},
    "waves": [{"name": "db", "servers": [{"id": DB}], "retries": 0}],
}


class RunWithAPerson(InProcessRun):
    """A run in which a person marks a task as a success instead of letting it run."""

    marked = ""

    def _run(self, task: Any) -> None:
        if task.task_id == self.marked:
            self.states[task.task_id] = "success"
        else:
            super()._run(task)


@pytest.mark.parametrize("outcome", ["failed", "launched"])
@pytest.mark.parametrize("marked", ["preflight", "db.launch", "db.wait_for_launch"])
def test_a_task_that_a_person_marks_as_a_success_makes_none_of_a_failure(
    marked: str, outcome: str, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"servers": [{"id": DB, "hostname": "db01", "outcome": outcome}]}, speed=60)
    plan = RecoveryPlan.model_validate(PLAN)
    run = RunWithAPerson(build_dag(LoadedPlan(plan, tmp_path / "plan.yaml", plan_hash(plan))), {}, random.Random(1))
    run.marked = marked
    with quick_aws(monkeypatch):
        state = run.go()
    report = json.loads(next(tmp_path.rglob("report.json")).read_text())
    launched = any(entry.get("event") == "LAUNCH_END" for entry in drs_simulator.log)
    assert report["run"]["state"] == state
    assert launched == (outcome == "launched" and marked == "db.wait_for_launch")
    if not launched:
        assert state == "failed"
    assert report["termination"]["left"] == []
