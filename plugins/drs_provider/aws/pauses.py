"""Pauses in a worker, during which a task can still be told to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["LOOK_SECONDS", "checked_pauses", "pause_for"]

LOOK_SECONDS = 10.0
"""Seconds of pauses after which is looked whether the task has to end."""


@dataclass
class _Check:
    look: Callable[[], None]
    looked: float


_CHECK: ContextVar[_Check | None] = ContextVar("drs_provider_pause_check", default=None)


@contextmanager
def checked_pauses(look: Callable[[], None]) -> Iterator[None]:
    """Have the pauses that begin meanwhile in this thread look every few seconds.

    :param look: raises what ends the task.
    """
    token = _CHECK.set(_Check(look, time.monotonic()))
    try:
        yield
    finally:
        _CHECK.reset(token)


def pause_for(seconds: float) -> None:
    """Block for so many seconds.

    :raises Exception: what the look of :func:`checked_pauses` raises.
    """
    check = _CHECK.get()
    if check is None:
        time.sleep(seconds)
        return
    end = time.monotonic() + seconds
    while (until_look := check.looked + LOOK_SECONDS) <= end:
        time.sleep(max(until_look - time.monotonic(), 0.0))
        check.looked = time.monotonic()
        check.look()
    time.sleep(max(end - time.monotonic(), 0.0))
