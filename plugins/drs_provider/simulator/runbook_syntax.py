"""Reads the content of an Automation document of schema 0.3: JSON, YAML or a mapping; says what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

__all__ = ["has_content", "parse_content"]


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
