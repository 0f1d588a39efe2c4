"""What running a script through SSM takes, whatever the task: look, wait for agents, send once, wait, judge."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import AwsBaseHookMixin
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.calls import chunks, run_blocking
from drs_provider.aws.freshness import Look
from drs_provider.aws.ssm.commands import find_commands, read_commands, read_results, send_once
from drs_provider.aws.ssm.reads import PAGE, instances_with_tags, managed_instances
from drs_provider.aws.ssm.status import InstanceResult, SentCommand, allowed_errors
from drs_provider.durations import seconds_of
from drs_provider.hooks.ssm import SsmHook, sibling_hook
from drs_provider.links.ssm import SsmCommandLink
from drs_provider.operators.ssm_adoption import Adoption, adopt
from drs_provider.operators.ssm_targets import Instances, instance_ids_of
from drs_provider.operators.task_identity import TaskIdentity
from drs_provider.triggers.posts import WaitFailed, WorkerPost
from drs_provider.triggers.ssm import (
    SsmAgentTrigger,
    SsmCommandTrigger,
    script_result,
    wait_for_agents,
    wait_for_commands,
)
from drs_provider.triggers.waiting import deferral_timeout

__all__ = ["Document", "ScriptTask"]

#: The documents of AWS whose scripts SSM itself ends after the parameter `executionTimeout`.
_WITH_EXECUTION_TIMEOUT = frozenset({"AWS-RunShellScript", "AWS-RunPowerShellScript"})
_LONGEST_DELIVERY = 2592000
_LONGEST_EXECUTION = 172800

#: A command document and the parameters that it gets.
Document = tuple[str, Mapping[str, Sequence[str] | str]]


class ScriptTask(AwsBaseHookMixin[SsmHook]):
    """A task that runs a script on instances; to be mixed into an operator or a sensor on the amazon provider's bases.

    The attributes are parameters of :class:`~drs_provider.operators.ssm.SsmScriptOperator`.
    """

    log: Any
    defer: Any
    outlets: Any

    instances: Instances | None
    target_tags: Mapping[str, str | Sequence[str]] | None = None
    document_version: str | None = None
    timeout: Any
    agent_timeout: float | timedelta = 900
    max_errors: str | int = "0"
    max_concurrency: str | int = "50"
    send_options: Mapping[str, Any] | None = None
    poll_interval: float = 5.0
    deferrable: bool
    cancel_on_kill: bool = True

    #: Whether :meth:`document_for` depends on the platform, which SSM has to be asked for.
    by_platform = False

    _killed = False
    _sent: list[str] | None = None
    #: The last look at the commands of this task.
    _look: Look | None = None

    @property
    @abstractmethod
    def script_name(self) -> str:
        """What runs, for messages."""

    @abstractmethod
    def document_for(self, platform: str) -> Document:
        """Return what is sent to the instances of a platform: ``Linux``, ``Windows`` or ``MacOS``."""

    def sent_parameters(self, given: Mapping[str, Sequence[str] | str]) -> Mapping[str, Sequence[str] | str]:
        """Return the parameters as they are sent; for a task that looks up values which must be kept nowhere."""
        return given

    def task_identity(self, context: Any) -> TaskIdentity:
        """Return by what an earlier try's commands are found; for a task that knows more of its run than its ids."""
        return TaskIdentity.of(context)

    def before_sending(self, context: Any) -> None:
        """Do nothing; for a task that has something to check right before the script is sent."""

    def begins_again(self, context: Any) -> bool:
        """Return whether this try has begun before, for a task that does so when AWS did not answer."""
        return False

    def run_script(self, context: Any) -> dict[str, Any]:
        """Look, wait for agents, send, wait, judge."""
        wanted = self._wanted()
        commands, results = self._look_for_commands(context, wanted)
        # Where this try begins again, what it sent may have failed meanwhile: that is its own failure.
        same = commands[-1].attempt if commands and self.begins_again(context) else None
        decision = adopt(commands, results, wanted, max_errors=str(self.max_errors), same_attempt=same)
        self.log.info("%s", decision.reason)
        if decision.to_send:
            self._wait_for_agents(wanted, decision)
            commands += self._send(context, decision)
        return self._wait(context, wanted, commands)

    def agents_online(
        self, context: Any, event: dict[str, Any] | None, wanted: list[str], attempt: int
    ) -> dict[str, Any]:
        """Go on after the agents came online: look again, send, wait."""
        self._value_of(event)
        commands, results = self._look_for_commands(context, wanted)
        decision = adopt(commands, results, wanted, max_errors=str(self.max_errors), same_attempt=attempt)
        self.log.info("%s", decision.reason)
        commands += self._send(context, decision)
        return self._wait(context, wanted, commands)

    def execute_complete(self, context: Any, event: dict[str, Any] | None, command_ids: list[str]) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        if event and event.get("timed_out"):
            self._cancel(command_ids)
        return self._value_of(event)

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
            raise AirflowException(f"There is no instance to run {self.script_name} on")
        allowed_errors(self.max_errors, len(found))  # a bad value is better found before anything is sent
        return found

    def _look_for_commands(
        self, context: Any, wanted: Sequence[str]
    ) -> tuple[list[SentCommand], dict[str, InstanceResult]]:
        identity = self.task_identity(context)
        calls = self.hook.calls()
        document = None if self.by_platform else self.document_for("Linux")[0]
        found = run_blocking(find_commands(calls, identity.key, since=identity.since, document_name=document))
        self._look = Look()
        self._sent = [command.command_id for command in found]
        return found, run_blocking(read_results(calls, found, wanted)) if found else {}

    def _wait_for_agents(self, wanted: Sequence[str], decision: Adoption) -> None:
        deadline = time.time() + seconds_of(self.agent_timeout)
        known = run_blocking(managed_instances(self.hook.calls(), decision.to_send))
        if all(known.get(i, {}).get("PingStatus") == "Online" for i in decision.to_send):
            return
        if self.deferrable:
            trigger = SsmAgentTrigger(
                instance_ids=decision.to_send,
                # The script is still to be sent then.
                end_task=False,
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
        identity = self.task_identity(context)
        once, reading = self.hook.calls_without_retries(), self.hook.calls()
        sent: list[SentCommand] = []
        for platform, instance_ids in self._platforms(decision.to_send).items():
            for some in chunks(instance_ids, PAGE):
                if self._killed:
                    raise AirflowException("The task was killed before the script was sent to all instances")
                request = self._request(some, *self.document_for(platform))
                self.before_sending(context)
                commands = run_blocking(
                    send_once(
                        once,
                        reading,
                        key=identity.key,
                        attempt=decision.attempt,
                        label=identity.label,
                        since=identity.since,
                        request=request,
                        look=self._look,
                    )
                )
                sent += [command for command in commands if command not in sent]
                for command in commands:
                    self._sent = [*(self._sent or ()), command.command_id]
                    reached = ", ".join(command.instance_ids)
                    self.log.info("Command %s: %s on %s", command.command_id, request["DocumentName"], reached)
                if self._killed:  # on_kill came while SSM had the request, and did not know of the command
                    self._cancel(self._sent)
        return sent

    def _platforms(self, instance_ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the instances by platform, or all of them together where that does not matter."""
        if not self.by_platform:
            return {"Linux": list(instance_ids)}
        known = run_blocking(managed_instances(self.hook.calls(), instance_ids))
        groups: dict[str, list[str]] = {}
        for instance_id in instance_ids:
            groups.setdefault(known.get(instance_id, {}).get("PlatformType") or "Linux", []).append(instance_id)
        return groups

    def _request(
        self, instance_ids: Sequence[str], document_name: str, given: Mapping[str, Sequence[str] | str]
    ) -> dict[str, Any]:
        limit = max(math.ceil(seconds_of(self.timeout)), 1)
        parameters = {
            key: [value] if isinstance(value, str) else list(value)
            for key, value in self.sent_parameters(given).items()
        }
        if document_name in _WITH_EXECUTION_TIMEOUT:
            parameters.setdefault("executionTimeout", [str(min(limit, _LONGEST_EXECUTION))])
        request: dict[str, Any] = {
            "DocumentName": document_name,
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
                name=self.script_name,
                max_errors=str(self.max_errors),
                cancel_on_kill=self.cancel_on_kill,
                # Asset events come from workers only.
                end_task=not self.outlets,
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
                    name=self.script_name,
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
        found = run_blocking(read_commands(self.hook.calls(), command_ids))
        return len(found) == len(command_ids) and all(command.progress.ended for command in found)

    def _cancel(self, command_ids: Sequence[str]) -> None:
        if not command_ids:
            return
        if not self.cancel_on_kill:
            self.log.warning("Leaving commands %s alone", ", ".join(command_ids))
            return
        try:
            self.hook.cancel_commands(command_ids)
            self.log.warning("Cancelled commands %s", ", ".join(command_ids))
        except Exception as error:  # the task fails already, for a better reason than this
            self.log.warning("Commands %s could not be cancelled: %s", ", ".join(command_ids), error)

    def _value_of(self, event: dict[str, Any] | None) -> Any:
        if not event or event.get("status") != "success":
            raise AirflowException((event or {}).get("message") or "The trigger ended without a result")
        return event["value"]

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
