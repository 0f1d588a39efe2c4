"""A secret of an Airflow connection reaches SSM, and nothing else: no log, no row of the database, no report."""

from __future__ import annotations

import json

import pytest

from tests.e2e.safety_plans import SECRET
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_secret_reaches_ssm_and_is_kept_nowhere(stack: Stack) -> None:
    run = stack.start("secretive")
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
