"""What an import could not take over, what it decided, and what stopped it: each with its place in the source."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ImportRefused", "ImportReport", "Note"]


@dataclass(frozen=True)
class Note:
    """One remark.

    :param where: the place in the source, as a JSON path: ``recoveryPlans[0].Waves[2].ServerIds``.
    :param what: what was found there and what became of it, or what was expected.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ImportRefused(Exception):
    """The source cannot be imported; ``problems`` says everything that is wrong with it, each with its place."""

    def __init__(self, problems: list[Note]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass
class ImportReport:
    """The remarks of one import.

    :param decided: where the source could be read in several ways, or says less than a plan file: what was taken.
    :param left_out: what has no counterpart in a plan file.
    :param problems: what stops the import.
    """

    decided: list[Note] = field(default_factory=list)
    left_out: list[Note] = field(default_factory=list)
    problems: list[Note] = field(default_factory=list)

    def decide(self, where: str, what: str) -> str:
        """Note a decision and return its text, for a comment in the file."""
        self.decided.append(Note(where, what))
        return what

    def leave_out(self, where: str, what: str) -> str:
        """Note what has no counterpart and return its text, for a comment in the file."""
        self.left_out.append(Note(where, what))
        return what

    def refuse(self, where: str, what: str) -> None:
        """Note what stops the import."""
        self.problems.append(Note(where, what))

    def check(self) -> None:
        """Go on only where nothing stops the import.

        :raises ImportRefused: something does.
        """
        if self.problems:
            raise ImportRefused(list(dict.fromkeys(self.problems)))

    def as_dict(self) -> dict[str, list[dict[str, str]]]:
        """Return the report as JSON-serialisable data."""
        return {
            name: [{"where": note.where, "what": note.what} for note in dict.fromkeys(getattr(self, name))]
            for name in ("decided", "left_out", "problems")
        }

    def lines(self, name: str) -> list[str]:
        """Return ``decided`` or ``left_out`` for a terminal: what is said of many places is one line."""
        places: dict[str, list[str]] = {}
        for note in dict.fromkeys(getattr(self, name)):
            places.setdefault(note.what, []).append(note.where)
        return [
            f"{where[0]}{f' and {len(where) - 1} more' if len(where) > 1 else ''}: {what}"
            for what, where in places.items()
        ]
