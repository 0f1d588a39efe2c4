"""Texts from outside inside Markdown: a plan's words, names in AWS, and messages must not become markup.

Everything that writes Markdown (reports, the page of a DAG, questions to approvers) puts them in by these functions.
"""

from __future__ import annotations

import re

__all__ = ["code", "escape"]

_SPECIAL = re.compile(r"([\\`*_\[\]>|#~])")
_ENTITY = re.compile(r"&(?=#?\w+;)")


def escape(text: str | None) -> str:
    """Return a text that Markdown and HTML show as it is, in one line.

    :param text: any text; None counts as empty.
    """
    # A line that begins like a list or a heading is one, so lines are joined.
    plain = _ENTITY.sub("&amp;", " ".join((text or "").split()))
    # Not a backslash before "<": a renderer that knows HTML and no Markdown would still see a tag.
    return _SPECIAL.sub(r"\\\1", plain).replace("<", "&lt;")


def code(text: str | None) -> str:
    """Return a text as inline code, in one line.

    Backslashes escape nothing in code, so what would end it, or the cell of a table, is replaced by what looks like it.

    :param text: any text; None counts as empty.
    """
    plain = " ".join((text or "").split()).replace("`", "\u02cb").replace("|", "\u00a6")
    return f"`{plain or ' '}`"
