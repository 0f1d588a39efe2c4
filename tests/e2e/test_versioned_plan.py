"""A plan in a versioned bundle: a run keeps the plan that it began with, whatever is committed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.conftest import VERSIONED
from tests.e2e.stack import Flow, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

THIRD = "  - {name: third, servers: [{tags: {Tier: v4}}]}\n"


@contextmanager
def side_by_side(stack: Stack) -> Iterator[tuple[dict[str, str], dict[str, Flow]]]:
    """The run and the version that it began with, and its flow."""
    known: dict[str, str] = {}
    repository = stack.repository
    assert repository is not None

    def versioned() -> Flow:
        known["run"] = run = stack.start("versioned")
        known["began with"] = stack.api.run("versioned", run)["bundle_version"]
        yield lambda: stack.api.pending_approvals("versioned", run)
        edited = repository.commit("versioned", VERSIONED.replace("Tier: v2", "Tier: v3") + THIRD)
        assert edited != known["began with"]
        yield lambda: stack.api.call("GET", "/dags/versioned")["bundle_version"] == edited
        over = stack.ended("versioned", run)

        def approved_and_over() -> bool:
            # On a busy machine Airflow can lose an answer, and asks again.
            for task in stack.api.pending_approvals("versioned", run):
                stack.api.answer_approval("versioned", run, task, "Approve")
            return bool(over())

        yield approved_and_over

    yield known, {"versioned": versioned()}


def test_a_run_keeps_the_version_of_its_plan(stack: Stack, side_by_side: dict[str, dict[str, str]]) -> None:
    known = side_by_side[__name__]
    run, began_with = known["run"], known["began with"]
    assert stack.api.run("versioned", run)["state"] == "success", stack.states("versioned", run)
    assert stack.api.run("versioned", run)["bundle_version"] == began_with
    assert not [task for task in stack.states("versioned", run) if task.startswith("third.")]
    launches = stack.seen("versioned", run).launches()
    assert set(launches) == {"first", "second"}
    assert launches["second"] == [each["id"] for each in stack.scenario["servers"] if each["tags"]["Tier"] == "v2"]
