"""A plan in a versioned bundle: a run keeps the plan that it began with, whatever is committed meanwhile."""

from __future__ import annotations

import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.e2e.conftest import VERSIONED
from tests.e2e.git_plans import PlanRepository
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

THIRD = "  - {name: third, servers: [{tags: {Tier: v4}}]}\n"


def test_a_run_keeps_the_version_of_its_plan(stack: Stack, repository: PlanRepository) -> None:
    run = stack.start("versioned")
    began_with = stack.api.run("versioned", run)["bundle_version"]
    stack.until(lambda: stack.api.pending_approvals("versioned", run), "the question before the second wave")
    edited = repository.commit("versioned", VERSIONED.replace("Tier: v2", "Tier: v3") + THIRD)
    assert edited != began_with
    stack.until(
        lambda: stack.api.call("GET", "/dags/versioned")["bundle_version"] == edited, "the plan's new version", 180
    )

    def approved_and_over() -> bool:
        # On a busy machine Airflow can lose an answer, and asks again.
        for task in stack.api.pending_approvals("versioned", run):
            stack.api.answer_approval("versioned", run, task, "Approve")
        return stack.api.run("versioned", run)["state"] in FINISHED_STATES

    stack.until(approved_and_over, "the end of the run", 180)
    assert stack.api.run("versioned", run)["state"] == "success", stack.states("versioned", run)
    assert stack.api.run("versioned", run)["bundle_version"] == began_with
    assert not [task for task in stack.states("versioned", run) if task.startswith("third.")]
    launches = stack.seen("versioned", run).launches()
    assert set(launches) == {"first", "second"}
    assert launches["second"] == [each["id"] for each in stack.scenario["servers"] if each["tags"]["Tier"] == "v2"]
