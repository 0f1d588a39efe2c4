"""Post-launch actions: SSM documents that DRS runs on what it launched, in their order.

They are put on a source server, or on the launch configuration template for servers to come, and run after a launch
where the launch configuration has them enabled. How they end stands in `launchActionsStatus` of the job's participating
server, whose launch has succeeded before. A failed action ends the row, unless it is optional.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.ssm.exceptions import InvalidDocument

from drs_provider.simulator.drs.exceptions import NotFound, Validation
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.simulator.ssm.exceptions import AutomationDefinitionNotFound
from drs_provider.simulator.ssm.models import ssm_backends

if TYPE_CHECKING:
    from drs_provider.simulator.drs.jobs import Job, Participant
    from drs_provider.simulator.drs.models import DrsBackend
    from drs_provider.simulator.drs.recovery_instances import RecoveryInstance

__all__ = ["LaunchActions", "run_launch_actions"]

_MEMBERS = (
    "actionId",
    "actionCode",
    "name",
    "active",
    "order",
    "actionVersion",
    "optional",
    "description",
    "category",
)
#: Seconds between two looks at an agent, and at an action that runs.
_EVERY = 10.0
#: After so many seconds DRS no longer waits for an agent.
_AGENT_WITHIN = 1200.0
_ENDED = {
    "Success": "SUCCEEDED",
    "Failed": "FAILED",
    "TimedOut": "FAILED",
    "Cancelled": "FAILED",
    "CompletedWithFailure": "FAILED",
}


class LaunchActions(Component):
    """Put, delete and list."""

    def put_launch_action(self, request: Request) -> dict[str, Any]:
        """PutLaunchAction: adds or replaces one."""
        owner = self._owner(request["resourceId"])
        action = {name: request[name] for name in _MEMBERS}
        action["parameters"] = request.get("parameters") or {}
        action["type"] = self._type(request["actionCode"], request["actionVersion"])
        self.backend.launch_actions.setdefault(owner, {})[action["actionId"]] = action
        return {"resourceId": owner, **action}

    def delete_launch_action(self, request: Request) -> dict[str, Any]:
        """DeleteLaunchAction."""
        owner = self._owner(request["resourceId"])
        if self.backend.launch_actions.get(owner, {}).pop(request["actionId"], None) is None:
            raise NotFound("LaunchAction", request["actionId"])
        return {}

    def list_launch_actions(self, request: Request) -> dict[str, Any]:
        """ListLaunchActions, in the order in which they run."""
        owner = self._owner(request["resourceId"])
        wanted = set((request.get("filters") or {}).get("actionIds") or ())
        actions = [action for action in self.actions_of(owner) if not wanted or action["actionId"] in wanted]
        return self.backend.paged(request, actions, lambda action: str(action["actionId"]), dict)

    def actions_of(self, owner: str) -> list[dict[str, Any]]:
        """The actions of a server or template, in the order in which they run."""
        return sorted(
            self.backend.launch_actions.get(owner, {}).values(), key=lambda one: (one["order"], one["actionId"])
        )

    def _owner(self, resource_id: str) -> str:
        if resource_id in self.backend.servers or resource_id in self.backend.launch_templates:
            return resource_id
        raise NotFound("SourceServer" if resource_id.startswith("s-") else "LaunchConfigurationTemplate", resource_id)

    def _type(self, document: str, version: str) -> str:
        ssm = ssm_backends[self.backend.account_id][self.backend.region_name]
        request = {"DocumentName": document, "DocumentVersion": None if version.startswith("$") else version}
        missing: tuple[tuple[str, str, type[ServiceException]], ...] = (
            ("SSM_COMMAND", "Command", InvalidDocument),
            ("SSM_AUTOMATION", "Automation", AutomationDefinitionNotFound),
        )
        for name, kind, error in missing:
            try:
                ssm.document_for(request, kind, error)
            except ServiceException:
                continue
            return name
        raise Validation(f"SSM document {document} does not exist, or has no version {version}", reason="other")


def run_launch_actions(backend: DrsBackend, job: Job, participant: Participant, instance: RecoveryInstance) -> None:
    """Run the active actions of a server on its new instance: one after the other, as soon as its agent is there."""
    actions = [action for action in backend.post_launch.actions_of(instance.server.id) if action["active"]]
    if actions:
        _Row(backend, job, participant, instance, actions).begin()


class _Row:
    """The actions of one server, at work."""

    def __init__(
        self,
        backend: DrsBackend,
        job: Job,
        participant: Participant,
        instance: RecoveryInstance,
        actions: list[dict[str, Any]],
    ) -> None:
        self.backend = backend
        self.job = job
        self.status = participant.launch_actions
        self.instance = instance
        self.left = actions
        self.clock = backend.clock
        self.ssm = ssm_backends[backend.account_id][backend.region_name]
        self.gives_up_at = self.clock.now() + self.clock.scaled(_AGENT_WITHIN)

    def begin(self) -> None:
        """Wait for the agent."""
        now = self.clock.now()
        node = self.ssm.fleet.node(self.instance.id)
        if node is not None and node.online(now):
            self.status.agent_seen_at = now
            self._next()
        elif now >= self.gives_up_at:
            run = self._run(self.left[0])
            self._end(run, "FAILED", "The SSM agent of the instance was not discovered")
        else:
            self.clock.call_in(_EVERY, self.begin)

    def _next(self) -> None:
        if not self.left:
            return
        action = self.left.pop(0)
        run = self._run(action)
        try:
            look = self._start(action)
        except ServiceException as error:
            self._ended(action, run, "FAILED", error.message)
            return
        self._watch(action, run, look)

    def _run(self, action: dict[str, Any]) -> dict[str, Any]:
        run = {"action": dict(action), "runId": str(uuid.uuid4()), "status": "IN_PROGRESS"}
        self.status.runs.append(run)
        return run

    def _start(self, action: dict[str, Any]) -> Callable[[], tuple[str, str]]:
        """Start an action; returns what looks how it stands: its status, and why it failed."""
        parameters = {name: [self._value(given)] for name, given in action["parameters"].items()}
        request: dict[str, Any] = {
            "DocumentName": action["actionCode"],
            "DocumentVersion": None if action["actionVersion"].startswith("$") else action["actionVersion"],
            "Parameters": parameters,
        }
        if action["type"] == "SSM_COMMAND":
            sent = self.ssm.run_command.send_command({**request, "InstanceIds": [self.instance.id]})
            command = {"CommandId": sent["Command"]["CommandId"]}

            def of_command() -> tuple[str, str]:
                (shown,) = self.ssm.run_command.list_commands(command)["Commands"]
                return str(shown["Status"]), str(shown["StatusDetails"])

            return of_command
        started = self.ssm.automation.start_automation_execution(request)

        def of_automation() -> tuple[str, str]:
            shown = self.ssm.automation.get_automation_execution(started)["AutomationExecution"]
            return str(shown["AutomationExecutionStatus"]), str(shown.get("FailureMessage") or "")

        return of_automation

    def _value(self, given: dict[str, Any]) -> str:
        """A parameter's value: out of Parameter Store, or a path into the description of the recovery instance."""
        if given["type"] == "SSM_STORE":
            stored = self.ssm.get_parameter(given["value"])
            if stored is None:
                raise Validation(f"Parameter {given['value']} does not exist in Parameter Store", reason="other")
            return str(stored.value)
        value: Any = self.instance.describe(self.clock.now())
        for part in str(given["value"]).split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is None:
            raise Validation(f"The recovery instance has no {given['value']}", reason="other")
        return str(value)

    def _watch(self, action: dict[str, Any], run: dict[str, Any], look: Callable[[], tuple[str, str]]) -> None:
        status, why = look()
        ended = _ENDED.get(status)
        if ended is None:
            self.clock.call_in(_EVERY, lambda: self._watch(action, run, look))
        else:
            self._ended(action, run, ended, f"{action['actionCode']} ended as {status} {why}".strip())

    def _ended(self, action: dict[str, Any], run: dict[str, Any], status: str, reason: str) -> None:
        self._end(run, status, reason)
        if status == "SUCCEEDED" or action["optional"]:
            self._next()

    def _end(self, run: dict[str, Any], status: str, reason: str) -> None:
        run["status"] = status
        if status == "FAILED":
            run["failureReason"] = "".join(each for each in reason if each.isascii() and each not in '<>"$%&=?!')[:256]
