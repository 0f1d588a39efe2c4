"""Judging a launch by its servers, and what a failure tells."""

from __future__ import annotations

from typing import Any

import pytest

from drs_provider.aws.drs.job_wait import JobWait, LaunchFailed, job_ids_of
from drs_provider.aws.drs.outcome import SILENT_FAILURE, describe_event, judge, newest_by_server, reason_of

A, B, C = (f"s-{letter * 17}" for letter in "abc")


def servers(**statuses: str) -> dict[str, dict[str, Any]]:
    names = {"a": A, "b": B, "c": C}
    return {names[name]: {"launch_status": status, "job_id": "j", "reason": "why"} for name, status in statuses.items()}


@pytest.mark.parametrize(
    ("outcome", "terms", "ok"),
    [
        (servers(a="LAUNCHED", b="LAUNCHED"), {}, True),
        (servers(a="LAUNCHED", b="FAILED"), {}, False),
        (servers(a="LAUNCHED", b="PENDING"), {}, False),
        (servers(a="LAUNCHED", b="TERMINATED"), {}, False),
        (servers(a="LAUNCHED", b="FAILED"), {"optional": [B]}, True),
        (servers(a="LAUNCHED", b="FAILED"), {"required": [A]}, True),
        (servers(a="FAILED", b="LAUNCHED"), {"required": [A]}, False),
        (servers(a="LAUNCHED"), {"required": [A, B]}, False),
        (servers(a="LAUNCHED"), {"required": [A], "optional": [B]}, True),
        (servers(), {}, True),
        # Without optional servers the number alone decides.
        (servers(a="LAUNCHED", b="LAUNCHED", c="FAILED"), {"min_launched": 2}, True),
        (servers(a="LAUNCHED", b="LAUNCHED", c="FAILED"), {"min_launched": 3}, False),
        (servers(a="LAUNCHED", b="LAUNCHED", c="FAILED"), {"required": [A, B, C], "min_launched": 2}, True),
        # With optional ones it comes on top.
        (servers(a="FAILED", b="LAUNCHED", c="LAUNCHED"), {"optional": [C], "min_launched": 2}, False),
        (servers(a="LAUNCHED", b="LAUNCHED", c="FAILED"), {"optional": [C], "min_launched": 2}, True),
        (servers(a="LAUNCHED", b="LAUNCHED", c="FAILED"), {"optional": [C], "min_launched": 3}, False),
    ],
)
def test_judge(outcome: dict[str, Any], terms: dict[str, Any], ok: bool) -> None:
    assert judge(outcome, **terms).ok is ok


def test_the_verdict_counts_and_names() -> None:
    verdict = judge(servers(a="LAUNCHED", b="FAILED"), required=[A, B, C])
    assert (verdict.launched, verdict.failed) == (1, [B, C])
    assert verdict.message == f"1 of 3 servers launched; required and not launched: {B}, {C}"


def event(name: str, server: str | None = None, **data: Any) -> dict[str, Any]:
    of_server = {"sourceServerID": server} if server else {}
    return {"event": name, "logDateTime": "2026-03-01T10:00:00.123456+00:00", "eventData": {**of_server, **data}}


def test_the_reason_is_the_raw_error_about_the_server() -> None:
    log = [event("LAUNCH_FAILED", A, rawError="no capacity"), event("CONVERSION_FAIL", B, rawError="other")]
    assert reason_of(A, log) == "LAUNCH_FAILED: no capacity"


def test_a_silent_failure_gets_the_known_causes() -> None:
    log = [event("JOB_START"), event("SNAPSHOT_START", A), event("SNAPSHOT_END", A), event("JOB_END")]
    assert reason_of(A, log) == SILENT_FAILURE
    assert "iam:PassRole" in SILENT_FAILURE
    assert "launch template" in SILENT_FAILURE


def test_an_event_that_failed_without_a_reason_is_named_with_the_known_causes() -> None:
    assert reason_of(A, [event("CONVERSION_FAIL", A)]) == f"CONVERSION_FAIL: {SILENT_FAILURE}"


def test_events_are_told_in_one_line_whether_the_model_knows_them_or_not() -> None:
    line = describe_event(event("LAUNCH_END", A, targetInstanceID="i-1"))
    assert line == f"2026-03-01T10:00:00 LAUNCH_END {A} i-1"
    assert describe_event({}) == ""


def test_the_newest_job_of_a_server_counts() -> None:
    jobs = [
        {"jobID": "new", "creationDateTime": "2026-03-02", "participatingServers": [{"sourceServerID": A}]},
        {
            "jobID": "old",
            "creationDateTime": "2026-03-01",
            "participatingServers": [{"sourceServerID": A}, {"sourceServerID": B}],
        },
    ]
    assert {server: job["jobID"] for server, (job, _) in newest_by_server(jobs).items()} == {A: "new", B: "old"}


def wait(**more: Any) -> JobWait:
    return JobWait(**{"job_ids": ["j", "k"], "required": None, "optional": None, "min_launched": None, **more})


def test_the_deadline_counts_from_the_newest_job_whoever_asks() -> None:
    jobs = [
        {"jobID": "j", "creationDateTime": "1970-01-01T00:01:00Z"},
        {"jobID": "k", "creationDateTime": "1970-01-01T00:02:00.500000+00:00"},
    ]
    assert wait(timeout=100.0, first_look=9999.0).deadline(jobs) == 220.5
    assert wait(timeout=100.0, first_look=1000.0).deadline(jobs[:1]) == 1100.0
    assert wait(timeout=100.0, first_look=1000.0).deadline([]) == 1100.0


def test_an_unlisted_job_has_not_ended() -> None:
    ended = {"jobID": "j", "status": "COMPLETED"}
    assert wait(timeout=1.0, first_look=0.0).ended([ended]) is False
    assert wait(timeout=1.0, first_look=0.0).ended([ended, {"jobID": "k", "status": "COMPLETED"}]) is True


def test_a_failure_has_a_line_for_each_server_that_did_not_launch() -> None:
    outcome = servers(a="LAUNCHED", b="FAILED")
    with pytest.raises(LaunchFailed) as caught:
        wait(timeout=1.0, first_look=0.0, required=[A, B, C]).result(outcome)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert lines[1].split()[0] == f"{B}:"
    assert "why" in lines[1]
    assert lines[2].strip() == f"{C}  is in none of the jobs"
    assert caught.value.failed == [B, C]
    assert caught.value.servers == outcome


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("drsjob-1", ["drsjob-1"]),
        (["drsjob-1", "drsjob-2", "drsjob-1"], ["drsjob-1", "drsjob-2"]),
        ({"jobs": [{"job_id": "drsjob-1"}, {"job_id": "drsjob-2"}]}, ["drsjob-1", "drsjob-2"]),
        ([{"jobs": [{"job_id": "drsjob-1"}]}, {"job_id": "drsjob-3"}], ["drsjob-1", "drsjob-3"]),
    ],
)
def test_jobs_may_be_given_as_ids_or_as_what_a_launch_returned(given: Any, found: list[str]) -> None:
    assert job_ids_of(given) == found


@pytest.mark.parametrize("given", [None, [], {"jobs": []}])
def test_no_job_is_an_error(given: Any) -> None:
    with pytest.raises(ValueError, match="no DRS job"):
        job_ids_of(given)
