"""The JSON of a file: plain, DynamoDB's typed JSON, one object, a list, the answer of a scan, or an object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from drs_provider.importers.fields import joined, shown
from drs_provider.importers.report import ImportRefused, ImportReport, Note

__all__ = ["read_items"]

Item = tuple[str, dict[str, Any]]
"""The JSON path of an object, and the object."""

_TYPES = frozenset({"S", "N", "BOOL", "NULL", "L", "M", "SS", "NS", "B", "BS"})
"""The type descriptors of DynamoDB's AttributeValue (Amazon DynamoDB API Reference)."""
_SCALARS: dict[str, type] = {"S": str, "B": str, "BOOL": bool}


def read_items(data: bytes, file: str, report: ImportReport) -> list[Item]:
    """Read the objects of a file.

    :param data: the file's bytes, UTF-8. An answer of ``Scan``, ``Query``, ``GetItem`` or ``BatchGetItem``, an export
        to S3 (an object a line), a list of items, or one item.
    :param file: stands in front of each path; empty where there is one file only.
    :return: the objects with their paths, typed JSON as plain.
    :raises ImportRefused: it is not JSON; the error says where.
    """
    found: list[Item] = []
    for where, value in _documents(data, file):
        found += _items(value, where, report)
    return [(where, _plain(item, where, report)) for where, item in found]


def _documents(data: bytes, file: str) -> list[tuple[str, Any]]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ImportRefused([Note(file, f"byte {error.start} is not UTF-8; expected JSON in UTF-8")]) from error
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise ImportRefused([Note(file, "is empty; expected JSON")])
    try:
        try:
            return [(f"{file}:" if file else "", _parsed(text))]
        except json.JSONDecodeError as error:
            # An export to S3 has one object a line: then the first line is whole by itself.
            if len(lines) == 1 or not error.msg.startswith("Extra data"):
                raise
            return [(f"{file or 'line'}:{number}:", _parsed(line)) for number, line in lines]
    except json.JSONDecodeError as error:
        place = f"{file}:{error.lineno}:{error.colno}" if file else f"line {error.lineno}, column {error.colno}"
        raise ImportRefused([Note(place, f"is not JSON: {error.msg}; expected JSON")]) from error
    except RecursionError as error:
        raise ImportRefused([Note(file, "is nested too deep; expected a recovery plan")]) from error
    except ValueError as error:
        raise ImportRefused([Note(file, str(error))]) from error


def _parsed(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON lets a key stand twice, and readers take one of the two."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object; expected it once")
        found[key] = value
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"has {name}, which is not JSON; expected a number")


def _items(value: Any, where: str, report: ImportReport) -> list[Item]:
    if isinstance(value, list):
        found: list[Item] = []
        for number, item in enumerate(value):
            found += _items(item, f"{where}[{number}]", report)
        return found
    if not isinstance(value, dict):
        report.refuse(where, f"expected an object or a list of objects, found {shown(value)}")
        return []
    for key in ("Items", "items"):
        if isinstance(value.get(key), list):
            for more in ("LastEvaluatedKey", "NextToken"):
                if value.get(more):
                    report.leave_out(joined(where, more), "the answer is one page of several: give the others, too")
            return _items(value[key], joined(where, key), report)
    if set(value) == {"Item"}:
        return _items(value["Item"], joined(where, "Item"), report)
    return [(where, value)]


def _plain(item: dict[str, Any], where: str, report: ImportReport) -> dict[str, Any]:
    """An item as plain JSON; typed JSON is known by every attribute having a type."""
    if not item or not all(_is_typed(value) for value in item.values()):
        return item
    return {key: _untyped(value, joined(where, key), report) for key, value in item.items()}


def _is_typed(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _TYPES


def _untyped(value: Any, where: str, report: ImportReport) -> Any:
    if not _is_typed(value):
        report.refuse(where, f"expected an attribute value of DynamoDB such as {{'S': 'text'}}, found {shown(value)}")
        return None
    (kind, content), expected = next(iter(value.items())), ""
    if kind == "M" and isinstance(content, dict):
        return {key: _untyped(each, f"{where}.{key}", report) for key, each in content.items()}
    if kind == "L" and isinstance(content, list):
        return [_untyped(each, f"{where}[{number}]", report) for number, each in enumerate(content)]
    if kind == "NULL":
        return None
    if kind in ("SS", "BS") and isinstance(content, list):
        return content
    if kind in ("N", "NS"):
        try:
            return _number(content) if kind == "N" else [_number(each) for each in content]
        except (TypeError, ValueError):
            expected = "a number as text"
    elif isinstance(content, _SCALARS.get(kind, ())):
        return content
    report.refuse(where, f"expected {expected or f'a value of the type {kind}'}, found {shown(content)}")
    return None


def _number(text: Any) -> int | float:
    if isinstance(text, bool):
        raise ValueError(text)
    number = float(text)
    return int(number) if number.is_integer() else number
