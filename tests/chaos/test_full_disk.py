"""A disk that is full at the end of a run, and is not for ever: the report is written then."""

from __future__ import annotations

import errno
import random
from pathlib import Path
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.evidence import storage
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.chaos.test_people import DB, PLAN


def test_the_report_waits_for_room(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    drs_simulator.load({"servers": [{"id": DB, "hostname": "db01"}]}, speed=60)
    plan = RecoveryPlan.model_validate(PLAN)
    run = InProcessRun(build_dag(LoadedPlan(plan, tmp_path / "plan.yaml", plan_hash(plan))), {}, random.Random(1))
    write, refused = storage.write_whole, []

    def full(*arguments: Any) -> None:
        if len(refused) < 8:
            refused.append(arguments)
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(storage, "write_whole", full)
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert len(refused) == 8
    assert next(tmp_path.rglob("report.json")).is_file()
