"""Writes the live data of every wait of a process: at a change and every 15 s, off the event loop, at a bounded rate.

A triggerer may hold a thousand waits. Their files are written by one task of the event loop, at most
:data:`WRITES_A_SECOND` a second: what has changed goes first, and the more waits there are, the rarer is a file written
that has not. A file has one writer, the process in which its task waits. Nothing here fails a wait: what cannot be
written is tried again at the next turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from typing import Any

from drs_provider.airflow_compat import ask_in_triggerer
from drs_provider.live.model import LiveTask, LiveWait, Outcome
from drs_provider.stored_files import make_folder, stored_path, write_whole

__all__ = [
    "EVERY_SECONDS",
    "FOLDER",
    "NO_PROGRESS",
    "WRITES_A_SECOND",
    "LiveWriter",
    "Progress",
    "WaitProgress",
    "first_look",
    "live_writer",
    "write_live",
]

log = logging.getLogger(__name__)

FOLDER = "live"
"""The folder of these files, in that of the run's report."""
EVERY_SECONDS = 15.0
WRITES_A_SECOND = 20
"""Of one process, beside which a file that has not changed is written more rarely."""
AT_A_TIME = 4
"""Writes that go on at the same moment; an object store takes a tenth of a second for each."""
LAST_WRITE_SECONDS = 5.0
"""How long the end of a wait is held up by its last write."""


class Progress:
    """Takes what a wait sees; this one drops it: of a wait that nobody watches."""

    names: Mapping[str, str | None] = {}
    """Host names by source server id, where the task knows them."""
    is_watched = False
    """Whether it is worth the while to put together what is shown."""

    def show(self, **seen: Any) -> None:
        """Take what changed.

        :param seen: fields of :class:`~drs_provider.live.model.LiveWait`.
        """

    async def end(self, outcome: Outcome) -> None:
        """Write the outcome, and no more after it."""

    def leave(self) -> None:
        """Write no more: the wait goes on elsewhere."""


NO_PROGRESS = Progress()


class WaitProgress(Progress):
    """The progress of one wait, whose file a :class:`LiveWriter` writes.

    :param writer: the writer of the event loop.
    :param folder: the folder of the run's report.
    :param wait: what is known before the first look.
    :param names: host names by source server id.
    """

    is_watched = True

    def __init__(
        self, writer: LiveWriter, folder: str, wait: LiveWait, names: Mapping[str, str | None] | None = None
    ) -> None:
        self.folder = folder
        self.wait = wait
        self.names = names or {}
        self.changed = True
        self.written = 0.0
        """When it was written last, by the monotonic clock."""
        self.turn = asyncio.Lock()
        """One write of a file at a time: the last one has to be the last."""
        self._writer = writer

    def show(self, **seen: Any) -> None:
        """Take what changed; what is as before costs a comparison."""
        if any(getattr(self.wait, name) != value for name, value in seen.items()):
            self.wait = self.wait.model_copy(update=seen)
            self.changed = True
            self._writer.wake()

    async def end(self, outcome: Outcome) -> None:
        """Write the outcome, for a few seconds at most: the task waits for it."""
        self.leave()
        self.wait = self.wait.model_copy(update={"state": "ended", "outcome": outcome})
        try:
            await asyncio.wait_for(self._writer.write(self, None), LAST_WRITE_SECONDS)
        except Exception as error:
            log.warning("The end of the wait of %s is not in its live data: %r", self.wait.task_id, error)

    def leave(self) -> None:
        """Write no more."""
        self._writer.remove(self)


class LiveWriter:
    """The writer of the waits of one event loop.

    :param store: writes one file, blocking; called in other threads.
    :param clock: returns seconds that never go back.
    :param pause: waits so many seconds, or until an event where one is given.
    """

    def __init__(
        self,
        store: Callable[[str, LiveWait], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float, asyncio.Event | None], Awaitable[None]] | None = None,
    ) -> None:
        self._store = store or write_live
        self._clock = clock
        self._pause = pause or _pause
        self._waits: dict[int, WaitProgress] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._refused = 0.0
        # Its own: a store that hangs must not take the threads in which the process asks Airflow.
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="live-data")

    @property
    def every_seconds(self) -> float:
        """Seconds after which a file is written that has not changed."""
        return max(EVERY_SECONDS, 2 * len(self._waits) / WRITES_A_SECOND)

    def open(self, folder: str, wait: LiveWait, names: Mapping[str, str | None] | None = None) -> WaitProgress:
        """Begin to write the file of a wait, from now on until it ends or leaves."""
        progress = WaitProgress(self, folder, wait, names)
        self._waits[id(progress)] = progress
        self.wake()
        if self._task is None or self._task.done():
            # In an empty context: the log lines belong to the process, not to the task that came first.
            self._task = contextvars.Context().run(asyncio.get_running_loop().create_task, self._run())
        return progress

    def wake(self) -> None:
        """Look for changes at the next turn."""
        self._wake.set()

    def remove(self, progress: WaitProgress) -> None:
        """Forget a wait."""
        self._waits.pop(id(progress), None)

    async def write(self, progress: WaitProgress, every: float | None) -> None:
        """Write the file of a wait now, in another thread.

        :param every: seconds after which it will be written again; None: this is the last time.
        """
        async with progress.turn:
            if every is not None and id(progress) not in self._waits:
                return  # It ended meanwhile.
            now = datetime.now(timezone.utc)
            wait = progress.wait.model_copy(update={"written_at": now, "written_every": every})
            progress.changed = False
            progress.written = self._clock()
            await ask_in_triggerer(lambda: self._store(progress.folder, wait), self._threads)

    async def _run(self) -> None:
        while self._waits:
            self._wake.clear()
            await self._turn()
            # One turn a second: changes of a moment share it, and the rate is bounded by what a turn writes.
            await self._pause(1.0, None)
            if self._waits and not any(each.changed for each in self._waits.values()):
                await self._pause(max(self._until_next(), 0.0), self._wake)

    def _until_next(self) -> float:
        oldest = min(each.written for each in self._waits.values())
        return oldest + self.every_seconds - self._clock()

    async def _turn(self) -> None:
        now, every = self._clock(), self.every_seconds
        due = [each for each in self._waits.values() if each.changed or now - each.written >= every]
        # Changes first; of those, and of the others, the file that was written longest ago.
        due.sort(key=lambda each: (not each.changed, each.written))
        slots = asyncio.Semaphore(AT_A_TIME)

        async def one(progress: WaitProgress) -> None:
            async with slots:
                try:
                    await self.write(progress, every)
                except Exception as error:
                    progress.changed = True
                    if now >= self._refused:
                        self._refused = now + 300.0
                        log.warning("Live data cannot be written to %s, trying again: %r", progress.folder, error)

        await asyncio.gather(*(one(each) for each in due[:WRITES_A_SECOND]))


async def _pause(seconds: float, until: asyncio.Event | None) -> None:
    if until is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(until.wait(), seconds)


def write_live(folder: str, wait: LiveWait) -> None:
    """Write the file of a wait, whole, in the place of the one before.

    :param folder: the folder of the run's report, a path or a URL.
    :raises OSError: when it cannot be written, or the object store's own error.
    """
    place = stored_path(folder) / FOLDER
    make_folder(place)
    write_whole(place, f"{wait.task_id}.json", wait.model_dump_json(indent=1) + "\n")


_WRITERS: dict[asyncio.AbstractEventLoop, LiveWriter] = {}


def live_writer() -> LiveWriter:
    """Return the writer of the running event loop."""
    for loop in [loop for loop in _WRITERS if loop.is_closed()]:
        del _WRITERS[loop]
    return _WRITERS.setdefault(asyncio.get_running_loop(), LiveWriter())


def first_look(task: LiveTask, gives_up: float | None, what: str = "") -> LiveWait:
    """Return what is known of a wait before its first look.

    :param gives_up: when the wait ends without success, in epoch seconds.
    :param what: what is waited for, in words.
    """
    now = datetime.now(timezone.utc)
    end = None if gives_up is None else datetime.fromtimestamp(gives_up, timezone.utc)
    return LiveWait(**task.model_dump(), gives_up_at=end, what=what, written_at=now)
