"""Durations as people write them in a plan: ``30s``, ``45m``, ``2h``, ``1h30m``, ``1d``; or ISO 8601, ``PT45M``."""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["DURATION_PATTERN", "format_duration", "parse_duration", "read_loosely"]

LONGEST = timedelta(days=365)
"""Longer than any step of a recovery: beyond it a duration is a slip of the pen."""

DURATION_PATTERN = (
    r"^(?=.)(\d{1,8}d)?(\d{1,8}h)?(\d{1,8}m)?(\d{1,8}s)?$"
    r"|^P(?=.)(\d{1,8}W|(\d{1,8}D)?(T(?=.)(\d{1,8}H)?(\d{1,8}M)?(\d{1,8}S)?)?)$"
)
"""The same grammar for JSON Schema, in the subset that ECMAScript and Python read alike."""

_SHORT = re.compile(r"(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,8})s)?", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,8})W|(?:(\d{1,8})D)?(?:T(?=\d)(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,8})S)?)?)", re.ASCII)
_LOOSE = re.compile(r"(\d+)\s*([a-zA-Z]+)")
_UNITS = {
    "d": "d", "day": "d", "days": "d",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
}  # fmt: skip


def parse_duration(text: str) -> timedelta:
    """Read a duration.

    :param text: ``30s``, ``45m``, ``2h``, ``1h30m``, ``1d``, or ISO 8601 without years and months (``PT1H30M``).
    :return: the duration, from zero to 365 days.
    :raises ValueError: the text is not a duration; the message says what to write.
    """
    if text and (match := _SHORT.fullmatch(text)):
        days, hours, minutes, seconds = (int(part) if part else 0 for part in match.groups())
        weeks = 0
    elif len(text) > 1 and (match := _ISO.fullmatch(text)):
        weeks, days, hours, minutes, seconds = (int(part) if part else 0 for part in match.groups())
    else:
        raise ValueError(_advice(text))
    try:
        duration = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ValueError("is longer than 365 days")
    return duration


def format_duration(duration: timedelta) -> str:
    """Write a duration in its shortest plan-file form.

    :param duration: zero or more; fractions of a second are dropped.
    :return: for example ``1h30m``; ``0s`` for zero.
    """
    left = duration.days * 86400 + duration.seconds
    text = ""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, seconds)
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def _advice(text: str) -> str:
    """What is wrong with ``text``, and the text that was probably meant."""
    number = text.strip()
    if re.fullmatch(r"\d{1,8}", number, re.ASCII):
        return f"has no unit: write {number}s (seconds), {number}m (minutes) or {number}h (hours)"
    meant = _meant(text)
    if meant is not None:
        return f"is not a duration: did you mean {meant}?"
    return "is not a duration: write 30s, 45m, 2h, 1h30m, or ISO 8601 such as PT45M"


def _meant(text: str) -> str | None:
    """The duration of a plan file that a text in words means; ``None`` if it is none."""
    parts = _LOOSE.findall(text)
    if parts and not _LOOSE.sub("", text).strip(" ,+"):
        units = [_UNITS.get(unit.lower()) for _, unit in parts]
        meant = "".join(f"{count}{unit}" for (count, _), unit in zip(parts, units, strict=True))
        if all(units) and _SHORT.fullmatch(meant):
            return meant
    return None


def read_loosely(text: str) -> timedelta | None:
    """Read a duration of another system: as a plan file has it, or in words, ``15 minutes``, ``1 hour 30 min``.

    :return: the duration; ``None`` where the text is none, has no unit, or is zero.
    """
    try:
        return parse_duration(_meant(text) or text.strip()) or None
    except ValueError:
        return None
