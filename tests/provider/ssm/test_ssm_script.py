"""A script on instances: sent once, in chunks, judged on all of them, in a worker and deferred."""

from __future__ import annotations

import contextlib
import json
import time
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException, TaskDeferred
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

from drs_provider.aws.calls import BlockingCalls
from drs_provider.aws.ssm import commands as ssm_commands
from drs_provider.aws.ssm import reads as ssm_reads
from drs_provider.operators.ssm import SsmScriptOperator

BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])


def script(**arguments: Any) -> SsmScriptOperator:
    arguments = {
        "document_name": "Shop-Promote",
        "timeout": 120,
        "agent_timeout": 60,
        "poll_interval": 0.3,
        **arguments,
    }
    return SsmScriptOperator(task_id="promote", aws_conn_id=None, region_name="us-west-2", **arguments)


@BOTH
def test_runs_on_every_instance_and_returns_the_ends_of_the_outputs(region, run_task, task_context, deferrable):
    output = "\n".join(f"line {n}" for n in range(30))
    # It still runs when the task defers, however slow this machine is.
    documents = {"Shop-Promote": {"duration": 600, "output": output}}
    ids = region.load(3, documents=documents, speed=1 if deferrable else 600)
    operator = script(instances=ids, parameters={"role": "primary"}, deferrable=deferrable)
    context = task_context(operator)
    outcome = run_task(operator, context, while_deferred=lambda _: region.simulator.advance(600))
    assert set(outcome.value["instances"]) == set(ids)
    assert {result["status"] for result in outcome.value["instances"].values()} == {"Success"}
    first = outcome.value["instances"][ids[0]]
    assert first["exit_code"] == 0
    assert first["output_tail"].splitlines()[-1] == "line 29"
    assert len(first["output_tail"].splitlines()) == 10
    assert outcome.value["status"] == "Success"
    assert outcome.value["command_id"] == region.events("COMMAND_START")[0]["command"]
    assert len(outcome.triggers) == (1 if deferrable else 0)
    url = context["ti"].xcoms["_link_SsmCommandLink"]
    assert url == (
        f"https://console.aws.amazon.com/systems-manager/run-command/{outcome.value['command_id']}?region=us-west-2"
    )


@BOTH
def test_more_than_fifty_instances_go_in_chunks_and_every_page_is_read(region, run_task, task_context, deferrable):
    ids = region.load_instances(112, documents={"Shop-Promote": {"duration": 30}}, page_size=20)
    outcome = run_task(*_with_context(task_context, script(instances=ids, deferrable=deferrable)))
    sizes = [len(call["params"]["InstanceIds"]) for call in region.calls("SendCommand")]
    assert sizes == [50, 50, 12]
    assert len(outcome.value["instances"]) == 112
    assert len(outcome.value["command_ids"]) == 3


def _with_context(task_context, operator, **arguments):
    return operator, task_context(operator, **arguments)


@BOTH
def test_one_instance_that_fails_fails_the_task_and_is_named(region, run_task, task_context, deferrable):
    documents = {
        "Shop-Promote": {
            "duration": 20,
            "instances": {"host002": {"outcome": "Failed", "exit_code": 7, "error_output": "disk is full"}},
        }
    }
    ids = region.load(3, documents=documents)
    with pytest.raises(AirflowException) as failure:
        run_task(*_with_context(task_context, script(instances=ids, deferrable=deferrable)))
    assert f"{ids[1]}: Failed, exit code 7" in str(failure.value)
    assert "disk is full" in str(failure.value)
    assert ids[0] not in str(failure.value)


def test_max_errors_says_how_many_may_fail(region, run_task, task_context):
    documents = {"Shop-Promote": {"duration": 5, "instances": {"host002": {"outcome": "Failed", "exit_code": 1}}}}
    ids = region.load(4, documents=documents)
    outcome = run_task(*_with_context(task_context, script(instances=ids, max_errors="25%")))
    assert outcome.value["instances"][ids[1]]["status"] == "Failed"
    assert {call["params"]["MaxErrors"] for call in region.calls("SendCommand")} == {"25%"}


@BOTH
def test_a_script_that_hangs_is_cancelled_at_its_deadline(region, run_task, task_context, deferrable):
    documents = {"Shop-Promote": {"duration": 1, "instances": {"host001": {"outcome": "hangs"}}}}
    ids = region.load(2, documents=documents)
    with pytest.raises(AirflowException, match="did not end in time") as failure:
        run_task(*_with_context(task_context, script(instances=ids, timeout=2, deferrable=deferrable)))
    assert ids[0] in str(failure.value)
    assert ids[1] not in str(failure.value)
    assert len(region.calls("CancelCommand")) == 1


@BOTH
def test_a_script_that_runs_out_of_its_own_time_is_a_failure(region, run_task, task_context, deferrable):
    documents = {"Shop-Promote": {"duration": 5, "instances": {"host002": {"outcome": "TimedOut"}}}}
    ids = region.load(2, documents=documents)
    with pytest.raises(AirflowException, match=r"TimedOut"):
        run_task(*_with_context(task_context, script(instances=ids, deferrable=deferrable)))


@BOTH
def test_an_agent_that_never_comes_online_is_named_and_nothing_is_sent(region, run_task, task_context, deferrable):
    ids = region.load(2, server={2: {"agent": {"never": True}}}, documents={"Shop-Promote": {}})
    operator = script(instances=ids, agent_timeout=1, deferrable=deferrable)
    with pytest.raises(AirflowException) as failure:
        run_task(*_with_context(task_context, operator))
    assert f"1 of 2 instances did not come online in time; waiting for {ids[1]} not registered" in str(failure.value)
    assert "AmazonSSMManagedInstanceCore" in str(failure.value)
    assert not region.calls("SendCommand")


def test_an_agent_that_is_late_costs_a_second_deferral_and_the_worker_sends(region, run_task, task_context):
    ids = region.load(2, speed=1, agent={"online_after": 600}, documents={"Shop-Promote": {"duration": 600}})
    operator = script(instances=ids, deferrable=True)
    outcome = run_task(operator, task_context(operator), while_deferred=lambda _: region.simulator.advance(600))
    assert [type(trigger).__name__ for trigger in outcome.triggers] == ["SsmAgentTrigger", "SsmCommandTrigger"]
    assert len(region.events("COMMAND_START")) == 1
    assert len(outcome.value["instances"]) == 2


def test_targets_by_tags_are_the_running_instances(region, run_task, task_context):
    ids = region.load(3, documents={"Shop-Promote": {"duration": 2}})
    boto3.client("ec2").terminate_instances(InstanceIds=[ids[2]])
    outcome = run_task(*_with_context(task_context, script(target_tags={"App": "shop"})))
    assert set(outcome.value["instances"]) == set(ids[:2])


def test_targets_from_a_launch_are_the_launched_servers(region, run_task, task_context):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 2}})
    launch = {
        "servers": {
            "s-1": {"ec2_instance_id": ids[0], "launch_status": "LAUNCHED", "reason": None},
            "s-2": {"ec2_instance_id": None, "launch_status": "FAILED", "reason": "no subnet"},
        },
        "launched": 1,
        "failed": ["s-2"],
    }
    outcome = run_task(*_with_context(task_context, script(instances=launch)))
    assert list(outcome.value["instances"]) == [ids[0]]


@pytest.mark.slow
@BOTH
def test_throttling_and_outages_while_waiting_do_not_fail_the_task(region, run_task, task_context, deferrable):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 60}})
    for operation in ("ListCommands", "ListCommandInvocations", "DescribeInstanceInformation"):
        region.add_fault(operation, error="ThrottlingException", times=1)
        region.add_fault(operation, error="InternalServerError", status=500, skip=1, times=1)
    region.add_fault("SendCommand", error="ThrottlingException", times=1)
    once = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
    operator = script(instances=ids, deferrable=deferrable, botocore_config=once)
    outcome = run_task(operator, task_context(operator))
    assert {result["status"] for result in outcome.value["instances"].values()} == {"Success"}
    assert len(region.events("COMMAND_START")) == 1


@pytest.mark.parametrize("answer", [{"error": "InternalServerError", "status": 500}, {"reset": True}])
def test_a_command_whose_answer_was_lost_is_adopted(region, run_task, task_context, answer):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 20}})
    region.add_fault("SendCommand", when="after", times=1, **answer)
    outcome = run_task(*_with_context(task_context, script(instances=ids)))
    started = region.events("COMMAND_START")
    assert [event["command"] for event in started] == [outcome.value["command_id"]]


def test_a_command_whose_answer_was_lost_is_adopted_when_the_list_shows_it_late(
    region, run_task, task_context, monkeypatch
):
    """It is looked for until it must be there; the clock of AWS is moved on in the place of the pauses."""
    assert sum(ssm_commands._LOOKS) >= ssm_reads.APPEARS_WITHIN
    ids = region.load(1, documents={"Shop-Promote": {"duration": 2}}, speed=1)
    region.add_fault("SendCommand", when="after", times=1, error="InternalServerError", status=500)
    region.add_fault("ListCommands", stale=150)

    async def sleep(self: Any, seconds: float) -> None:
        region.simulator.advance(seconds)

    monkeypatch.setattr(BlockingCalls, "sleep", sleep)
    outcome = run_task(*_with_context(task_context, script(instances=ids)))
    assert [event["command"] for event in region.events("COMMAND_START")] == [outcome.value["command_id"]]


def test_a_command_that_was_refused_with_500_is_sent_again(region, run_task, task_context, monkeypatch):
    monkeypatch.setattr(ssm_commands, "_LOOKS", (0.1, 0.1))
    ids = region.load(1, documents={"Shop-Promote": {"duration": 2}})
    region.add_fault("SendCommand", when="before", error="InternalServerError", status=500, times=1)
    run_task(*_with_context(task_context, script(instances=ids)))
    assert len(region.calls("SendCommand")) == 2
    assert len(region.events("COMMAND_START")) == 1


def test_a_retry_after_a_crash_adopts_the_command(region, run_task, task_context):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 600}}, speed=1)

    class Crash(Exception):
        pass

    def crash(_trigger: Any) -> None:
        raise Crash

    operator = script(instances=ids, deferrable=True, retries=2)
    with pytest.raises(Crash):
        run_task(operator, task_context(operator), while_deferred=crash)
    region.simulator.advance(600)
    again = script(instances=ids, retries=2)
    outcome = run_task(again, task_context(again, try_number=2))
    assert len(region.events("COMMAND_START")) == 1
    assert outcome.value["command_id"] == region.events("COMMAND_START")[0]["command"]
    third = script(instances=ids, retries=2)
    assert run_task(third, task_context(third, try_number=3)).value["command_id"] == outcome.value["command_id"]
    assert len(region.events("COMMAND_START")) == 1


@pytest.mark.parametrize("outcome", ["Success", "Failed"])
def test_a_worker_that_stood_still_before_it_sends_looks_again(region, run_task, task_context, monkeypatch, outcome):
    """Another try sends the script meanwhile, and it is over when the worker goes on."""
    ids = region.load(2, documents={"Shop-Promote": {"duration": 2, "outcome": outcome}})
    operator, others = script(instances=ids, retries=1), script(instances=ids, retries=1)

    def stand_still(context: Any) -> None:
        with contextlib.suppress(AirflowException):
            run_task(others, task_context(others, try_number=2))
        late = time.time() + 1200
        monkeypatch.setattr("drs_provider.aws.freshness.time", SimpleNamespace(time=lambda: late))

    monkeypatch.setattr(operator, "before_sending", stand_still)
    with contextlib.suppress(AirflowException):
        run_task(operator, task_context(operator))
    assert len(region.calls("SendCommand")) == 1


def test_a_worker_that_stood_still_sends_only_where_nobody_has_sent(region, run_task, task_context, monkeypatch):
    ids = region.load(3, documents={"Shop-Promote": {"duration": 2}})
    operator, others = script(instances=ids, retries=1), script(instances=ids[:2], retries=1)

    def stand_still(context: Any) -> None:
        run_task(others, task_context(others, try_number=2))
        late = time.time() + 1200
        monkeypatch.setattr("drs_provider.aws.freshness.time", SimpleNamespace(time=lambda: late))

    monkeypatch.setattr(operator, "before_sending", stand_still)
    outcome = run_task(operator, task_context(operator))
    assert [call["params"]["InstanceIds"] for call in region.calls("SendCommand")] == [ids[:2], ids[2:]]
    assert set(outcome.value["instances"]) == set(ids)


def test_a_retry_finds_the_command_although_the_scheduler_s_clock_is_ahead(region, run_task, task_context):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 2}})
    for try_number in (1, 2):
        operator = script(instances=ids, retries=1)
        context = task_context(operator, try_number=try_number)
        context["dag_run"].start_date = datetime.now(timezone.utc) + timedelta(minutes=10)
        run_task(operator, context)
    assert len(region.calls("SendCommand")) == 1


def test_a_retry_after_a_failure_sends_again_where_it_did_not_succeed(region, run_task, task_context, capfd):
    documents = {
        "Shop-Promote": {"duration": 2, "outcome": ["Success"], "instances": {"host002": {"outcome": "Failed"}}}
    }
    ids = region.load(3, documents=documents)
    operator = script(instances=ids, retries=1)
    with pytest.raises(AirflowException):
        run_task(operator, task_context(operator))
    again = script(instances=ids, retries=1)
    with pytest.raises(AirflowException):
        run_task(again, task_context(again, try_number=2))
    sent = [call["params"] for call in region.calls("SendCommand")]
    assert [set(params["InstanceIds"]) for params in sent] == [set(ids), {ids[1]}]
    assert [params["Comment"].split()[1].split("/")[1] for params in sent] == ["1", "2"]
    assert "as attempt 2, to the 1 of 3 instances where it did not succeed" in capfd.readouterr().out


def test_a_clear_of_the_task_runs_the_script_again_everywhere(region, run_task, task_context):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 2}})
    operator = script(instances=ids, retries=2)
    run_task(operator, task_context(operator, try_number=1, max_tries=2))
    cleared = script(instances=ids, retries=2)
    run_task(cleared, task_context(cleared, try_number=2, max_tries=3))
    assert [len(call["params"]["InstanceIds"]) for call in region.calls("SendCommand")] == [2, 2]


def test_runs_and_map_indexes_have_commands_of_their_own(region, run_task, task_context):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 1}})
    for run_id in ("manual__1", "manual__2"):
        operator = script(instances=ids)
        run_task(operator, task_context(operator, run_id=run_id))
    mapped = script(instances=ids)
    context = task_context(mapped)
    context["ti"].map_index = 1
    run_task(mapped, context)
    comments = [call["params"]["Comment"] for call in region.calls("SendCommand")]
    assert len(set(comments)) == 3
    assert all(len(comment) <= 100 for comment in comments)


def test_a_worker_killed_while_the_answer_is_held_back_leaves_one_command(region, run_task, task_context, victim):
    ids = region.load(2, documents={"Shop-Promote": {"duration": 40}})
    region.add_fault("SendCommand", hold=True, times=1)
    first = script(instances=ids, retries=1)
    process = victim(lambda _: first.execute(task_context(first)))
    process.wait_until(lambda: region.events("COMMAND_START"))
    process.kill()
    region.simulator.release()
    operator = script(instances=ids, retries=1)
    outcome = run_task(operator, task_context(operator, try_number=2))
    assert [event["command"] for event in region.events("COMMAND_START")] == [outcome.value["command_id"]]
    assert len(region.calls("SendCommand")) == 1


def test_a_deferral_that_timed_out_is_taken_up_by_the_worker(region, task_context):
    documents = {"Shop-Promote": {"duration": 600, "instances": {"host002": {"outcome": "hangs"}}}}
    ids = region.load(2, documents=documents, speed=1)
    timed_out = (TRIGGER_FAIL_REPR, {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value})
    for instances, timeout in ((ids[1:], 1), (ids[:1], 120)):
        operator = script(instances=instances, timeout=timeout, deferrable=True)
        context = task_context(operator, run_id=f"of {instances}")
        with pytest.raises(TaskDeferred):
            operator.execute(context)
        region.simulator.advance(601)
        if timeout > 1:
            assert operator.resume_execution(*timed_out, context)["instances"][ids[0]]["status"] == "Success"
        else:
            with pytest.raises(AirflowException, match=f"did not end in time.*\\n  {ids[1]}: "):
                operator.resume_execution(*timed_out, context)
    assert len(region.events("COMMAND_START")) == 2
    assert len(region.calls("CancelCommand")) == 1


def test_a_refusal_is_told_at_once(region, run_task, task_context):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 1}})
    region.add_fault("SendCommand", error="AccessDeniedException", status=400, message="not allowed to send")
    with pytest.raises(Exception, match="not allowed to send"):
        run_task(*_with_context(task_context, script(instances=ids)))
    assert len(region.calls("SendCommand")) == 1


def test_on_kill_cancels_the_command_and_ends_the_wait(region, run_task, task_context):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 600}}, speed=5)
    operator = script(instances=ids, timeout=600)
    original = operator._wait

    def killed_while_waiting(*arguments: Any) -> Any:
        operator.on_kill()
        return original(*arguments)

    operator._wait = killed_while_waiting  # type: ignore[method-assign]
    with pytest.raises(AirflowException, match=r"killed|Cancelled"):
        run_task(operator, task_context(operator))
    assert len(region.calls("CancelCommand")) == 1


@pytest.mark.parametrize("cancel", [True, False])
def test_marking_the_deferred_task_cancels_the_command_unless_told_otherwise(region, run_task, task_context, cancel):
    import asyncio

    ids = region.load(1, documents={"Shop-Promote": {"duration": 600}}, speed=5)

    class Marked(Exception):
        pass

    def mark(trigger: Any) -> None:
        asyncio.run(trigger.on_kill())
        raise Marked

    operator = script(instances=ids, timeout=600, deferrable=True, cancel_on_kill=cancel)
    with pytest.raises(Marked):
        run_task(operator, task_context(operator), while_deferred=mark)
    assert len(region.calls("CancelCommand")) == (1 if cancel else 0)


def test_values_of_parameters_reach_neither_logs_nor_errors(region, run_task, task_context, capfd):
    secret = "hunter2-and-more"
    ids = region.load(1, documents={"Shop-Promote": {"parameters": {"role": {"type": "String"}}}})
    region.add_fault("SendCommand", error="InvalidParameters", message=f"bad value {secret}", times=1)
    operator = script(instances=ids, parameters={"role": [secret]})
    with pytest.raises(Exception, match="bad value") as failure:
        run_task(operator, task_context(operator))
    assert secret not in str(failure.value)
    wrong = script(instances=ids, parameters={"role": [{"not": secret}]})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="Parameter validation failed") as failure:
        run_task(wrong, task_context(wrong))
    assert secret not in str(failure.value)
    logged = capfd.readouterr()
    assert "sending it" in logged.out
    assert secret not in logged.out + logged.err


@pytest.mark.parametrize(
    "arguments", [{}, {"instances": ["i-1"], "target_tags": {"App": "shop"}}], ids=["neither", "both"]
)
def test_targets_have_to_be_given_in_one_way(region, run_task, task_context, arguments):
    operator = script(**arguments)
    with pytest.raises(ValueError, match="either instances or target_tags"):
        run_task(operator, task_context(operator))


def test_a_link_that_cannot_be_made_does_not_break_the_task(region, run_task, task_context):
    ids = region.load(1, documents={"Shop-Promote": {"duration": 1}})
    operator = script(instances=ids)
    context = task_context(operator)

    def refuse(key: str, value: Any) -> None:
        raise RuntimeError("no XCom today")

    context["ti"].xcom_push = refuse
    assert json.dumps(run_task(operator, context).value)


@pytest.mark.slow
@BOTH
def test_a_script_that_ssm_does_not_show_for_a_minute_is_waited_for(region, run_task, task_context, deferrable):
    """SSM's reads are eventually consistent: neither the command nor its invocations are known at once."""
    ids = region.load(2, documents={"Shop-Promote": {"duration": 5, "output": "row\n" * 1000}}, speed=4)
    region.add_fault("ListCommands", stale=60)
    # The invocations lag behind their command, and the command behind its sending.
    region.add_fault("ListCommandInvocations", stale=90)
    region.add_fault("GetCommandInvocation", stale=150)
    operator = script(instances=ids, deferrable=deferrable)
    outcome = run_task(operator, task_context(operator))
    assert outcome.value["status"] == "Success"
    assert {one["status"] for one in outcome.value["instances"].values()} == {"Success"}
    assert len(region.calls("SendCommand")) == 1
    errors = {entry["error"] for entry in region.calls("GetCommandInvocation")}
    assert {"InvocationDoesNotExist", None} == errors
    assert "InvalidCommandId" in {entry["error"] for entry in region.calls("ListCommandInvocations")}
