"""Every list that AWS gives in pages comes in pages here, and a scenario makes them short."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name

from drs_provider.simulator.drs.responses import operations
from drs_provider.simulator.ssm.responses import OPERATIONS

REGION = "us-west-2"
IDS = [f"s-{number:017d}" for number in range(3)]
#: One for an account: there is no second page.
ONE_ONLY = {"DescribeReplicationConfigurationTemplates", "DescribeLaunchConfigurationTemplates"}
STAGING = ["222222222220", "222222222221", "222222222222"]


def staged(account: int) -> list[dict[str, Any]]:
    """The servers of a staging account: one that is extended, and three that can be."""
    ids = [f"s-{account + 1}{number:016d}" for number in range(4)]
    return [{"id": one, "hostname": f"staged{one[-1]}", "ebs_encryption": "CUSTOM"} for one in ids]


SCENARIO = {
    "accounts": [{"account": account, "servers": staged(number)} for number, account in enumerate(STAGING)],
    "servers": [{"id": one, "hostname": f"h{one[-1]}"} for one in IDS],
    "documents": {"Book": {"steps": [{"name": f"step{number}"} for number in range(3)]}},
    "page_size": 2,
}


def paged(service: str, supported: Any) -> set[str]:
    """The operations whose answers have a token of the next page."""
    model = boto3.client(service, REGION).meta.service_model
    shapes = {name: model.operation_model(name).output_shape for name in supported}
    return {name for name, shape in shapes.items() if shape and {"nextToken", "NextToken"} & set(shape.members)}


def pages(client: Any, operation: str, **request: Any) -> Iterator[list[Any]]:
    call, token = getattr(client, xform_name(operation)), {}
    while True:
        answer = call(**request, **token)
        yield next(value for value in answer.values() if isinstance(value, list))
        token = {name: answer[name] for name in ("nextToken", "NextToken") if answer.get(name)}
        if not token:
            return


@pytest.fixture
def requests(drs_simulator: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """For each paged operation of each service, a request that has three items or more to answer with."""
    drs_simulator.freeze()
    drs_simulator.load(SCENARIO)
    drs, ssm = boto3.client("drs", REGION), boto3.client("ssm", REGION)
    jobs = [drs.start_recovery(sourceServers=[{"sourceServerID": one}])["job"]["jobID"] for one in IDS]
    drs_simulator.advance(700)
    instances = [each["ec2InstanceID"] for each in next(pages(drs, "DescribeRecoveryInstances"))]
    plans = [drs.create_recovery_plan(name=f"p{number}")["recoveryPlan"]["recoveryPlanArn"] for number in range(3)]
    wait = {"waitStepConfiguration": {"waitDurationMinutes": 1}}
    for number in range(3):
        drs.create_recovery_plan_step(recoveryPlanArn=plans[0], stepName=f"s{number}", configuration=wait)
    executions = []
    for _ in range(3):
        started = drs.start_recovery_plan_execution(recoveryPlanArn=plans[0], mode="DRILL")["recoveryPlanExecution"]
        executions.append(started["recoveryPlanExecutionArn"])
        drs_simulator.advance(200)
        ssm.send_command(InstanceIds=instances, DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]})
        book = ssm.start_automation_execution(DocumentName="Book")["AutomationExecutionId"]
    drs_simulator.advance(60)
    ec2 = boto3.client("ec2", "us-east-1")
    for number, account in enumerate(STAGING):
        arn = f"arn:aws:drs:{REGION}:{account}:source-server/{staged(number)[0]['id']}"
        drs.create_extended_source_server(sourceServerArn=arn)
        vpc = ec2.create_vpc(CidrBlock=f"10.{number}.0.0/16")["Vpc"]["VpcId"]
        drs.create_source_network(vpcID=vpc, originAccountID="123456789012", originRegion="us-east-1")
        drs.put_launch_action(
            resourceId=IDS[0], actionCode="AWS-RunShellScript", actionId=str(uuid.uuid4()), actionVersion="$LATEST",
            name=f"action{number}", order=1001 + number, optional=False, active=True, category="OTHER", description="",
        )  # fmt: skip
    return {
        "drs": {
            "DescribeJobs": {},
            "DescribeJobLogItems": {"jobID": jobs[0]},
            "DescribeSourceServers": {},
            "DescribeRecoveryInstances": {},
            "DescribeRecoverySnapshots": {"sourceServerID": IDS[0]},
            "ListRecoveryPlans": {},
            "ListRecoveryPlanSteps": {"recoveryPlanArn": plans[0]},
            "ListRecoveryPlanExecutions": {},
            "ListRecoveryPlanExecutionSteps": {"recoveryPlanExecutionArn": executions[0]},
            "ListLaunchActions": {"resourceId": IDS[0]},
            "ListStagingAccounts": {},
            "ListExtensibleSourceServers": {"stagingAccountID": STAGING[0]},
            "DescribeSourceNetworks": {},
        },
        "ssm": {
            "ListCommands": {},
            "ListCommandInvocations": {},
            "DescribeInstanceInformation": {},
            "DescribeAutomationExecutions": {},
            "DescribeAutomationStepExecutions": {"AutomationExecutionId": book},
        },
    }


def test_every_paged_list_has_the_scenarios_page_size(requests):
    for service, supported in (("drs", operations()), ("ssm", OPERATIONS)):
        assert set(requests[service]) == paged(service, supported) - ONE_ONLY
        client = boto3.client(service, REGION)
        for operation, request in requests[service].items():
            found = list(pages(client, operation, **request))
            assert [len(page) for page in found[:-1]] == [2] * (len(found) - 1) and len(found) > 1, operation
            items = [str(item) for page in found for item in page]
            assert len(items) == len(set(items)) >= 3, operation
