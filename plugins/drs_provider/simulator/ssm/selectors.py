"""JSONPath selectors and `{{ references }}` of runbooks, as far as Automation documents use them.

Selectors have members, indices, slices, `*`, `..` and filters such as `[?(@.Key == 'Name')]`. What is beyond that is an
error of the step, so that a rehearsal never proves what was not understood.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

__all__ = ["RunbookError", "resolve", "select"]

_REFERENCE: Final = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")
_PART: Final = re.compile(
    r"""\.\.(?P<deep>\w+|\*)
      | \.(?P<member>[\w-]+|\*)
      | \[\s*(?P<index>-?\d+)\s*\]
      | \[\s*(?P<start>-?\d*)\s*:\s*(?P<stop>-?\d*)\s*\]
      | \[\s*(?P<all>\*)\s*\]
      | \[\s*(['"])(?P<quoted>[^'"]*)\7\s*\]
      | \[\s*\?\s*\(\s*@\.(?P<path>[\w.]+)\s*(?:(?P<operator>==|!=)\s*(?P<value>'[^']*'|"[^"]*"|[\w.-]+)\s*)?\)\s*\]
    """,
    re.VERBOSE,
)


class RunbookError(Exception):
    """A step of a runbook cannot go on; the message is its FailureMessage."""


def select(selector: str, data: Any) -> Any:
    """What a selector finds in an answer: one value, or a list where it may find several.

    :raises RunbookError: it finds nothing, or is not understood.
    """
    if not selector.startswith("$"):
        raise RunbookError(f"The selector {selector} does not begin with $")
    found, many, position = [data], False, 1
    while position < len(selector):
        part = _PART.match(selector, position)
        if part is None:
            raise RunbookError(f"The simulator does not understand the selector {selector} from {selector[position:]}")
        many = many or any(part[name] is not None for name in ("deep", "start", "all", "path")) or part["member"] == "*"
        found = [inner for each in found for inner in _step(part, each)]
        position = part.end()
    if many:
        return found
    if not found:
        raise RunbookError(f"The selector {selector} finds nothing in the answer")
    return found[0]


def resolve(value: Any, look_up: Callable[[str], Any]) -> Any:
    """An input with its references replaced; one that is a reference as a whole keeps the type of what it names.

    :param look_up: gives what a reference names, or raises `RunbookError`.
    """
    if isinstance(value, dict):
        return {key: resolve(each, look_up) for key, each in value.items()}
    if isinstance(value, list):
        resolved: list[Any] = []
        for each in value:
            one = resolve(each, look_up)
            # A list that stands for one element of a list is its elements.
            whole = isinstance(each, str) and _REFERENCE.fullmatch(each.strip())
            resolved += one if whole and isinstance(one, list) else [one]
        return resolved
    if not isinstance(value, str):
        return value
    if whole := _REFERENCE.fullmatch(value.strip()):
        return look_up(whole[1])
    return _REFERENCE.sub(lambda match: _as_text(look_up(match[1])), value)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _step(part: re.Match[str], data: Any) -> list[Any]:
    member = part["member"] if part["member"] is not None else part["quoted"]
    if part["all"] or member == "*":
        return list(data.values()) if isinstance(data, dict) else list(data) if isinstance(data, list) else []
    if member is not None:
        return [data[member]] if isinstance(data, dict) and member in data else []
    if part["deep"] is not None:
        return _deep(part["deep"], data)
    if not isinstance(data, list):
        return []
    if part["index"] is not None:
        return data[int(part["index"]) :][:1] if -len(data) <= int(part["index"]) < len(data) else []
    if part["path"] is not None:
        return [each for each in data if _passes(part, each)]
    start, stop = part["start"], part["stop"]
    return data[int(start) if start else None : int(stop) if stop else None]


def _deep(name: str, data: Any) -> list[Any]:
    inner = list(data.values()) if isinstance(data, dict) else data if isinstance(data, list) else []
    named = [data[name]] if isinstance(data, dict) and name in data else []
    return [*(inner if name == "*" else named), *(each for one in inner for each in _deep(name, one))]


def _passes(part: re.Match[str], data: Any) -> bool:
    for name in part["path"].split("."):
        if not isinstance(data, dict) or name not in data:
            return False
        data = data[name]
    if part["operator"] is None:
        return True
    wanted = part["value"].strip("'\"")
    same = (json.dumps(data) if isinstance(data, bool) or data is None else str(data)) == wanted
    return same if part["operator"] == "==" else not same
