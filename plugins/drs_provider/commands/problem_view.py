"""Problems for people: the place, the message, the line, and a caret under what is meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from drs_provider.commands.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console

    from drs_provider.plan import Problem

__all__ = ["print_problems"]

WIDEST = 160
"""A longer line is cut around the caret."""


def print_problems(problems: Iterable[Problem], console: Console) -> None:
    """Print problems with their source lines."""
    for problem in problems:
        place = f"{printable(problem.file)}:{problem.line}:{problem.column}"
        path = f" {printable(problem.path)}:" if problem.path else ""
        colour = "red" if problem.severity == "error" else "yellow"
        mark = "" if problem.severity == "error" else f" {problem.severity}:"
        message = printable(problem.message)
        console.print(Text.assemble((place, "bold"), (mark, colour), (path, "cyan"), " ", (message, colour)))
        if problem.source.strip():
            line, column = _cut(problem.source, problem.column - 1)
            number = f"{problem.line:>5} | "
            shown = printable(line)
            # Some characters take two columns of a terminal, and some none.
            carets = "^" * max(1, cell_len(shown[column : column + problem.length]))
            under = "".join("\t" if character == "\t" else " " * cell_len(character) for character in shown[:column])
            console.print(Text.assemble((number, "dim"), shown))
            console.print(Text.assemble((" " * 5 + " | ", "dim"), under, (carets, f"bold {colour}")))


def _cut(line: str, column: int) -> tuple[str, int]:
    if len(line) <= WIDEST:
        return line, column
    start = max(0, column - WIDEST // 2)
    return line[start : start + WIDEST], column - start
