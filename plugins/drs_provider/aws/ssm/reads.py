"""What is read of Systems Manager and EC2: agents that are online, instances that tags name, automations.

Coroutines over :class:`~drs_provider.aws.calls.Calls`, so that a worker and the triggerer share them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from drs_provider.aws.calls import Calls, chunks
from drs_provider.aws.ssm.status import Automation

__all__ = ["APPEARS_WITHIN", "PAGE", "instances_with_tags", "managed_instances", "read_automation"]

APPEARS_WITHIN = 180.0
"""Seconds within which SSM's reads know every command and execution that SSM has accepted."""
PAGE = 50
"""SSM takes 50 instances a command and 50 items a page."""


async def managed_instances(calls: Calls, instance_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what SSM knows of instances, by id (DescribeInstanceInformation).

    An instance whose agent has never registered is missing.
    """
    known: dict[str, dict[str, Any]] = {}
    for some in chunks(instance_ids, PAGE):
        found = await calls.read_all(
            "describe_instance_information",
            "InstanceInformationList",
            Filters=[{"Key": "InstanceIds", "Values": some}],
            MaxResults=PAGE,
        )
        known.update((item["InstanceId"], item) for item in found)
    return known


async def instances_with_tags(ssm: Calls, ec2: Calls, tags: Mapping[str, str | Sequence[str]]) -> list[str]:
    """Return the ids of the instances that carry all the tags, sorted.

    These are the EC2 instances that run or start (DescribeInstances), and the nodes outside EC2 that SSM manages
    (DescribeInstanceInformation).

    :param tags: tag key to one value, or to several of which one has to match.
    """
    values = {key: [value] if isinstance(value, str) else list(value) for key, value in tags.items()}
    alive = {"Name": "instance-state-name", "Values": ["pending", "running"]}
    tagged = [{"Name": f"tag:{key}", "Values": value} for key, value in values.items()]
    reservations = await ec2.read_all("describe_instances", "Reservations", Filters=[*tagged, alive])
    nodes = await ssm.read_all(
        "describe_instance_information",
        "InstanceInformationList",
        Filters=[{"Key": f"tag:{key}", "Values": value} for key, value in values.items()],
        MaxResults=PAGE,
    )
    found = {instance["InstanceId"] for group in reservations for instance in group["Instances"]}
    return sorted(found | {node["InstanceId"] for node in nodes if node["InstanceId"].startswith("mi-")})


async def read_automation(calls: Calls, execution_id: str) -> Automation:
    """Return an automation with all its steps (GetAutomationExecution, DescribeAutomationStepExecutions).

    One that was started a moment ago may not be visible yet: it is waited for, up to :data:`APPEARS_WITHIN` seconds.
    """
    answer = await calls.read_new(
        "get_automation_execution",
        "AutomationExecutionNotFoundException",
        until=time.time() + APPEARS_WITHIN,
        AutomationExecutionId=execution_id,
    )
    execution = answer["AutomationExecution"]
    steps = execution.get("StepExecutions") or []
    if execution.get("StepExecutionsTruncated"):
        steps = await calls.read_all(
            "describe_automation_step_executions",
            "StepExecutions",
            AutomationExecutionId=execution_id,
            MaxResults=PAGE,
        )
    return Automation.from_api(execution, steps)
