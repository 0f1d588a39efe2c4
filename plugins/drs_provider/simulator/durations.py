"""Durations as scenario files write them: seconds, `90s`, `1h30m`, or ISO 8601 as DRS writes lag (`P0D`, `PT5M`)."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator

__all__ = ["Duration", "iso8601", "parse_duration"]

_SHORT = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


def parse_duration(value: object) -> float:
    """The seconds that a duration says.

    :raises ValueError: it is none; the message says what was expected.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value < math.inf:
            return float(value)
    elif isinstance(value, str):
        for pattern in (_SHORT, _ISO):
            match = pattern.fullmatch(value)
            if match and any(part is not None for part in match.groups()):
                days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
                return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    raise ValueError(f"expected a duration: seconds, or such as 90s, 10m, 1h30m, P0D, PT5M; not {value!r}")


def iso8601(seconds: float) -> str:
    """Seconds as DRS writes a lag: `P0D` at zero, else such as `PT1H5M3S`, or `P2DT4H` over a day."""
    whole = round(seconds)
    if whole <= 0:
        return "P0D"
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds_left = divmod(rest, 60)
    time = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds_left, "S")) if n)
    return "P" + (f"{days}D" if days else "") + (f"T{time}" if time else "")


Duration = Annotated[float, BeforeValidator(parse_duration)]
