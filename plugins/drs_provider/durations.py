"""Durations as plan files, AWS and people write them.

A plan file has ``30s``, ``45m``, ``2h``, ``1h30m``, ``1d``, or ISO 8601, ``PT45M``, and counts whole seconds. DRS
writes a lag in ISO 8601: ``P0D`` when there is none, ``PT1H2M``, ``P1DT3.5S``. A scenario of the simulator has either,
or a number of seconds.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Annotated

from pydantic import BeforeValidator

__all__ = [
    "ABSENT",
    "DURATION_PATTERN",
    "Seconds",
    "duration_text",
    "format_duration",
    "format_iso8601",
    "parse_duration",
    "parse_iso8601",
    "parse_seconds",
    "read_loosely",
    "seconds_of",
]

ABSENT = "–"
"""What stands for people where a value is not known."""

LONGEST = timedelta(days=365)
"""Longer than any step of a recovery: beyond it a duration is a slip of the pen."""

DURATION_PATTERN = (
    r"^(?=.)(\d{1,8}d)?(\d{1,8}h)?(\d{1,8}m)?(\d{1,8}s)?$"
    r"|^P(?=.)(\d{1,8}W|(\d{1,8}D)?(T(?=.)(\d{1,8}H)?(\d{1,8}M)?(\d{1,8}S)?)?)$"
)
"""The same grammar for JSON Schema, in the subset that ECMAScript and Python read alike."""

_SHORT = re.compile(r"(?:(\d{1,8})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,8})s)?", re.ASCII)
_FRACTIONAL = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
_ISO = re.compile(r"P(?:(\d{1,8})W|(?:(\d{1,8})D)?(?:T(?=\d)(?:(\d{1,8})H)?(?:(\d{1,8})M)?(?:(\d{1,8})S)?)?)", re.ASCII)
_ISO_OF_AWS = re.compile(
    r"P(?:(?P<years>\d+(?:[.,]\d+)?)Y)?(?:(?P<months>\d+(?:[.,]\d+)?)M)?(?:(?P<weeks>\d+(?:[.,]\d+)?)W)?"
    r"(?:(?P<days>\d+(?:[.,]\d+)?)D)?"
    r"(?:T(?:(?P<hours>\d+(?:[.,]\d+)?)H)?(?:(?P<minutes>\d+(?:[.,]\d+)?)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)
_LOOSE = re.compile(r"(\d+)\s*([a-zA-Z]+)")
_UNITS = {
    "d": "d", "day": "d", "days": "d",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
}  # fmt: skip
_SIZES = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def parse_duration(text: str) -> timedelta:
    """Read a duration of a plan file.

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
    for unit, seconds in _SIZES:
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


def parse_iso8601(text: str) -> timedelta:
    """Read an ISO 8601 duration of AWS, such as ``lagDuration`` of DescribeSourceServers.

    A year counts 366 days and a month 31, so that a lag is never taken for shorter than it is.

    :param text: ``P0D``, ``PT1H2M``, ``P1DT0.5S``.
    :return: the duration, zero or more, with fractions of a second.
    :raises ValueError: the text is not such a duration, or is longer than Python counts.
    """
    match = _ISO_OF_AWS.fullmatch(text.strip())
    given = {unit: number for unit, number in match.groupdict().items() if number} if match else {}
    if not given:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT1H2M")
    parts = {unit: float(number.replace(",", ".")) for unit, number in given.items()}
    days = parts.pop("years", 0) * 366 + parts.pop("months", 0) * 31 + parts.pop("days", 0)
    try:
        return timedelta(days=days, **parts)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any ISO 8601 duration of AWS") from None


def format_iso8601(seconds: float) -> str:
    """Write a duration as DRS writes a lag.

    :param seconds: rounded to whole seconds; zero or less is ``P0D``.
    :return: for example ``P0D``, ``PT1H5M3S``, ``P2DT4H``.
    """
    whole = round(seconds)
    if whole <= 0:
        return "P0D"
    days, rest = divmod(whole, 86400)
    short = format_duration(timedelta(seconds=rest)).upper() if rest else ""
    return "P" + (f"{days}D" if days else "") + (f"T{short}" if short else "")


def parse_seconds(value: object) -> float:
    """Read a duration of the simulator's scenario.

    :param value: seconds, ``90s``, ``1h30m``, ``1.5s``, or ISO 8601 such as ``P0D`` and ``PT5M``.
    :return: seconds, zero or more.
    :raises ValueError: the value is not a duration; the message says what was expected.
    """
    try:
        seconds = _seconds_in(value)
    except (OverflowError, ValueError):
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    raise ValueError(f"expected a duration: seconds, or such as 90s, 10m, 1h30m, P0D, PT5M; not {value!r}")


def _seconds_in(value: object) -> float:
    if isinstance(value, str):
        if value and (match := _FRACTIONAL.fullmatch(value)):
            days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
            return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        return parse_iso8601(value).total_seconds()
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


Seconds = Annotated[float, BeforeValidator(parse_seconds)]
"""A field of a scenario that is a duration, in seconds."""


def seconds_of(duration: float | timedelta) -> float:
    """Return a duration in seconds, given as seconds or as a ``timedelta``."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def duration_text(seconds: float | None) -> str:
    """Write a duration for people: ``11 m 32 s``, ``45 m``, ``1 h 2 m``, ``<1 s``, ``0 s``; ``–`` for None.

    :param seconds: rounded to whole seconds. From a day on, seconds are left out.
    """
    if seconds is None:
        return ABSENT
    sign, rest = ("−" if seconds < 0 else ""), abs(seconds)
    if 0 < rest < 1:
        return f"{sign}<1 s"
    whole = int(rest + 0.5)
    parts = []
    for unit, size in _SIZES:
        count, remainder = divmod(whole, size)
        if count and not (unit == "s" and rest >= 86400):
            parts.append(f"{count} {unit}")
        whole = remainder
    return sign + (" ".join(parts) or "0 s")
