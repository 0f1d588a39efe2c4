"""Lists that lag: a run under stale answers of DRS, SSM and EC2 launches nothing twice and trusts nothing too early."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.cases import REGION, draw_case
from tests.chaos.in_process import InProcessRun, Killer, quick_aws
from tests.chaos.invariants import RunFacts, violations
from tests.chaos.truth import Truth

LOST = {"operation": "StartRecovery", "error": "InternalServerException", "when": "after", "times": 1}
FAULTS: dict[str, list[dict[str, Any]]] = {
    "jobs": [{"operation": "DescribeJobs", "stale": 120}],
    "jobs, and a lost answer": [LOST, {"operation": "DescribeJobs", "stale": 120}],
    "instances": [
        {"operation": "DescribeRecoveryInstances", "stale": 120},
        {"operation": "DescribeInstances", "stale": 60},
    ],
    "commands": [{"operation": "*", "service": "ssm", "stale": 60}],
    "everything": [{"operation": "*", "stale": 30}],
}


@pytest.mark.parametrize("name", FAULTS)
def test_stale_lists_are_survived(
    name: str, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = random.Random(1)
    case = draw_case(rng, "case-1", 1, most_waves=3)
    for wave in case.plan["waves"]:
        wave.pop("approval", None)
        wave["launch_timeout"] = "30m"
    for server in case.servers:
        server["outcome"] = "launched"
    for document in case.documents.values():
        document["outcome"] = "Success"
    case.answers.clear()
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    scenario = {"region": REGION, "servers": case.servers, "documents": case.documents}
    drs_simulator.load(scenario, speed=60)
    for fault in FAULTS[name]:
        drs_simulator.add_fault(**fault)
    plan = RecoveryPlan.model_validate(case.plan)
    dag = build_dag(LoadedPlan(plan, tmp_path / "plan.yaml", plan_hash(plan)))
    run = InProcessRun(dag, case.conf, rng, Killer({}, {}))
    with quick_aws(monkeypatch):
        state = run.go()
        drs_simulator.clear_faults()
        truth = Truth(drs_simulator.log, boto3.client("drs", REGION), boto3.client("ec2", REGION))
    tasks = {task: {"state": how, "start_date": None, "end_date": None} for task, how in run.states.items()}
    folder = str(run.xcoms.get("report", {}).get("report_folder", "")).removeprefix("file://")
    facts = RunFacts(case, run.run_id, state, tasks, Path(folder) if folder else None)
    assert violations(facts, truth) == []
    assert any(entry.get("stale") for entry in drs_simulator.log)
