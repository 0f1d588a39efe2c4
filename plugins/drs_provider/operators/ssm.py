"""Run a script on recovery instances: an SSM command, sent once, waited for on all instances together."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, conf

from drs_provider.hooks.calls import chunks, run_blocking
from drs_provider.hooks.ssm import PAGE, SsmHook, instances_with_tags, sibling_hook
from drs_provider.hooks.ssm_commands import find_commands, read_results, send_once
from drs_provider.hooks.ssm_status import InstanceResult, SentCommand, allowed_errors
from drs_provider.links.ssm import SsmCommandLink
from drs_provider.operators.ssm_adoption import Adoption, adopt
from drs_provider.operators.ssm_targets import Instances, instance_ids_of, seconds_of
from drs_provider.operators.task_identity import TaskIdentity
from drs_provider.triggers.posts import WaitFailed, WorkerPost, deferral_timeout
from drs_provider.triggers.ssm import (
    SsmAgentTrigger,
    SsmCommandTrigger,
    fetch_agents,
    script_result,
    wait_for_agents,
    wait_for_commands,
)

__all__ = ["SsmScriptOperator"]

#: The documents of AWS whose scripts SSM itself ends after the parameter `executionTimeout`.
_WITH_EXECUTION_TIMEOUT = frozenset({"AWS-RunShellScript", "AWS-RunPowerShellScript"})
_LONGEST_DELIVERY = 2592000
_LONGEST_EXECUTION = 172800


class SsmScriptOperator(AwsBaseOperator[SsmHook]):
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
        self._killed = False
        self._sent: list[str] = []

    def execute(self, context: Any) -> dict[str, Any]:
        """Look, wait for agents, send, wait, judge."""
        wanted = self._wanted()
        commands, results = self._look(context, wanted)
        decision = adopt(commands, results, wanted, max_errors=str(self.max_errors))
        self.log.info("%s", decision.reason)
        if decision.to_send:
            self._wait_for_agents(wanted, decision)
            commands += self._send(context, decision)
        return self._wait(context, wanted, commands)

    def agents_online(
        self, context: Any, event: dict[str, Any] | None, wanted: list[str], attempt: int
    ) -> dict[str, Any]:
        """Go on after the agents came online: look again, send, wait."""
        self._raise_failure(event)
        commands, results = self._look(context, wanted)
        decision = adopt(commands, results, wanted, max_errors=str(self.max_errors), same_attempt=attempt)
        self.log.info("%s", decision.reason)
        commands += self._send(context, decision)
        return self._wait(context, wanted, commands)

    def execute_complete(self, context: Any, event: dict[str, Any] | None, command_ids: list[str]) -> None:
        """Raise what the trigger found; a success never comes here."""
        if event and event.get("timed_out"):
            self._cancel(command_ids)
        self._raise_failure(event)

    def on_kill(self) -> None:
        """Cancel the command, unless told otherwise."""
        self._killed = True
        if self._sent:
            self._cancel(self._sent)

    def _wanted(self) -> list[str]:
        if (self.instances is None) == (self.target_tags is None):
            raise ValueError("give either instances or target_tags")
        if self.target_tags is not None:
            ec2 = WorkerPost(sibling_hook(self.hook, "ec2"))
            ssm = self.hook.calls()
            found = run_blocking(instances_with_tags(ssm, type(ssm)(ec2.client("ec2")), self.target_tags))
            self.log.info("%d instances carry %s: %s", len(found), dict(self.target_tags), ", ".join(found))
        else:
            found, left_out = instance_ids_of(self.instances)
            for server_id, reason in left_out.items():
                self.log.warning("Source server %s has no recovery instance: %s", server_id, reason)
        if not found:
            raise AirflowException(f"There is no instance to run {self.document_name} on")
        allowed_errors(self.max_errors, len(found))  # a bad value is better found before anything is sent
        return found

    def _look(self, context: Any, wanted: Sequence[str]) -> tuple[list[SentCommand], dict[str, InstanceResult]]:
        identity = TaskIdentity.of(context)
        calls = self.hook.calls()
        found = run_blocking(find_commands(calls, identity.key, since=identity.since, document_name=self.document_name))
        self._sent = [command.command_id for command in found]
        return found, run_blocking(read_results(calls, found, wanted)) if found else {}

    def _wait_for_agents(self, wanted: Sequence[str], decision: Adoption) -> None:
        deadline = time.time() + seconds_of(self.agent_timeout)
        known = run_blocking(fetch_agents(self.hook.conn, decision.to_send))
        if all(known.get(i, {}).get("PingStatus") == "Online" for i in decision.to_send):
            return
        if self.deferrable:
            trigger = SsmAgentTrigger(
                instance_ids=decision.to_send,
                resume=True,
                deadline=deadline,
                poll_interval=self.poll_interval,
                **self._connection,
            )
            # The triggerer may run a trigger twice, so the script is sent by the worker only: two deferrals.
            self.defer(
                trigger=trigger,
                method_name="agents_online",
                kwargs={"wanted": list(wanted), "attempt": decision.attempt},
                timeout=deferral_timeout(trigger),
            )
        try:
            run_blocking(
                wait_for_agents(
                    self._post, decision.to_send, deadline=deadline, seconds=self.poll_interval, log=self.log
                )
            )
        except WaitFailed as failure:
            raise AirflowException(str(failure)) from None

    def _send(self, context: Any, decision: Adoption) -> list[SentCommand]:
        identity = TaskIdentity.of(context)
        once, reading = self.hook.calls_without_retries(), self.hook.calls()
        sent = []
        for some in chunks(decision.to_send, PAGE):
            if self._killed:
                raise AirflowException("The task was killed before the script was sent to all instances")
            command = run_blocking(
                send_once(
                    once,
                    reading,
                    key=identity.key,
                    attempt=decision.attempt,
                    label=identity.label,
                    since=identity.since,
                    request=self._request(some),
                )
            )
            self._sent.append(command.command_id)
            sent.append(command)
            self.log.info("Command %s runs %s on %s", command.command_id, self.document_name, ", ".join(some))
            if self._killed:
                self._cancel(self._sent)
        return sent

    def _request(self, instance_ids: Sequence[str]) -> dict[str, Any]:
        limit = max(math.ceil(seconds_of(self.timeout)), 1)
        parameters = {
            name: [value] if isinstance(value, str) else list(value) for name, value in (self.parameters or {}).items()
        }
        if self.document_name in _WITH_EXECUTION_TIMEOUT:
            parameters.setdefault("executionTimeout", [str(min(limit, _LONGEST_EXECUTION))])
        request = {
            "DocumentName": self.document_name,
            "InstanceIds": list(instance_ids),
            "TimeoutSeconds": min(max(limit, 30), _LONGEST_DELIVERY),
            "MaxErrors": str(self.max_errors),
            "MaxConcurrency": str(self.max_concurrency),
            **(self.send_options or {}),
        }
        if parameters:
            request["Parameters"] = parameters
        if self.document_version:
            request["DocumentVersion"] = self.document_version
        return request

    def _wait(self, context: Any, wanted: Sequence[str], commands: Sequence[SentCommand]) -> dict[str, Any]:
        moments = {command.command_id: command.requested for command in commands}
        last = max(command.attempt for command in commands)
        # By the clock of SSM: an adopted command does not get its time anew.
        began = min(command.requested for command in commands if command.attempt == last)
        deadline = began + seconds_of(self.timeout)
        SsmCommandLink.publish(context, self, self.hook, commands[-1].command_id)
        if self.deferrable and not self._ended(list(moments)):
            trigger = SsmCommandTrigger(
                commands=moments,
                instance_ids=wanted,
                name=self.document_name,
                max_errors=str(self.max_errors),
                cancel_on_kill=self.cancel_on_kill,
                deadline=deadline,
                poll_interval=self.poll_interval,
                **self._connection,
            )
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                kwargs={"command_ids": list(moments)},
                timeout=deferral_timeout(trigger),
            )
        try:
            verdict = run_blocking(
                wait_for_commands(
                    self._post,
                    moments,
                    wanted,
                    name=self.document_name,
                    max_errors=str(self.max_errors),
                    deadline=deadline,
                    seconds=self.poll_interval,
                    log=self.log,
                )
            )
        except WaitFailed as failure:
            if failure.timed_out:
                self._cancel(list(moments))
            raise AirflowException(str(failure)) from None
        return script_result(list(moments), verdict)

    def _ended(self, command_ids: Sequence[str]) -> bool:
        from drs_provider.hooks.ssm_commands import read_commands

        found = run_blocking(read_commands(self.hook.calls(), command_ids))
        return len(found) == len(command_ids) and all(command.progress.ended for command in found)

    def _cancel(self, command_ids: Sequence[str]) -> None:
        if not self.cancel_on_kill:
            self.log.warning("Leaving commands %s alone", ", ".join(command_ids))
            return
        try:
            self.hook.cancel_commands(command_ids)
            self.log.warning("Cancelled commands %s", ", ".join(command_ids))
        except Exception as error:  # the task fails already, for a better reason than this
            self.log.warning("Commands %s could not be cancelled: %s", ", ".join(command_ids), error)

    def _raise_failure(self, event: dict[str, Any] | None) -> None:
        if not event or event.get("status") != "success":
            raise AirflowException((event or {}).get("message") or "The trigger ended without a result")

    @property
    def _post(self) -> WorkerPost:
        return WorkerPost(self.hook, lambda: self._killed)

    @property
    def _connection(self) -> dict[str, Any]:
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }
