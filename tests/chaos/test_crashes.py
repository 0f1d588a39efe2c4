"""Workers are killed at any call of AWS, before its effect or after it: the run ends as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.cases import REGION, draw_case
from tests.chaos.faults import AWS_FAULTS, STARTING
from tests.chaos.in_process import InProcessRun, Killer, quick_aws
from tests.chaos.invariants import RunFacts, violations
from tests.chaos.truth import Truth

SEEDS = range(5)
HOW = ("before", "after", "after", "lost")
# Slow answers are slow in this process too.
KINDS = sorted(AWS_FAULTS.keys() - {"slow answers"})


def run_with_crashes(
    seed: int, simulation: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> tuple[list[str], Killer]:
    """Run a drawn case in which workers die and AWS fails now and then; return the violations, and who was killed."""
    rng = random.Random(seed)
    case = draw_case(rng, f"case-{seed}", seed, most_waves=4)
    for wave in case.plan["waves"]:
        wave.pop("approval", None)  # What people answer has nothing to do with workers that die.
        wave["launch_timeout"] = "10m"
    for server in case.servers:
        server["outcome"] = "failed" if server["outcome"] == "hangs" else server["outcome"]
    case.answers.clear()
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    calls = 40 + 30 * len(case.plan["waves"])
    strikes = {rng.randint(1, calls): rng.choice(HOW) for _ in range(2)}
    dangerous = {operation: rng.choice(("before", "after", "after")) for operation in rng.sample(STARTING, 2)}
    if "lost" in strikes.values():
        # Where waits pass at once, a job can fail between the look and the start of a try that runs beside another.
        for server in case.servers:
            server["outcome"] = "launched"
    simulation.load({"region": REGION, "servers": case.servers, "documents": case.documents}, speed=60)
    plan = RecoveryPlan.model_validate(case.plan)
    dag = build_dag(LoadedPlan(plan, tmp_path / "plan.yaml", plan_hash(plan)))
    killer = Killer(strikes, dangerous, overlap=rng.randint(0, 15))
    for kind in rng.sample(KINDS, 2):
        skip, times = rng.randint(0, calls // 4), rng.randint(1, 4)
        fault = simulation.add_fault(**{**AWS_FAULTS[kind](rng), "skip": skip, "times": times})
        killer.struck.append(str(fault))
    run = InProcessRun(dag, case.conf, rng, killer)
    with quick_aws(monkeypatch):
        with killer.lurking(monkeypatch):
            state = run.go()
        truth = Truth(simulation.log, boto3.client("drs", REGION), boto3.client("ec2", REGION))
    tasks = {name: {"state": how, "start_date": None, "end_date": None} for name, how in run.states.items()}
    folder = str(run.xcoms.get("report", {}).get("report_folder", "")).removeprefix("file://")
    facts = RunFacts(case, run.run_id, state, tasks, Path(folder) if folder else None)
    return violations(facts, truth), killer


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_workers_lose_nothing_and_launch_nothing_twice(
    seed: int, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, killer = run_with_crashes(seed, drs_simulator, monkeypatch, tmp_path)
    assert found == [], "\n".join([*found, *killer.struck])
    assert killer.count > 20
