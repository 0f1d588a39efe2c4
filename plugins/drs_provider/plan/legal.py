"""What a name that a plan may not have could be written as."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["as_name", "is_name"]


def is_name(name: str) -> bool:
    """Whether a plan, a wave or a group may be called so."""
    return re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name) is not None


def as_name(name: str) -> str:
    """Return a name in lower-case letters, digits, - and _; empty where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name[:200]).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9_]+", "-", plain.lower()).strip("-_")[:100].rstrip("-_")
