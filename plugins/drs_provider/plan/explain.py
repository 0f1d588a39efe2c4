"""From what pydantic and the rules object to, to problems with a place in the file and the words of the plan format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice
from types import UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from drs_provider.plan import launch_rules, rules, target_rules
from drs_provider.plan.document import NO_TEXT, Document, Node, Trouble
from drs_provider.plan.legal import as_name
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.nearest import nearest
from drs_provider.plan.problems import Problem
from drs_provider.plan.scalars import NAME, PATTERNS, SERVER_ID, SOURCE_INSTANCE_ID
from drs_provider.plan.settings_elsewhere import lives

__all__ = ["Objection", "explain", "located", "written_path"]

MOST = 200
"""Problems of one kind that are reported for one file."""

Location = tuple[str | int, ...]


class Objection(NamedTuple):
    """A key path, what is wrong there, and whether it is the key that is wrong and not its value."""

    location: Location
    message: str
    at_key: bool = False


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
        path += f"[{step}]" if isinstance(step, int) else f".{step:.80}" if path else f"{step:.80}"
    return path


def explain(document: Document, error: ValidationError | None, file: str) -> list[Problem]:
    """Every problem of a file that is not valid.

    :param document: the file.
    :param error: what pydantic says of its data; ``None`` if it was not asked.
    :param file: the file's path, for the problems.
    :return: problems by their place. What the YAML is to blame for is not reported a second time.
    """
    lines = document.text.splitlines()
    blamed = {trouble.path for trouble in document.troubles if trouble.path}
    # Where a text was meant, a key that is no text makes a mapping.
    blamed |= {path[:-1] for path in blamed if len(path) > 1 and str(path[-1]).startswith(NO_TEXT)}
    objections: list[Objection] = []
    if document.root is not None:
        data = document.root.value
        objections = [*_of_schema(error, data), *_of_rules(data)]
    # Quotes do not help a text that is not what belongs there: then that is what is said, and no advice to quote it.
    unfit = {each.location: each.message for each in objections if not each.at_key}
    found = [
        _problem(file, lines, each.line, each.column, each.path, _in_full(each, unfit.get(each.path)), each.length)
        for each in document.troubles
    ]
    found += [located(document, lines, file, each) for each in objections if each.location not in blamed]
    if not found:
        # Whatever was passed over above as said already: a file that is refused is told why.
        found.append(_problem(file, lines, 0, 0, (), f"is not valid: {error}", 1))
    unique = {(problem.line, problem.column, problem.message): problem for problem in reversed(found)}
    return sorted(unique.values())


def _in_full(trouble: Trouble, unfit: str | None) -> str:
    if not trouble.advice:
        return trouble.message
    return f"{trouble.message}; {unfit}" if unfit else f"{trouble.message}: {trouble.advice}"


def located(document: Document, lines: list[str], file: str, objection: Objection) -> Problem:
    """A problem at the value or the key of a key path, or at the nearest part around it that the file has."""
    node: Node | None = document.root
    start: Any = node.start if node else None
    end: Any = node.end if node else None
    for step in objection.location:
        children = node.children if node is not None else None
        if node is not None and isinstance(children, dict) and step in children:
            key, node = node.key_marks[str(step)], children[str(step)]
            # A container is shown by its key: its own mark is that of the first thing inside it.
            by_key = node.children is not None or (objection.at_key and step is objection.location[-1])
            start, end = key if by_key else (node.start, node.end)
        elif isinstance(children, list) and isinstance(step, int) and step < len(children):
            node = children[step]
            start, end = node.start, node.end
        else:
            break
    length = _length(start, end, lines)
    return _problem(file, lines, start.line, start.column, objection.location, objection.message, length)


def _length(start: Any, end: Any, lines: list[str]) -> int:
    if start.line >= len(lines):
        return 1
    stop = end.column if end.line == start.line else len(lines[start.line])
    return max(int(stop - start.column), 1)


def _problem(
    file: str, lines: list[str], line: int, column: int, location: Location, message: str, length: int
) -> Problem:
    source = lines[line] if line < len(lines) else ""
    return Problem(file, line + 1, column + 1, written_path(location), message, length, source)


def _of_rules(data: Any) -> Iterator[Objection]:
    found = chain(rules.everywhere(data), target_rules.of_plan_targets(data), launch_rules.everywhere(data))
    for finding in islice(found, MOST):
        yield Objection(finding.location, finding.message)


def _of_schema(error: ValidationError | None, data: Any) -> Iterator[Objection]:
    if error is None:
        return
    for detail in error.errors(include_url=False)[:MOST]:
        kind, found = detail["type"], detail["input"]
        said_better_by_a_rule = kind == rules.RULE_ERROR
        # Of a list whose items are all wrong, pydantic adds that it is too short.
        said_of_the_items = kind == "too_short" and bool(found)
        if not (said_better_by_a_rule or said_of_the_items):
            yield _worded(detail, data)


def _in_file(location: Location) -> Location:
    """The key path of an error: without the names of union members and the marks of dictionary keys."""
    steps: list[str | int] = []
    for index, step in enumerate(location):
        member = index >= 2 and location[index - 2] == "health_checks" and isinstance(location[index - 1], int)
        if not member and step not in ("<word>", "<instances>", "<id>", "<tags>", "[key]"):
            steps.append(step)
    return tuple(steps)


def _worded(detail: ErrorDetails, data: Any) -> Objection:
    kind, context, found = detail["type"], detail.get("ctx", {}), detail["input"]
    location = _in_file(detail["loc"])
    at_key = detail["loc"][-1:] == ("[key]",)
    name = str(location[-1]) if location else "the plan"
    if kind == "extra_forbidden":
        allowed = _keys_at(location[:-1], data)
        near = nearest(name, allowed) or lives(name) or _elsewhere(name) or f"; known here: {', '.join(allowed)}"
        return Objection(location, f"unknown key {_visible(name[:80])}{near}", at_key=True)
    if kind == "missing":
        return Objection(location[:-1], f"needs the key {name}")
    if kind == "union_tag_not_found":
        return Objection(location, "needs the key type: instance_status, ssm_online, tcp or http")
    if kind == "union_tag_invalid":
        choices, wrong = str(context["expected_tags"]).replace("'", ""), str(context["tag"])
        message = f"expected {choices}, found {_shown(wrong)}{nearest(wrong, choices.split(', '))}"
        return Objection((*location, "type"), message)
    if kind in _KINDS:
        message = f"expected {_expected(kind, location, data)}, found {_shown(found)}{_remedy(kind, found, location)}"
    elif kind == "literal_error":
        choices = str(context["expected"]).replace("'", "").replace("False", "false")
        near = nearest(str(found), choices.replace(" or ", ", ").split(", "))
        other = ", or a mapping with tags or instance_ids" if choices == "recovery_instances" else ""
        message = f"expected {choices}{other}, found {_shown(found)}{near}"
    elif kind == "string_pattern_mismatch":
        expected = PATTERNS.get(str(context["pattern"]), f"text that matches {context['pattern']}")
        message = f"expected {expected}; found {_shown(found)}{_meant(str(context['pattern']), found, location)}"
    elif kind in ("duration", "schedule", "timezone", "share", "address"):
        message = f"{_shown(found)} {detail['msg']}"
    elif kind in ("too_short", "string_too_short"):
        message = "must not be empty"
    else:
        reason = detail["msg"].removeprefix("Input ").removeprefix("String ")
        message = f"{reason}; found {_shown(found)}"
    return Objection(location, message, at_key)


def _meant(pattern: str, found: Any, location: Location) -> str:
    """What a text that has another form was meant as; empty where one cannot tell."""
    if not isinstance(found, str):
        return ""
    if pattern == NAME and (name := as_name(found)):
        return f"; write {name}"
    selector = location[-3:-2] == ("servers",)
    if pattern == SERVER_ID and re.fullmatch("i-[0-9a-f]{8,17}", found):
        return ", which is an EC2 instance id" + (f": write {{instance: {found}}}" if selector else "")
    if pattern == SERVER_ID and selector and re.fullmatch(r"[\w.-]{1,80}", found) and not found.startswith("s-"):
        return f"; for a host name or a Name tag write {{name: {found}}}"
    if pattern == SOURCE_INSTANCE_ID and re.fullmatch(SERVER_ID, found):
        return f", which is a DRS source server id: write {{id: {found}}}"
    return ""


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return f"the word {str(value).lower()}"
    if isinstance(value, str):
        text = _visible(value[:60])
        return f'"{text}"' if len(value) <= 60 else f'"{text}…"'
    if isinstance(value, (dict, list)):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"the number {value}" if isinstance(value, (int, float)) else str(value)[:60]


def _visible(text: str) -> str:
    """A text with what cannot be seen in it: a message about it would otherwise contradict what one sees."""
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


_LISTS = ("tuple_type", "frozen_set_type")
_MODELS = ("model_type", "model_attributes_type")
_PARAMETERS = ("parameters", "script_parameters")
_BY_MODE = ("parameters_by_mode", "script_parameters_by_mode")
_MOST_KEYS = 6


def _is_parameter(location: Location) -> bool:
    """Whether a place is the value of a script's parameter."""
    return any(len(location) > up and location[-up - 1] in keys for up, keys in ((1, _PARAMETERS), (2, _BY_MODE)))


def _expected(kind: str, location: Location, data: Any) -> str:
    if kind in _LISTS and _is_parameter(location):
        return "text or a list of texts"
    keys = list(dict.fromkeys(_keys_at(location, data))) if kind in _MODELS else []
    if not keys:
        return _KINDS[kind]
    return f"a mapping with {', '.join(keys[:_MOST_KEYS])}{' and so on' if len(keys) > _MOST_KEYS else ''}"


def _remedy(kind: str, found: Any, location: Location) -> str:
    parameter = kind in _LISTS and _is_parameter(location)
    if (kind == "string_type" or parameter) and isinstance(found, (bool, int, float)):
        return ": put it in quotes"
    if kind in _LISTS and isinstance(found, str):
        return f": write [{_item(found, location) or found[:40]}]"
    if kind in _LISTS and isinstance(found, dict) and not parameter:
        return ": put - before each item"
    if kind in _MODELS and isinstance(found, str):
        if " " in found or found.endswith(":"):
            return ": a key needs a colon and a space after it"
        item = _item(found, location[:-1])
        return f": write {item}" if item else ""
    if kind == "string_type" and isinstance(found, dict):
        return ": a text that contains a colon and a space, or begins with {, needs quotes"
    if kind == "int_type" and isinstance(found, str) and re.fullmatch("[0-9]{1,9}", found):
        return f": write {int(found)}" if found[0] == "0" else ": write it without quotes"
    return ": write it without quotes" if kind == "bool_type" and found in ("true", "false") else ""


def _item(found: str, location: Location) -> str:
    """An item of a list of mappings that was written without its key; empty if it is none."""
    keys = {"servers": "id" if found.startswith("s-") else "hostname", "notify": "sns", "health_checks": "type"}
    of_texts = location[:1] == ("protection_groups",) or re.search("[ ,]", found)
    return f"{{{keys[location[-1]]}: {found[:80]}}}" if location[-1:] and location[-1] in keys and not of_texts else ""


def _keys_at(location: Location, data: Any) -> list[str]:
    """The keys that the part of a plan at a key path may have."""
    models: list[type[BaseModel]] = [RecoveryPlan]
    own_name = False
    for step in location:
        data = data[step]
        if own_name:  # Of a protection group, which may be called as one of its keys.
            own_name = False
        elif isinstance(step, str) and models and step in models[0].model_fields:
            annotation = models[0].model_fields[step].annotation
            models, own_name = list(_models_in(annotation)), get_origin(annotation) is dict
        if len(models) > 1 and isinstance(data, dict):
            models = [model for model in models if data.get("type") in get_args(model.model_fields["type"].annotation)]
    return [key for model in models for key in model.model_fields]


MOST_PARTS = 3
"""A key that more parts of a plan have, such as name, says nothing about where it was meant to stand."""


def _elsewhere(name: str) -> str:
    """``"; it is a key of X"``, where another part of a plan has the key: the indentation is wrong, then."""
    parts: dict[str, None] = {}
    models: list[tuple[str, type[BaseModel]]] = [("the plan", RecoveryPlan)]
    for part, model in models:
        if name in model.model_fields:
            parts[part] = None
        for key, field in model.model_fields.items():
            models += [(key, inner) for inner in _models_in(field.annotation)]
    return f"; it is a key of {' and of '.join(parts)}: check the indentation" if 0 < len(parts) <= MOST_PARTS else ""


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType, tuple, dict, frozenset):
        for part in get_args(annotation):
            yield from _models_in(part)
