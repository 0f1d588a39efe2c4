"""What is recorded of a script."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field

from drs_provider.evidence.events import Event, Fact, Text

__all__ = ["InstanceOutput", "ScriptEvent", "ScriptResult"]


class InstanceOutput(Fact):
    """How a command ended on one EC2 instance."""

    status: Text = None
    exit_code: int | None = None
    output_tail: Text = None


def _texts(value: Any) -> Any:
    return value if isinstance(value, (list, tuple)) else [value]


Outputs = dict[str, Annotated[list[str], BeforeValidator(_texts)]]
"""The outputs of an automation, by name."""


class ScriptEvent(Event):
    """A script that failed or was not run, or one of a rollback. ``status`` is SSM's own.

    :param section: ``pre_launch``, ``post_launch`` or ``rollback``.
    :param document: the SSM document.
    :param execution_id: the id of the command or of the automation execution.
    :param instances: by EC2 instance id; empty for an automation.
    """

    kind: Literal["script"] = "script"
    wave: str
    name: str
    section: str
    script_kind: Literal["automation", "run_command"]
    document: str
    execution_id: Text = None
    instances: dict[str, InstanceOutput] = {}
    outputs: Outputs = {}
    reason: Text = None


class ScriptResult(Fact):
    """What the report needs of the return value of a script."""

    status: Text = None
    execution_id: Text = Field(None, validation_alias=AliasChoices("command_id", "automation_execution_id"))
    instances: dict[str, InstanceOutput] = {}
    outputs: Outputs = {}
    reason: Text = None
