"""The nearest allowed name for a misspelt one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest", "nearest_name"]

LONGEST_COMPARED = 100
"""difflib is quadratic: a hostile name is not compared at all."""


def nearest_name(found: str, allowed: Iterable[str]) -> str | None:
    """The allowed name that ``found`` was probably meant to be; ``None`` if none is near."""
    if len(found) > LONGEST_COMPARED:
        return None
    by_folded = {name.lower().replace("-", "_"): name for name in sorted(allowed)}
    close = get_close_matches(found.lower().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def nearest(found: str, allowed: Iterable[str]) -> str:
    """``"; did you mean X?"`` to append to a message; empty if no allowed name is near."""
    name = nearest_name(found, allowed)
    return f"; did you mean {name}?" if name else ""
