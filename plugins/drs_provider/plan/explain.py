"""From what pydantic and the rules object to, to problems with a place in the file and the words of the plan format."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drs_provider.plan import rules
from drs_provider.plan.document import Document, Node
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.nearest import nearest
from drs_provider.plan.problems import Problem
from drs_provider.plan.scalars import PATTERNS

__all__ = ["explain", "located", "written_path"]

MOST = 200
"""Problems of one kind that are reported for one file."""

Location = tuple[str | int, ...]

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}


def written_path(location: Location) -> str:
    """A key path as text: ``waves[0].servers[2].id``."""
    path = ""
    for step in location:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path


def explain(document: Document, error: ValidationError | None, file: str) -> list[Problem]:
    """Every problem of a file that is not valid.

    :param document: the file.
    :param error: what pydantic says of its data; ``None`` if it was not asked.
    :param file: the file's path, for the problems.
    :return: problems by their place. What the YAML is to blame for is not reported a second time.
    """
    lines = document.text.splitlines() if document.text else []
    blamed = {trouble.path for trouble in document.troubles if trouble.path}
    found = [
        _problem(file, lines, trouble.line, trouble.column, trouble.path, trouble.message, trouble.length)
        for trouble in document.troubles
    ]
    if document.root is not None:
        data = document.root.value
        for location, message in (*_of_schema(error, data), *_of_rules(data)):
            if location not in blamed:
                found.append(located(document, lines, file, location, message))
    unique = {(problem.line, problem.column, problem.message): problem for problem in reversed(found)}
    return sorted(unique.values())


def located(document: Document, lines: list[str], file: str, location: Location, message: str) -> Problem:
    """A problem at the value of a key path, or at the nearest part around it that the file has."""
    node: Node | None = document.root
    start, end = (node.start, node.end) if node else (None, None)
    for step in location:
        children = node.children if node is not None else None
        if node is not None and isinstance(children, dict) and step in children:
            key, node = node.key_marks[str(step)], children[str(step)]
            # A container is shown by its key: its own mark is the first key inside it.
            start, end = key if isinstance(node.children, dict) else (node.start, node.end)
        elif isinstance(children, list) and isinstance(step, int) and step < len(children):
            node = children[step]
            start, end = node.start, node.end
        else:
            node = None
            break
    return _problem(file, lines, start.line, start.column, location, message, _length(start, end, lines))


def _length(start: Any, end: Any, lines: list[str]) -> int:
    if start.line >= len(lines):
        return 1
    stop = end.column if end.line == start.line else len(lines[start.line])
    return max(stop - start.column, 1)


def _problem(
    file: str, lines: list[str], line: int, column: int, location: Location, message: str, length: int
) -> Problem:
    source = lines[line] if line < len(lines) else ""
    return Problem(file, line + 1, column + 1, written_path(location), message, length, source)


def _of_rules(data: Any) -> Iterator[tuple[Location, str]]:
    for number, finding in enumerate(rules.everywhere(data)):
        if number >= MOST:
            break
        yield finding.location, finding.message


def _of_schema(error: ValidationError | None, data: Any) -> Iterator[tuple[Location, str]]:
    if error is None:
        return
    for detail in error.errors(include_url=False)[:MOST]:
        if detail["type"] == rules.RULE_ERROR:
            continue
        location = _in_file(detail["loc"])
        if detail["input"] is None and detail["type"] != "missing":
            continue
        yield _worded(location, detail, data)


def _in_file(location: Location) -> Location:
    """The key path of an error: without the names of union members and the marks of dictionary keys."""
    steps: list[str | int] = []
    for index, step in enumerate(location):
        member = index >= 2 and location[index - 2] == "health_checks" and isinstance(location[index - 1], int)
        if not member and not (isinstance(step, str) and step in ("<word>", "<instances>", "[key]")):
            steps.append(step)
    return tuple(steps)


def _worded(location: Location, detail: ErrorDetails, data: Any) -> tuple[Location, str]:
    kind, context, found = detail["type"], detail.get("ctx", {}), detail["input"]
    name = str(location[-1]) if location else "the plan"
    if kind == "extra_forbidden":
        allowed = _keys_at(location[:-1], data)
        near = nearest(name, allowed) or f"; known here: {', '.join(allowed)}"
        return location, f"unknown key {name[:80]}{near}"
    if kind == "missing":
        return location[:-1], f"needs the key {name}"
    if kind in _KINDS:
        return location, f"expected {_KINDS[kind]}, found {_shown(found)}{_remedy(kind, found)}"
    if kind == "literal_error":
        choices = str(context["expected"]).replace("'", "")
        near = nearest(str(found), choices.replace(" or ", ", ").split(", ")) if isinstance(found, str) else ""
        return location, f"expected {choices}, found {_shown(found)}{near}"
    if kind == "union_tag_invalid":
        choices = str(context["expected_tags"]).replace("'", "")
        wrong = str(context["tag"])
        return (*location, "type"), f"expected {choices}, found {wrong[:80]}{nearest(wrong, choices.split(', '))}"
    if kind == "union_tag_not_found":
        return location, "needs the key type: instance_status, ssm_online, tcp or http"
    if kind == "string_pattern_mismatch":
        expected = PATTERNS.get(str(context["pattern"]), f"text that matches {context['pattern']}")
        return location, f"expected {expected}; found {_shown(found)}"
    if kind in ("duration", "schedule", "timezone", "share"):
        return location, f"{_shown(found)} {detail['msg']}"
    if kind in ("too_short", "string_too_short"):
        return location, "must not be empty"
    message = detail["msg"].replace("Input should", "should").replace("String should", "should")
    return location, f"{message}; found {_shown(found)}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"the word {str(value).lower()}"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:60]}…"'
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"the number {value}" if isinstance(value, (int, float)) else str(value)[:60]


def _remedy(kind: str, found: Any) -> str:
    if kind == "string_type" and isinstance(found, (bool, int, float)):
        return ": put it in quotes"
    if kind in ("tuple_type", "frozen_set_type") and isinstance(found, (str, dict)):
        return f": write [{found[:40]}]" if isinstance(found, str) else ": put - before each item"
    if kind in ("int_type", "bool_type") and isinstance(found, str) and found[:20].lower() in ("true", "false"):
        return ": write it without quotes"
    return ""


def _keys_at(location: Location, data: Any) -> list[str]:
    """The keys that the part of a plan at a key path may have."""
    models: list[type[BaseModel]] = [RecoveryPlan]
    for step in location:
        data = data[step] if isinstance(data, (dict, list)) else None
        if isinstance(step, str) and models and step in models[0].model_fields:
            models = list(_models_in(models[0].model_fields[step].annotation))
        if len(models) > 1 and isinstance(data, dict):
            models = [model for model in models if data.get("type") in get_args(model.model_fields["type"].annotation)]
    return [key for model in models for key in model.model_fields]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict, frozenset):
        for part in get_args(annotation):
            yield from _models_in(part)
