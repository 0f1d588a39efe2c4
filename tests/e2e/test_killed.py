"""Workers and the triggerer are killed with SIGKILL at every point of a launch: nothing is launched twice, or lost."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import KILLED
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG = "killed_worker"
DEFERRING = "killed_triggerer"


def test_killed_at_any_point_of_a_launch_leaves_one_job_a_server(stack: Stack, tmp_path: Path) -> None:
    servers = [server["id"] for server in KILLED]
    before, unanswered, unstored, waiting, deferred = servers
    runs = {before: _killed_before_the_call(stack, before)}

    # Four runs at a time: Airflow takes a minute to notice that a worker is dead.
    fault = stack.simulator.control(
        "POST", "/faults", {"operation": "StartRecovery", "contains": unanswered, "hold": True}
    )
    marker = tmp_path / "stays"
    runs[unanswered] = stack.start(DAG, server=unanswered)
    runs[unstored] = stack.start(DAG, server=unstored, stay=str(marker))
    runs[waiting] = stack.start(DAG, server=waiting)

    deferring = stack.start(DEFERRING, server=deferred)

    stack.until(lambda: _accepted(stack, unanswered), "the call whose answer is held back")
    _kill_worker(stack, runs[unanswered], "launch")
    stack.simulator.control("DELETE", f"/faults?id={fault['id']}")

    stack.until(marker.exists, "the end of the launch whose result is not stored")
    assert stack.api.xcom(DAG, runs[unstored], "launch") is None
    _kill_worker(stack, runs[unstored], "launch")

    stack.until(lambda: _looked_at(stack, waiting), "a look of the waiting worker")
    _kill_worker(stack, runs[waiting], "wait")

    stack.until(lambda: stack.states(DEFERRING, deferring)["wait"] == "deferred", "the deferral")
    stack.until(lambda: _looked_at(stack, deferred), "a look of the triggerer")
    _kill_triggerer(stack)

    for server, run in runs.items():
        assert stack.wait(DAG, run, timeout=240) == "success", (server, stack.states(DAG, run))
        assert len(_accepted(stack, server)) == 1, server
        assert stack.api.xcom(DAG, run, "wait")["launched"] == 1
    assert stack.wait(DEFERRING, deferring, timeout=240) == "success", stack.states(DEFERRING, deferring)
    assert len(_accepted(stack, deferred)) == 1
    assert {one["try_number"] for one in stack.api.task_instances(DEFERRING, deferring).values()} == {1}
    tries = {
        server: {task: one["try_number"] for task, one in stack.api.task_instances(DAG, run).items()}
        for server, run in runs.items()
    }
    assert tries == {
        before: {"launch": 2, "wait": 1},
        unanswered: {"launch": 2, "wait": 1},
        unstored: {"launch": 2, "wait": 1},
        waiting: {"launch": 1, "wait": 2},
    }
    assert "LAUNCH_END" in stack.log_of(DAG, runs[waiting], "wait"), "progress is told in a worker"
    assert "LAUNCH_END" in stack.log_of(DEFERRING, deferring, "wait"), "and in the triggerer"
    for server in (unanswered, unstored):
        assert "Adopting job" in stack.log_of(DAG, runs[server], "launch")


def _killed_before_the_call(stack: Stack, server: str) -> str:
    """Start a run and kill its worker while it looks for jobs of an earlier try."""
    began = time.time()
    fault = stack.simulator.control("POST", "/faults", {"operation": "DescribeJobs", "hold": True})
    try:
        run = stack.start(DAG, server=server)
        stack.until(lambda: any(_since(call) for call in _looks(stack, began)), "the look before the launch")
        _kill_worker(stack, run, "launch")
    finally:
        stack.simulator.control("DELETE", f"/faults?id={fault['id']}")
    assert not _accepted(stack, server)
    return run


def _kill_worker(stack: Stack, run: str, task: str) -> None:
    """Kill the process that runs a task, and first the one that would report its end."""
    runner = psutil.Process(stack.api.task_instances(DAG, run)[task]["pid"])
    worker = runner.parent()
    assert worker is not None
    assert worker in stack.airflow.components["scheduler"].descendants()
    worker.kill()
    runner.kill()


def _kill_triggerer(stack: Stack) -> None:
    """Kill the triggerer with all its processes, and start another, as a supervisor of services does."""
    triggerer = stack.airflow.components["triggerer"]
    family = triggerer.descendants()
    triggerer.kill()
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    stack.airflow.restart("triggerer")


def _accepted(stack: Stack, server: str) -> list[dict[str, Any]]:
    """The StartRecovery calls for a server that AWS carried out."""
    return [
        call
        for call in stack.simulator.log.calls("StartRecovery")
        if not call.get("error") and server in (one["sourceServerID"] for one in call["params"]["sourceServers"])
    ]


def _looks(stack: Stack, began: float) -> list[dict[str, Any]]:
    return [call for call in stack.simulator.log.calls("DescribeJobs") if call["t"] >= began]


def _since(call: dict[str, Any]) -> bool:
    return "fromDate" in call["params"].get("filters", {})


def _looked_at(stack: Stack, server: str) -> bool:
    """Whether a worker or the triggerer has looked at the job that launches a server."""
    jobs = {event["job"] for event in stack.simulator.log.events("SNAPSHOT_START") if event.get("server") == server}
    return any(
        jobs.intersection(call["params"].get("filters", {}).get("jobIDs", ()))
        for call in stack.simulator.log.calls("DescribeJobs")
    )
