"""The content of an Automation document of schema 0.3: its steps, and what is said of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drs_provider.simulator.documents import StepSpec

__all__ = ["ACTING", "StepDefinition", "step_definitions"]

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
