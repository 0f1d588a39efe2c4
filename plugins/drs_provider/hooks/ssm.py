"""The hook for AWS Systems Manager, for calls that must not be repeated, and one for any other service beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.amazon.aws.hooks.ssm import SsmHook as AmazonSsmHook
from botocore.config import Config

from drs_provider.airflow_compat import hook_settings
from drs_provider.aws.calls import BlockingCalls
from drs_provider.aws.clients import client_config

__all__ = ["SsmHook", "sibling_hook"]


class SsmHook(AmazonSsmHook):
    """The amazon provider's SSM hook, with clients that suit calls which must not be repeated.

    Parameters are those of the amazon provider's hooks: ``aws_conn_id``, ``region_name``, ``verify``, ``config``.
    """

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
        **hook_settings(hook),
        client_type=service,
        config=client_config(hook.config),
    )
