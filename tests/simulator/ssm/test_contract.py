"""Every answer of SSM and Service Quotas conforms to botocore's model, the known deviations apart.

What is checked is the answer on the wire, before botocore reads it: members, types, enums, lengths and patterns.
"""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drs_provider.simulator.deviations import SHAPES, UNDECLARED_ERRORS
from drs_provider.simulator.ssm.responses import OPERATIONS
from tests.simulator.conformance import Contract, problems

REGION = "us-west-2"

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


def refused(code: str, call: Any, **request: Any) -> None:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code, error.value


def refusals(simulator: Any, ssm: Any) -> None:
    unknown, gone = "0" * 36, ["i-00000000000000000"]
    refused("InvalidInstanceId", ssm.send_command, InstanceIds=gone, DocumentName="Loud")
    refused("InvalidDocument", ssm.send_command, InstanceIds=gone, DocumentName="None-Such")
    refused("InvalidCommandId", ssm.cancel_command, CommandId=unknown)
    refused("InvalidCommandId", ssm.list_command_invocations, CommandId=unknown)
    refused("InvocationDoesNotExist", ssm.get_command_invocation, CommandId=unknown, InstanceId=gone[0])
    refused("InvalidNextToken", ssm.list_commands, NextToken="none")
    refused("InvalidFilterKey", ssm.describe_instance_information, Filters=[{"Key": "None", "Values": ["x"]}])
    refused("AutomationDefinitionNotFoundException", ssm.start_automation_execution, DocumentName="None-Such")
    refused("AutomationExecutionNotFoundException", ssm.get_automation_execution, AutomationExecutionId=unknown)
    refused("ValidationException", ssm.list_commands, MaxResults=51)
    for code in ("ThrottlingException", "InternalServerError"):
        simulator.add_fault("ListCommands", error=code, times=1)
        refused(code, ssm.list_commands)


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
    ssm = boto3.client("ssm", REGION, config=Config(retries={"total_max_attempts": 1}))
    contract = Contract(ssm)
    drive(drs_simulator, ssm, boto3.client("ec2", REGION))
    refusals(drs_simulator, ssm)
    for name in (*DOCUMENTS, "AWS-RunShellScript", "AWS-StartEC2Instance"):
        ssm.describe_document(Name=name)
        ssm.get_document(Name=name)
    assert contract.problems == set()
    assert set(OPERATIONS) <= contract.seen
    listed = {name for name in (*SHAPES, *UNDECLARED_ERRORS) if name.startswith("ssm.")}
    assert contract.deviations == listed, "what no longer deviates is taken off the list"


def test_every_answer_of_service_quotas_conforms(drs_simulator):
    drs_simulator.load({"page_size": 2})
    quotas = boto3.client("service-quotas", REGION, config=Config(retries={"total_max_attempts": 1}))
    contract = Contract(quotas)
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
    refused("NoSuchResourceException", quotas.get_service_quota, ServiceCode="drs", QuotaCode="L-0")
    refused("InvalidPaginationTokenException", quotas.list_service_quotas, ServiceCode="drs", NextToken="none")
    refused("IllegalArgumentException", quotas.list_service_quotas, ServiceCode="drs", MaxResults=101)
    drs_simulator.add_fault("GetServiceQuota", error="TooManyRequestsException", times=1)
    refused("TooManyRequestsException", quotas.get_service_quota, ServiceCode="drs", QuotaCode=code)
    assert contract.problems == set()
    assert len(contract.seen) == 4


def test_the_contract_sees_what_is_wrong():
    shape = boto3.client("ssm", REGION).meta.service_model.operation_model("GetAutomationExecution").output_shape
    wrong = {"AutomationExecution": {"AutomationExecutionStatus": "Done", "Outputs": {}, "Nonsense": 1}}
    found = {problem.split(":")[0] for _, problem in problems(shape, wrong, "op")}
    assert found == {f"op.AutomationExecution.{name}" for name in ("AutomationExecutionStatus", "Outputs", "Nonsense")}
