"""A plan written as a plan file: what importers and tests hand to people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from drs_provider.plan.document import Document, Node, read_document
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.plain import reads_as_text

__all__ = ["MODELINE", "dump_data", "dump_plan"]

MODELINE = "# yaml-language-server: $schema=./schema.json"
"""The first line of a plan file: by it, VS Code's YAML extension completes and checks the file."""

WIDTH = 110

Comments = Mapping[tuple[str | int, ...], Sequence[str]]


class _Dumper(yaml.SafeDumper):
    """No aliases: a plan file says what it means where it means it."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quoted wherever the plan format, stricter than PyYAML, would not read a plain text as that text."""
    style = None if reads_as_text(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dump_plan(plan: RecoveryPlan, comments: Comments | None = None) -> str:
    """Write a plan as a plan file.

    :param plan: a valid plan. Its defaults stand on its waves and scripts, and are written there.
    :param comments: comments by key path, each above its key: ``{("waves", 0, "approval"): ["asked before"]}``. One
        at a path that the file does not have stands at the nearest part around it; at ``()`` it heads the file.
    :return: YAML, with the modeline; :func:`~drs_provider.plan.load_plan` reads it back to an equal plan, apart from
        ``defaults``.
    """
    data: dict[str, Any] = plan.model_dump(mode="json", exclude={"defaults"}, exclude_defaults=True)
    return dump_data({"version": plan.version, **data}, comments)


def dump_data(data: Mapping[str, Any], comments: Comments | None = None) -> str:
    """Write what may yet become a plan as a plan file; see :func:`dump_plan`.

    :param data: plain data, whether it is a valid plan or not.
    """
    text = f"{MODELINE}\n{yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDTH)}"
    return _commented(text, comments) if comments else text


def _commented(text: str, comments: Comments) -> str:
    document = read_document(text.encode())
    lines = text.split("\n")
    above: dict[int, list[str]] = {}
    for path, remarks in comments.items():
        line = _line(document, path)
        indent = " " * (len(lines[line]) - len(lines[line].lstrip(" ")))
        for remark in remarks:
            above.setdefault(line, []).extend(f"{indent}# {part}" for part in _wrapped(remark, WIDTH - len(indent) - 2))
    return "\n".join(part for number, line in enumerate(lines) for part in (*above.get(number, ()), line))


def _line(document: Document, path: tuple[str | int, ...]) -> int:
    """The line, from zero, of the key or the item at a path, or of the nearest part around it."""
    # The first line is the modeline: what is said of the whole file stands under it.
    node: Node | None = document.root
    line = 1
    for step in path:
        children = node.children if node is not None else None
        if node is not None and isinstance(children, dict) and step in children:
            line, node = node.key_marks[str(step)][0].line, children[str(step)]
        elif isinstance(children, list) and isinstance(step, int) and step < len(children):
            node = children[step]
            line = node.start.line
        else:
            break
    return line


def _wrapped(text: str, width: int) -> list[str]:
    """A comment's lines: it ends with its line, and a control character is an error to YAML readers."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return textwrap.wrap(printable, width, break_long_words=False, break_on_hyphens=False)
