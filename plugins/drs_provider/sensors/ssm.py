"""Sensors for SSM: automations that something else started, and agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from drs_provider.hooks.ssm import SsmHook
from drs_provider.links.ssm import SsmAutomationLink
from drs_provider.sensors.waits import InstanceSensor, WaitSensor
from drs_provider.triggers.automation import SsmAutomationTrigger
from drs_provider.triggers.ssm import SsmAgentTrigger

__all__ = ["SsmAgentOnlineSensor", "SsmAutomationSensor"]


class SsmAutomationSensor(WaitSensor[SsmHook]):
    """Wait until an SSM automation has succeeded (DescribeAutomationExecutions, GetAutomationExecution).

    It looks on: neither a kill of the task nor its deadline stops the automation.

    :param automation_execution_id: the execution. (templated)
    :param timeout: seconds until the task fails; ``poke_interval`` seconds between two looks.
    :param deferrable: wait in the triggerer.
    :returns: ``{"automation_execution_id", "status", "instances": {}, "outputs": {"step.output": [text]}}``
    :raises AirflowException: when the automation ends otherwise, with its message and that of the steps that failed.
    """

    aws_hook_class = SsmHook
    template_fields: Sequence[str] = aws_template_fields("automation_execution_id")
    operator_extra_links = (SsmAutomationLink(),)

    def __init__(self, *, automation_execution_id: str, timeout: float = 3600, **kwargs: Any) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.automation_execution_id = automation_execution_id

    def execute(self, context: Any) -> Any:
        """Publish the link, and wait."""
        SsmAutomationLink.publish(context, self, self.hook, self.automation_execution_id)
        return super().execute(context)

    def make_trigger(self, deadline: float) -> SsmAutomationTrigger:
        """Return the trigger that waits."""
        return SsmAutomationTrigger(
            automation_execution_id=self.automation_execution_id,
            console_url=SsmAutomationLink.url(self.hook, self.automation_execution_id),
            deadline=deadline,
            **self.trigger_arguments,
        )


class SsmAgentOnlineSensor(InstanceSensor):
    """Wait until the SSM agent of every instance is online (DescribeInstanceInformation).

    :param instances: instance ids, or the return value of the wait for a launch. (templated)
    :param timeout: seconds until the task fails; ``poke_interval`` seconds between two looks.
    :param deferrable: wait in the triggerer.
    :returns: platform type by instance id, such as ``{"i-0123456789abcdef0": "Linux"}``
    :raises AirflowException: when the deadline passes; the message names the instances.
    """

    template_fields: Sequence[str] = aws_template_fields("instances")

    def make_trigger(self, deadline: float) -> SsmAgentTrigger:
        """Return the trigger that waits."""
        return SsmAgentTrigger(instance_ids=self.instance_ids, deadline=deadline, **self.trigger_arguments)
