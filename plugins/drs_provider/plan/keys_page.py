"""The page of every key of a plan file, made from the schema, so that it cannot say something else than the models."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from drs_provider.plan.schema import plan_schema

__all__ = ["keys_page"]

_ORDER = (
    "Target", "Objectives", "Drill", "Recovery", "Notification", "Contact", "Defaults", "ProtectionGroup", "Wave",
    "ServerSelector", "LaunchSettings", "TaggedResource", "Script", "ParametersByMode",
    "Targets", "Approval", "InstanceStatusCheck", "SsmOnlineCheck", "TcpCheck", "HttpCheck",
)  # fmt: skip
_INTRODUCTION = """\
# Every key of a plan file

Made by `drs-plan schema --format markdown`; a test keeps it up to date. Editors show the same from `plans/schema.json`.

A duration is `30s`, `45m`, `2h`, `1h30m`, or ISO 8601 such as `PT45M`. A key that is not named here is an error.
"""


def keys_page() -> str:
    """The page as Markdown: a table for the plan, then one for each part."""
    schema = plan_schema()
    definitions = schema["$defs"]
    others = [name for name in definitions if name not in _ORDER]
    parts = [("The plan", schema), *((_heading(name), definitions[name]) for name in (*_ORDER, *others))]
    return _INTRODUCTION + "".join(f"\n## {heading}\n\n{_section(part)}" for heading, part in parts)


def _heading(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()


def _section(part: Mapping[str, Any]) -> str:
    required = part.get("required", ())
    rows = [
        f"| `{key}`{' (needed)' if key in required else ''} | {_value(value)} | {_cell(value.get('description', ''))} |"
        for key, value in part["properties"].items()
    ]
    description = part.get("description", "").replace("``", "`").splitlines()
    head = [description[0], ""] if description else []
    return "\n".join([*head, "| key | value | meaning |", "| --- | --- | --- |", *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _value(value: Mapping[str, Any]) -> str:
    return ", or ".join(dict.fromkeys(_words(value)))


def _words(value: Mapping[str, Any]) -> Iterator[str]:
    """Say what may stand behind a key; each alternative once."""
    for alternative in (*value.get("anyOf", ()), *value.get("oneOf", ())):
        if alternative.keys() != {"required"}:
            yield from _words(alternative)
    if "$ref" in value:
        heading = _heading(value["$ref"].rpartition("/")[2])
        yield f"[{heading.lower()}](#{heading.lower().replace(' ', '-')})"
    elif "enum" in value or "const" in value:
        words = ["false" if each is False else each for each in value.get("enum", [value.get("const")])]
        yield " or ".join(f"`{each}`" for each in words)
    elif value.get("type") == "array":
        yield f"list of {_value(value['items'])}"
    elif value.get("type") == "object":
        inner = value.get("additionalProperties")
        yield f"names with {_value(inner)}" if isinstance(inner, Mapping) and inner else "any keys"
    elif value.get("type") == "integer":
        bounds = [f"{value[bound]}" for bound in ("minimum", "maximum") if bound in value]
        yield f"number, {' to '.join(bounds)}" if len(bounds) == 2 else "number"
    elif value.get("type") == "boolean":
        yield "`true` or `false`"
    elif value.get("type") == "string":
        yield "duration" if "1h30m" in value.get("examples", ()) else "text"
