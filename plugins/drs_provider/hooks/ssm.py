"""Systems Manager for recovery instances: agents that are online, instances that tags name, automations.

Commands have a module of their own, :mod:`drs_provider.hooks.ssm_commands`. What reads AWS here are coroutines over
:class:`~drs_provider.hooks.calls.Calls`, so that a worker and the triggerer share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.hooks.ssm import SsmHook as AmazonSsmHook
from botocore.config import Config

from drs_provider.hooks.calls import BlockingCalls, Calls, chunks
from drs_provider.hooks.clients import client_config
from drs_provider.hooks.ssm_status import Automation

__all__ = ["PAGE", "SsmHook", "instances_with_tags", "managed_instances", "read_automation", "sibling_hook"]

#: SSM takes 50 instances a command and 50 items a page.
PAGE = 50


class SsmHook(AmazonSsmHook):
    """The amazon provider's SSM hook, with clients that suit calls which must not be repeated.

    Parameters are those of the amazon provider's hooks: ``aws_conn_id``, ``region_name``, ``verify``, ``config``.
    """

    @cached_property
    def waiter_path(self) -> Path:
        """The waiters of this package; the base class looks in the amazon provider only."""
        return Path(__file__).parents[1] / "waiters" / "ssm.json"

    def _get_config(self, config: Any = None) -> Any:
        return super()._get_config(client_config(config if config is not None else self.config))

    def calls(self, *, patience: float = 300.0) -> BlockingCalls:
        """Return blocking calls for a worker; reading waits out transient errors for ``patience`` seconds."""
        return BlockingCalls(self.conn, patience=patience, log=self.log)

    def calls_without_retries(self) -> BlockingCalls:
        """Return blocking calls whose client never repeats a request by itself."""
        once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
        client = self.get_client_type(region_name=self.region_name, config=self.config.merge(once))
        return BlockingCalls(client, log=self.log)

    def cancel_commands(self, command_ids: Sequence[str]) -> None:
        """Cancel commands (CancelCommand). One that has ended already stays as it is.

        :raises botocore.exceptions.ClientError: when SSM refuses.
        """
        client: Any = self.conn
        for command_id in command_ids:
            client.cancel_command(CommandId=command_id)

    def stop_automation(self, execution_id: str) -> None:
        """Cancel an automation and its step in progress (StopAutomationExecution).

        :raises botocore.exceptions.ClientError: when SSM refuses, as it does for one that has ended.
        """
        client: Any = self.conn
        client.stop_automation_execution(AutomationExecutionId=execution_id, Type="Cancel")


def sibling_hook(hook: AwsGenericHook[Any], service: str) -> AwsGenericHook[Any]:
    """Return a hook for another service with the connection, region and configuration of ``hook``."""
    return AwsGenericHook(
        aws_conn_id=hook.aws_conn_id,
        verify=hook._verify,
        region_name=hook._region_name,
        client_type=service,
        config=client_config(hook.config),
    )


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
    """Return an automation with all its steps (GetAutomationExecution, DescribeAutomationStepExecutions)."""
    answer = await calls.read("get_automation_execution", AutomationExecutionId=execution_id)
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
