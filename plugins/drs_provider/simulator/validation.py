"""Checks a request against the service model, as AWS does and as its clients do only in part.

A client checks types and what is required; lengths, patterns, ranges and enums are checked by the service.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from moto.core.utils import get_service_model

__all__ = ["violations"]


def violations(service: str, operation: str, request: Any) -> str | None:
    """What the input shape of an operation does not allow in a request, in one message; None where all is well."""
    shape = get_service_model(service).operation_model(operation).input_shape
    problems = list(_problems(shape, request, "")) if shape is not None else []
    if not problems:
        return None
    plural = "s" if len(problems) > 1 else ""
    return f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure(shape, value, path)
    elif kind == "list":
        if not isinstance(value, list):
            yield _says(path, value, "Member must be a list")
            return
        yield from _range(shape, len(value), path, value, "length")
        for index, item in enumerate(value, 1):
            yield from _problems(shape.member, item, f"{path}.{index}.member")
    elif kind == "map":
        if not isinstance(value, dict):
            yield _says(path, value, "Member must be a map")
            return
        for key, item in value.items():
            yield from _problems(shape.key, key, f"{path}.key")
            yield from _problems(shape.value, item, f"{path}.{key}")
    elif kind == "string":
        yield from _string(shape, value, path)
    elif kind in ("integer", "long"):
        if isinstance(value, bool) or not isinstance(value, int):
            yield _says(path, value, "Member must be a number")
        else:
            yield from _range(shape, value, path, value, "value")
    elif kind == "boolean" and not isinstance(value, bool):
        yield _says(path, value, "Member must be true or false")


def _structure(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield _says(path, value, "Member must be a structure")
        return
    for name in shape.required_members:
        if value.get(name) is None:
            yield f"Value at '{path}.{name}' failed to satisfy constraint: Member must not be null".replace("'.", "'")
    for name, member in shape.members.items():
        if value.get(name) is not None:
            yield from _problems(member, value[name], f"{path}.{name}".lstrip("."))


def _string(shape: Any, value: Any, path: str) -> Iterator[str]:
    if not isinstance(value, str):
        yield _says(path, value, "Member must be a string")
        return
    yield from _range(shape, len(value), path, value, "length")
    if shape.enum and value not in shape.enum:
        yield _says(path, value, f"Member must satisfy enum value set: [{', '.join(shape.enum)}]")
    pattern = shape.metadata.get("pattern")
    # Python knows no Unicode classes such as \p{L}; SSM has them for the keys of tags and targets.
    if pattern and "\\p{" not in pattern and not _compiled(pattern).fullmatch(value):
        yield _says(path, value, f"Member must satisfy regular expression pattern: {pattern}")


def _range(shape: Any, number: int, path: str, value: Any, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and number < low:
        yield _says(path, value, f"Member must have {what} greater than or equal to {low}")
    if high is not None and number > high:
        yield _says(path, value, f"Member must have {what} less than or equal to {high}")


def _says(path: str, value: Any, constraint: str) -> str:
    shown = str(value)
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: {constraint}"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
