"""Times as live DRS writes them: UTC with microseconds and `+00:00`, where the service model's pattern wants `Z`."""

from __future__ import annotations

from datetime import datetime, timezone

__all__ = ["from_timestamp", "microseconds", "timestamp"]


def timestamp(t: float) -> str:
    """Epoch seconds, as DRS writes them."""
    return datetime.fromtimestamp(t, timezone.utc).isoformat(timespec="microseconds")


def microseconds(t: float) -> float:
    """Epoch seconds as exactly as DRS shows them: a caller finds a thing again by the time that it was shown."""
    return round(t, 6)


def from_timestamp(text: str) -> float:
    """The epoch seconds of a time that a caller sent, which ends in `Z` and may have any number of decimals."""
    whole, _, decimals = text.removesuffix("Z").partition(".")
    return microseconds(datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{decimals or 0}"))
