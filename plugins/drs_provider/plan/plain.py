"""Unquoted YAML scalars: what every reader of YAML takes them for, and a complaint where readers differ."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

__all__ = ["FIRST", "WORDS", "Complaint", "read_plain", "reads_as_text"]

WORDS: dict[str, Any] = {
    form: value
    for word, value in (("true", True), ("false", False), ("null", None), ("~", None), ("", None))
    for form in (word, word.title(), word.upper())
}
_ON_OFF = {
    form: value
    for word, value in (("yes", "true"), ("on", "true"), ("no", "false"), ("off", "false"))
    for form in (word, word.title(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})", re.ASCII)
_DECIMAL = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+][0-9]+)?")
_SURPRISES = [
    (re.compile(r"[-+]?0[0-9_]+"), "a number with a leading zero, octal to some readers"),
    (re.compile(r"[-+]?0(x[0-9a-fA-F_]+|o[0-7_]+|b[01_]+)"), "a hexadecimal, octal or binary number"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number in base 60 to YAML 1.1"),
    (re.compile(r"[-+]?[0-9][0-9_]*\.?[0-9_]*([eE][-+]?[0-9]+)?"), "a number that not every reader takes for one"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a date to YAML 1.1"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "not a finite number to some readers"),
    (re.compile(r"="), "a special word of YAML 1.1"),
]
WORDS |= dict.fromkeys(_ON_OFF)

_CURLY = "“”„‟‘’‚‛"

FIRST = frozenset(f"0123456789-+.={_CURLY}")
"""A scalar that is none of ``WORDS`` and does not begin with one of these is text."""


class Complaint(NamedTuple):
    """What is wrong with an unquoted scalar, and what to write if its text is what belongs there."""

    message: str
    advice: str


def read_plain(text: str) -> tuple[Any, Complaint | None]:
    """Read an unquoted scalar.

    :param text: the scalar.
    :return: its value (text, a whole number, a decimal number, true, false or ``None``), and what to complain of:
        readers of YAML 1.1 and 1.2, or the reader and the writer, would not agree on it. The value is then the text.
    """
    if text in _ON_OFF:
        said = _ON_OFF[text]
        message = f"unquoted {text} is {said} to some readers of YAML and text to others"
        return text, Complaint(message, f'write {said}, or "{text}"')
    if text in WORDS:
        return WORDS[text], None
    if _INTEGER.fullmatch(text):
        return int(text), None
    if _DECIMAL.fullmatch(text):
        return float(text), None
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    if text[:1] in _CURLY:
        # An editor of texts made them: a command or a tag would have them inside, and nobody would see why it fails.
        inside = shown.strip(_CURLY)
        advice = "put it in straight quotes" if set(inside) & set(_CURLY) else f'write "{inside}"'
        message = f"{shown} begins with a curly quote, which is a part of the text to YAML: {advice}"
        return text, Complaint(message, "")
    for pattern, what in _SURPRISES:
        if pattern.fullmatch(text):
            return text, Complaint(f"unquoted {shown} is {what}", f'write "{shown}"')
    return text, None


def reads_as_text(text: str) -> bool:
    """Whether an unquoted scalar is that text to every reader of YAML."""
    return read_plain(text) == (text, None)
