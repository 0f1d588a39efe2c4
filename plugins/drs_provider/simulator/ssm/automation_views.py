"""How automation executions and their steps look in the answers of SSM, and which of them a filter names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from moto.ssm.exceptions import InvalidFilterKey, InvalidFilterValue

from drs_provider.simulator.ssm.command_views import moment
from drs_provider.simulator.ssm.executions import Execution
from drs_provider.simulator.ssm.outputs import as_text
from drs_provider.simulator.ssm.runbook_steps import Step
from drs_provider.simulator.ssm.targeted_executions import TargetedExecution
from drs_provider.timestamps import parse_timestamp

__all__ = ["execution_detail", "execution_matches", "execution_summary", "step_matches", "step_view"]

#: GetAutomationExecution shows so many steps; DescribeAutomationStepExecutions shows all.
STEPS_SHOWN = 100
_NO_OUTPUT = "No output available yet because the step is not successfully executed"


def execution_detail(execution: Execution) -> dict[str, Any]:
    """An execution as GetAutomationExecution shows it."""
    view = _common(execution)
    steps = execution.steps
    view["StepExecutions"] = [step_view(execution, step) for step in steps[:STEPS_SHOWN]]
    view["StepExecutionsTruncated"] = len(steps) > STEPS_SHOWN
    parameters = execution.request.get("Parameters")
    if parameters:
        view["Parameters"] = parameters
    if execution.request.get("TargetLocations"):
        view["TargetLocations"] = execution.request["TargetLocations"]
    view["ProgressCounters"] = {
        "TotalSteps": len(steps),
        "SuccessSteps": _count(steps, "Success"),
        "FailedSteps": _count(steps, "Failed"),
        "CancelledSteps": _count(steps, "Cancelled"),
        "TimedOutSteps": _count(steps, "TimedOut"),
    }
    return view


def execution_summary(execution: Execution) -> dict[str, Any]:
    """An execution as DescribeAutomationExecutions shows it."""
    return {**_common(execution), "AutomationType": "Local"}


def step_view(execution: Execution, step: Step) -> dict[str, Any]:
    """A step of an execution."""
    position = execution.steps.index(step)
    last = position == len(execution.steps) - 1
    definition = step.definition
    view: dict[str, Any] = {
        "StepName": step.spec.name,
        "Action": step.spec.action,
        "OnFailure": definition.on_failure if definition else step.spec.on_failure,
        "MaxAttempts": definition.max_attempts if definition else 1,
        "StepStatus": step.status,
        "StepExecutionId": step.step_id,
        "Inputs": {name: as_text(value) for name, value in step.inputs.items()},
        "IsEnd": last or (definition is not None and definition.is_end),
        "IsCritical": definition.is_critical if definition else True,
    }
    if step.spec.timeout is not None:
        view["TimeoutSeconds"] = int(step.spec.timeout)
    following = (definition.next_step if definition else None) or (
        None if view["IsEnd"] else execution.steps[position + 1].spec.name
    )
    if following:
        view["NextStep"] = following
    if step.started is not None:
        view["ExecutionStartTime"] = moment(step.started)
    if step.ended is not None:
        view["ExecutionEndTime"] = moment(step.ended)
        if step.status in ("Success", "Failed"):
            view["ResponseCode"] = "0" if step.status == "Success" else "1"
    if step.outputs:
        view["Outputs"] = step.outputs
    if step.message:
        view["FailureMessage"] = step.message
        view["FailureDetails"] = {"FailureStage": "Invocation", "FailureType": "Verification"}
    return view


def execution_matches(execution: Execution, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether DescribeAutomationExecutions with these filters shows an execution.

    :raises InvalidFilterKey: a key that executions do not have.
    :raises InvalidFilterValue: a time that is none.
    """
    return all(_execution_matches(execution, each["Key"], list(each["Values"])) for each in filters)


def step_matches(step: Step, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether DescribeAutomationStepExecutions with these filters shows a step.

    :raises InvalidFilterKey: a key that steps do not have.
    :raises InvalidFilterValue: a time that is none.
    """
    return all(_step_matches(step, each["Key"], list(each["Values"])) for each in filters)


def _common(execution: Execution) -> dict[str, Any]:
    request = execution.request
    view: dict[str, Any] = {
        "AutomationExecutionId": execution.execution_id,
        "DocumentName": execution.runbook.name,
        "DocumentVersion": execution.runbook.version,
        "AutomationExecutionStatus": execution.status,
        "ExecutionStartTime": moment(execution.started),
        "ExecutedBy": execution.executed_by,
        "Mode": request.get("Mode") or "Auto",
        "Targets": list(request.get("Targets") or []),
        "ResolvedTargets": {"ParameterValues": [], "Truncated": False},
    }
    if execution.ended is not None:
        view["ExecutionEndTime"] = moment(execution.ended)
    if execution.message:
        view["FailureMessage"] = execution.message
    if execution.current is not None:
        view["CurrentStepName"] = execution.current.spec.name
        view["CurrentAction"] = execution.current.spec.action
    if outputs := _outputs(execution):
        view["Outputs"] = outputs
    for key in ("TargetParameterName", "MaxConcurrency", "MaxErrors"):
        if request.get(key):
            view[key] = request[key]
    if execution.parent is not None:
        view["ParentAutomationExecutionId"] = execution.parent.execution_id
    if execution.target is not None:
        view["Target"] = execution.target
    if isinstance(execution, TargetedExecution):
        view["ResolvedTargets"] = {"ParameterValues": list(execution.targets), "Truncated": False}
    return view


def _outputs(execution: Execution) -> dict[str, list[str]]:
    done = {step.spec.name: step.outputs for step in execution.steps if step.status == "Success"}
    outputs: dict[str, list[str]] = {}
    names = {step.spec.name for step in execution.steps}
    for name, values in execution.runbook.outputs.items():
        step = name.partition(".")[0]
        there = step in done if step in names else execution.over and execution.status != "Failed"
        outputs[name] = list(values) if there else [_NO_OUTPUT]
    for step_name, step_outputs in done.items():
        for key, values in step_outputs.items():
            outputs.setdefault(f"{step_name}.{key}", list(values))
    for name in execution.runbook.declared:
        outputs.setdefault(name, [_NO_OUTPUT])
    return outputs


def _execution_matches(execution: Execution, key: str, values: list[str]) -> bool:
    step = execution.current
    tags = {tag["Key"] for tag in execution.request.get("Tags") or []}
    if key in ("StartTimeBefore", "StartTimeAfter"):
        return _timed(execution.started, key, values)
    found = {
        "DocumentNamePrefix": any(execution.runbook.name.startswith(value) for value in values),
        "ExecutionStatus": execution.status in values,
        "ExecutionId": execution.execution_id in values,
        "ParentExecutionId": execution.parent is not None and execution.parent.execution_id in values,
        "CurrentAction": step is not None and step.spec.action in values,
        "AutomationType": "Local" in values,
        "TagKey": bool(tags & set(values)),
    }
    if key not in found:
        raise InvalidFilterKey(f"The filter key {key} is not valid for this operation")
    return found[key]


def _step_matches(step: Step, key: str, values: list[str]) -> bool:
    if key in ("StartTimeBefore", "StartTimeAfter"):
        return step.started is not None and _timed(step.started, key, values)
    found = {
        "StepExecutionStatus": step.status,
        "StepExecutionId": step.step_id,
        "StepName": step.spec.name,
        "Action": step.spec.action,
    }
    if key not in found:
        raise InvalidFilterKey(f"The filter key {key} is not valid for this operation")
    return found[key] in values


def _timed(at: float, key: str, values: list[str]) -> bool:
    try:
        wanted = parse_timestamp(values[0]).timestamp()
    except ValueError as error:
        raise InvalidFilterValue(f"{values[0]} is not a time") from error
    shown = int(at * 1000) / 1000  # Answers give milliseconds, and what they give must not be after itself.
    return shown < wanted if key == "StartTimeBefore" else shown > wanted


def _count(steps: list[Step], status: str) -> int:
    return sum(1 for step in steps if step.status == status)
