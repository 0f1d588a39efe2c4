"""A secret of an Airflow connection reaches SSM, and nothing else: no log, no row of the database, no report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.safety_plans import SECRET
from tests.e2e.stack import Flow, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]


@contextmanager
def side_by_side(stack: Stack) -> Iterator[tuple[list[str], dict[str, Flow]]]:
    """The id of the run, and its flow."""
    ids: list[str] = []

    def secretive() -> Flow:
        ids.append(stack.start("secretive"))
        yield stack.ended("secretive", ids[0])

    yield ids, {"secretive": secretive()}


def test_a_secret_reaches_ssm_and_is_kept_nowhere(stack: Stack, side_by_side: dict[str, list[str]]) -> None:
    (run,) = side_by_side[__name__]
    assert stack.wait("secretive", run) == "failed"
    states = stack.states("secretive", run)
    assert states["only.post_launch.tell"] == "success", states
    assert states["only.rollback"] == "success", states

    sent = {
        call["params"]["DocumentName"]: call["params"]["Parameters"]["Password"]
        for operation in ("SendCommand", "StartAutomationExecution")
        for call in stack.simulator.log.calls(operation)
        if call["params"]["DocumentName"].startswith("Shop-")
    }
    assert sent == {f"Shop-{name}": [SECRET] for name in ("Unlock", "Tell", "Fail", "Lock")}

    # Logs, reports, and the database with XComs, rendered fields and the DAG, all lie in Airflow's home.
    files = [path for path in stack.airflow.home.rglob("*") if path.is_file()]
    assert {"airflow.db", "report.json", "scheduler.log"} <= {path.name for path in files}
    assert any("only.post_launch.tell" in str(path) for path in files)
    assert [str(path) for path in files if SECRET.encode() in path.read_bytes()] == []
    plan = json.dumps(stack.api.xcom("secretive", run, "confirm", "plan"))
    assert "{{connection:drs_secret_shop.password}}" in plan
