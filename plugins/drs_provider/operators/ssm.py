"""Run a script on recovery instances: an SSM command, sent once, waited for on all instances together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import conf

from drs_provider.hooks.ssm import SsmHook
from drs_provider.links.ssm import SsmCommandLink
from drs_provider.operators.ssm_script import Document, ScriptTask
from drs_provider.operators.ssm_targets import Instances
from drs_provider.operators.triggerer_absence import OutlivesTriggerer

__all__ = ["SsmScriptOperator"]


class SsmScriptOperator(OutlivesTriggerer, ScriptTask, AwsBaseOperator[SsmHook]):
    """Run an SSM command document on instances, and wait until it has ended on all of them (SendCommand).

    The script is sent to each instance once, whatever is killed and whenever: a retry after a crash goes on with the
    command that is there, a retry after the script failed sends it again to the instances where it did not succeed, a
    clear of the task runs it again everywhere. The task's log says which it was.

    :param document_name: the command document, by name or ARN. (templated)
    :param parameters: the document's parameters, each a list of texts. Their values are never written to logs.
        (templated)
    :param instances: where it runs: instance ids, or the return value of the wait for a launch, of which the launched
        servers count. Give these or ``target_tags``. (templated)
    :param target_tags: tag key to value or values; it runs on the running instances that carry all of them. (templated)
    :param document_version: such as ``"3"`` or ``"$LATEST"``; by default the document's default. (templated)
    :param timeout: seconds, or a ``timedelta``, from sending to the end of the last script. Then the command is
        cancelled and the task fails.
    :param agent_timeout: seconds, or a ``timedelta``, within which the SSM agents have to be online.
    :param max_errors: how many instances may fail, as a number or a percentage such as ``"10%"``. (templated)
    :param max_concurrency: on how many instances of a command it runs at a time, as a number or a percentage. A command
        has up to 50 instances. (templated)
    :param send_options: further parameters of SendCommand, such as ``OutputS3BucketName`` or
        ``CloudWatchOutputConfig``. (templated)
    :param poll_interval: seconds between two looks.
    :param deferrable: wait in the triggerer.
    :param cancel_on_kill: cancel the command when the task is killed, or marked while it is deferred.
    :returns: ``{"command_id", "command_ids", "status", "instances": {instance id: {"status", "exit_code",
        "output_tail", "command_id", "reason"}}, "outputs": {}}``
    :raises AirflowException: when agents stay away, more instances fail than may, or the time is over.
    """

    aws_hook_class = SsmHook
    template_fields: Sequence[str] = aws_template_fields(
        "document_name",
        "document_version",
        "parameters",
        "instances",
        "target_tags",
        "max_errors",
        "max_concurrency",
        "send_options",
    )
    template_fields_renderers = {"parameters": "json", "instances": "json", "target_tags": "json"}
    operator_extra_links = (SsmCommandLink(),)
    ui_color = "#d8e8d0"

    def __init__(
        self,
        *,
        document_name: str,
        parameters: Mapping[str, Sequence[str] | str] | None = None,
        instances: Instances | None = None,
        target_tags: Mapping[str, str | Sequence[str]] | None = None,
        document_version: str | None = None,
        timeout: float | timedelta = 3600,
        agent_timeout: float | timedelta = 900,
        max_errors: str | int = "0",
        max_concurrency: str | int = "50",
        send_options: Mapping[str, Any] | None = None,
        poll_interval: float = 5.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.document_name = document_name
        self.parameters = parameters
        self.instances = instances
        self.target_tags = target_tags
        self.document_version = document_version
        self.timeout = timeout
        self.agent_timeout = agent_timeout
        self.max_errors = max_errors
        self.max_concurrency = max_concurrency
        self.send_options = send_options
        self.poll_interval = poll_interval
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill

    @property
    def script_name(self) -> str:
        """The document, for messages."""
        return self.document_name

    def document_for(self, platform: str) -> Document:
        """Return the one document for every platform."""
        return self.document_name, self.parameters or {}

    def execute(self, context: Any) -> dict[str, Any]:
        """Look, wait for agents, send, wait, judge."""
        return self.run_script(context)
