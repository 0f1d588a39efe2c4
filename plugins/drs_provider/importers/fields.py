"""The keys of one JSON object, read one by one: a wrong type is a problem with its path, an unread key is reported."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from drs_provider.importers.report import ImportReport

__all__ = ["Fields", "joined", "shown"]

_NOTHING: tuple[Any, ...] = ("", [], {})
LONGEST = 200
"""Characters of what is left out: enough to write it again by hand."""


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, and of a container only what it is."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return _written(value, 60)


def _written(value: Any, most: int) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[:most]}…"


def joined(where: str, key: str) -> str:
    """Return the JSON path of a key of the object at ``where``, which may be a file's name and a colon."""
    return f"{where}.{key}" if where and not where.endswith(":") else f"{where}{key}"


class Fields:
    """Reads an object, and knows what of it was read.

    :param value: the object.
    :param where: its JSON path; empty for the whole document.
    :param report: takes the problems, and the keys that nobody read.
    :param any_case: ``PlanId`` and ``planId`` are one key.
    """

    def __init__(self, value: Mapping[str, Any], where: str, report: ImportReport, *, any_case: bool = False) -> None:
        self.value = value
        self.where = where
        self.report = report
        self.any_case = any_case
        self._unread: dict[str, tuple[str, Any]] = {}
        for key, content in value.items():
            name = self._name(str(key))
            if name in self._unread:
                report.refuse(self.path(str(key)), f"is here twice, as {self._unread[name][0]} too; expected it once")
            self._unread[name] = (str(key), content)
        self._all = dict(self._unread)
        self._instead: dict[str, str] = {}

    @classmethod
    def of(cls, value: Any, where: str, report: ImportReport, *, any_case: bool = False) -> Fields | None:
        """Return the fields of an object, None where the value is none: a problem then."""
        if isinstance(value, Mapping):
            return cls(value, where, report, any_case=any_case)
        report.refuse(where, f"expected an object, found {shown(value)}")
        return None

    def _name(self, key: str) -> str:
        return key.casefold() if self.any_case else key

    def path(self, key: str) -> str:
        """Return the JSON path of a key, in the spelling of the source where it has the key."""
        key = self._all.get(self._name(key), (key, None))[0] if hasattr(self, "_all") else key
        return joined(self.where, key)

    def has(self, *keys: str) -> bool:
        """Return whether one of the keys is there with a value."""
        return any(self._all.get(self._name(key), ("", None))[1] is not None for key in keys)

    def raw(self, *keys: str) -> tuple[str, Any]:
        """Return path and value of the first key that says something.

        The others of them count as read, too, unless they say something else: then they are reported with the rest.

        :return: the path of the first key, and None, where none has a value.
        """
        there = [(self._name(key), *self._all.get(self._name(key), (key, None))) for key in keys]
        with_value = [each for each in there if each[2] is not None]
        taken = next((each for each in with_value if each[2] not in _NOTHING), next(iter(with_value), None))
        for name, _, value in there:
            if taken is None or name == taken[0] or value is None or value in (taken[2], *_NOTHING):
                self._unread.pop(name, None)
            else:
                self._instead[name] = taken[1]
        return (self.path(taken[1]), taken[2]) if taken else (self.path(keys[0]), None)

    def text(self, *keys: str, required: str = "") -> str | None:
        """Return a text; a number is its digits, a blank text is none.

        :param required: what the text is, where it must be there.
        """
        where, value = self.raw(*keys)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = f"{value:g}" if isinstance(value, float) else str(value)
        if value is not None and not isinstance(value, str):
            self.report.refuse(where, f"expected text, found {shown(value)}")
            return None
        if value is None or not value.strip():
            if required:
                self.report.refuse(where, f"is missing; expected {required}")
            return None
        return value.strip()

    def number(self, *keys: str) -> float | None:
        """Return a number, also where it is written as text."""
        where, value = self.raw(*keys)
        if value is None or (isinstance(value, str) and not value.strip()):
            return None
        try:
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ValueError
            number = float(value)
            if not math.isfinite(number):
                raise ValueError
        except ValueError:
            self.report.refuse(where, f"expected a number, found {shown(value)}")
            return None
        return number

    def flag(self, *keys: str) -> bool:
        """Return a truth value; absent is false."""
        where, value = self.raw(*keys)
        words = {"true": True, "false": False, "": False}
        if isinstance(value, str) and value.strip().lower() in words:
            return words[value.strip().lower()]
        if value is None or isinstance(value, bool):
            return bool(value)
        self.report.refuse(where, f"expected true or false, found {shown(value)}")
        return False

    def items(self, *keys: str) -> list[tuple[str, Any]]:
        """Return the items of a list, each with its path; absent is empty."""
        where, value = self.raw(*keys)
        if value is None:
            return []
        if not isinstance(value, list):
            self.report.refuse(where, f"expected a list, found {shown(value)}")
            return []
        return [(f"{where}[{number}]", item) for number, item in enumerate(value)]

    def texts(self, *keys: str) -> list[tuple[str, str]]:
        """Return the items of a list of texts, each with its path."""
        found = []
        for where, item in self.items(*keys):
            if isinstance(item, str) and item.strip():
                found.append((where, item.strip()))
            else:
                self.report.refuse(where, f"expected text, found {shown(item)}")
        return found

    def parts(self, *keys: str) -> list[Fields]:
        """Return the items of a list of objects."""
        found = [Fields.of(item, where, self.report, any_case=self.any_case) for where, item in self.items(*keys)]
        return [part for part in found if part is not None]

    def part(self, *keys: str) -> Fields | None:
        """Return an object, None where it is absent."""
        where, value = self.raw(*keys)
        return None if value is None else Fields.of(value, where, self.report, any_case=self.any_case)

    def leave_out(self, why: str, *keys: str) -> list[str]:
        """Report keys that have a value and no counterpart; return the texts, for comments."""
        texts = []
        for key in keys:
            where, value = self.raw(key)
            if value not in (None, "", [], {}, False):
                texts.append(self.report.leave_out(where, f"{_written(value, LONGEST)}: {why}"))
        return texts

    def ignore(self, *keys: str) -> None:
        """Read keys that say nothing about a plan: ids of the source's own, dates of changes."""
        for key in keys:
            self._unread.pop(self._name(key), None)

    def leave_out_rest(self) -> None:
        """Report every key that nobody read."""
        for name, (key, value) in self._unread.items():
            if value not in (None, *_NOTHING):
                why = "has no counterpart in a plan file"
                if name in self._instead:
                    why = f"{self._instead[name]} says something else, and counts"
                self.report.leave_out(self.path(key), f"{_written(value, LONGEST)}: {why}")
        self._unread.clear()
