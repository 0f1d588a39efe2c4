"""The simulator's time: the wall clock, a speed factor for durations, and the things that are due later.

Timestamps stay real: `now()` is the wall clock, and only durations are divided by the speed factor (`scaled`).
What happens later is put down with `call_at`; it happens at its time, whether or not anybody polls: a timer thread
calls what is due, and every API call first calls what is due, so that an answer is never older than its clock.
A callback sees its own due time as `now()`, so that what it records carries the exact time of the phase.

Answers may be kept for as long as nothing changes: `version` counts the changes of state, and `watched` says for how
long what was worked out from the time holds.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Clock", "Horizon", "Timer"]

logger = logging.getLogger(__name__)


class Timer:
    """One thing that is due: `cancel()` it, or read `due` (epoch seconds)."""

    __slots__ = ("callback", "cancelled", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Never call it."""
        self.cancelled = True


class Horizon:
    """For how long an answer holds, by the questions that were asked of the clock while it was made.

    `moment`: it says the time itself, so that it holds at that moment only. `until`: it holds before then.
    """

    __slots__ = ("moment", "until")

    def __init__(self) -> None:
        self.moment: float | None = None
        self.until = math.inf

    def holds(self, now: float) -> bool:
        """Whether the answer is the same at that time (epoch seconds)."""
        return now < self.until if self.moment is None else now == self.moment


class Clock:
    """Wall clock over a speed factor, which can be frozen and moved by hand.

    :param speed: how much faster than AWS phases pass; 60 makes a minute of AWS one second.
    """

    def __init__(self, speed: float = 1.0) -> None:
        self.set_speed(speed)
        #: The one lock of the simulation: callbacks and API calls run under it.
        self.lock = threading.RLock()
        self._offset = 0.0
        self._frozen_at: float | None = None
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._local = threading.local()
        #: Called before each thing that is due.
        self.before_due: Callable[[], None] = lambda: None
        self._version = 0

    def now(self) -> float:
        """The time in epoch seconds; inside a callback, the moment at which that callback was due."""
        now = self.glance()
        horizon: Horizon | None = getattr(self._local, "horizon", None)
        if horizon is not None:
            horizon.moment = now
        return now

    def glance(self) -> float:
        """The time, for whoever says by `holds_until` for how long what follows from it holds."""
        at: float | None = getattr(self._local, "at", None)
        return self._outside() if at is None else at

    def holds_until(self, at: float) -> None:
        """Say that what is being answered is another at that time (epoch seconds); not later than now: at any time."""
        horizon: Horizon | None = getattr(self._local, "horizon", None)
        if horizon is None:
            return
        now = self.glance()
        if at <= now:
            horizon.moment = now
        else:
            horizon.until = min(horizon.until, at)

    def reached(self, at: float) -> bool:
        """Whether it is that time yet (epoch seconds), or later."""
        reached = self.glance() >= at
        if not reached:
            self.holds_until(at)
        return reached

    @contextmanager
    def watched(self) -> Iterator[Horizon]:
        """Note for how long what this thread works out meanwhile holds."""
        before = getattr(self._local, "horizon", None)
        self._local.horizon = horizon = Horizon()
        try:
            yield horizon
        finally:
            self._local.horizon = before

    def changed(self) -> None:
        """Count a change of state, before it happens: no answer from before is given again."""
        with self._wake:
            self._version += 1

    def settled(self) -> int | None:
        """The version of the state, where nothing is due; None where something has to happen first."""
        now = self._outside()
        with self._wake:
            return None if self._heap and self._heap[0][0] <= now else self._version

    def set_speed(self, speed: float) -> None:
        """Let what begins from now on pass at another speed."""
        if not 0 < speed < math.inf:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed

    def scaled(self, seconds: float) -> float:
        """A duration of AWS, in seconds, as the seconds that it takes here."""
        return seconds / self.speed

    def call_at(self, due: float, callback: Callable[[], None]) -> Timer:
        """Call back at an epoch time, in the order of the due times, under `lock`."""
        timer = Timer(due, callback)
        with self._wake:
            heapq.heappush(self._heap, (due, next(self._order), timer))
            if self._heap[0][2] is timer:
                self._wake.notify()
        return timer

    def call_in(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back after a duration of AWS (seconds before the speed factor)."""
        return self.call_at(self.now() + self.scaled(seconds), callback)

    def run_due(self) -> None:
        """Call everything that is due by now, in order."""
        with self.lock:
            self._run_until(self._outside())

    @contextmanager
    def set_back(self, at: float) -> Iterator[None]:
        """Let `now()` be an earlier moment (epoch seconds) for this thread, in which nothing is due."""
        before = getattr(self._local, "at", None)
        self._local.at = at
        try:
            yield
        finally:
            self._local.at = before

    def freeze(self) -> None:
        """Stop the clock where it is."""
        with self.lock:
            if self._frozen_at is None:
                self._frozen_at = self._outside()

    def resume(self) -> None:
        """Let a frozen clock go on from where it stands."""
        with self.lock:
            if self._frozen_at is not None:
                self._offset = self._frozen_at - time.time()
                self._frozen_at = None
        with self._wake:
            self._wake.notify()

    def advance(self, seconds: float) -> None:
        """Move the clock on by `seconds` (clock seconds, not divided by the speed) and call all that becomes due."""
        if not 0 <= seconds < math.inf:
            raise ValueError(f"the clock only moves forward, by seconds: not by {seconds}")
        with self.lock:
            target = self._outside() + seconds
            if self._frozen_at is not None:
                self._frozen_at = target
            else:
                self._offset += seconds
            self._run_until(target)
        with self._wake:
            self._wake.notify()

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen_at is not None

    def clear(self) -> None:
        """Forget everything that is due, and by how much a clock that runs was moved on."""
        with self._wake:
            self._version += 1
            self._heap.clear()
            self._offset = 0.0

    def start(self) -> None:
        """Start the timer thread, which calls what is due when nobody asks."""
        if self._thread is None:
            self._stopped = False
            self._thread = threading.Thread(target=self._serve, name="drs-simulator-clock", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the timer thread."""
        thread, self._thread = self._thread, None
        with self._wake:
            self._stopped = True
            self._wake.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)

    def _outside(self) -> float:
        return self._frozen_at if self._frozen_at is not None else time.time() + self._offset

    def _pop(self, until: float) -> Timer | None:
        with self._wake:
            if self._heap and self._heap[0][0] <= until:
                self._version += 1  # Together with the heap, so that `settled` sees both or neither.
                return heapq.heappop(self._heap)[2]
            return None

    def _run_until(self, until: float) -> None:
        if getattr(self._local, "at", None) is not None:
            return  # A callback that asks is already being served in order.
        while (timer := self._pop(until)) is not None:
            if timer.cancelled:
                continue
            self._local.at = timer.due
            try:
                self.before_due()
                timer.callback()
            except Exception:
                logger.exception("What was due at %s failed", timer.due)
            finally:
                self._local.at = None

    def _serve(self) -> None:
        while True:
            with self._wake:
                if self._stopped:
                    return
                if self._frozen_at is not None or not self._heap:
                    self._wake.wait(timeout=1.0)
                    continue
                wait = self._heap[0][0] - self._outside()
                if wait > 0:
                    self._wake.wait(timeout=min(wait, 1.0))
                    continue
            self.run_due()
