"""Outputs of steps: as the type that a document names, and as the texts that SSM shows."""

from __future__ import annotations

import json
from typing import Any

from drs_provider.simulator.ssm.selectors import RunbookError

__all__ = ["as_text", "as_texts", "typed"]


def typed(value: Any, kind: str) -> Any:
    """A value as the type that a document declares.

    :param kind: `String`, `StringList`, `Boolean`, `Integer`, `StringMap` or `MapList`.
    :raises RunbookError: it is of another type.
    """
    fits = {
        "String": not isinstance(value, (dict, list)),
        "StringList": isinstance(value, list),
        "MapList": isinstance(value, list) and all(isinstance(each, dict) for each in value),
        "StringMap": isinstance(value, dict),
        "Boolean": isinstance(value, bool) or str(value).lower() in ("true", "false"),
        "Integer": str(value).lstrip("-").isdigit(),
    }
    if kind not in fits:
        raise RunbookError(f"{kind} is no type of an output")
    if not fits[kind]:
        raise RunbookError(f"An output of type {kind} cannot be {json.dumps(value, default=str)}")
    if kind == "Integer":
        return int(value)
    if kind == "Boolean":
        return str(value).lower() == "true"
    if kind == "String":
        return as_texts(value)[0] if value is not None else ""
    return value


def as_texts(value: Any) -> list[str]:
    """A value as the list of texts of an `Outputs` member."""
    if isinstance(value, list):
        return [as_text(each) for each in value]
    return [as_text(value)]


def as_text(value: Any) -> str:
    """A value as the one text of an `Inputs` member."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
