"""The documents that a simulation knows: those of the scenario, and the well-known ones of AWS.

Each is a real document of moto's SSM, so that GetDocument, DescribeDocument and ListDocuments show it. The runbooks of
AWS have AWS's own steps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import yaml
from moto.ssm.models import Document, Documents

from drs_provider.simulator.documents import DocumentSpec, PlatformName, StepSpec

__all__ = [
    "ParameterRule",
    "built_in",
    "document_steps",
    "parameter_problems",
    "plugin_of",
    "rules_of",
    "typed_parameters",
]

_EXECUTION_TIMEOUT: Final[dict[str, Any]] = {
    "type": "String",
    "default": "3600",
    "allowedPattern": "([1-9][0-9]{0,4})|(1[0-6][0-9]{4})|(17[0-1][0-9]{3})|(172[0-7][0-9]{2})|(172800)",
}
_SHELL: Final[dict[str, Any]] = {
    "commands": {"type": "StringList"},
    "workingDirectory": {"type": "String", "default": ""},
    "executionTimeout": _EXECUTION_TIMEOUT,
}
_INSTANCES: Final[dict[str, Any]] = {
    "InstanceId": {"type": "StringList"},
    "AutomationAssumeRole": {"type": "String", "default": ""},
}
_EVERY_PLATFORM: Final[list[PlatformName]] = ["Linux", "Windows", "MacOS"]
#: Documents of AWS: kind, platforms, parameters, plugin or action of the step.
_OF_AWS: Final[dict[str, tuple[str, list[PlatformName], dict[str, Any], str]]] = {
    "AWS-RunShellScript": ("Command", ["Linux", "MacOS"], _SHELL, "aws:runShellScript"),
    "AWS-RunPowerShellScript": ("Command", ["Windows", "Linux"], _SHELL, "aws:runPowerShellScript"),
    "AWS-RunRemoteScript": (
        "Command",
        _EVERY_PLATFORM,
        {
            "sourceType": {"type": "String", "allowedValues": ["GitHub", "S3"]},
            "sourceInfo": {"type": "String", "default": "{}"},
            "commandLine": {"type": "String", "default": ""},
            "workingDirectory": {"type": "String", "default": ""},
            "executionTimeout": _EXECUTION_TIMEOUT,
        },
        "aws:runShellScript",
    ),
}
_START: Final = {"name": "startInstances", "DesiredState": "running"}
_STOP: Final = {"name": "stopInstances", "DesiredState": "stopped"}
_FORCE_STOP: Final = {"name": "forceStopInstances", "DesiredState": "stopped", "Force": True}
#: Runbooks of AWS: the steps, each a change of instance states; only the last one may not fail.
_RUNBOOKS_OF_AWS: Final[dict[str, list[dict[str, Any]]]] = {
    "AWS-StartEC2Instance": [_START],
    "AWS-StopEC2Instance": [_STOP, _FORCE_STOP],
    "AWS-RestartEC2Instance": [_STOP, _FORCE_STOP, _START],
}
#: The parameter after which SSM ends a script, and its bounds (seconds), of whatever document.
_TIMEOUT: Final = "executionTimeout"
_LONGEST_EXECUTION: Final = 172800
#: Parameters that every runbook takes, named in its content or not.
_ALWAYS: Final = frozenset({"AutomationAssumeRole"})


@dataclass(frozen=True)
class ParameterRule:
    """What a document says of one parameter."""

    type: str
    required: bool
    allowed: tuple[str, ...]
    pattern: str | None = None


def built_in(account: str, scenario_documents: Mapping[str, DocumentSpec]) -> dict[str, Documents]:
    """The documents of AWS and of a scenario, by name; a scenario's own comes first."""
    found: dict[str, Documents] = {}
    for name, (kind, platforms, parameters, action) in _OF_AWS.items():
        found[name] = _document("Amazon", name, kind, platforms, parameters, [StepSpec(name="run", action=action)])
    for name, steps_of_aws in _RUNBOOKS_OF_AWS.items():
        found[name] = _from_content("Amazon", name, _runbook_of_aws(name, steps_of_aws))
    for name, spec in scenario_documents.items():
        if name in _OF_AWS or name in _RUNBOOKS_OF_AWS:
            continue  # The scenario says how a document of AWS ends, not what it is.
        if spec.content is not None:
            found[name] = _from_content(account, name, spec.content)
            continue
        kind = spec.kind if spec.kind != "any" else "Command" if spec.is_command and not spec.outputs else "Automation"
        parameters = {key: _described(value) for key, value in spec.parameters.items()}
        action = "aws:runShellScript" if kind == "Command" else "aws:executeScript"
        steps = spec.steps or [StepSpec(name="run", action=action)]
        found[name] = _document(account, name, kind, spec.platforms, parameters, steps)
    return found


def rules_of(document: Document) -> dict[str, ParameterRule]:
    """What a document says of its parameters; empty where it says nothing."""
    described: Mapping[str, Any] = document.content_json.get("parameters") or {}
    return {
        name: ParameterRule(
            str(each.get("type", "String")),
            "default" not in each,
            tuple(str(value) for value in each.get("allowedValues", ())),
            str(each["allowedPattern"]) if each.get("allowedPattern") else None,
        )
        for name, each in described.items()
    }


def parameter_problems(document: Document, given: Mapping[str, list[str]], lenient: bool) -> list[str]:
    """What is wrong with the parameters of a request, in words; empty where nothing is.

    :param lenient: a document that names no parameters takes any, as a scenario's may.
    """
    problems = _timeout_problems(given.get(_TIMEOUT))
    rules = rules_of(document)
    if not rules and lenient:
        return problems
    problems += [f"unknown parameter {name}" for name in given if name not in rules and name not in _ALWAYS]
    problems += [f"missing parameter {name}" for name, rule in rules.items() if rule.required and not given.get(name)]
    for name, values in given.items():
        rule = rules.get(name)
        if rule is None:
            continue
        if rule.type == "String" and len(values) > 1:
            problems.append(f"parameter {name} takes one value")
        if rule.allowed:
            problems += [
                f"parameter {name} cannot be {value}; it is one of {', '.join(rule.allowed)}"
                for value in values
                if value not in rule.allowed
            ]
        if rule.pattern and name != _TIMEOUT:
            problems += [
                f"parameter {name} cannot be {value}; it matches {rule.pattern}"
                for value in values
                if not re.fullmatch(rule.pattern, value)
            ]
    return problems


def _timeout_problems(values: list[str] | None) -> list[str]:
    return [
        f"parameter {_TIMEOUT} cannot be {value}; it is a number of seconds from 1 to {_LONGEST_EXECUTION}"
        for value in values or ()
        if not re.fullmatch(r"[1-9][0-9]{0,5}", value) or int(value) > _LONGEST_EXECUTION
    ]


def document_steps(document: Document) -> list[StepSpec]:
    """The steps of a runbook whose content says nothing of what they do, each at the simulator's default duration."""
    steps = document.content_json.get("mainSteps") or []
    return [
        StepSpec(
            name=re.sub(r"\W", "_", str(step.get("name", "run"))).ljust(3, "_")[:128],
            action=str(step.get("action", "aws:executeScript")),
            on_failure="Continue" if step.get("onFailure") == "Continue" else "Abort",
        )
        for step in steps
    ]


def typed_parameters(document: Document, given: Mapping[str, list[str]]) -> dict[str, Any]:
    """The values of a runbook's parameters, given or by default, each as its type."""
    described: Mapping[str, Any] = document.content_json.get("parameters") or {}
    found: dict[str, Any] = {}
    for name, each in described.items():
        value: Any = given.get(name, each.get("default"))
        kind = str(each.get("type", "String"))
        if kind != "StringList" and name in given:
            value = value[0] if value else ""
        if kind in ("Integer", "Boolean", "StringMap", "MapList") and isinstance(value, str):
            value = yaml.safe_load(value)
        found[name] = value
    return found


def plugin_of(document: Document) -> str:
    """The plugin that a command document runs."""
    steps = document.content_json.get("mainSteps") or [{}]
    return str(steps[0].get("action", "aws:runShellScript"))


def _described(value: Any) -> dict[str, Any]:
    if value is None:
        return {"type": "String"}
    if isinstance(value, dict):
        return {"type": "String", **value}
    if isinstance(value, list):
        return {"type": "StringList", "default": value}
    return {"type": "String", "default": str(value)}


def _document(
    owner: str,
    name: str,
    kind: str,
    platforms: list[PlatformName],
    parameters: dict[str, Any],
    steps: list[StepSpec],
) -> Documents:
    content: dict[str, Any] = {
        "schemaVersion": "2.2" if kind == "Command" else "0.3",
        "description": name,
        "parameters": {key: {"description": key, **value} for key, value in parameters.items()},
        "mainSteps": [{"name": step.name, "action": step.action, "inputs": {}} for step in steps],
    }
    return _from_content(owner, name, content, kind, platforms)


def _runbook_of_aws(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemaVersion": "0.3",
        "description": name,
        "assumeRole": "{{ AutomationAssumeRole }}",
        "parameters": {key: {"description": key, **value} for key, value in _INSTANCES.items()},
        "mainSteps": [
            {
                "name": step["name"],
                "action": "aws:changeInstanceState",
                # What does not stop is stopped by force.
                "onFailure": "Continue" if step is _STOP else "Abort",
                "inputs": {
                    "InstanceIds": "{{ InstanceId }}",
                    **{key: value for key, value in step.items() if key != "name"},
                },
            }
            for step in steps
        ],
    }


def _from_content(
    owner: str, name: str, content: dict[str, Any], kind: str = "Automation", platforms: Sequence[PlatformName] = ()
) -> Documents:
    document = Document(  # type: ignore[abstract]
        account_id=owner,
        name=name,
        version_name="",
        content=json.dumps(content),
        document_type=kind,
        document_format="JSON",
        requires=[],
        attachments=[],
        target_type="",
    )
    document.platform_types = list(platforms) or list(_EVERY_PLATFORM)
    return Documents(document)
