"""Tolerant reading of values that came from outside: what Airflow says of a run, and AWS answers.

A report is written when things went wrong, so no value is trusted to have its shape: each function returns None or
an empty container for what it cannot read, and none raises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from drs_provider.timestamps import parse_timestamp

__all__ = ["first", "integer", "items", "mapping", "moment", "number", "text", "texts"]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return a mapping with text keys; an empty one for anything else."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key).encode("utf-8", "replace").decode(): item for key, item in value.items()}


def items(value: Any) -> list[Any]:
    """Return a list or tuple as a list; an empty one for anything else."""
    return list(value) if isinstance(value, (list, tuple)) else []


def texts(value: Any) -> list[str]:
    """Return the texts of a list."""
    return [found for item in items(value) if (found := text(item)) is not None]


def text(value: Any) -> str | None:
    """Return a non-empty text that can be written as UTF-8, or None."""
    if value is None or isinstance(value, (Mapping, list, tuple, bool)):
        return None
    return str(value).encode("utf-8", "replace").decode() or None


def number(value: Any) -> float | None:
    """Return a finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def integer(value: Any) -> int | None:
    """Return a whole number, or None."""
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def moment(value: Any) -> datetime | None:
    """Return a point in time in UTC from a datetime or ISO 8601 text, or None. Without a zone it is UTC."""
    try:
        if isinstance(value, datetime):
            # Airflow hands over pendulum's own subclass; the record holds plain datetimes.
            return datetime.fromisoformat(
                (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc).isoformat()
            )
        return parse_timestamp(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def first(*values: Any) -> Any:
    """Return the first value that is not None."""
    return next((value for value in values if value is not None), None)
