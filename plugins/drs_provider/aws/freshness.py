"""No call that starts something on an old look.

What has to happen once and has no client token is looked for before it is asked for. A machine that stands still
between the look and the call (a suspended laptop, a paused container, a worker without CPU) must not act on what it saw
before: Airflow may have given its task up and begun another try, and what that one started may have ended already.
"""

from __future__ import annotations

import time

__all__ = ["FRESH_SECONDS", "Look"]

FRESH_SECONDS = 20.0
"""How old a look may be at the call."""


class Look:
    """
    The moment of the last look.

    :param at: When it began, in epoch seconds; by default now.
    """

    def __init__(self, at: float | None = None) -> None:
        self.at = time.time() if at is None else at

    def again(self) -> None:
        """Note that a look begins now."""
        self.at = time.time()

    @property
    def is_fresh(self) -> bool:
        """Whether a call may rely on it."""
        return time.time() - self.at <= FRESH_SECONDS
