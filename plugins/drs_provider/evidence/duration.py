"""How the report writes durations and moments: the one place that turns numbers into words."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["ABSENT", "clock_text", "duration_text", "moment_text"]

ABSENT = "–"
"""What stands where a value is not known."""

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def duration_text(seconds: float | None) -> str:
    """Return a duration for people: ``11 m 32 s``, ``45 m``, ``1 h 2 m``, ``<1 s``, ``0 s``; ``–`` for None.

    :param seconds: rounded to whole seconds. From a day on, seconds are left out.
    """
    if seconds is None:
        return ABSENT
    sign, rest = ("−" if seconds < 0 else ""), abs(seconds)
    if 0 < rest < 1:
        return f"{sign}<1 s"
    whole = int(rest + 0.5)
    parts = []
    for unit, size in _UNITS:
        count, remainder = divmod(whole, size)
        if count and not (unit == "s" and rest >= 86400):
            parts.append(f"{count} {unit}")
        whole = remainder
    return sign + (" ".join(parts) or "0 s")


def moment_text(moment: datetime | None) -> str:
    """Return a moment in UTC to the second: ``2026-11-23 06:00:12 UTC``; ``–`` for None."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ABSENT


def clock_text(moment: datetime | None) -> str:
    """Return the time of day in UTC to the second: ``06:00:12``; ``–`` for None."""
    return moment.astimezone(timezone.utc).strftime("%H:%M:%S") if moment else ABSENT
