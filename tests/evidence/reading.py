"""How tests of the evidence read it: moments of the fixture ``drill``, and the waves of its record."""

from __future__ import annotations

from typing import Any

__all__ = ["stamp", "wave"]

STAMP = "2026-11-21T11:{:02d}:{:02d}+00:00"


def stamp(seconds: int) -> str:
    """Return the moment so many seconds after the fixture's run began."""
    return STAMP.format(seconds // 60, seconds % 60)


def wave(record: Any, name: str) -> Any:
    """Return a wave of a record by its name."""
    return next(wave for wave in record.waves if wave.name == name)
