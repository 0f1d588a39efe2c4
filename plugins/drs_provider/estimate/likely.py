"""A time of which one knows only about how long it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Literal

__all__ = ["Case", "Likely"]

Case = Literal["low", "typical", "high"]


@dataclass(frozen=True)
class Likely:
    """Seconds: at best, most likely, and at worst as far as one can tell."""

    low: float
    typical: float
    high: float

    @classmethod
    def exactly(cls, seconds: float) -> Likely:
        """A time that is known."""
        return cls(seconds, seconds, seconds)

    @classmethod
    def about(cls, seconds: float, *, at_best: float, at_worst: float) -> Likely:
        """A time and how far off it may be, as factors."""
        return cls(seconds * at_best, seconds, seconds * at_worst)

    @classmethod
    def measured(cls, seconds: Iterable[float]) -> Likely:
        """What was measured, at least once: least, median and most."""
        found = sorted(seconds)
        return cls(found[0], median(found), found[-1])

    def scaled(self, factor: float) -> Likely:
        """So many times as long."""
        return Likely(self.low * factor, self.typical * factor, self.high * factor)

    def of(self, case: Case) -> float:
        """The seconds of one case."""
        return float(getattr(self, case))
