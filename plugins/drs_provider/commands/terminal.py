"""What commands write to a terminal, without what the terminal would obey.

Names of files, host names, tags and the words of a plan come from somebody else: an escape sequence in one of them
could clear the screen or hide the line that matters. Data (JSON, YAML) are written by ``typer.echo``, as they are.
"""

from __future__ import annotations

import typer

__all__ = ["printable", "say"]


def printable(text: str) -> str:
    """Return a text with every control character, direction mark and the like replaced; lines and tabs stay.

    :param text: a text from outside, such as a line of a plan file.
    """
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)


def say(text: str = "", *, nl: bool = True, err: bool = False) -> None:
    """Write plain text to standard output.

    :param text: what to write.
    :param nl: whether a line end follows.
    :param err: to standard error instead.
    """
    typer.echo(printable(text), nl=nl, err=err)
