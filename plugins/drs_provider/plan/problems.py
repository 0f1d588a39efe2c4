"""What is wrong with a plan file, and where."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["PlanError", "Problem"]


@dataclass(frozen=True, order=True)
class Problem:
    """One error of one plan file."""

    file: str
    """The file's path, as it was given."""
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    path: str
    """The key path: ``waves[0].servers[2].id``; empty for the file as a whole."""
    message: str
    """What was found, what was expected, and the nearest allowed name, in one sentence."""
    length: int = 1
    """How many characters of the line it is about."""
    source: str = ""
    """The text of the line; empty if the file has none that can be shown."""
    severity: str = "error"
    """``error``, or ``warning`` for what is valid and deserves a second look."""

    def of_severity(self, severity: str) -> Problem:
        """Return the problem with another severity."""
        return replace(self, severity=severity)

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class PlanError(Exception):
    """A plan file that is not valid.

    :param problems: every problem of the file, in the order of their lines; at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[PlanError], tuple[list[Problem]]]:
        return type(self), (self.problems,)
