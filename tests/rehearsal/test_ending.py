"""What a person reads at the end of a rehearsal that failed."""

from __future__ import annotations

from typing import Any

import pytest

from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.record import RunRecord
from drs_provider.rehearsal.ending import FailedTask, causes_of, failed_tasks, lines_for_people
from tests.dag.plans import loaded_plan

SERVER = "s-00000000000000001"


@pytest.fixture
def record() -> RunRecord:
    """A run whose wave failed because its server did not launch."""
    made = collect_record(
        loaded_plan({"name": "web", "servers": [{"id": SERVER}]}), RunFacts("shop", "manual__1", state="failed"), None
    )
    told: dict[str, Any] = made.model_dump(mode="json")
    told["waves"][0].update(
        state="failed",
        servers=[
            {
                "source_server_id": SERVER,
                "hostname": "web01",
                "ec2_instance_id": "i-0aa0000000000001a",
                "launch_status": "FAILED",
                "reason": "the launch template has no subnet",
            }
        ],
    )
    return RunRecord.model_validate(told)


def test_the_first_failure_comes_first_and_the_report_is_none() -> None:
    instances = [
        {"task_id": "report", "state": "failed", "start_date": "2026-01-01T00:09Z", "end_date": "2026-01-01T00:09Z"},
        {"task_id": "a.launch", "state": "failed", "start_date": "2026-01-01T00:01Z", "end_date": "2026-01-01T00:08Z"},
        {"task_id": "b.launch", "state": "failed", "start_date": "2026-01-01T00:02Z", "end_date": "2026-01-01T00:03Z"},
        {"task_id": "c.launch", "state": "upstream_failed", "start_date": None, "end_date": None},
    ]
    assert [one["task_id"] for one in failed_tasks(instances)] == ["b.launch", "a.launch"]
    assert [one["task_id"] for one in failed_tasks(instances[:1])] == ["report"], "where nothing else failed"


def test_of_a_log_only_what_is_for_people_is_left_each_line_once() -> None:
    log = [
        "::group::Log message source details: sources=...",
        "::endgroup::",
        "Found credentials in environment variables.",
        "the command failed on i-0aa0000000000001a",
        "Task failed with exception",
        "AirflowFailException: the command failed on i-0aa0000000000001a\nClear the task.",
        "",
    ]
    assert lines_for_people(log, 5) == ("the command failed on i-0aa0000000000001a", "Clear the task.")


def test_each_cause_stands_once_and_names_hosts(record: RunRecord) -> None:
    log = ("1 of 1 servers failed", "i-0aa0000000000001a did not answer")
    found = causes_of(
        record,
        [
            FailedTask("web.wait_for_launch", log),
            FailedTask("web.health.tcp", log),
            FailedTask("web.post_launch.go", log),
        ],
    )
    assert found == [
        ("web.wait_for_launch", [f"web01 ({SERVER}): the launch template has no subnet"]),
        ("web.health.tcp", ["1 of 1 servers failed", "web01 (i-0aa0000000000001a) did not answer"]),
        ("web.post_launch.go", ["for the same cause"]),
    ]
    assert causes_of(None, [FailedTask("web.launch", ("why",))]) == [("web.launch", ["why"])]
