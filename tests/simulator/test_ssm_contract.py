"""Every answer of SSM and Service Quotas conforms to botocore's model, the known deviations apart.

What is checked is the answer on the wire, before botocore reads it: members, types, enums, lengths and patterns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.simulator.ssm.responses import OPERATIONS

REGION = "us-west-2"

#: Where an answer is not as the model says, because AWS itself answers so.
DEVIATIONS = {
    "GetCommandInvocation.ExecutionStartDateTime": "empty until the command runs, and has milliseconds then",
    "GetCommandInvocation.ExecutionEndDateTime": "empty until the command ends, and has milliseconds then",
    "GetCommandInvocation.ExecutionElapsedTime": "a duration (PT5.000S), which the model's pattern for times refuses",
}
STEPS = [
    {"name": "promote", "outputs": {"Endpoint": ["db"]}, "timeout": 60},
    {"name": "approve", "action": "aws:approve"},
    {"name": "repoint", "outcome": "Failed", "message": "no route"},
]
DOCUMENTS = {
    "Doc": {"steps": STEPS, "outputs": {"promote.Endpoint": ["db"]}, "parameters": {"Role": {"default": "x"}}},
    "Loud": {"kind": "Command", "output": "o" * 30000, "error_output": "e" * 9000, "outcome": ["Failed", "Success"]},
    "Stuck": {"kind": "Command", "outcome": "hangs"},
    "Late": {"kind": "Command", "outcome": "Delayed"},
}


class Checker:
    """Checks every answer that a client gets, and remembers which operations it saw succeed."""

    def __init__(self, *clients: Any) -> None:
        self.problems: list[str] = []
        self.seen: set[str] = set()
        for client in clients:
            client.meta.events.register("before-parse", self._check)

    def _check(self, response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
        if response_dict["status_code"] >= 300:
            return
        self.seen.add(operation_model.name)
        shape, body = operation_model.output_shape, json.loads(response_dict["body"] or b"{}")
        found = problems(shape, body, operation_model.name) if shape is not None else ()
        self.problems += [problem for problem in found if problem.split(":")[0] not in DEVIATIONS]


def problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path}: {value!r} is no structure"
            return
        yield from (f"{path}.{name}: is not in the model" for name in set(value) - set(shape.members))
        yield from (f"{path}.{name}: is missing" for name in shape.required_members if name not in value)
        for name, member in shape.members.items():
            if name in value:
                yield from problems(member, value[name], f"{path}.{name}")
    elif kind == "list":
        yield from measured(shape, len(value), path)
        for item in value:
            yield from problems(shape.member, item, path)
    elif kind == "map":
        yield from measured(shape, len(value), path)
        for key, item in value.items():
            yield from problems(shape.key, key, path)
            yield from problems(shape.value, item, path)
    elif kind == "string":
        yield from texts(shape, value, path)
    elif kind == "boolean" and not isinstance(value, bool):
        yield f"{path}: {value!r} is no boolean"
    elif kind in ("integer", "long") and (isinstance(value, bool) or not isinstance(value, int)):
        yield f"{path}: {value!r} is no integer"
    elif kind in ("timestamp", "double") and not isinstance(value, (int, float)):
        yield f"{path}: {value!r} is no number"


def texts(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{path}: {value!r} is no text"
        return
    yield from measured(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        yield f"{path}: {value!r} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern", "")
    if pattern and "\\p{" not in pattern and not re.fullmatch(pattern, value):
        yield f"{path}: {value!r} does not match {pattern}"


def measured(shape: Any, length: int, path: str) -> Iterator[str]:
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", length)
    if not low <= length <= high:
        yield f"{path}: has {length}, which is not within {low} and {high}"


def drive(simulator: Any, ssm: Any, ec2: Any) -> None:
    """Call every operation, in every phase that an answer can show."""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "db01"}]}]
    instances = [
        each["InstanceId"]
        for image in ("ami-760aaa0f", "ami-03cf127a")
        for each in ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, TagSpecifications=tags)["Instances"]
    ]
    simulator.advance(91)
    sent = [
        ssm.send_command(InstanceIds=instances, DocumentName=document, MaxErrors="1", Comment="run", **more)["Command"]
        for document in ("Loud", "Loud", "Stuck", "Late")
        for more in ({}, {"OutputS3BucketName": "bucket", "OutputS3KeyPrefix": "run", "TimeoutSeconds": 600})
    ]
    started = [ssm.start_automation_execution(DocumentName="Doc", Parameters={"Role": ["x"]}) for _ in range(3)]
    ssm.start_automation_execution(
        DocumentName="Doc", TargetParameterName="Role", Targets=[{"Key": "ParameterValues", "Values": ["a", "b"]}]
    )
    executions = [each["AutomationExecutionId"] for each in started]
    for phase in range(8):
        look(ssm, [each["CommandId"] for each in sent], instances, executions)
        if phase == 3:
            ec2.stop_instances(InstanceIds=instances[:1])
            ssm.send_automation_signal(AutomationExecutionId=executions[0], SignalType="Approve")
            ssm.send_automation_signal(
                AutomationExecutionId=executions[1], SignalType="Reject", Payload={"Comment": ["no"]}
            )
            ssm.stop_automation_execution(AutomationExecutionId=executions[2])
            ssm.cancel_command(CommandId=sent[4]["CommandId"])
        simulator.advance((0.5, 1, 8, 1, 1, 60, 900, 4000)[phase])
    look(ssm, [each["CommandId"] for each in sent], instances, executions)


def look(ssm: Any, commands: list[str], instances: list[str], executions: list[str]) -> None:
    ssm.describe_instance_information()
    ssm.list_commands()
    ssm.list_command_invocations(Details=True)
    ssm.list_command_invocations()
    for command in commands:
        for instance in instances:
            try:
                ssm.get_command_invocation(CommandId=command, InstanceId=instance)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "InvocationDoesNotExist"
    ssm.describe_automation_executions()
    for execution in executions:
        ssm.get_automation_execution(AutomationExecutionId=execution)
        ssm.describe_automation_step_executions(AutomationExecutionId=execution)


def test_every_answer_of_ssm_conforms(drs_simulator):
    drs_simulator.load({"documents": DOCUMENTS})
    drs_simulator.freeze()
    ssm = boto3.client("ssm", REGION)
    checker = Checker(ssm)
    drive(drs_simulator, ssm, boto3.client("ec2", REGION))
    for name in (*DOCUMENTS, "AWS-RunShellScript", "AWS-StartEC2Instance"):
        ssm.describe_document(Name=name)
        ssm.get_document(Name=name)
    assert checker.problems == []
    assert set(OPERATIONS) <= checker.seen


def test_every_answer_of_service_quotas_conforms(drs_simulator):
    drs_simulator.load({"page_size": 2})
    quotas = boto3.client("service-quotas", REGION)
    checker = Checker(quotas)
    for name in ("list_service_quotas", "list_aws_default_service_quotas"):
        codes = [
            quota["QuotaCode"]
            for page in quotas.get_paginator(name).paginate(ServiceCode="drs")
            for quota in page["Quotas"]
        ]
        assert len(codes) == 9
    for code in codes:
        quotas.get_service_quota(ServiceCode="drs", QuotaCode=code)
        quotas.get_aws_default_service_quota(ServiceCode="drs", QuotaCode=code)
    assert checker.problems == []
    assert len(checker.seen) == 4


def test_the_checker_sees_what_is_wrong():
    shape = boto3.client("ssm", REGION).meta.service_model.operation_model("GetAutomationExecution").output_shape
    wrong = {"AutomationExecution": {"AutomationExecutionStatus": "Done", "Outputs": {}, "Nonsense": 1}}
    found = {problem.split(":")[0] for problem in problems(shape, wrong, "op")}
    assert found == {f"op.AutomationExecution.{name}" for name in ("AutomationExecutionStatus", "Outputs", "Nonsense")}


@pytest.mark.parametrize("deviation", sorted(DEVIATIONS))
def test_every_deviation_is_one(drs_simulator, deviation):
    """A deviation that no longer happens is taken off the list."""
    drs_simulator.load({"documents": DOCUMENTS})
    drs_simulator.freeze()
    ssm, ec2 = boto3.client("ssm", REGION), boto3.client("ec2", REGION)
    (instance,) = ec2.run_instances(ImageId="ami-760aaa0f", MinCount=1, MaxCount=1)["Instances"]
    drs_simulator.advance(31)
    command = ssm.send_command(InstanceIds=[instance["InstanceId"]], DocumentName="Loud")["Command"]
    drs_simulator.advance(10)
    found: list[str] = []

    def check(response_dict: dict[str, Any], operation_model: Any, **_: Any) -> None:
        found.extend(problems(operation_model.output_shape, json.loads(response_dict["body"]), operation_model.name))

    ssm.meta.events.register("before-parse", check)
    ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance["InstanceId"])
    assert deviation in {problem.split(":")[0] for problem in found}
