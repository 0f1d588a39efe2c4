"""Automation: how executions and their steps move on, wait for signals, stop and end."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any, get_args

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.simulator.documents import AutomationOutcome

REGION = "us-west-2"
NO_OUTPUT = "No output available yet because the step is not successfully executed"
STEPS = [
    {"name": "promote", "duration": 10, "outputs": {"Endpoint": ["db.example.com"]}},
    {"name": "repoint", "action": "aws:executeScript", "duration": 20},
]


class Runbooks:
    """An SSM client in a frozen region with the documents of a scenario."""

    def __init__(self, simulator: Any, documents: dict[str, Any], **scenario: Any) -> None:
        simulator.load({"documents": documents, **scenario})
        simulator.freeze()
        self.client = boto3.client("ssm", REGION)

    def start(self, document: str = "Doc", **more: Any) -> str:
        return str(self.client.start_automation_execution(DocumentName=document, **more)["AutomationExecutionId"])

    def get(self, execution: str) -> dict[str, Any]:
        return dict(self.client.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"])

    def status(self, execution: str) -> str:
        return str(self.get(execution)["AutomationExecutionStatus"])

    def steps(self, execution: str) -> list[str]:
        return [step["StepStatus"] for step in self.get(execution)["StepExecutions"]]

    def signal(self, execution: str, kind: str, **payload: list[str]) -> None:
        self.client.send_automation_signal(
            AutomationExecutionId=execution, SignalType=kind, Payload=payload or {"Comment": ["-"]}
        )


def refused(code: str, call: Any, *args: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(*args, **params)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value.response["Error"]["Message"])


def test_steps_run_one_after_another_and_leave_outputs(drs_simulator):
    document = {"steps": STEPS, "outputs": {"promote.Endpoint": ["db.example.com"], "repoint.Done": ["yes"]}}
    books = Runbooks(drs_simulator, {"Doc": document})
    execution = books.start(Parameters={"Cluster": ["shop"]})
    assert (books.status(execution), books.steps(execution)) == ("Pending", ["Pending", "Pending"])
    drs_simulator.advance(1)
    running = books.get(execution)
    assert (running["AutomationExecutionStatus"], running["CurrentStepName"]) == ("InProgress", "promote")
    assert running["CurrentAction"] == "aws:executeAwsApi"
    assert set(running["Outputs"]) == {"promote.Endpoint", "repoint.Done"}
    assert running["Outputs"]["promote.Endpoint"] == [NO_OUTPUT]
    drs_simulator.advance(10)
    assert books.steps(execution) == ["Success", "InProgress"]
    assert books.get(execution)["Outputs"] == {"promote.Endpoint": ["db.example.com"], "repoint.Done": [NO_OUTPUT]}
    drs_simulator.advance(20)
    done = books.get(execution)
    assert done["AutomationExecutionStatus"] == "Success"
    assert done["Outputs"] == {"promote.Endpoint": ["db.example.com"], "repoint.Done": ["yes"]}
    assert done["Parameters"] == {"Cluster": ["shop"]}
    took = done["ExecutionEndTime"] - done["ExecutionStartTime"]
    assert took.total_seconds() == pytest.approx(30.5, abs=0.01)
    first, second = done["StepExecutions"]
    assert (first["ExecutionEndTime"] - first["ExecutionStartTime"]).total_seconds() == pytest.approx(10, abs=0.01)
    assert second["ExecutionStartTime"] == first["ExecutionEndTime"]
    assert (first["NextStep"], first["IsEnd"], second["IsEnd"]) == ("repoint", False, True)
    assert first["Outputs"] == {"Endpoint": ["db.example.com"]}


def test_it_moves_on_without_being_polled(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {"duration": 20}})
    execution = books.start()
    drs_simulator.advance(100)
    events = [each for each in drs_simulator.log if each.get("execution") == execution]
    assert [each["event"] for each in events] == ["AUTOMATION_START", "STEP_START", "STEP_END", "AUTOMATION_END"]
    assert [round(each["t"] - events[0]["t"], 3) for each in events] == [0, 0.5, 20.5, 20.5]
    assert (events[-1]["document"], events[-1]["status"]) == ("Doc", "Success")


ENDS = {
    "Success",
    "Failed",
    "TimedOut",
    "Cancelled",
    "Rejected",
    "ChangeCalendarOverrideRejected",
    "CompletedWithSuccess",
    "CompletedWithFailure",
    "Exited",
}


def test_every_status_by_scenario(drs_simulator):
    outcomes = set(get_args(AutomationOutcome))
    shape = boto3.client("ssm", REGION).meta.service_model.shape_for("AutomationExecutionStatus")
    assert outcomes - {"hangs"} == set(shape.enum), "every status of the model is reachable"
    books = Runbooks(drs_simulator, {f"Doc-{outcome}": {"outcome": outcome} for outcome in outcomes})
    started = {outcome: books.start(f"Doc-{outcome}") for outcome in sorted(outcomes)}
    drs_simulator.advance(60)
    for outcome, execution in started.items():
        found = books.get(execution)
        assert found["AutomationExecutionStatus"] == ("InProgress" if outcome == "hangs" else outcome)
        assert ("ExecutionEndTime" in found) == (outcome in ENDS), outcome


def test_a_failing_step_ends_the_execution_and_one_that_may_fail_does_not(drs_simulator):
    failing = {"name": "promote", "outcome": "Failed", "message": "replica is read-only"}
    books = Runbooks(
        drs_simulator,
        {
            "Abort": {"steps": [failing, STEPS[1]]},
            "Continue": {"steps": [{**failing, "on_failure": "Continue"}, STEPS[1]]},
            "Slow": {"steps": [{"name": "promote", "duration": 60, "timeout": 5}]},
        },
    )
    abort, go_on, slow = books.start("Abort"), books.start("Continue"), books.start("Slow")
    drs_simulator.advance(60)
    failed = books.get(abort)
    assert (failed["AutomationExecutionStatus"], books.steps(abort)) == ("Failed", ["Failed", "Pending"])
    assert "replica is read-only" in failed["FailureMessage"]
    assert failed["StepExecutions"][0]["FailureMessage"] == "replica is read-only"
    assert failed["ProgressCounters"] == {
        "TotalSteps": 2,
        "SuccessSteps": 0,
        "FailedSteps": 1,
        "CancelledSteps": 0,
        "TimedOutSteps": 0,
    }
    assert (books.status(go_on), books.steps(go_on)) == ("Success", ["Failed", "Success"])
    assert (books.status(slow), books.steps(slow)) == ("TimedOut", ["TimedOut"])


def test_a_document_that_fails_says_why_and_may_succeed_the_second_time(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {"outcome": ["Failed", "Success"], "message": "no such cluster"}})
    first, second = books.start(), books.start()
    drs_simulator.advance(10)
    assert books.status(first) == "Failed" and "no such cluster" in books.get(first)["FailureMessage"]
    assert books.status(second) == "Success"


def test_an_approval_waits_for_its_signal(drs_simulator):
    approval = {"name": "approve", "approvers": ["arn:aws:iam::123456789012:user/ops"], "approvals": 2}
    books = Runbooks(drs_simulator, {"Doc": {"steps": [{**approval, "action": "aws:approve"}, STEPS[1]]}})
    execution = books.start()
    refused("InvalidAutomationSignalException", books.signal, execution, "Approve")
    drs_simulator.advance(86400)
    assert (books.status(execution), books.steps(execution)) == ("Waiting", ["Waiting", "Pending"])
    books.signal(execution, "Approve", Comment=["Looks good"])
    assert books.status(execution) == "Waiting", "two approvals are needed"
    refused("InvalidAutomationSignalException", books.signal, execution, "StartStep", StepName=["approve"])
    books.signal(execution, "Approve")
    assert (books.status(execution), books.steps(execution)) == ("InProgress", ["Success", "InProgress"])
    refused("InvalidAutomationSignalException", books.signal, execution, "Approve")
    drs_simulator.advance(20)
    assert books.status(execution) == "Success"
    refused("InvalidAutomationSignalException", books.signal, execution, "Reject")


def test_an_approval_is_rejected_or_times_out(drs_simulator):
    step = {"name": "approve", "action": "aws:approve"}
    documents = {"Rejected": {"steps": [step]}, "Ignored": {"steps": [{**step, "timeout": "1h"}]}}
    books = Runbooks(drs_simulator, documents)
    rejected, ignored = books.start("Rejected"), books.start("Ignored")
    drs_simulator.advance(1)
    books.signal(rejected, "Reject", Comment=["not now"])
    assert books.status(rejected) == "Failed" and "not now" in books.get(rejected)["FailureMessage"]
    drs_simulator.advance(3600)
    assert books.status(ignored) == "TimedOut"


def test_a_change_request_waits_for_its_approval(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {"outcome": "PendingApproval", "duration": 10}})
    approved, rejected = books.start(), books.start()
    drs_simulator.advance(60)
    assert books.status(approved) == "PendingApproval"
    books.signal(approved, "Approve")
    books.signal(rejected, "Reject")
    assert (books.status(approved), books.status(rejected)) == ("Approved", "Rejected")
    drs_simulator.advance(20)
    assert books.status(approved) == "CompletedWithSuccess"


def test_stop_cancels_the_running_step_or_lets_it_finish(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {"steps": STEPS}, "Hangs": {"outcome": "hangs"}})
    cancelled, completed, hanging = books.start(), books.start(), books.start("Hangs")
    drs_simulator.advance(1)
    stop = books.client.stop_automation_execution
    stop(AutomationExecutionId=cancelled)
    stop(AutomationExecutionId=completed, Type="Complete")
    stop(AutomationExecutionId=hanging, Type="Cancel")
    assert (books.status(cancelled), books.steps(cancelled)) == ("Cancelling", ["Cancelling", "Pending"])
    drs_simulator.advance(2)
    assert (books.status(cancelled), books.steps(cancelled)) == ("Cancelled", ["Cancelled", "Pending"])
    assert books.status(hanging) == "Cancelled"
    assert books.status(completed) == "InProgress"
    drs_simulator.advance(10)
    assert (books.status(completed), books.steps(completed)) == ("Success", ["Success", "Pending"])
    refused("InvalidAutomationStatusUpdateException", stop, AutomationExecutionId=cancelled)
    ends = [each["execution"] for each in drs_simulator.log if each.get("event") == "AUTOMATION_END"]
    assert sorted(ends) == sorted([cancelled, completed, hanging])


def test_a_client_token_starts_once(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {}, "Other": {}})
    token = str(uuid.uuid4())
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: books.start(ClientToken=token, Parameters={"A": ["1"]}), range(16)))
    assert len(found) == 1
    assert {books.start(ClientToken=token.upper(), Parameters={"A": ["1"]})} == found
    again = {"ClientToken": token, "Parameters": {"A": ["2"]}}
    refused("IdempotentParameterMismatch", books.start, **again)
    refused("IdempotentParameterMismatch", books.start, "Other", ClientToken=token, Parameters={"A": ["1"]})
    assert books.start() != books.start(), "without a token every call starts one"
    starts = [each for each in drs_simulator.log if each.get("event") == "AUTOMATION_START"]
    assert len(starts) == 3


def test_a_client_token_survives_an_error_after_the_effect(drs_simulator):
    books = Runbooks(drs_simulator, {"Doc": {}})
    once = boto3.client("ssm", REGION, config=boto3.session.Config(retries={"total_max_attempts": 1}))
    drs_simulator.add_fault("StartAutomationExecution", error="InternalServerError", when="after", times=1)
    given = {"DocumentName": "Doc", "ClientToken": str(uuid.uuid4())}
    refused("InternalServerError", once.start_automation_execution, **given)
    adopted = once.start_automation_execution(**given)["AutomationExecutionId"]
    (listed,) = books.client.describe_automation_executions()["AutomationExecutionMetadataList"]
    assert listed["AutomationExecutionId"] == adopted


def test_targets_run_one_execution_each(drs_simulator):
    bad = {"duration": 10, "instances": {"a": {"outcome": "Failed"}}}
    books = Runbooks(drs_simulator, {"Doc": {"duration": 10}, "Bad": bad})
    more = {
        "TargetParameterName": "Cluster",
        "Targets": [{"Key": "ParameterValues", "Values": ["a", "b", "c"]}],
        "MaxConcurrency": "2",
    }
    parent = books.start(**more)
    stopped = books.start(**more)
    failing = books.start("Bad", **more)
    drs_simulator.advance(2)
    filters = [{"Key": "ParentExecutionId", "Values": [parent]}]
    children = books.client.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    assert {child["Target"] for child in children} == {"a", "b"}
    assert books.get(parent)["ResolvedTargets"]["ParameterValues"] == ["a", "b", "c"]
    books.client.stop_automation_execution(AutomationExecutionId=stopped)
    drs_simulator.advance(60)
    assert (books.status(parent), books.status(stopped)) == ("Success", "Cancelled")
    children = books.client.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    assert sorted((child["Target"], child["AutomationExecutionStatus"]) for child in children) == [
        ("a", "Success"),
        ("b", "Success"),
        ("c", "Success"),
    ]
    assert books.status(failing) == "Failed"
    filters = [{"Key": "ParentExecutionId", "Values": [failing]}]
    children = books.client.describe_automation_executions(Filters=filters)["AutomationExecutionMetadataList"]
    assert sorted((child["Target"], child["AutomationExecutionStatus"]) for child in children) == [
        ("a", "Failed"),
        ("b", "Success"),
    ], "no more targets after MaxErrors"
    refused("InvalidTarget", books.start, Targets=more["Targets"])


def test_requests_that_aws_refuses(drs_simulator):
    documents = {
        "Shell": {"kind": "Command"},
        "Strict": {"parameters": {"Role": None, "Size": "1", "Mode": {"allowedValues": ["fast"], "default": "fast"}}},
        "Doc": {},
    }
    books = Runbooks(drs_simulator, documents)
    for name in ("Nonsense", "Shell", "AWS-RunShellScript"):
        assert name in refused("AutomationDefinitionNotFoundException", books.start, name)
    refused("AutomationDefinitionVersionNotFoundException", books.start, "Doc", DocumentVersion="7")
    bad = "InvalidAutomationExecutionParametersException"
    assert "Role" in refused(bad, books.start, "Strict")
    assert "Nonsense" in refused(bad, books.start, "Strict", Parameters={"Role": ["x"], "Nonsense": ["y"]})
    assert "fast" in refused(bad, books.start, "Strict", Parameters={"Role": ["x"], "Mode": ["slow"]})
    refused("ValidationException", books.start, ClientToken="not-a-uuid-not-a-uuid-not-a-uuid-not")
    assert books.start("Strict", Parameters={"Role": ["x"], "AutomationAssumeRole": ["arn:aws:iam::1:role/x"]})
    assert books.start("AWS-StartEC2Instance", Parameters={"InstanceId": ["i-00000000000000000"]})
    nobody = str(uuid.uuid4())
    refused("AutomationExecutionNotFoundException", books.get, nobody)
    refused("AutomationExecutionNotFoundException", books.signal, nobody, "Approve")
    refused(
        "AutomationExecutionNotFoundException", books.client.stop_automation_execution, AutomationExecutionId=nobody
    )
    steps = books.client.describe_automation_step_executions
    refused("AutomationExecutionNotFoundException", steps, AutomationExecutionId=nobody)


def test_filters_and_pages(drs_simulator):
    documents = {"Doc": {"steps": [{"name": f"step{number}"} for number in range(5)]}, "Bad": {"outcome": "Failed"}}
    books = Runbooks(drs_simulator, documents, page_size=2)
    started = []
    for document in ("Doc", "Bad", "Doc"):
        started.append(books.start(document, Tags=[{"Key": "run", "Value": document}]))
        drs_simulator.advance(30)
    pages = list(books.client.get_paginator("describe_automation_executions").paginate())
    listed = [[each["AutomationExecutionId"] for each in page["AutomationExecutionMetadataList"]] for page in pages]
    assert listed == [started[:0:-1], started[:1]]
    paginator = books.client.get_paginator("describe_automation_step_executions")
    steps = [
        [step["StepName"] for step in page["StepExecutions"]]
        for page in paginator.paginate(AutomationExecutionId=started[0], ReverseOrder=True)
    ]
    assert steps == [["step4", "step3"], ["step2", "step1"], ["step0"]]

    def filtered(key: str, *values: str) -> list[str]:
        found = books.client.describe_automation_executions(Filters=[{"Key": key, "Values": list(values)}])
        return [each["AutomationExecutionId"] for each in found["AutomationExecutionMetadataList"]]

    assert filtered("ExecutionStatus", "Failed") == [started[1]]
    assert filtered("DocumentNamePrefix", "Ba") == [started[1]]
    assert filtered("ExecutionId", started[0]) == [started[0]]
    assert filtered("TagKey", "other") == []
    at = books.get(started[1])["ExecutionStartTime"].isoformat()
    assert filtered("StartTimeAfter", at) == [started[2]] and filtered("StartTimeBefore", at) == [started[0]]
    refused("InvalidFilterKey", filtered, "OpsItemId", "oi-1")
    refused("InvalidFilterValue", filtered, "StartTimeAfter", "yesterday")
    (one,) = books.client.describe_automation_step_executions(
        AutomationExecutionId=started[0], Filters=[{"Key": "StepName", "Values": ["step3"]}]
    )["StepExecutions"]
    assert one["StepStatus"] == "Success"
    refused("InvalidNextToken", books.client.describe_automation_executions, NextToken="nonsense")


def test_a_runbook_of_create_document_runs_its_steps(drs_simulator):
    books = Runbooks(drs_simulator, {})
    content = (
        '{"schemaVersion": "0.3", "mainSteps": [{"name": "ask", "action": "aws:approve", "inputs": {}},'
        ' {"name": "act", "action": "aws:sleep", "inputs": {}}]}'
    )
    books.client.create_document(Name="Own", Content=content, DocumentType="Automation")
    execution = books.start("Own")
    drs_simulator.advance(1)
    assert books.status(execution) == "Waiting"
    books.signal(execution, "Approve")
    drs_simulator.advance(10)
    assert books.steps(execution) == ["Success", "Success"]


def test_documents_of_the_scenario_and_of_aws_are_there(drs_simulator):
    books = Runbooks(
        drs_simulator, {"Doc": {"steps": STEPS, "parameters": {"Role": None}}, "Shell": {"kind": "Command"}}
    )
    described = {name: books.client.describe_document(Name=name)["Document"] for name in ("Doc", "Shell")}
    assert (described["Doc"]["DocumentType"], described["Doc"]["Owner"]) == ("Automation", "123456789012")
    assert [each["Name"] for each in described["Doc"]["Parameters"]] == ["Role"]
    assert described["Shell"]["DocumentType"] == "Command"
    assert "promote" in books.client.get_document(Name="Doc")["Content"]
    assert books.client.describe_document(Name="AWS-RunPowerShellScript")["Document"]["PlatformTypes"] == [
        "Windows",
        "Linux",
    ]
    names = [
        each["Name"]
        for page in books.client.get_paginator("list_documents").paginate()
        for each in page["DocumentIdentifiers"]
    ]
    assert {"Doc", "Shell", "AWS-RunShellScript"} <= set(names)
    refused("InvalidDocument", books.client.describe_document, Name="Nonsense")
