"""The days on which a plan's schedule starts no drill: ``drill.not_on``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

__all__ = ["day_range", "excluded_by"]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def day_range(text: str) -> tuple[date, date]:
    """Read a day or a range of days.

    :param text: ``2026-12-24``, or ``2026-12-20/2027-01-03``; both days of a range belong to it.
    :return: the first and the last day.
    :raises ValueError: the text is neither; the message says what to write.
    """
    days = [_day(part.strip(), text) for part in text.split("/")]
    if len(days) > 2:
        raise ValueError(f"{text!r} has {len(days)} dates: write one day, or the first and the last: {_EXAMPLE}")
    first, last = days[0], days[-1]
    if last < first:
        raise ValueError(f"{text!r} ends before it begins: write {last.isoformat()}/{first.isoformat()}")
    return first, last


_EXAMPLE = "2026-12-24, or 2026-12-20/2027-01-03"


def _day(part: str, whole: str) -> date:
    if not _DAY.fullmatch(part):
        raise ValueError(f"{whole!r} is neither a date nor a range of dates: write {_EXAMPLE}")
    try:
        return date.fromisoformat(part)
    except ValueError:
        raise ValueError(f"{part} is no day of the calendar: write {_EXAMPLE}") from None


def excluded_by(day: date, ranges: Iterable[str]) -> str | None:
    """Return the first of ``drill.not_on`` that a day lies in; None where it lies in none.

    :param day: in the plan's time zone.
    :param ranges: as :func:`day_range` reads them.
    """
    for text in ranges:
        first, last = day_range(text)
        if first <= day <= last:
            return text
    return None
