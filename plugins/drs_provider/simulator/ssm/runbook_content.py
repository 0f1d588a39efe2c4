"""The content of an Automation document of schema 0.3: its steps, and what is said of each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from drs_provider.simulator.documents import StepSpec

__all__ = ["ACTING", "StepDefinition", "has_content", "parse_content", "step_definitions"]

#: The actions that are carried out; every other one goes on as the scenario says.
ACTING: Final = frozenset(
    {
        "aws:executeAwsApi",
        "aws:waitForAwsResourceProperty",
        "aws:assertAwsResourceProperty",
        "aws:changeInstanceState",
        "aws:sleep",
        "aws:branch",
        "aws:approve",
    }
)


@dataclass(frozen=True)
class StepDefinition:
    """One step of a runbook as its content has it.

    :param spec: what the scenario says of the step, or how it goes on where nothing says so.
    :param acts: whether it is carried out, and not only played.
    """

    spec: StepSpec
    acts: bool
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[Mapping[str, Any], ...] = ()
    on_failure: str = "Abort"
    next_step: str | None = None
    is_end: bool = False
    is_critical: bool = True
    max_attempts: int = 1
    timeout: float | None = None


def parse_content(content: Any) -> dict[str, Any]:
    """A runbook's content from a mapping, or from JSON or YAML text.

    :raises ValueError: it is no runbook of schema 0.3; the message says why.
    """
    if isinstance(content, str):
        try:
            content = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise ValueError(f"the content is neither JSON nor YAML: {error}") from error
    if not isinstance(content, Mapping):
        raise ValueError("the content is no mapping with schemaVersion and mainSteps")
    if str(content.get("schemaVersion")) != "0.3":
        raise ValueError(f"schemaVersion is {content.get('schemaVersion')}; a runbook has 0.3")
    if not content.get("mainSteps") or not all(isinstance(step, Mapping) for step in content["mainSteps"]):
        raise ValueError("mainSteps lists no steps")
    names = [str(step.get("name")) for step in content["mainSteps"]]
    if wrong := [name for name in names if not re.fullmatch(r"[a-zA-Z0-9_]{3,128}", name)]:
        raise ValueError(f"{wrong[0]} is no name of a step: 3 to 128 letters, digits and underscores")
    if len(set(names)) < len(names):
        raise ValueError("two steps of mainSteps have one name")
    for step in content["mainSteps"]:
        targets = [step.get("nextStep"), str(step.get("onFailure", "")).partition("step:")[2] or None]
        inputs = step.get("inputs") or {}
        if step.get("action") == "aws:branch":
            targets += [inputs.get("Default"), *(each.get("NextStep") for each in inputs.get("Choices") or ())]
        for target in targets:
            if target is not None and target not in names:
                raise ValueError(f"step {step.get('name')} goes on to {target}, which is no step")
    # Through JSON, so that dates and the like are the text that Automation sees.
    plain: dict[str, Any] = json.loads(json.dumps(content, default=str))
    return plain


def has_content(content: Mapping[str, Any]) -> bool:
    """Whether a document says what its steps do: those that the simulator makes up have no inputs."""
    return any(step.get("inputs") for step in content.get("mainSteps") or ())


def step_definitions(content: Mapping[str, Any], scenario: Mapping[str, StepSpec]) -> list[StepDefinition]:
    """The steps of a runbook in order.

    :param scenario: steps that a scenario speaks of, by name: they go on as it says, whatever their action.
    """
    return [_definition(step, scenario.get(str(step.get("name")))) for step in content["mainSteps"]]


def _definition(step: Mapping[str, Any], said: StepSpec | None) -> StepDefinition:
    action = str(step.get("action", "aws:executeScript"))
    on_failure = str(step.get("onFailure", "Abort"))
    timeout = float(step["timeoutSeconds"]) if "timeoutSeconds" in step else None
    own = StepSpec(
        name=re.sub(r"\W", "_", str(step.get("name", "run"))).ljust(3, "_")[:128],
        action=action,
        on_failure="Continue" if on_failure == "Continue" else "Abort",
        timeout=timeout,
    )
    spec = own if said is None else said.model_copy(update={"action": action})
    return StepDefinition(
        spec=spec,
        acts=said is None and action in ACTING,
        inputs=step.get("inputs") or {},
        outputs=tuple(step.get("outputs") or ()),
        on_failure=on_failure,
        next_step=step.get("nextStep"),
        is_end=_true(step.get("isEnd", False)),
        is_critical=_true(step.get("isCritical", on_failure != "Continue")),
        max_attempts=int(step.get("maxAttempts", 1)),
        timeout=timeout,
    )


def _true(value: Any) -> bool:
    return str(value).lower() == "true"
