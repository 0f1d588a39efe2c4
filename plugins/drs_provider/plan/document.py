"""A YAML file as plain data, with the place of every key and value, and without YAML's surprises.

One pass over libyaml's events, without recursion, makes the data and keeps the marks that libyaml gives anyway. What
PyYAML's own constructor would pass over in silence is a problem here: a key that stands twice, a word or a number that
YAML 1.1 and 1.2 read differently, a tag, an alias that expands without bound.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from drs_provider.plan.nearest import nearest
from drs_provider.plan.plain import FIRST, WORDS, read_plain
from drs_provider.plan.syntax import EventParser, syntax_problem

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "NO_TEXT",
    "Document",
    "Node",
    "Trouble",
    "Unreadable",
    "decode",
    "read_document",
]

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_WEIGHT = 32_768
"""Values after every alias is expanded; each 32 characters of text count as one more."""
MAX_PROBLEMS = 100
NO_TEXT = "<line "
"""How a key is called in problems that is a list or a mapping."""
FREE_FORM = "args"
"""Inside this key a null is a value: it goes to somebody else's code. Anywhere else a null is a forgotten value."""


class Node:
    """A value of the file: its data, its place, and its parts."""

    __slots__ = ("anchor", "children", "end", "key_marks", "start", "value", "weight")

    def __init__(self, value: Any, start: Any, end: Any, weight: int) -> None:
        self.value = value
        self.start = start
        self.end = end
        self.weight = weight
        self.anchor: str | None = None
        self.children: dict[str, Node] | list[Node] | None = None
        self.key_marks: dict[str, tuple[Any, Any]] = {}


@dataclass
class Trouble:
    """A problem of the YAML itself: where (marks of libyaml, from zero) and what."""

    line: int
    column: int
    path: tuple[str | int, ...]
    message: str
    length: int = 1
    advice: str = ""
    """What to write, unless the value would not be right either."""


class Unreadable(Exception):
    """The file has no data that could be checked further."""

    def __init__(self, message: str, line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.message, self.line, self.column = message, line, column


@dataclass
class Document:
    """What a file says."""

    text: str
    root: Node | None
    """``None`` if the YAML ends in an error; ``troubles`` then says where."""
    troubles: list[Trouble]


def decode(data: bytes) -> str:
    """The text of a file.

    :raises Unreadable: too large, not UTF-8, or with a NUL byte.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable("is larger than 1 MiB: a plan file is a few kilobytes")
    nul = data.find(b"\0")
    if nul >= 0:
        line = data.count(b"\n", 0, nul)
        raise Unreadable("contains a NUL byte: a plan file is UTF-8 text", line, nul - data.rfind(b"\n", 0, nul) - 1)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start)
        column = error.start - data.rfind(b"\n", 0, error.start) - 1
        byte = data[error.start]
        raise Unreadable(f"is not UTF-8: byte 0x{byte:02x}; save the file as UTF-8", line, column) from error


def read_document(data: bytes) -> Document:
    """Read a YAML file.

    :param data: the file's bytes.
    :return: its data as :class:`Node`, and every problem of the YAML itself. Never raises for what a file holds.
    """
    text = ""
    troubles: list[Trouble] = []
    try:
        text = decode(data)
        return Document(text, _Builder(text, troubles).run(), troubles)
    except yaml.YAMLError as error:
        line, column, message = syntax_problem(error, text)
        troubles.append(Trouble(line, column, (), message))
    except Unreadable as error:
        troubles.append(Trouble(error.line, error.column, (), error.message))
    return Document(text, None, troubles)


class _Builder:
    """Makes nodes of events. Containers that are still open stand on a stack, so that depth costs no recursion."""

    def __init__(self, text: str, troubles: list[Trouble]) -> None:
        self.text = text
        self.troubles = troubles
        self.weight = 0
        self.anchors: dict[str, Node | None] = {}
        self.open: list[Node] = []
        self.keys: list[str | None] = []
        """For each open container, the key whose value comes next; ``None`` if a key comes next, or in a list."""
        self.merges: list[list[Node]] = []

    def run(self) -> Node:
        if re.search(r"^%TAG", self.text, re.MULTILINE):
            raise Unreadable("declares a tag: a plan file has none")
        parser = EventParser(self.text)
        root: Node | None = None
        try:
            while True:
                event = parser.get_event()
                kind = type(event)
                if kind is yaml.ScalarEvent:
                    node = self.scalar(event)
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    self.start(event, kind is yaml.MappingStartEvent)
                    continue
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    node = self.finish(event)
                elif kind is yaml.AliasEvent:
                    node = self.alias(event)
                elif kind is yaml.DocumentStartEvent and root is not None:
                    mark = event.start_mark
                    raise Unreadable("has a second document: a plan file holds one plan", mark.line, mark.column)
                elif kind is yaml.StreamEndEvent:
                    break
                else:
                    continue
                if self.open:
                    self.add(node, event)
                else:
                    root = node
        finally:
            parser.dispose()
        if root is None or (root.value is None and root.children is None):
            raise Unreadable("is empty")
        if not isinstance(root.value, dict):
            found = "a list" if isinstance(root.value, list) else "a single value"
            raise Unreadable(f"has {found} at the top: a plan is a mapping that starts with version: 1")
        return root

    def trouble(self, mark: Any, message: str, length: int = 1, key: str | None = None, advice: str = "") -> None:
        path = self.path() if key is None else (*self.path(), key)
        self.troubles.append(Trouble(mark.line, mark.column, path, message, length, advice))
        if len(self.troubles) >= MAX_PROBLEMS:
            raise Unreadable(f"has more than {MAX_PROBLEMS} problems", mark.line, mark.column)

    def expects_key(self) -> bool:
        return bool(self.open) and self.keys[-1] is None and isinstance(self.open[-1].children, dict)

    def path(self) -> tuple[str | int, ...]:
        """Where the next value belongs."""
        steps: list[str | int] = []
        for node, key in zip(self.open, self.keys, strict=True):
            if isinstance(node.children, list):
                steps.append(len(node.children))
            elif key is not None:
                steps.append(key)
        return tuple(steps)

    def grow(self, weight: int, mark: Any) -> None:
        self.weight += weight
        if self.weight > MAX_WEIGHT:
            raise Unreadable(f"holds more than {MAX_WEIGHT} values once aliases are expanded", mark.line, mark.column)

    def tag(self, event: Any) -> None:
        if event.tag is not None:
            known = (
                "quote a text instead"
                if event.tag.startswith("tag:yaml.org,2002:")
                else "a plan file has none, and a text that begins with ! needs quotes"
            )
            self.trouble(event.start_mark, f"has the tag {event.tag[:80]}: {known}", max(len(event.tag), 1))

    def scalar(self, event: Any) -> Node:
        text: str = event.value
        if event.tag is not None:
            self.tag(event)
        weight = 1 + len(text) // 32
        self.grow(weight, event.start_mark)
        value: Any = text
        if not event.style and (text[:1] in FIRST or text in WORDS):
            value, complaint = read_plain(text)
            if complaint:
                key = text if self.expects_key() else None
                self.trouble(event.start_mark, complaint.message, len(text), key, complaint.advice)
        node = Node(value, event.start_mark, event.end_mark, weight)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def start(self, event: Any, mapping: bool) -> None:
        if event.tag is not None:
            self.tag(event)
        self.grow(1, event.start_mark)
        if len(self.open) >= MAX_DEPTH:
            raise Unreadable(
                f"is nested deeper than {MAX_DEPTH} levels", event.start_mark.line, event.start_mark.column
            )
        node = Node({} if mapping else [], event.start_mark, event.end_mark, 1)
        node.children = {} if mapping else []
        if event.anchor is not None:
            self.anchors[event.anchor] = None
            node.anchor = event.anchor
        self.open.append(node)
        self.keys.append(None)
        self.merges.append([])

    def finish(self, event: Any) -> Node:
        node = self.open.pop()
        self.keys.pop()
        for merged in self.merges.pop():
            self.merge(node, merged)
        if node.anchor is not None:
            self.anchors[node.anchor] = node
        return node

    def alias(self, event: Any) -> Node:
        mark, name = event.start_mark, event.anchor
        node = self.anchors.get(name)
        if node is not None:
            self.grow(node.weight, mark)
            return node
        if name in self.anchors:
            raise Unreadable(f"has the alias *{name} inside its own anchor", mark.line, mark.column)
        self.trouble(mark, f"there is no anchor &{name}{nearest(name, self.anchors)}", len(name) + 1)
        return Node("", mark, event.end_mark, 1)

    def add(self, node: Node, event: Any) -> None:
        """Put a finished value where it belongs in the container that is open."""
        parent, key = self.open[-1], self.keys[-1]
        if node.value is None and (key is not None or isinstance(parent.children, list)):
            self.null(parent, key, node)
        if isinstance(parent.children, list):
            parent.children.append(node)
            parent.value.append(node.value)
        elif key is None:
            self.keys[-1] = self.key(node, event, parent)
            return
        elif key == "<<" and parent.key_marks.get("<<") is None:
            self.merges[-1].append(node)
        elif parent.children is not None and key not in parent.children:
            parent.children[key] = node
            parent.value[key] = node.value
        self.keys[-1] = None
        parent.weight += node.weight

    def null(self, parent: Node, key: str | None, node: Node) -> None:
        if FREE_FORM not in self.path()[:-1] and not (key or "").startswith(NO_TEXT):
            start, end = parent.key_marks.get(key, (node.start, node.end)) if key else (node.start, node.end)
            # "#1" begins a comment as "# 1" does, but nobody means one.
            comment = re.match(r":?[ \t]+#(?=[^\s#])", self.text[end.index : end.index + 100])
            advice = "put a text that begins with # in quotes" if comment else "give it one, or remove it"
            self.trouble(start, f"has no value: {advice}", max(end.column - start.column, 1))

    def key(self, node: Node, event: Any, parent: Node) -> str:
        # A container's last event is its end; an alias stands elsewhere than its node.
        ended = type(event) in (yaml.MappingEndEvent, yaml.SequenceEndEvent)
        start, end = (node.start, node.end) if ended else (event.start_mark, event.end_mark)
        value = node.value
        if isinstance(value, str):
            key = value
        elif isinstance(value, (dict, list)):
            key = f"{NO_TEXT}{start.line + 1}>"
            # Of {{name}} only the whole is to blame, and not what is found inside.
            before = [one for one in self.troubles if (one.line, one.column) < (start.line, start.column)]
            self.troubles[:] = before
            self.trouble(start, "a key must be text: put a text that begins with { or [ in quotes", 1, key)
        else:
            key = self.text[start.index : end.index] if start.line == end.line else str(value)
            self.trouble(start, f'the key {key or "(empty)"} is not text: write "{key}"', max(len(key), 1), key)
        if key == "<<" and type(event) is yaml.ScalarEvent and event.style in (None, ""):
            return key
        if key in parent.key_marks:
            line = parent.key_marks[key][0].line + 1
            shown = key[:80] or '""'
            self.trouble(start, f"the key {shown} is here twice; the first is in line {line}", max(len(key), 1), key)
        else:
            parent.key_marks[key] = (start, end)
        return key

    def merge(self, into: Node, merged: Node) -> None:
        """YAML's merge key: the keys of another mapping, where there is none of the same name."""
        sources = merged.children if isinstance(merged.children, list) else [merged]
        for source in sources:
            if not isinstance(source.children, dict) or not isinstance(into.children, dict):
                self.trouble(merged.start, "<< takes a mapping, or a list of mappings")
                return
            for key, node in source.children.items():
                if key not in into.children:
                    into.children[key] = node
                    into.value[key] = node.value
                    into.key_marks[key] = source.key_marks[key]
