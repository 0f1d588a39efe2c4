"""The watch for requests in a triggerer: one look for all the waits of the process, whichever DAGs they are of."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from functools import partial
from typing import TypeVar

from drs_provider.airflow_compat import ask_in_triggerer
from drs_provider.requests.channel import pending_request, read_bell
from drs_provider.requests.model import RunRequest

__all__ = ["LOOK_SECONDS", "RequestWatch", "request_watch"]

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 10.0
"""Seconds between two looks at the bell."""


class RequestWatch:
    """Tells the waits of one event loop when their run is asked to stop.

    Each tick is one read of the bell. Requests themselves are read for a DAG when a wait of it joins, after the bell
    has rung, and after a look that failed.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Future[RunRequest]]] = {}
        self._unread: set[str] = set()
        self._bell: str | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def stop_requested(self, dag_id: str) -> RunRequest:
        """Wait until a drill of a DAG is asked to stop, and return the request."""
        future: asyncio.Future[RunRequest] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(dag_id, set()).add(future)
        self._unread.add(dag_id)
        self._wake.set()
        if self._task is None or self._task.done():
            # In an empty context: the log lines belong to the process, not to the task that came first.
            loop = asyncio.get_running_loop()
            self._task = contextvars.Context().run(loop.create_task, self._run())
        try:
            return await future
        finally:
            waiting = self._waiting.get(dag_id, set())
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(dag_id, None)

    async def _run(self) -> None:
        while self._waiting:
            self._wake.clear()
            try:
                await self._look()
            except Exception as error:
                # Airflow does not answer: the waits go on, and so do the looks.
                log.warning("Requests of runs could not be read, looking again in %.0f s: %r", LOOK_SECONDS, error)
            waking = asyncio.ensure_future(self._wake.wait())
            try:
                # Not at once for each wait that joins: those that join together share a look.
                await asyncio.sleep(1.0)
                await asyncio.wait([waking], timeout=LOOK_SECONDS - 1.0)
            finally:
                waking.cancel()

    async def _look(self) -> None:
        bell = await ask_in_triggerer(read_bell)
        if bell != self._bell:
            self._unread |= set(self._waiting)
        self._bell = bell
        for dag_id in sorted(self._unread):
            if dag_id in self._waiting:
                request = await ask_in_triggerer(partial(pending_request, "stop_drill", dag_id))
                if request is not None:
                    for future in self._waiting.get(dag_id, ()):
                        if not future.done():
                            future.set_result(request)
            self._unread.discard(dag_id)


_WATCHES: dict[asyncio.AbstractEventLoop, RequestWatch] = {}


def request_watch() -> RequestWatch:
    """Return the watch of the running event loop."""
    for loop in [loop for loop in _WATCHES if loop.is_closed()]:
        del _WATCHES[loop]
    return _WATCHES.setdefault(asyncio.get_running_loop(), RequestWatch())
