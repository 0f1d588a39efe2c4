"""What is wrong with a file that is no YAML: at the place of the mistake, with what to do about it.

libyaml complains where it can read no further, and that may be lines behind the mistake: a key without a colon is
noticed at the next key, a quote that is not closed at the next quote or at the end of the file.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import yaml

__all__ = ["EventParser", "syntax_problem"]

EventParser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SPECIAL = "quote a text that starts with a special character"
_ESCAPE = r"in double quotes \ begins an escape: put the text in single quotes, or write \\"

_HINTS = [
    ("tab character", "indent with spaces, not tabs"),
    ("cannot start any token", f"{_SPECIAL}, and indent with spaces, not tabs"),
    ("mapping values are not allowed", "quote a text that contains a colon and a space, and check the indentation"),
    ("'-' indicator", "check the indentation: each item of a list begins with - and a space, in one column"),
    ("did not find expected key", "check the indentation, here and in the line before, and their quotes and brackets"),
    ("could not find expected ':'", "a key needs a colon and a space after it"),
    ("while scanning a quoted scalar", "the closing quote is missing"),
    ("expected ',' or ']'", "a closing bracket, a comma or a quote is missing"),
    ("expected ',' or '}'", "a closing brace, a comma or a quote is missing"),
    ("unknown escape", _ESCAPE),
    ("hexdecimal number", _ESCAPE),
    ("while scanning an alias", "quote a text that starts with *"),
    ("while scanning an anchor", "quote a text that starts with &"),
    ("while scanning a block scalar", "quote a text that starts with | or >"),
    ("mapping keys are not allowed", _SPECIAL),
    ("expected node content", _SPECIAL),
    ("while scanning a directive", _SPECIAL),
    ("<document start>", "check the indentation: the keys of the plan begin in the first column"),
]

_NOTICED_LATER = ("while scanning a simple key", "while scanning a quoted scalar")
"""Where libyaml's context is the place of the mistake, and what it calls the problem only where it was noticed."""

_CONFLICT = re.compile(r"^<{7} ", re.MULTILINE)
_LOOKS_LIKE_A_SPACE = re.compile("(?:^[ \t]*|[:-])([\u00a0\u1680\u2000-\u200b\u202f\u2060\u3000\ufeff])")


def syntax_problem(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    """Say where the mistake is, and what to do about it.

    :param error: what libyaml raised.
    :param text: the file.
    :return: line and column, both from zero, and the message.
    """
    context, found = getattr(error, "context_mark", None), getattr(error, "problem_mark", None)
    mark = found or context
    if mark is None:
        return _unprintable(error, text)
    what = " ".join(filter(None, (getattr(error, "context", None), getattr(error, "problem", None))))
    if conflict := _CONFLICT.search(text):
        line = text.count("\n", 0, conflict.start())
        return line, 0, "not valid YAML: the file has a merge conflict that was not resolved"
    if context is not None and what.startswith(_NOTICED_LATER):
        mark = context
    lines = text.splitlines()
    for line in (mark.line, mark.line - 1):
        if 0 <= line < len(lines) and (space := _LOOKS_LIKE_A_SPACE.search(lines[line])):
            name = unicodedata.name(space[1], "a character")
            message = f"not valid YAML: U+{ord(space[1]):04X}, {name}, is no space to YAML: write an ordinary one"
            return line, space.start(1), message
    if quote := _quote_that_ends_in(mark.line, text):
        message = f"the text in quotes that begins here ends in line {mark.line + 1}, and more follows there"
        return quote.line, quote.column, f"not valid YAML: {message}: is the closing quote missing?"
    hint = next((f"; {advice}" for sign, advice in _HINTS if sign in what), "")
    if "expected ','" in what and context is not None and context.line != mark.line:
        hint += f", after what opens in line {context.line + 1}"
    return mark.line, mark.column, f"not valid YAML: {what}{hint}"


def _unprintable(error: yaml.YAMLError, text: str) -> tuple[int, int, str]:
    position = getattr(error, "position", 0)
    before = text.encode()[: position if isinstance(position, int) else 0].decode(errors="ignore")
    what = f"control character {getattr(error, 'character', '')!r}" if hasattr(error, "character") else str(error)
    return before.count("\n"), len(before) - before.rfind("\n") - 1, f"not valid YAML: {what}"


def _quote_that_ends_in(line: int, text: str) -> Any:
    """Where a text in quotes begins that ends in this line and began in an earlier one; ``None``: there is none."""
    begin: Any = None
    try:
        for event in yaml.parse(text, EventParser):
            if type(event) is yaml.ScalarEvent and event.style in ("'", '"'):
                first, last = event.start_mark, event.end_mark
                begin = first if first and last and first.line < last.line == line else None
    except yaml.YAMLError:
        return begin
    return None
