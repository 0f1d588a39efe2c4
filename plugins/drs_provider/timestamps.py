"""Points in time as AWS and people write them.

The service model of DRS wants ``2024-05-01T10:00:00Z``; its live answers end in ``+00:00`` with microseconds.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from drs_provider.durations import ABSENT

__all__ = ["api_timestamp", "clock_text", "live_timestamp", "moment_text", "parse_timestamp"]

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?", re.IGNORECASE
)


def parse_timestamp(text: str) -> datetime:
    """Read a point in time. A time without a zone is taken as UTC.

    :param text: ISO 8601 with any number of fractional digits.
    :return: in UTC, to the microsecond.
    :raises ValueError: the text is not a date and time.
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
    """Write a point in time as AWS takes it in filters: ``2024-05-01T10:00:00Z``.

    :param moment: with a time zone.
    """
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def live_timestamp(epoch: float) -> str:
    """Write a point in time as live DRS answers it: ``2024-05-01T10:00:00.000000+00:00``.

    :param epoch: seconds since 1970.
    """
    return datetime.fromtimestamp(epoch, timezone.utc).isoformat(timespec="microseconds")


def moment_text(moment: datetime | None) -> str:
    """Write a moment for people, in UTC to the second: ``2026-11-23 06:00:12 UTC``; ``–`` for None."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ABSENT


def clock_text(moment: datetime | None) -> str:
    """Write the time of day for people, in UTC to the second: ``06:00:12``; ``–`` for None."""
    return moment.astimezone(timezone.utc).strftime("%H:%M:%S") if moment else ABSENT
