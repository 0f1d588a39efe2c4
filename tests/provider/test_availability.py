"""The wait until AWS answers an operation: asked without changing anything, once for all who wait."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.aws.calls import Calls, run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.aws.faults import TransientError, transient_cause
from drs_provider.hooks.drs import DrsHook
from drs_provider.triggers import availability, polling
from drs_provider.triggers.availability import AwsAvailableTrigger, fetch_answers, probe_of
from drs_provider.triggers.posts import WorkerPost


def trigger_for(operation: str | None, seconds: float = 60.0, **kwargs: Any) -> AwsAvailableTrigger:
    now = time.time()
    values: dict[str, Any] = {"reason": "ThrottlingException: slow down", "since": now, "pause": 0.0, **kwargs}
    return AwsAvailableTrigger(
        operation=operation, deadline=now + seconds, end_task=False, region_name="us-west-2", **values
    )


@pytest.mark.parametrize("operation", sorted(availability._PROBES))
def test_every_question_is_one_that_aws_answers_and_that_changes_nothing(operation: str, drs_simulator: Any) -> None:
    probe = probe_of(operation)
    client = boto3.client(probe.service, region_name="us-west-2")
    named = client.meta.method_to_api_mapping[probe.method]
    assert named.startswith(("Describe", "Get", "List"))
    assert operation == named or not operation.startswith(("Describe", "List")) or operation == "GetCommandInvocation"
    # What is asked for need not exist: botocore accepts the parameters, and the service says something.
    assert run_blocking(fetch_answers(Calls(client), [operation])) == {operation: True}


@pytest.mark.slow
def test_what_passes_is_no_answer(drs_simulator: Any) -> None:
    drs_simulator.add_fault("DescribeJobs", error="ThrottlingException")
    with pytest.raises(ClientError):
        run_blocking(fetch_answers(Calls(boto3.client("drs", region_name="us-west-2")), ["DescribeJobs"]))


@pytest.mark.slow
def test_it_ends_at_the_first_answer(drs_simulator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    drs_simulator.load({})
    drs_simulator.add_fault("DescribeJobs", error="ThrottlingException", times=3)
    run_blocking(trigger_for("StartRecovery").wait(WorkerPost(DrsHook(region_name="us-west-2", aws_conn_id=None))))
    asked = [one for one in drs_simulator.log if one.get("operation")]
    assert {one["operation"] for one in asked} == {"DescribeJobs"}
    assert len(asked) == 4


async def test_all_who_wait_share_the_questions(drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "GATHER_SECONDS", 0.1)
    drs_simulator_server.add_fault("DescribeJobs", error="ThrottlingException", status=429, times=1)
    triggers = [trigger_for(one) for one in ("DescribeJobs", "StartRecovery", None) * 5]

    async def event_of(trigger: AwsAvailableTrigger) -> Any:
        return (await anext(trigger.run())).payload

    events = await asyncio.gather(*map(event_of, triggers))
    assert {event["status"] for event in events} == {"success"}
    asked = [one for one in drs_simulator_server.log if one.get("operation") == "DescribeJobs"]
    assert len(asked) <= 4


@pytest.mark.slow
async def test_it_gives_up_at_its_deadline(drs_simulator_server: Any) -> None:
    drs_simulator_server.add_fault("DescribeJobs", error="ThrottlingException", status=429)
    trigger = trigger_for("DescribeJobs", seconds=-1.0)
    events = [event.payload async for event in trigger.run()]
    assert events[0]["status"] == "error"
    assert events[0]["timed_out"] is True
    assert "DescribeJobs since" in events[0]["message"]


async def test_a_trigger_that_could_not_see_says_so_in_its_event(drs_simulator_server: Any) -> None:
    class Blind(AwsAvailableTrigger):
        async def wait(self, post: Any) -> None:
            raise TransientError("DescribeJobs", "ThrottlingException: slow down")

    trigger = Blind(
        operation="DescribeJobs", reason="", since=time.time(), pause=0, deadline=time.time(), end_task=False
    )
    (event,) = [event.payload async for event in trigger.run()]
    assert (event["status"], event["timed_out"]) == ("error", False)
    assert event["transient"]["operation"] == "DescribeJobs"


def test_it_is_made_again_from_what_the_database_keeps() -> None:
    trigger = trigger_for("SendCommand", pause=5.0)
    path, arguments = trigger.serialize()
    assert path == "drs_provider.triggers.availability.AwsAvailableTrigger"
    assert AwsAvailableTrigger(**arguments).serialize() == (path, arguments)


def test_only_errors_of_aws_are_waited_for() -> None:
    throttled = ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow"}}, "DescribeJobs")
    denied = ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "DescribeJobs")
    wrapped = RuntimeError("the launch failed")
    wrapped.__cause__ = throttled
    assert str(transient_cause(wrapped)) == "DescribeJobs: ThrottlingException: slow"
    for error in (denied, OSError("disk full"), KeyError("x"), RuntimeError("plain")):
        assert transient_cause(error) is None


def test_sts_is_asked_in_the_region_itself(monkeypatch: pytest.MonkeyPatch, drs_simulator: Any) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    of_hook = Clients(DrsHook(aws_conn_id=None, region_name="us-west-2").client).sts
    of_session = Clients.from_session(boto3.session.Session(), "us-west-2").sts
    for client in (of_hook, of_session):
        assert client.meta.endpoint_url == "https://sts.us-west-2.amazonaws.com"


def test_a_client_notices_an_endpoint_that_is_gone(drs_simulator: Any) -> None:
    config = DrsHook(aws_conn_id=None, region_name="us-west-2").client("ec2").meta.config
    assert (config.connect_timeout, config.retries["total_max_attempts"]) == (10, 3)
