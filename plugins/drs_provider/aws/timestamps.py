"""Times and durations as DRS writes them.

The service model wants ``2024-05-01T10:00:00Z``; live answers also end in ``+00:00`` with microseconds. A lag is an
ISO 8601 duration: ``P0D`` when there is none, ``PT1H2M``, ``P1DT3.5S``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

__all__ = ["api_timestamp", "format_duration", "parse_duration", "parse_timestamp"]

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)
_DURATION = re.compile(
    r"P(?:(?P<years>\d+(?:[.,]\d+)?)Y)?(?:(?P<months>\d+(?:[.,]\d+)?)M)?(?:(?P<weeks>\d+(?:[.,]\d+)?)W)?"
    r"(?:(?P<days>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:[.,]\d+)?)H)?(?:(?P<minutes>\d+(?:[.,]\d+)?)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?"
)


def parse_timestamp(text: str) -> datetime:
    """A point in time, in UTC. A time without a zone is taken as UTC.

    :param text: ISO 8601 with any number of fractional digits.
    :raises ValueError: if it is not a date and time.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not an ISO 8601 date and time such as 2026-03-01T10:00:00Z")
    date, clock, fraction, zone = match.groups()
    clock = clock if clock.count(":") == 2 else f"{clock}:00"
    zone = "+00:00" if zone is None or zone.upper() == "Z" else f"{zone[:3]}:{zone[-2:]}"
    moment = datetime.fromisoformat(f"{date}T{clock}{zone}")
    return moment.astimezone(timezone.utc) + timedelta(microseconds=int((fraction or "0")[:6].ljust(6, "0")))


def api_timestamp(moment: datetime) -> str:
    """A point in time as DRS takes it in filters.

    :param moment: with a time zone.
    """
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_duration(text: str) -> timedelta:
    """An ISO 8601 duration, e.g. ``lagDuration`` of DescribeSourceServers.

    A year counts 366 days and a month 31, so that a lag is never taken for shorter than it is.

    :param text: e.g. ``P0D``, ``PT1H2M``, ``P1DT0.5S``.
    :raises ValueError: if it is not such a duration.
    """
    match = _DURATION.fullmatch(text.strip())
    parts = (
        {unit: float(number.replace(",", ".")) for unit, number in match.groupdict().items() if number} if match else {}
    )
    if not parts:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT1H2M")
    days = parts.pop("years", 0) * 366 + parts.pop("months", 0) * 31 + parts.pop("days", 0)
    return timedelta(days=days, **parts)


def format_duration(duration: timedelta) -> str:
    """A duration for people, to the second: ``0s``, ``45s``, ``1h 2m``, ``3d 4h``.

    :param duration: not negative.
    """
    seconds = int(duration.total_seconds())
    parts = [(seconds // 86400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return " ".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
