"""The operations of Run Command: send, list, get and cancel commands and their invocations."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from moto.ssm.exceptions import InvalidDocument, ValidationException
from moto.ssm.models import Document

from drs_provider.simulator import runtime
from drs_provider.simulator.pagination import InvalidToken, page
from drs_provider.simulator.ssm.agents import Node
from drs_provider.simulator.ssm.command_views import (
    command_matches,
    command_view,
    invocation_detail,
    invocation_matches,
    invocation_view,
)
from drs_provider.simulator.ssm.commands import Command, Invocation
from drs_provider.simulator.ssm.exceptions import (
    DuplicateInstanceId,
    InvalidCommandId,
    InvalidInstanceId,
    InvalidNextToken,
    InvalidParameters,
    InvalidPluginName,
    InvocationDoesNotExist,
    UnsupportedPlatformType,
)
from drs_provider.simulator.ssm.library import parameter_problems, plugin_of
from drs_provider.simulator.ssm.outcomes import InvocationPlan, plan_invocation

if TYPE_CHECKING:
    from drs_provider.simulator.ssm.models import SsmBackend

__all__ = ["RunCommand"]

_LONGEST_PAGE = 50


class RunCommand:
    """The commands of one account and region. Requests and answers are plain data with the service model's names."""

    def __init__(self, backend: SsmBackend) -> None:
        self.backend = backend
        self._commands: dict[str, Command] = {}
        self._turns: Counter[tuple[str, str]] = Counter()

    def send_command(self, request: dict[str, Any]) -> dict[str, Any]:
        """Accept a command; its invocations come to exist a moment later."""
        document = self.backend.document_for(request, "Command", InvalidDocument)
        instance_ids: list[str] = list(request.get("InstanceIds") or [])
        targets: list[dict[str, Any]] = list(request.get("Targets") or [])
        if bool(instance_ids) == bool(targets):
            raise ValidationException("Specify either InstanceIds or Targets, and not both")
        if len(set(instance_ids)) < len(instance_ids):
            raise DuplicateInstanceId
        spec = self.backend.spec_of(document)
        problems = parameter_problems(document, request.get("Parameters") or {}, lenient=spec is not None)
        if problems:
            raise InvalidParameters(f"Document {document.name}: {'; '.join(problems)}")
        nodes = self._checked(document, instance_ids)

        def resolve() -> list[tuple[Node, InvocationPlan]]:
            found = nodes if instance_ids else self.backend.fleet.matching(targets)
            return [(node, self._plan(document, node, request)) for node in found]

        command = Command(
            runtime.require(),
            {**request, "DocumentName": document.name},
            document.document_version,
            plugin_of(document),
            resolve,
            self.running_since,
        )
        self._commands[command.command_id] = command
        return {"Command": command_view(command, fresh=True)}

    def list_commands(self, request: dict[str, Any]) -> dict[str, Any]:
        """The commands, newest first."""
        filters = request.get("Filters") or []
        commands = [
            command
            for command in self._asked(request)
            if command_matches(command, filters) and self._on(command, request.get("InstanceId"))
        ]
        shown, token = _page(commands, lambda command: command.command_id, request)
        return _with_token({"Commands": [command_view(command) for command in shown]}, token)

    def list_command_invocations(self, request: dict[str, Any]) -> dict[str, Any]:
        """The invocations of the newest command first."""
        filters = request.get("Filters") or []
        instance_id = request.get("InstanceId")
        found: list[tuple[Command, Invocation]] = [
            (command, invocation)
            for command in self._asked(request)
            for invocation in command.invocations
            if instance_id in (None, invocation.node.instance_id) and invocation_matches(command, invocation, filters)
        ]
        shown, token = _page(found, lambda pair: f"{pair[0].command_id}/{pair[1].node.instance_id}", request)
        details = bool(request.get("Details"))
        return _with_token(
            {"CommandInvocations": [invocation_view(sent, each, details) for sent, each in shown]}, token
        )

    def get_command_invocation(self, request: dict[str, Any]) -> dict[str, Any]:
        """One invocation with its output."""
        command = self._commands.get(request["CommandId"])
        invocation = command.invocation(request["InstanceId"]) if command is not None else None
        if command is None or invocation is None:
            raise InvocationDoesNotExist
        if request.get("PluginName") not in (None, command.plugin):
            raise InvalidPluginName
        return invocation_detail(command, invocation)

    def cancel_command(self, request: dict[str, Any]) -> dict[str, Any]:
        """Cancel a command on all of its instances or some; one that has ended stays as it is."""
        command = self._commands.get(request["CommandId"])
        if command is None:
            raise InvalidCommandId
        instance_ids = list(request.get("InstanceIds") or [])
        unknown = [each for each in instance_ids if command.exists and command.invocation(each) is None]
        if unknown:
            raise InvalidInstanceId(instances=", ".join(unknown), account=self.backend.account_id)
        command.cancel(instance_ids)
        return {}

    def _checked(self, document: Document, instance_ids: list[str]) -> list[Node]:
        """The nodes that a request names by id.

        :raises InvalidInstanceId: one is unknown, does not run, or its agent never came online.
        :raises UnsupportedPlatformType: the document does not run on one.
        """
        now = runtime.require().clock.now()
        nodes = {each: self.backend.fleet.node(each) for each in instance_ids}
        usable = [node for node in nodes.values() if node is not None and node.running and node.registered(now)]
        if len(usable) < len(nodes):
            fine = {node.instance_id for node in usable}
            bad = ", ".join(each for each in nodes if each not in fine)
            raise InvalidInstanceId(instances=bad, account=self.backend.account_id)
        foreign = [node.instance_id for node in usable if node.platform not in document.platform_types]
        if foreign:
            raise UnsupportedPlatformType(document=document.name, instances=", ".join(foreign))
        return usable

    def _plan(self, document: Document, node: Node, request: dict[str, Any]) -> InvocationPlan:
        turn = self._turns[document.name, node.instance_id]
        self._turns[document.name, node.instance_id] += 1
        if node.platform not in document.platform_types:
            return InvocationPlan("InvalidPlatform", 0.0, 0.0, -1, "", "")
        return plan_invocation(self.backend.spec_of(document), node.names, request.get("Parameters") or {}, turn)

    def running_since(self, instance_id: str) -> float | None:
        """Since when an instance runs (epoch seconds) whose agent answers now; None where it does not."""
        node = self.backend.fleet.node(instance_id)
        return node.started_at if node is not None and node.online(runtime.require().clock.now()) else None

    def _asked(self, request: dict[str, Any]) -> list[Command]:
        if request.get("CommandId"):
            command = self._commands.get(request["CommandId"])
            if command is None:
                raise InvalidCommandId
            return [command]
        return sorted(self._commands.values(), key=lambda each: each.requested, reverse=True)

    @staticmethod
    def _on(command: Command, instance_id: str | None) -> bool:
        if instance_id is None:
            return True
        named = instance_id in (command.request.get("InstanceIds") or [])
        return named or command.invocation(instance_id) is not None


def _page(items: list[Any], key: Any, request: dict[str, Any]) -> tuple[list[Any], str | None]:
    try:
        return page(items, key, request.get("NextToken"), request.get("MaxResults"), _LONGEST_PAGE)
    except InvalidToken as error:
        raise InvalidNextToken from error


def _with_token(answer: dict[str, Any], token: str | None) -> dict[str, Any]:
    return {**answer, "NextToken": token} if token else answer
