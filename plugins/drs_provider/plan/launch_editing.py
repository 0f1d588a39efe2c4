"""Launch settings written into a plan file, whose comments, order and spelling stay.

The places are known from the marks of the YAML parser, and only text at those places is replaced or added. What comes
of it is read again, and has to say exactly what was asked for and keep every comment; else nothing is written.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from drs_provider.plan.document import Node, read_document
from drs_provider.plan.plain import reads_as_text

__all__ = ["NotEditableError", "Place", "with_launch_settings"]

Place = tuple[int, int | None]
"""The index of a wave, and of an entry in its ``servers``; None: the wave itself."""

SHORT = 100
"""The longest line, in characters, that a mapping in braces makes."""
_HEAD = ("depends_on", "target", "description", "name", "id", "instance", "hostname", "tags", "group")
"""The keys behind which a new ``launch`` stands: the first of them that the part has."""


class NotEditableError(Exception):
    """A place in a plan file that is not written by a machine; the text says which and why."""


def with_launch_settings(text: str, changes: Mapping[Place, Mapping[str, Any]]) -> str:
    """Return a plan file's text with launch settings set at waves and entries of ``servers``.

    :param text: the text of a valid plan file.
    :param changes: the settings of each place; other settings there stay.
    :raises NotEditableError: a place is shared by an anchor, or the result would not be what was asked for.
    """
    if "\r\n" in text:
        return with_launch_settings(text.replace("\r\n", "\n"), changes).replace("\n", "\r\n")
    document = read_document(text.encode())
    if document.root is None or document.troubles:
        raise NotEditableError("the plan file has errors: correct them first")
    edits: list[tuple[int, int, str]] = []
    wanted = copy.deepcopy(document.root.value)
    for (wave, entry), settings in changes.items():
        path: tuple[str | int, ...] = ("waves", wave) if entry is None else ("waves", wave, "servers", entry)
        holder = _own(document.root, path)
        edits += _edits(text, holder, settings)
        part = wanted
        for step in path:
            part = part[step]
        part["launch"] = {**(part.get("launch") or {}), **{key: _data(value) for key, value in settings.items()}}
    made = text
    for start, end, new in sorted(edits, reverse=True):
        made = made[:start] + new + made[end:]
    again = read_document(made.encode())
    if again.troubles or again.root is None or again.root.value != wanted:
        raise NotEditableError("the settings cannot be written into this file as it is laid out: write them by hand")
    if _comments(made) != _comments(text):
        raise NotEditableError("a comment stands inside of what would be replaced: write the settings by hand")
    return made


def _data(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _comments(text: str) -> list[str]:
    """Every comment of a text; what only looks like one, inside of quotes, is the same before and after."""
    return sorted(match.group(0).strip() for match in re.finditer(r"(?:(?<=\s)|^)#.*$", text, re.MULTILINE))


def _own(root: Node, path: tuple[str | int, ...]) -> Node:
    """The part at a key path, where it stands in the file once, and nobody else shares it."""
    node = root
    for step in (*path, "launch"):
        children = node.children
        if isinstance(children, dict) and step == "launch" and step not in children:
            break
        inner = children[step]  # type: ignore[index]
        # What an alias or a merge key brings in stands before.
        outside = inner.start.index < node.start.index
        if isinstance(children, dict):
            outside = outside or node.key_marks[str(step)][0].index < node.start.index
        if inner.anchor is not None or outside:
            shown = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path).lstrip(".")
            raise NotEditableError(f"{shown} is shared by an anchor: write its launch settings by hand")
        if step == "launch":
            break
        node = inner
    return node


def _edits(text: str, holder: Node, settings: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    children: Any = holder.children
    launch: Node | None = children.get("launch")
    if launch is None:
        return [_added(text, holder, {"launch": dict(settings)}, _HEAD)]
    inner: Any = launch.children
    old = {key: value for key, value in settings.items() if key in inner}
    new = {key: value for key, value in settings.items() if key not in inner}
    edits = [(inner[key].start.index, _end(text, inner[key]), _flow(value)) for key, value in old.items()]
    if new:
        edits.append(_added(text, launch, new, ()))
    return edits


def _added(text: str, holder: Node, new: Mapping[str, Any], behind: tuple[str, ...]) -> tuple[int, int, str]:
    """New keys of a mapping, behind one of its keys, by default behind its last."""
    children: Any = holder.children
    if text[holder.start.index] == "{":
        inside = ", ".join(f"{key}: {_flow(value)}" for key, value in new.items())
        if not children:
            return (holder.start.index + 1, holder.start.index + 1, inside)
        at = max(_end(text, child) for child in children.values())
        return (at, at, f", {inside}")
    key = next((each for each in behind if each in children), None)
    end = _end(text, children[key]) if key else max(_end(text, child) for child in children.values())
    at = text.find("\n", end)
    at = len(text) if at < 0 else at
    first = min((marks[0] for marks in holder.key_marks.values()), key=lambda mark: int(mark.index))
    return (at, at, "".join(f"\n{line}" for line in _block(new, " " * first.column)))


def _end(text: str, node: Node) -> int:
    """Where the text of a value ends, without what follows it."""
    start = int(node.start.index)
    if node.children is None:
        return start + len(text[start : node.end.index].rstrip())
    inner = list(node.children.values() if isinstance(node.children, dict) else node.children)
    if text[start] not in "{[":
        return max(_end(text, child) for child in inner)
    last = max((_end(text, child) for child in inner), default=start + 1)
    closing = re.compile(r"(?:[\s,]|#[^\n]*)*[}\]]").match(text, last)
    return closing.end() if closing else last


def _block(new: Mapping[str, Any], indent: str) -> list[str]:
    lines = []
    for key, value in new.items():
        line = f"{indent}{key}: {_flow(value)}"
        if isinstance(value, Mapping) and len(line) > SHORT:
            lines += [f"{indent}{key}:", *_block(value, indent + "  ")]
        else:
            lines.append(line)
    return lines


def _flow(value: Any) -> str:
    """A value in one line, as the plan format reads it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        plain = reads_as_text(value) and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    return str(value)
