"""The operations of Automation: start, get, describe, stop and signal executions."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from moto.ssm.exceptions import ValidationException
from moto.ssm.models import Document

from drs_provider.simulator import call_context, runtime
from drs_provider.simulator.documents import DocumentSpec, InstanceOutcome, StepSpec
from drs_provider.simulator.pagination import InvalidToken, page
from drs_provider.simulator.runbook_syntax import has_content
from drs_provider.simulator.ssm.agents import Node
from drs_provider.simulator.ssm.api_calls import ApiCalls
from drs_provider.simulator.ssm.automation_views import (
    execution_detail,
    execution_matches,
    execution_summary,
    step_matches,
    step_view,
)
from drs_provider.simulator.ssm.exceptions import (
    AutomationDefinitionNotFound,
    AutomationExecutionNotFound,
    IdempotentParameterMismatch,
    InvalidAutomationExecutionParameters,
    InvalidNextToken,
    InvalidTarget,
)
from drs_provider.simulator.ssm.executions import Execution
from drs_provider.simulator.ssm.library import document_steps, parameter_problems, typed_parameters
from drs_provider.simulator.ssm.runbook_content import StepDefinition, step_definitions
from drs_provider.simulator.ssm.runbook_executions import RunbookExecution
from drs_provider.simulator.ssm.runbook_steps import Runbook, Start
from drs_provider.simulator.ssm.targeted_executions import TargetedExecution

if TYPE_CHECKING:
    from drs_provider.simulator.ssm.models import SsmBackend

__all__ = ["Automation"]

_LONGEST_PAGE: Final = 50
_STEP_OUTCOMES: Final = frozenset({"Success", "Failed", "TimedOut", "Cancelled", "hangs"})


class Automation:
    """The executions of one account and region. Requests and answers are plain data with the service model's names."""

    def __init__(self, backend: SsmBackend) -> None:
        self.backend = backend
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[str, tuple[str, str]] = {}
        self._turns: Counter[str] = Counter()

    def start_automation_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start an execution, or name the one that the same client token started before."""
        token = str(request.get("ClientToken") or "").lower()
        content = json.dumps({key: value for key, value in request.items() if key != "ClientToken"}, sort_keys=True)
        if token in self._tokens:
            known, execution_id = self._tokens[token]
            if known != content:
                raise IdempotentParameterMismatch(token=token)
            return {"AutomationExecutionId": execution_id}
        document = self.backend.document_for(request, "Automation", AutomationDefinitionNotFound)
        execution = self._start(document, request)
        if token:
            self._tokens[token] = (content, execution.execution_id)
        return {"AutomationExecutionId": execution.execution_id}

    def get_automation_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """One execution with its steps."""
        return {"AutomationExecution": execution_detail(self._execution(request))}

    def describe_automation_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        """The executions, newest first."""
        filters = request.get("Filters") or []
        newest_first = sorted(self._executions.values(), key=lambda each: each.started, reverse=True)
        found = [execution for execution in newest_first if execution_matches(execution, filters)]
        shown, token = _page(found, lambda execution: execution.execution_id, request)
        answer: dict[str, Any] = {"AutomationExecutionMetadataList": [execution_summary(each) for each in shown]}
        return {**answer, "NextToken": token} if token else answer

    def describe_automation_step_executions(self, request: dict[str, Any]) -> dict[str, Any]:
        """The steps of an execution, in their order or in reverse."""
        execution = self._execution(request)
        found = [step for step in execution.steps if step_matches(step, request.get("Filters") or [])]
        if request.get("ReverseOrder"):
            found.reverse()
        shown, token = _page(found, lambda step: step.step_id, request)
        answer: dict[str, Any] = {"StepExecutions": [step_view(execution, step) for step in shown]}
        return {**answer, "NextToken": token} if token else answer

    def stop_automation_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        """Cancel an execution, or end it after its running step."""
        self._execution(request).stop(request.get("Type") or "Cancel")
        return {}

    def send_automation_signal(self, request: dict[str, Any]) -> dict[str, Any]:
        """Approve or reject what waits for it."""
        self._execution(request).signal(request["SignalType"], request.get("Payload") or {})
        return {}

    def _start(self, document: Document, request: dict[str, Any]) -> Execution:
        for key in ("TargetMaps", "TargetLocations", "TargetLocationsURL"):
            if request.get(key):
                raise InvalidTarget(f"{key} is not simulated; use Targets with TargetParameterName")
        if request.get("Mode") == "Interactive":
            raise ValidationException("Mode Interactive is not simulated; use Auto")
        name = request.get("TargetParameterName")
        if not request.get("Targets"):
            self._check(document, request.get("Parameters") or {})
            return self._execute(document, request)
        if not name:
            raise InvalidTarget("Targets need a TargetParameterName")
        values = self._target_values(request["Targets"][0])
        self._check(document, {**(request.get("Parameters") or {}), name: values[:1]})

        caller = call_context.caller.get()

        def start_child(parent: TargetedExecution, value: str) -> Execution:
            # A child may start by the clock, when nobody calls: it acts for whoever started the parent.
            parameters = {**(request.get("Parameters") or {}), name: [value]}
            child = {"DocumentName": document.name, "Parameters": parameters, "Tags": request.get("Tags")}
            with call_context.acting_as(caller):
                return self._execute(document, child, parent, value)

        runbook = Runbook(document.name, document.document_version, (), "Success", None, {})
        parent = TargetedExecution(runtime.require(), runbook, Start(request, self._executed_by), values, start_child)
        self._executions[parent.execution_id] = parent
        return parent

    def _execute(
        self,
        document: Document,
        request: dict[str, Any],
        parent: TargetedExecution | None = None,
        target: str | None = None,
    ) -> Execution:
        values = [value for each in (request.get("Parameters") or {}).values() for value in each]
        nodes = self._nodes(values)
        runbook = self._runbook(document, [*values, *(name for node in nodes for name in node.names)])
        running_since = self.backend.run_command.running_since
        start = Start(request, self._executed_by, tuple(nodes), parent, target, running_since)
        if self._acts(document):
            parameters = typed_parameters(document, request.get("Parameters") or {})
            execution: Execution = RunbookExecution(
                runtime.require(),
                runbook,
                start,
                definitions=self._definitions(document),
                parameters=parameters,
                calls=self._calls(document, parameters),
            )
        else:
            execution = Execution(runtime.require(), runbook, start)
        self._executions[execution.execution_id] = execution
        return execution

    def _acts(self, document: Document) -> bool:
        """Whether an execution carries out what the document's content says: unless the scenario says how it ends."""
        if document.schema_version != "0.3" or not has_content(document.content_json):
            return False
        spec = self.backend.spec_of(document)
        return spec is None or spec.content is not None or not spec.model_fields_set & {"outcome", "steps", "instances"}

    def _definitions(self, document: Document) -> list[StepDefinition]:
        spec = self.backend.spec_of(document)
        return step_definitions(document.content_json, {step.name: step for step in spec.steps} if spec else {})

    def _calls(self, document: Document, parameters: Mapping[str, Any]) -> ApiCalls:
        role = str(document.content_json.get("assumeRole") or "")
        name = role.strip().removeprefix("{{").removesuffix("}}").strip()
        role = str(parameters.get(name) or "") if role.strip().startswith("{{") else role
        return ApiCalls(self.backend.account_id, self.backend.region_name, call_context.caller.get(), role or None)

    def _runbook(self, document: Document, names: Iterable[str]) -> Runbook:
        """What an execution will do; `names`: its parameters' values, and what the instances among them are called."""
        given = self.backend.spec_of(document)
        spec = given or DocumentSpec()
        turn = self._turns[document.name]
        self._turns[document.name] += 1
        outcome: str = spec.outcome[min(turn, len(spec.outcome) - 1)]
        host = next((spec.instances[name] for name in names if name in spec.instances), InstanceOutcome())
        if host.outcome in _STEP_OUTCOMES:
            outcome = host.outcome
        version, declared = document.document_version, tuple(document.content_json.get("outputs") or ())
        if self._acts(document):
            acted = tuple(one.spec for one in self._definitions(document))
            return Runbook(document.name, version, acted, outcome, spec.message, spec.outputs, declared=declared)
        steps = tuple(spec.steps or (document_steps(document) if given is None else ()))
        unknown = not steps
        if unknown:
            duration = spec.duration if host.duration is None else host.duration
            single: Any = outcome if outcome in _STEP_OUTCOMES else "Success"
            steps = (StepSpec(name="run", action="aws:executeScript", duration=duration, outcome=single),)
            if spec.message:
                steps = (steps[0].model_copy(update={"message": spec.message}),)
        return Runbook(document.name, version, steps, outcome, spec.message, spec.outputs, on_instances=unknown)

    def _check(self, document: Document, parameters: Mapping[str, list[str]]) -> None:
        problems = parameter_problems(document, parameters, lenient=self.backend.spec_of(document) is not None)
        if problems:
            raise InvalidAutomationExecutionParameters(f"Document {document.name}: {'; '.join(problems)}")

    def _target_values(self, target: Mapping[str, Any]) -> list[str]:
        key, values = str(target.get("Key", "")), [str(value) for value in target.get("Values") or []]
        if key in ("ParameterValues", "InstanceIds"):
            found = values
        elif key.startswith("tag:") or key == "tag-key":
            found = [node.instance_id for node in self.backend.fleet.matching([target])]
        else:
            raise InvalidTarget(f"The target key {key} is not valid")
        if not found:
            raise InvalidTarget(f"No target matches {key}")
        return found

    def _nodes(self, values: Iterable[str]) -> list[Node]:
        nodes = (self.backend.fleet.node(value) for value in values if value.startswith("i-"))
        return [node for node in nodes if node is not None]

    def _execution(self, request: Mapping[str, Any]) -> Execution:
        execution = self._executions.get(request["AutomationExecutionId"])
        if execution is None:
            raise AutomationExecutionNotFound(execution=request["AutomationExecutionId"])
        return execution

    @property
    def _executed_by(self) -> str:
        return f"arn:{self.backend.partition}:iam::{self.backend.account_id}:root"


def _page(items: list[Any], key: Any, request: dict[str, Any]) -> tuple[list[Any], str | None]:
    try:
        return page(items, key, request.get("NextToken"), request.get("MaxResults"), _LONGEST_PAGE)
    except InvalidToken as error:
        raise InvalidNextToken from error
