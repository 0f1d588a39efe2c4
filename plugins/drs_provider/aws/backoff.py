"""How long to wait before AWS is asked again: the one policy of everything that asks more than once."""

from __future__ import annotations

import math
import random
import time

__all__ = ["LONGEST_SECONDS", "Backoff"]

LONGEST_SECONDS = 30.0
"""The longest pause, unless the caller says otherwise."""


class Backoff:
    """Pauses that double, up to a longest one, until a moment; each is up to a fifth shorter or longer than it counts.

    Tasks that failed in one moment would ask again in one moment otherwise.

    :param until: epoch seconds after which nothing is asked again; may be moved.
    :param first: seconds of the first pause.
    :param longest: seconds of the longest pause.
    """

    def __init__(self, until: float = math.inf, *, first: float = 1.0, longest: float = LONGEST_SECONDS) -> None:
        self.until = until
        self.pause = first
        self._longest = longest

    @property
    def is_over(self) -> bool:
        """Whether the next pause would end after the moment."""
        return time.time() + self.pause > self.until

    def take(self) -> float:
        """Return the seconds to wait now; the next pause is twice as long."""
        now, self.pause = self.pause, min(self.pause * 2, self._longest)
        return now * random.uniform(0.8, 1.2)
