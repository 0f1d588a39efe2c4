"""Runbooks that act: executions of a document whose content is known, step by step against the simulated region.

Actions that only make API calls, wait, branch or ask a person are carried out; every other one (`aws:runCommand`,
`aws:executeScript` and the rest) goes on as the scenario says of its step, else succeeds after a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Final

from drs_provider.aws.typical import STEP
from drs_provider.durations import parse_seconds
from drs_provider.simulator.runtime import Runtime
from drs_provider.simulator.ssm.api_calls import ApiCalls
from drs_provider.simulator.ssm.branches import choose
from drs_provider.simulator.ssm.executions import Execution
from drs_provider.simulator.ssm.outputs import as_texts, typed
from drs_provider.simulator.ssm.runbook_content import StepDefinition
from drs_provider.simulator.ssm.runbook_steps import NEVER_ENDING, Runbook, Start, Step
from drs_provider.simulator.ssm.selectors import RunbookError, resolve, select
from drs_provider.timestamps import parse_timestamp

__all__ = ["RunbookExecution"]

#: Seconds of AWS: between two looks of a step that waits, and until it gives up where the document says nothing.
_LOOK: Final = 5.0
_PATIENCE: Final = 3600.0
#: Inputs of actions that are no parameters of the API call.
_OWN_INPUTS: Final = frozenset({"Service", "Api", "PropertySelector", "DesiredValues"})
_CHANGES: Final = {"running": "StartInstances", "stopped": "StopInstances", "terminated": "TerminateInstances"}


class RunbookExecution(Execution):
    """One execution of a runbook with content.

    :param definitions: its steps.
    :param parameters: the values of the document's parameters, typed, defaults included.
    :param calls: makes the API calls of the steps.
    """

    def __init__(
        self,
        simulation: Runtime,
        runbook: Runbook,
        start: Start,
        *,
        definitions: Sequence[StepDefinition],
        parameters: Mapping[str, Any],
        calls: ApiCalls,
    ) -> None:
        self._parameters = parameters
        self._calls = calls
        self._values: dict[str, dict[str, Any]] = {}
        self._critical_failed = False
        super().__init__(simulation, runbook, start)
        for step, definition in zip(self.steps, definitions, strict=True):
            step.definition = definition
        self._next: Step | None = self.steps[0]

    def _run_next(self) -> None:
        step = self._next
        if step is None or self._completing:
            self._finish_as_told()
            return
        self._run(step)

    def _run(self, step: Step) -> None:
        definition = step.definition
        if definition is None or not definition.acts:
            self._begin_step(step)
            return
        step.attempts += 1
        if step.started is None:
            step.started = self._simulation.clock.now()
            self._log("STEP_START", step)
        step.status = self.status = "InProgress"
        action = definition.spec.action
        try:
            step.inputs = {} if action == "aws:branch" else resolve(dict(definition.inputs), self._look_up)
            if action == "aws:approve":
                self._ask(step)
                return
            self._limit(step, action)
            self._act(step, action)
        except RunbookError as error:
            self._failed(step, str(error))

    def _ask(self, step: Step) -> None:
        approvers = [str(one) for one in step.inputs.get("Approvers") or []]
        needed = int(step.inputs.get("MinRequiredApprovals") or 1)
        step.spec = step.spec.model_copy(update={"approvers": approvers, "approvals": needed})
        self._await_approval(step)

    def _limit(self, step: Step, action: str) -> None:
        waits = action in ("aws:waitForAwsResourceProperty", "aws:changeInstanceState")
        limit = step.spec.timeout if step.spec.timeout is not None else _PATIENCE if waits else None
        if limit is not None:
            self._later(limit, lambda: self._end_step(step, "TimedOut", f"The step did not end within {limit:g} s"))

    def _act(self, step: Step, action: str) -> None:
        if action == "aws:sleep":
            self._later(self._sleep(step), lambda: self._end_step(step, "Success"))
        elif action == "aws:branch":
            self._branch(step)
        elif action == "aws:changeInstanceState":
            self._change(step)
        elif action == "aws:waitForAwsResourceProperty":
            self._look(step)
        else:
            answer = self._call(step)
            if action == "aws:assertAwsResourceProperty":
                found = select(str(step.inputs["PropertySelector"]), answer)
                if not _desired(found, step.inputs["DesiredValues"]):
                    raise RunbookError(f"The property is {found}, and not one of {step.inputs['DesiredValues']}")
            self._keep(step, answer)
            self._later(STEP, lambda: self._end_step(step, "Success"))

    def _call(self, step: Step) -> dict[str, Any]:
        params = {name: value for name, value in step.inputs.items() if name not in _OWN_INPUTS}
        return self._calls.call(str(step.inputs.get("Service")), str(step.inputs.get("Api")), params)

    def _keep(self, step: Step, answer: Mapping[str, Any]) -> None:
        """Read the outputs that the document names from an answer."""
        values: dict[str, Any] = {}
        for output in step.definition.outputs if step.definition else ():
            found = select(str(output["Selector"]), answer)
            values[str(output["Name"])] = typed(found, str(output.get("Type", "String")))
        step.outputs = {name: as_texts(value) for name, value in values.items()}
        self._values[step.spec.name] = {**values, "OutputPayload": answer}

    def _look(self, step: Step) -> None:
        """Call until the property is as desired."""
        try:
            answer = self._call(step)
            found = select(str(step.inputs["PropertySelector"]), answer)
        except RunbookError as error:
            if "finds nothing" not in str(error):
                self._failed(step, str(error))
                return
            found = None
        if found is not None and _desired(found, step.inputs["DesiredValues"]):
            self._keep(step, answer)
            self._later(STEP, lambda: self._end_step(step, "Success"))
        else:
            self._later(_LOOK, lambda: self._look(step))

    def _change(self, step: Step) -> None:
        instances = [str(one) for one in _listed(step.inputs.get("InstanceIds"))]
        wanted = str(step.inputs.get("DesiredState"))
        if wanted not in _CHANGES or not instances:
            raise RunbookError("aws:changeInstanceState needs InstanceIds and a DesiredState")
        if str(step.inputs.get("CheckStateOnly", False)).lower() != "true":
            force = {"Force": True} if wanted == "stopped" and str(step.inputs.get("Force")).lower() == "true" else {}
            self._calls.call("ec2", _CHANGES[wanted], {"InstanceIds": instances, **force})
        self._later(_LOOK, lambda: self._look_at(step, instances, wanted))

    def _look_at(self, step: Step, instances: list[str], wanted: str) -> None:
        try:
            answer = self._calls.call("ec2", "DescribeInstances", {"InstanceIds": instances})
        except RunbookError as error:
            self._failed(step, str(error))
            return
        states = [str(state) for state in select("$.Reservations..State.Name", answer)]
        if states and set(states) == {wanted}:
            step.outputs = {"InstanceStates": states}
            self._values[step.spec.name] = {"InstanceStates": states}
            self._end_step(step, "Success")
        elif wanted != "terminated" and "terminated" in states:
            self._failed(step, f"An instance of {', '.join(instances)} is terminated, and cannot be {wanted}")
        else:
            self._later(_LOOK, lambda: self._look_at(step, instances, wanted))

    def _sleep(self, step: Step) -> float:
        if duration := step.inputs.get("Duration"):
            try:
                return parse_seconds(duration)
            except ValueError as error:
                raise RunbookError(str(error)) from error
        try:
            until = parse_timestamp(str(step.inputs.get("Timestamp"))).timestamp()
        except ValueError as error:
            raise RunbookError("aws:sleep needs a Duration or a Timestamp") from error
        clock = self._simulation.clock
        return max(0.0, until - clock.now()) * clock.speed

    def _branch(self, step: Step) -> None:
        inputs = step.definition.inputs if step.definition else {}
        step.chosen = choose(inputs, lambda value: resolve(value, self._look_up))
        self._later(STEP, lambda: self._end_step(step, "Success"))

    def _failed(self, step: Step, message: str) -> None:
        """Try again where the document allows it, else end the step."""
        self._drop_timers()
        if step.definition is not None and step.attempts < step.definition.max_attempts:
            self._later(STEP, lambda: self._run(step))
        else:
            self._end_step(step, "Failed", message)

    def _after(self, step: Step, status: str, message: str | None) -> None:
        """Go on as the document says: nextStep, isEnd, onFailure and isCritical."""
        definition = step.definition
        assert definition is not None
        bad = status != "Success"
        self._critical_failed |= bad and definition.is_critical
        on_failure = definition.on_failure
        if bad and (on_failure == "Abort" or status == "Cancelled"):
            self._finish(status, f"Step {step.spec.name} did not succeed. {message}")
            return
        if bad and on_failure.startswith("step:"):
            self._go_to(on_failure.removeprefix("step:"))
        elif step.chosen is not None:
            self._go_to(step.chosen)
        elif definition.is_end:
            self._next = None
        elif definition.next_step:
            self._go_to(definition.next_step)
        else:
            position = self.steps.index(step) + 1
            self._next = self.steps[position] if position < len(self.steps) else None
        self._run_next()

    def _go_to(self, name: str) -> None:
        """Go on with a step; one that ran before, in a loop, begins anew."""
        step = next(each for each in self.steps if each.spec.name == name)
        if step.ended is not None:
            step.status, step.started, step.ended, step.attempts, step.chosen = "Pending", None, None, 0, None
        self._next = step

    def _finish_as_told(self) -> None:
        if self._critical_failed:
            failed = [step for step in self.steps if step.status in ("Failed", "TimedOut")]
            self._finish("Failed", f"Step {failed[-1].spec.name} did not succeed. {failed[-1].message}")
        elif self.runbook.outcome in NEVER_ENDING:
            self.status = NEVER_ENDING[self.runbook.outcome]
        else:
            super()._finish_as_told()

    def _on_instances(self, step: Step) -> list[str]:
        if step.spec.action != "aws:runCommand" or step.definition is None:
            return []
        try:
            step.inputs = resolve(dict(step.definition.inputs), self._look_up)
        except RunbookError:
            return []
        return [str(one) for one in _listed(step.inputs.get("InstanceIds"))]

    def _look_up(self, name: str) -> Any:
        """What a reference names: a parameter, an output of a step, or a word about the execution."""
        if name in self._parameters:
            return self._parameters[name]
        now = datetime.fromtimestamp(self._simulation.clock.now(), tz=timezone.utc)
        known = {
            "automation:EXECUTION_ID": self.execution_id,
            "global:REGION": self._calls.region,
            "global:ACCOUNT_ID": self._calls.account,
            "global:DATE": now.strftime("%Y-%m-%d"),
            "global:DATE_TIME": now.strftime("%Y-%m-%d_%H.%M.%S"),
        }
        if name in known:
            return known[name]
        step_name, _, output = name.partition(".")
        values = self._values.get(step_name)
        if values is None:
            step = next((each for each in self.steps if each.spec.name == step_name), None)
            values = {key: each[0] if len(each) == 1 else each for key, each in step.outputs.items()} if step else {}
        if output in values:
            return values[output]
        head, _, rest = output.partition(".")
        if isinstance(values.get(head), dict):
            return select(f"$.{rest}", values[head])
        raise RunbookError(f"{{{{ {name} }}}} names no parameter, and no output of a step that has succeeded")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _desired(found: Any, desired: Any) -> bool:
    """Whether a property, or every value of one that has several, is one of the desired ones."""
    wanted = {text for one in _listed(desired) for text in as_texts(one)}
    values = as_texts(found)
    return bool(values) and set(values) <= wanted
