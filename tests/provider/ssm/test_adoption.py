"""What a retry adopts and what it sends, and from what instances are read."""

from __future__ import annotations

import pytest

from drs_provider.aws.ssm.status import InstanceResult, SentCommand, allowed_errors
from drs_provider.operators.ssm_adoption import adopt
from drs_provider.operators.ssm_targets import instance_ids_of


def sent(command_id: str, attempt: int, status: str, *instances: str) -> SentCommand:
    return SentCommand(command_id, attempt, instances, status, 1000.0 + attempt)


def results(command_id: str, **statuses: str) -> dict[str, InstanceResult]:
    return {instance: InstanceResult(status, command_id=command_id) for instance, status in statuses.items()}


def test_nothing_was_sent():
    decision = adopt([], {}, ["a", "b"], max_errors="0")
    assert (decision.attempt, decision.to_send) == (1, ("a", "b"))


def test_a_crash_between_two_chunks_sends_the_rest_in_the_same_attempt():
    decision = adopt([sent("c1", 1, "InProgress", "a")], results("c1", a="InProgress"), ["a", "b"], max_errors="0")
    assert (decision.attempt, decision.to_send) == (1, ("b",))


def test_what_runs_is_waited_for_although_another_instance_has_failed():
    commands = [sent("c1", 1, "InProgress", "a", "b")]
    decision = adopt(commands, results("c1", a="Failed", b="InProgress"), ["a", "b"], max_errors="0")
    assert (decision.attempt, decision.to_send) == (1, ())


def test_a_failed_attempt_is_repeated_where_it_did_not_succeed():
    commands = [sent("c1", 1, "Failed", "a", "b", "c")]
    decision = adopt(commands, results("c1", a="Success", b="Failed", c="TimedOut"), ["a", "b", "c"], max_errors="1")
    assert (decision.attempt, decision.to_send) == (2, ("b", "c"))


def test_failures_that_are_allowed_are_not_repeated():
    commands = [sent("c1", 1, "Failed", "a", "b")]
    decision = adopt(commands, results("c1", a="Success", b="Failed"), ["a", "b"], max_errors="50%")
    assert (decision.attempt, decision.to_send) == (1, ())


def test_an_ended_command_that_shows_no_invocation_counts_as_failed():
    commands = [sent("c1", 1, "Success", "a")]
    decision = adopt(commands, results("c1", a="Pending"), ["a"], max_errors="0")
    assert (decision.attempt, decision.to_send) == (2, ("a",))


def test_a_try_that_waited_for_agents_goes_on_with_its_attempt():
    commands = [sent("c1", 1, "Failed", "a", "b", "c"), sent("c2", 2, "InProgress", "b")]
    found = {**results("c1", a="Success", c="Failed"), **results("c2", b="InProgress")}
    decision = adopt(commands, found, ["a", "b", "c"], max_errors="0", same_attempt=2)
    assert (decision.attempt, decision.to_send) == (2, ("c",))


@pytest.mark.parametrize(
    ("limit", "instances", "allowed"), [("0", 10, 0), (3, 10, 3), ("10%", 50, 5), ("10%", 9, 0), ("100%", 4, 4)]
)
def test_max_errors_as_ssm_reads_it(limit, instances, allowed):
    assert allowed_errors(limit, instances) == allowed


LAUNCH = {
    "servers": {
        "s-1": {"ec2_instance_id": "i-1", "launch_status": "LAUNCHED"},
        "s-2": {"ec2_instance_id": "i-2", "launch_status": "FAILED", "reason": "no subnet"},
        "s-3": {"ec2_instance_id": None, "launch_status": "PENDING"},
    }
}


@pytest.mark.parametrize(
    "given",
    [["i-1"], ("i-1", "i-1"), "i-1", '["i-1"]', "['i-1']", [["i-1"]], LAUNCH, str(LAUNCH)],
    ids=["list", "twice", "one", "json", "python", "mapped", "launch", "launch as text"],
)
def test_instances_in_every_shape(given):
    assert instance_ids_of(given)[0] == ["i-1"]


def test_servers_without_an_instance_have_a_reason():
    assert instance_ids_of(LAUNCH)[1] == {"s-2": "no subnet", "s-3": "PENDING"}


@pytest.mark.parametrize("given", [{"jobs": []}, [1], "[i-1", [""]])
def test_what_is_no_list_of_instances_is_refused(given):
    with pytest.raises(ValueError, match="instances"):
        instance_ids_of(given)
