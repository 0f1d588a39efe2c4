"""Waves and the ends of drills that find every job slot of the account taken."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import boto3
import pytest

from drs_provider.aws.drs.launch import LaunchPatience
from drs_provider.aws.quotas import Quotas
from drs_provider.dag.factory import build_dag
from drs_provider.simulator.simulation import Simulation
from drs_provider.steps.launch.work import LaunchWork
from drs_provider.steps.terminate.work import TerminateWork
from drs_provider.steps.wait_for_launch.work import WaitForLaunchWork
from drs_provider.tasks import recovery_work as base
from drs_provider.triggers.slots import DrsJobSlotTrigger
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

OURS, THEIRS = "s-00000000000000001", "s-00000000000000002"
PLAN = loaded_plan({"name": "web", "servers": [{"id": OURS}]}, drill={"keep_for": "0s"})


@pytest.fixture
def site(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Simulation:
    """An account with a slot for one job."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    return load(drs_simulator)


def load(simulator: Simulation, outcome: Any = "launched") -> Simulation:
    servers = [{"id": OURS, "hostname": OURS, "outcome": outcome}, {"id": THEIRS, "hostname": THEIRS}]
    simulator.load({"region": "us-west-2", "servers": servers, "quotas": {"concurrent_jobs": 1}}, speed=10)
    return simulator


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[DrsJobSlotTrigger]:
    """The waits for slots that tasks were deferred to."""
    made: list[DrsJobSlotTrigger] = []

    class Noted(DrsJobSlotTrigger):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            made.append(self)

    monkeypatch.setattr(base, "DrsJobSlotTrigger", Noted)
    return made


def take_the_slot_before(step: Any, name: str, monkeypatch: pytest.MonkeyPatch, *, times: int = 2) -> None:
    """Let somebody else start a job just before a method of a task's work, the first times that it is called."""
    original = getattr(step, name)
    left = iter(range(times))

    def late(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(left, None) is not None:
            boto3.client("drs", "us-west-2").start_recovery(sourceServers=[{"sourceServerID": THEIRS}], isDrill=True)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(step, name, late)


def run_of(mode: str = "drill") -> InProcessRun:
    confirm = PLAN.plan.name if mode == "recovery" else ""
    return InProcessRun(build_dag(PLAN), {"mode": mode, "confirm": confirm}, random.Random(1))


@pytest.mark.parametrize("mode", ["drill", "recovery"])
def test_a_wave_waits_for_a_slot_without_a_worker(
    mode: str, site: Simulation, waits: list[DrsJobSlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_slot_before(LaunchWork, "execute", monkeypatch)
    run = run_of(mode)
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    (wait,) = waits
    assert (wait.servers, wait.quotas["jobs"], wait.is_drill) == (1, 1, mode == "drill")
    assert not any(entry.get("error") for entry in site.log)
    assert run.xcoms["web.launch"]["return_value"]["servers"].keys() == {OURS}


def test_the_lag_at_the_launch_stays_while_other_servers_of_the_wave_wait_for_a_slot(
    drs_simulator: Simulation, site: Simulation, waits: list[DrsJobSlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls = [{"after": "5m", "lag": "4m"}]
    second = "s-00000000000000003"
    servers = [{"id": one, "hostname": one, "changes": stalls} for one in (OURS, second)]
    servers.append({"id": THEIRS, "hostname": THEIRS})
    quotas = {"concurrent_jobs": 2, "servers_per_job": 1}
    drs_simulator.load({"region": "us-west-2", "servers": servers, "quotas": quotas}, speed=10)
    plan = loaded_plan({"name": "web", "servers": [{"id": OURS}, {"id": second}]}, objectives={"rpo": "5m"})
    take_the_slot_before(LaunchWork, "execute", monkeypatch, times=1)
    run = InProcessRun(build_dag(plan), {"mode": "drill"}, random.Random(1))
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert len(waits) == 1
    asked = run.xcoms["web.launch"]["evidence"]["servers"]
    assert {one: asked[one]["lag_seconds"] for one in asked} == {OURS: 0.0, second: 240.0}
    assert asked[OURS]["lag_read"] < asked[second]["lag_read"]


def test_the_second_chance_of_a_server_waits_for_a_slot_without_a_worker(
    site: Simulation, waits: list[DrsJobSlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    load(site, ["failed", "launched"])
    take_the_slot_before(WaitForLaunchWork, "_relaunch", monkeypatch, times=1)
    run = run_of()
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    (wait,) = waits
    assert (wait.servers, wait.quotas["jobs"], wait.is_drill) == (1, 1, True)
    assert not any(entry.get("error") for entry in site.log)
    launched = [one for one in site.log if one.get("operation") == "StartRecovery"]
    assert [OURS in str(one) for one in launched] == [True, False, True]


def test_the_end_of_a_drill_waits_for_a_slot(
    site: Simulation, waits: list[DrsJobSlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_slot_before(TerminateWork, "_end_instances", monkeypatch)
    run = run_of()
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert len(waits) == 1
    assert not any(entry.get("error") for entry in site.log)


def test_a_wave_waits_in_its_worker_where_the_triggerer_could_not_look(
    site: Simulation, waits: list[DrsJobSlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LaunchPatience] = []
    original = LaunchWork._launch

    def noted(self: Any, context: Any, started: str, patience: LaunchPatience, **more: Any) -> Any:
        given.append(patience)
        return original(self, context, started, patience, **more)

    monkeypatch.setattr(LaunchWork, "_launch", noted)
    original_after = LaunchWork.after_slot
    monkeypatch.setattr(
        LaunchWork,
        "after_slot",
        lambda self, context, event, started: original_after(
            self, context, {"status": "error", "message": "no look"}, started=started
        ),
    )
    take_the_slot_before(LaunchWork, "execute", monkeypatch)
    run = run_of()
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    assert [bool(patience.slots) for patience in given] == [False, True]
    assert Quotas(**waits[0].quotas).jobs == 1
