"""A person marks a run as failed while StartRecovery is on its way to AWS: what it launches is terminated, and told."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from tests.e2e.stack import REGION, Stack, servers

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

DAG = "marked_at_the_call"
INTENT = "launch_intent_only_1"


def test_a_job_that_was_accepted_after_the_run_was_marked_as_failed_is_cleaned_up(stack: Stack) -> None:
    (server,) = servers("wire", 1)
    fault = stack.simulator.control(
        "POST", "/faults", {"operation": "StartRecovery", "contains": server["id"], "delay": 15}
    )
    run = stack.start(DAG)
    stack.until(lambda: intent(stack, run), "the record of the call")
    stack.api.call("PATCH", f"/dags/{DAG}/dagRuns/{run}", json={"state": "failed"})
    assert intent(stack, run)["settled"] is False
    assert stack.seen_of_plan(DAG) == []
    assert stack.wait(DAG, run, timeout=300) == "failed"
    stack.simulator.control("DELETE", f"/faults?id={fault['id']}")
    assert len(stack.seen_of_plan(DAG)) == 1
    drs = boto3.client(
        "drs",
        region_name=REGION,
        endpoint_url=stack.simulator.endpoint_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    assert drs.describe_recovery_instances(filters={"sourceServerIDs": [server["id"]]})["items"] == []
    report = stack.report(DAG, run)
    assert len(report["termination"]["terminated"]) == 1
    assert report["termination"]["left"] == []
    # The name of this Airflow, which nobody gave it, is the same for all of its workers.
    (call,) = stack.seen_of_plan(DAG)
    name = call["params"]["tags"]["drs-provider:installation"]
    assert name == stack.api.call("GET", "/variables/drs_provider_installation")["value"]


def intent(stack: Stack, run: str) -> dict[str, Any]:
    """What the launch recorded before its call; empty where it has recorded nothing."""
    value = stack.api.xcom(DAG, run, "confirm", INTENT) or {}
    return dict(json.loads(value) if isinstance(value, str) else value)
