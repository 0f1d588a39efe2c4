"""An automation: started once, approvals shown, every end understood, in a worker and deferred."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import boto3
import botocore.session
import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowSkipException, TaskDeferred
from airflow.sdk import Asset
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason
from botocore.exceptions import ClientError

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.ssm.reads import read_automation
from drs_provider.aws.ssm.status import AUTOMATION_STATUS, INVOCATION_STATUS, Automation, Progress
from drs_provider.hooks.ssm import SsmHook
from drs_provider.operators.automation import SsmAutomationOperator
from drs_provider.sensors.ssm import SsmAutomationSensor

BOTH = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "deferred"])
NO_SDK_RETRIES = {"retries": {"total_max_attempts": 1, "mode": "standard"}}
APPROVAL = {
    "kind": "Automation",
    "steps": [
        {"name": "snapshot", "duration": 2},
        {"name": "approve", "action": "aws:approve", "approvers": ["arn:aws:iam::123456789012:user/boss"]},
        {"name": "promote", "duration": 2, "outputs": {"Endpoint": ["db.example"]}},
    ],
    "outputs": {"promote.Endpoint": ["db.example"]},
}


def automation(**arguments: Any) -> SsmAutomationOperator:
    arguments = {"document_name": "Shop-Failover", "timeout": 120, "poll_interval": 0.3, **arguments}
    return SsmAutomationOperator(task_id="failover", aws_conn_id=None, region_name="us-west-2", **arguments)


@pytest.fixture
def signal_when_waiting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Approve or reject the execution once the task has seen it waiting, as a person at the console would."""
    told = threading.Event()
    original = Automation.changes

    def changes(automation: Automation, *arguments: Any) -> list[str]:
        if automation.progress is Progress.WAITING:
            told.set()
        return original(automation, *arguments)

    monkeypatch.setattr(Automation, "changes", changes)

    def start(signal_type: str) -> threading.Thread:
        def work() -> None:
            assert told.wait(100)
            client = boto3.client("ssm")
            (execution,) = client.describe_automation_executions()["AutomationExecutionMetadataList"]
            client.send_automation_signal(
                AutomationExecutionId=execution["AutomationExecutionId"], SignalType=signal_type
            )

        thread = threading.Thread(target=work)
        thread.start()
        return thread

    return start


def test_every_status_of_the_service_model_is_mapped():
    model = botocore.session.get_session().get_service_model("ssm")
    assert set(AUTOMATION_STATUS) == set(model.shape_for("AutomationExecutionStatus").enum)
    assert len(AUTOMATION_STATUS) == 19
    invocations = {*model.shape_for("CommandInvocationStatus").enum, *model.shape_for("CommandStatus").enum}
    assert set(INVOCATION_STATUS) == invocations


def test_an_unknown_status_goes_on():
    assert Automation("id", "doc", "Rejuvenating", None).progress is Progress.RUNNING


@BOTH
def test_outputs_are_returned_and_the_parameters_are_sent(region, run_task, task_context, deferrable):
    documents = {"Shop-Failover": {"kind": "Automation", "duration": 600, "outputs": {"a.Endpoint": ["db", "db2"]}}}
    # It still runs when the task defers, however slow this machine is.
    region.load(0, documents=documents, speed=1 if deferrable else 600)
    operator = automation(parameters={"Target": ["b"], "Mode": "fast"}, deferrable=deferrable)
    context = task_context(operator)
    outcome = run_task(operator, context, while_deferred=lambda _: region.simulator.advance(600))
    started = region.calls("StartAutomationExecution")
    assert started[0]["params"]["Parameters"] == {"Target": ["b"], "Mode": ["fast"]}
    assert outcome.value["outputs"]["a.Endpoint"] == ["db", "db2"]
    assert outcome.value["status"] == "Success"
    assert outcome.value["instances"] == {}
    assert len(outcome.triggers) == (1 if deferrable else 0)
    assert outcome.value["automation_execution_id"] in context["ti"].xcoms["_link_SsmAutomationLink"]


@BOTH
def test_an_approval_is_shown_with_its_link_and_then_goes_on(
    region, run_task, task_context, deferrable, capfd, signal_when_waiting
):
    region.load(0, documents={"Shop-Failover": APPROVAL}, speed=5)
    person = signal_when_waiting("Approve")
    outcome = run_task(*with_context(task_context, automation(deferrable=deferrable)))
    person.join()
    assert outcome.value["outputs"]["promote.Endpoint"] == ["db.example"]
    logged = capfd.readouterr().out
    execution_id = outcome.value["automation_execution_id"]
    assert (
        f"Automation {execution_id} waits (Waiting) at step approve: approve, reject or resume it at https://" in logged
    )
    assert f"/systems-manager/automation/execution/{execution_id}?region=us-west-2" in logged
    assert "Step promote (aws:executeAwsApi): Success" in logged


def with_context(task_context, operator, **arguments):
    return operator, task_context(operator, **arguments)


@BOTH
def test_a_rejected_approval_fails_the_task(region, run_task, task_context, deferrable, signal_when_waiting):
    region.load(0, documents={"Shop-Failover": APPROVAL}, speed=5)
    person = signal_when_waiting("Reject")
    with pytest.raises(AirflowException, match=r"Rejected|Failed") as failure:
        run_task(*with_context(task_context, automation(deferrable=deferrable)))
    person.join()
    assert "step approve" in str(failure.value)


@BOTH
def test_an_approval_that_nobody_gives_times_out_and_the_automation_is_cancelled(
    region, run_task, task_context, deferrable
):
    region.load(0, documents={"Shop-Failover": APPROVAL})
    with pytest.raises(AirflowException, match="did not end in time: it is Waiting at step approve"):
        run_task(*with_context(task_context, automation(timeout=2, deferrable=deferrable)))
    assert len(region.calls("StopAutomationExecution")) == 1


@BOTH
def test_a_failed_step_is_told_with_its_message(region, run_task, task_context, deferrable):
    documents = {
        "Shop-Failover": {
            "kind": "Automation",
            "message": "Step fails when it is running",
            "outcome": "Failed",
            "steps": [
                {"name": "snapshot", "duration": 1},
                {"name": "promote", "duration": 1, "outcome": "Failed", "message": "the replica is gone"},
            ],
        }
    }
    region.load(0, documents=documents, speed=5)
    with pytest.raises(AirflowException) as failure:
        run_task(*with_context(task_context, automation(deferrable=deferrable)))
    assert "ended as Failed" in str(failure.value)
    assert "step promote (aws:executeAwsApi) is Failed: the replica is gone" in str(failure.value)


@pytest.mark.parametrize(
    "status",
    [status for status, progress in AUTOMATION_STATUS.items() if progress is Progress.FAILED],
)
def test_every_end_without_success_fails_the_task(region, run_task, task_context, status):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 1, "outcome": status}})
    with pytest.raises(AirflowException, match=f"ended as {status}"):
        run_task(*with_context(task_context, automation()))


@pytest.mark.slow
@BOTH
def test_throttling_and_outages_while_waiting_do_not_fail_the_task(region, run_task, task_context, deferrable):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 60}})
    for operation in ("DescribeAutomationExecutions", "GetAutomationExecution", "StartAutomationExecution"):
        region.add_fault(operation, error="ThrottlingException", times=1)
        region.add_fault(operation, error="InternalServerError", status=500, when="after", skip=1, times=1)
    outcome = run_task(*with_context(task_context, automation(deferrable=deferrable, botocore_config=NO_SDK_RETRIES)))
    assert outcome.value["status"] == "Success"
    assert len(region.events("AUTOMATION_START")) == 1


def test_a_retry_after_a_crash_adopts_and_one_after_a_failure_starts_again(region, run_task, task_context, capfd):
    outcomes = ["Failed", "Success"]
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600, "outcome": outcomes}}, speed=1)

    class Crash(Exception):
        pass

    def crash(_trigger: Any) -> None:
        raise Crash

    def attempt(number: int, while_deferred: Any, **more: Any) -> Any:
        operator = automation(deferrable=True, retries=3)
        context = task_context(operator, try_number=number, **more)
        return run_task(operator, context, while_deferred=while_deferred).value

    def pass_time(_trigger: Any) -> None:
        region.simulator.advance(600)

    with pytest.raises(Crash):
        attempt(1, crash)
    with pytest.raises(AirflowException, match="ended as Failed"):
        attempt(2, pass_time)
    assert len(region.events("AUTOMATION_START")) == 1
    third = attempt(3, pass_time)
    assert len(region.events("AUTOMATION_START")) == 2
    assert "ended as Failed: starting attempt 2" in capfd.readouterr().out
    assert attempt(4, pass_time) == third
    assert len(region.events("AUTOMATION_START")) == 2
    attempt(5, pass_time, max_tries=7)
    assert len(region.events("AUTOMATION_START")) == 3


@pytest.mark.parametrize("status", ["Success", "Failed"])
def test_a_worker_that_stood_still_before_it_starts_one_finds_that_of_another_try(
    region, run_task, task_context, monkeypatch, status
):
    region.load(1, documents={"Shop-Failover": {"kind": "Automation", "duration": 2, "outcome": status}})
    operator, others = automation(retries=1), automation(retries=1)

    def stand_still(context: Any) -> None:
        with contextlib.suppress(AirflowException):
            run_task(others, task_context(others, try_number=1))

    monkeypatch.setattr(operator, "before_sending", stand_still)
    with contextlib.suppress(AirflowException):
        run_task(operator, task_context(operator))
    tokens = {call["params"]["ClientToken"] for call in region.calls("StartAutomationExecution")}
    assert len(tokens) == 1
    assert len(region.events("AUTOMATION_START")) == 1


def test_other_parameters_in_a_retry_are_refused_with_advice(region, run_task, task_context):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 1}})
    first = automation(parameters={"At": "noon"}, retries=1)
    run_task(first, task_context(first))
    second = automation(parameters={"At": "midnight"}, retries=1)
    with pytest.raises(AirflowException, match="Clear the task"):
        run_task(second, task_context(second, try_number=2))
    assert len(region.events("AUTOMATION_START")) == 1


def test_a_worker_killed_while_the_answer_is_held_back_leaves_one_execution(region, run_task, task_context, victim):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 40}})
    region.add_fault("StartAutomationExecution", hold=True, times=1)
    first = automation(retries=1)
    process = victim(lambda _: first.execute(task_context(first)))
    process.wait_until(lambda: region.events("AUTOMATION_START"))
    process.kill()
    region.simulator.release()
    operator = automation(retries=1)
    outcome = run_task(operator, task_context(operator, try_number=2))
    assert outcome.value["status"] == "Success"
    assert len(region.events("AUTOMATION_START")) == 1


def test_a_deferral_that_timed_out_is_taken_up_by_the_worker(region, task_context):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600}}, speed=1)
    operator = automation(deferrable=True)
    context = task_context(operator)
    with pytest.raises(TaskDeferred):
        operator.execute(context)
    region.simulator.advance(601)
    error = {"error": TriggerFailureReason.TRIGGER_TIMEOUT.value}
    assert operator.resume_execution(TRIGGER_FAIL_REPR, error, context)["status"] == "Success"
    assert len(region.events("AUTOMATION_START")) == 1


def test_a_document_that_does_not_exist_is_told_at_once(region, run_task, task_context):
    region.load(0)
    with pytest.raises(Exception, match="AutomationDefinitionNotFound"):
        run_task(*with_context(task_context, automation()))
    assert len(region.calls("StartAutomationExecution")) == 1


def test_a_task_with_outlets_ends_in_the_worker(region, run_task, task_context):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600}}, speed=1)
    operator = automation(deferrable=True, outlets=[Asset("shop")])
    context = task_context(operator)
    outcome = run_task(operator, context, while_deferred=lambda _: region.simulator.advance(600))
    assert outcome.value["status"] == "Success"
    assert [trigger.end_task for trigger in outcome.triggers] == [False]


def test_on_kill_stops_the_automation(region, task_context):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600}}, speed=1)
    operator = automation(timeout=600)

    def kill() -> None:
        give_up = time.time() + 60
        while not region.calls("DescribeAutomationExecutions") and time.time() < give_up:
            time.sleep(0.1)
        operator.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(AirflowException, match=r"killed|Cancelled"):
        operator.execute(task_context(operator))
    killer.join()
    assert len(region.calls("StopAutomationExecution")) == 1


@pytest.mark.parametrize("stop", [True, False])
def test_marking_the_deferred_task_stops_the_automation_unless_told_otherwise(region, run_task, task_context, stop):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600}}, speed=5)

    class Marked(Exception):
        pass

    def mark(trigger: Any) -> None:
        asyncio.run(trigger.on_kill())
        raise Marked

    operator = automation(timeout=600, deferrable=True, stop_on_kill=stop)
    with pytest.raises(Marked):
        run_task(operator, task_context(operator), while_deferred=mark)
    assert len(region.calls("StopAutomationExecution")) == (1 if stop else 0)


@BOTH
def test_the_sensor_waits_for_an_automation_that_another_task_started(region, run_task, task_context, deferrable):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 40, "outputs": {"a.B": ["c"]}}})
    starter = automation(wait_for_completion=False)
    started = run_task(starter, task_context(starter)).value
    sensor = SsmAutomationSensor(
        task_id="wait",
        automation_execution_id=started["automation_execution_id"],
        aws_conn_id=None,
        region_name="us-west-2",
        poke_interval=0.3,
        timeout=120,
        deferrable=deferrable,
    )
    assert run_task(sensor, task_context(sensor)).value["outputs"]["a.B"] == ["c"]


@BOTH
def test_the_sensor_leaves_the_automation_alone_at_its_deadline(region, run_task, task_context, deferrable):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 600}}, speed=1)
    starter = automation(wait_for_completion=False)
    started = run_task(starter, task_context(starter)).value
    sensor = SsmAutomationSensor(
        task_id="wait",
        automation_execution_id=started["automation_execution_id"],
        aws_conn_id=None,
        region_name="us-west-2",
        poke_interval=0.3,
        timeout=1,
        soft_fail=True,
        deferrable=deferrable,
    )
    with pytest.raises(AirflowSkipException, match="did not end in time"):
        run_task(sensor, task_context(sensor))
    assert not region.calls("StopAutomationExecution")


@pytest.mark.slow
@BOTH
def test_an_automation_that_ssm_does_not_show_for_a_minute_is_waited_for(region, run_task, task_context, deferrable):
    region.load(0, documents={"Shop-Failover": {"kind": "Automation", "duration": 30}}, speed=4)
    for operation in ("GetAutomationExecution", "DescribeAutomationExecutions"):
        region.add_fault(operation, stale=60)
    outcome = run_task(*with_context(task_context, automation(deferrable=deferrable)))
    assert outcome.value["status"] == "Success"
    assert len(region.calls("StartAutomationExecution")) == 1
    assert {entry["error"] for entry in region.calls("GetAutomationExecution")} == {
        "AutomationExecutionNotFoundException",
        None,
    }


@pytest.mark.slow
def test_an_automation_that_does_not_exist_is_waited_for_within_a_bound(region, monkeypatch):
    region.load(0)
    monkeypatch.setattr("drs_provider.aws.ssm.reads.APPEARS_WITHIN", 15.0)
    calls = SsmHook(aws_conn_id=None, region_name="us-west-2").calls()
    with pytest.raises(ClientError, match="AutomationExecutionNotFound"):
        run_blocking(read_automation(calls, "0" * 8 + "-0000-0000-0000-" + "0" * 12))
    assert 2 <= len(region.calls("GetAutomationExecution")) < 15
