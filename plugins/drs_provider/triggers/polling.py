"""The shared poller: every wait of one kind, connection and region in one AWS call a tick.

A triggerer may hold hundreds of waits. A client each costs memory (17 MB with an assumed role) and an API call each per
interval; DRS publishes no API rates. So all the waits of one triggerer process that look at the same thing through the
same connection share one client and one poll: ``shared_poller(key, connect, fetch)`` hands out the process's
:class:`Poller` for that key, ``poller.watch(ids, interval)`` adds ids to the poll, ``await watch.next(deadline)``
returns what the last poll saw of them.

Airflow 3.3 has a sharing of its own, ``BaseEventTrigger.shared_stream_key``. It does not fit: the stream is opened with
the arguments of *one* trigger of the group, so it cannot know which ids the others wait for; when it ends, all its
triggers fail; and 3.2 does not have it. A registry for each event loop is one mechanism for both versions.

The rules:

* A transient error (network, 5xx, throttling, expired credentials) never ends a wait. The poll backs off, takes a new
  client where credentials are the cause, and goes on until the waiter's own deadline.
* A definite error (validation, access denied) is first pinned to its id by halving the batch, so that one bad id cannot
  fail the rest, and reaches the waiter when it was seen :data:`DEFINITE_TRIES` times in a row.
* A deadline is a moment of the clock, never a sum of intervals, and a watch always gets one look before it is applied:
  what ended while the triggerer was down counts. A watch whose last poll met a transient error does not know what
  there is at its deadline: it raises :class:`~drs_provider.aws.faults.TransientError`, never ``DeadlinePassed``.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.faults import Fault, TransientError, classify, error_text, transient_cause

__all__ = ["DeadlinePassed", "PollFailed", "PollKey", "Poller", "Watch", "shared_poller"]

log = logging.getLogger(__name__)

S = TypeVar("S")
T = TypeVar("T")
Connect = Callable[[], Awaitable[AbstractAsyncContextManager[Any]]]
Fetch = Callable[[Any, Sequence[str]], Awaitable[Mapping[str, S]]]
Interval = Callable[[Mapping[str, S]], float]

GATHER_SECONDS = 0.2
"""How long a new watch waits for others that start at the same moment, to share their call."""
MIN_GAP_SECONDS = 1.0
"""The shortest time between two ticks of one poller."""
FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0
MAX_SLOWDOWN = 16.0
LINGER_SECONDS = 30.0
"""How long an idle poller keeps its client."""
CLIENT_SECONDS = 1800.0
"""How long a client is used: an assumed role's credentials last an hour, and are renewed by making a new client."""
FIRST_LOOK_SECONDS = 30.0
"""How long a watch may take for its first look although its deadline has passed."""
DEFINITE_TRIES = 3


class DeadlinePassed(Exception):
    """The watch's deadline has passed; the message holds the last error of the poll, if it was failing."""


class PollFailed(Exception):
    """The poll of an id keeps failing for a reason that another try does not cure."""

    def __init__(self, identity: str, error: BaseException) -> None:
        super().__init__(f"{identity}: {error_text(error)}")
        self.identity = identity
        self.error = error


@dataclass(frozen=True)
class PollKey:
    """
    What waits must have in common to share a poll.

    :param kind: What is polled, such as ``drs-job``.
    :param aws_conn_id: The Airflow connection; it stands for the account and the role.
    :param region_name: The AWS region.
    :param verify: Verification of TLS certificates, as text.
    :param botocore_config: The client's configuration as canonical JSON.
    """

    kind: str
    aws_conn_id: str | None = None
    region_name: str | None = None
    verify: str = ""
    botocore_config: str = ""

    @classmethod
    def of(
        cls,
        kind: str,
        *,
        aws_conn_id: str | None,
        region_name: str | None,
        verify: bool | str | None = None,
        botocore_config: Mapping[str, Any] | None = None,
    ) -> PollKey:
        """Return the key for the parameters that a trigger carries."""
        config = json.dumps(botocore_config, sort_keys=True, default=str) if botocore_config else ""
        return cls(kind, aws_conn_id, region_name, "" if verify is None else repr(verify), config)


class Watch(Generic[S]):
    """One waiter's ids in a :class:`Poller`; an async context manager that leaves the poll on exit."""

    def __init__(self, poller: Poller[S], ids: Iterable[str], interval: Interval[S]) -> None:
        self.ids = tuple(dict.fromkeys(ids))
        self.latest: dict[str, S] = {}
        self.next_at = time.monotonic() + GATHER_SECONDS
        # So that the first tick takes along who came while it was gathering.
        self.seconds = 2 * GATHER_SECONDS
        self._poller = poller
        self._interval = interval
        self._ready = asyncio.Event()
        self._failure: PollFailed | None = None
        self._unanswered: TransientError | None = None
        self._looked = False
        self._entered_at = time.time()

    async def __aenter__(self) -> Watch[S]:
        self._poller._add(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._poller._remove(self)

    async def next(self, deadline: float) -> dict[str, S]:
        """
        Wait for the next poll of the ids and return the snapshots, by id; an id that AWS does not show is missing.

        :param deadline: Epoch seconds after which :class:`DeadlinePassed` is raised.
        :raises DeadlinePassed: when the deadline passes first.
        :raises TransientError: when the deadline passes while AWS does not answer.
        :raises PollFailed: when AWS refuses the poll of one of the ids for good.
        """
        if not self._looked:
            deadline = max(deadline, self._entered_at + FIRST_LOOK_SECONDS)
        if not await _happens(self._ready, max(deadline - time.time(), 0.0)):
            if self._unanswered is not None:
                raise self._unanswered
            trouble = self._poller.trouble
            raise DeadlinePassed(f"the last poll failed: {trouble}" if trouble else "")
        self._ready.clear()
        if self._failure is not None:
            raise self._failure
        return dict(self.latest)

    def deliver(self, snapshots: Mapping[str, S], slowdown: float) -> None:
        """Take the outcome of a poll and plan the next one."""
        self.latest = {key: snapshots[key] for key in self.ids if key in snapshots}
        self._looked, self._unanswered = True, None
        self.seconds = max(self._interval(self.latest), MIN_GAP_SECONDS) * slowdown
        self.next_at = time.monotonic() + self.seconds * random.uniform(0.9, 1.1)
        self._ready.set()

    def miss(self, error: TransientError | None) -> None:
        """Take note that a poll got no answer, or a refusal that is not yet sure (None)."""
        self._unanswered = error

    def fail(self, failure: PollFailed) -> None:
        """Hand a definite failure to the waiter."""
        self._failure = failure
        self._ready.set()


class Poller(Generic[S]):
    """
    Polls the ids of all its watches together; made by :func:`shared_poller`.

    :param key: What the watches have in common.
    :param connect: Returns a new async AWS client's context manager, such as ``hook.get_async_conn``.
    :param fetch: ``await fetch(client, ids)`` returns the snapshots by id.
    :param batch: The most ids in one ``fetch``.
    """

    def __init__(self, key: PollKey, connect: Connect, fetch: Fetch[S], batch: int = 200) -> None:
        self.key = key
        self.fetches = 0
        self.trouble = ""
        self._connect = connect
        self._fetch = fetch
        self._batch = batch
        self._watches: list[Watch[S]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stack: AsyncExitStack | None = None
        self._client: Any = None
        self._client_until = 0.0
        self._connecting = asyncio.Lock()
        self._backoff = 0.0
        self._slowdown = 1.0
        self._refused: dict[str, int] = {}
        self._failures: dict[str, PollFailed] = {}
        self._unanswered: TransientError | None = None
        self._calling = 0
        self._calls = 0

    def watch(self, ids: Iterable[str], interval: Interval[S]) -> Watch[S]:
        """
        Return a watch of ``ids``, to be used in ``async with``.

        :param interval: Called with the latest snapshots of the ids, returns the seconds until they should be polled
            again. They may be polled earlier, when others of the poller are due.
        """
        return Watch(self, ids, interval)

    async def call(self, function: Callable[[Any], Awaitable[T]], deadline: float) -> T:
        """
        Return ``await function(client)`` with the shared client; transient errors are tried again until ``deadline``.

        At least one try is made. The last error is raised when it is definite or the deadline has passed.
        """
        self._calling += 1
        self._calls += 1
        self._ensure_running()
        try:
            return await self._call(function, deadline)
        finally:
            self._calling -= 1

    async def _call(self, function: Callable[[Any], Awaitable[T]], deadline: float) -> T:
        pauses = Backoff(deadline, first=FIRST_BACKOFF_SECONDS, longest=MAX_BACKOFF_SECONDS)
        while True:
            try:
                return await function(await self._connected())
            except Exception as error:
                if classify(error) is Fault.DEFINITE or pauses.is_over:
                    raise
                log.warning("%s: %s; asking again in %.0f s", self.key.kind, error_text(error), pauses.pause)
                if classify(error) is Fault.EXPIRED:
                    await self._disconnect()
                await asyncio.sleep(pauses.take())

    def _add(self, watch: Watch[S]) -> None:
        self._watches.append(watch)
        self._wake.set()
        self._ensure_running()

    def _remove(self, watch: Watch[S]) -> None:
        self._watches.remove(watch)
        waiting = {identity for other in self._watches for identity in other.ids}
        self._refused = {key: tries for key, tries in self._refused.items() if key in waiting}
        self._wake.set()

    def _ensure_running(self) -> None:
        if self._task is None or self._task.done():
            # In an empty context: the poll's log lines belong to the process, not to the task that came first.
            loop = asyncio.get_running_loop()
            self._task = contextvars.Context().run(loop.create_task, self._run())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and self._watches:
            self._ensure_running()

    async def _run(self) -> None:
        try:
            while self._watches or await self._another_watch():
                now = time.monotonic()
                first = min(watch.next_at for watch in self._watches)
                if first > now:
                    await self._sleep(first - now)
                    continue
                # Whoever is at least half way to the next look shares the call.
                due = [watch for watch in self._watches if watch.next_at - now <= watch.seconds / 2]
                await self._tick(due)
                await asyncio.sleep(max(MIN_GAP_SECONDS, self._backoff) * random.uniform(0.9, 1.1))
        finally:
            await self._disconnect()

    async def _sleep(self, seconds: float) -> None:
        self._wake.clear()
        await _happens(self._wake, seconds)

    async def _another_watch(self) -> bool:
        """Wait for another watch as long as the client is used, and a while longer."""
        while True:
            calls = self._calls
            await self._sleep(LINGER_SECONDS)
            if self._watches or not (self._calling or self._calls > calls):
                return bool(self._watches)

    async def _tick(self, due: Sequence[Watch[S]]) -> None:
        ids = list(dict.fromkeys(identity for watch in due for identity in watch.ids))
        seen: dict[str, S] = {}
        missed: set[str] = set()
        for start in range(0, len(ids), self._batch):
            await self._poll(ids[start : start + self._batch], seen, missed)
        for watch in due:
            if missed.isdisjoint(watch.ids):
                watch.deliver(seen, self._slowdown)
            else:
                watch.miss(self._unanswered)
                self._hand_over_refusals(watch)

    def _hand_over_refusals(self, watch: Watch[S]) -> None:
        for identity in watch.ids:
            failure = self._failures.get(identity)
            if failure is not None and self._refused.get(identity, 0) >= DEFINITE_TRIES:
                watch.fail(failure)
                # The waiter leaves on its own; until then its ids need no poll.
                watch.next_at = time.monotonic() + MAX_BACKOFF_SECONDS
                return

    async def _poll(self, ids: Sequence[str], seen: dict[str, S], missed: set[str]) -> None:
        try:
            client = await self._connected()
            self.fetches += 1
            seen.update(await self._fetch(client, ids))
        except Exception as error:
            await self._missed(ids, error, seen, missed)
        else:
            self.trouble = ""
            self._backoff = 0.0
            self._slowdown = max(1.0, self._slowdown * 0.8)
            for identity in ids:
                self._refused.pop(identity, None)

    async def _missed(self, ids: Sequence[str], error: Exception, seen: dict[str, S], missed: set[str]) -> None:
        fault = classify(error)
        self.trouble = error_text(error)
        self._unanswered = transient_cause(error)
        if fault is Fault.DEFINITE and len(ids) > 1:
            middle = len(ids) // 2
            await self._poll(ids[:middle], seen, missed)
            await self._poll(ids[middle:], seen, missed)
            return
        missed.update(ids)
        if fault is Fault.DEFINITE:
            self._refused[ids[0]] = self._refused.get(ids[0], 0) + 1
            self._failures[ids[0]] = PollFailed(ids[0], error)
        else:
            if fault is Fault.THROTTLED:
                self._slowdown = min(self._slowdown * 2, MAX_SLOWDOWN)
            self._backoff = min(max(self._backoff * 2, FIRST_BACKOFF_SECONDS), MAX_BACKOFF_SECONDS)
            if fault is not Fault.THROTTLED:
                # A new client: credentials may have been renewed, a connection pool may be dead.
                await self._disconnect()
        log.warning("Poll of %d %s failed, goes on in %.0f s: %s", len(ids), self.key.kind, self._backoff, self.trouble)

    async def _connected(self) -> Any:
        async with self._connecting:
            if self._client is not None and time.monotonic() > self._client_until:
                await self._disconnect()
            if self._client is None:
                stack = AsyncExitStack()
                self._client = await stack.enter_async_context(await self._connect())
                self._stack = stack
                self._client_until = time.monotonic() + CLIENT_SECONDS
            return self._client

    async def _disconnect(self) -> None:
        stack, self._stack, self._client = self._stack, None, None
        if stack is not None:
            with contextlib.suppress(Exception):
                await stack.aclose()


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """
    Wait until an event is set, for so many seconds at most; return whether it is.

    Not by ``asyncio.wait_for``: until Python 3.12 it loses a cancellation that comes together with the event, and a
    poller that should end with its event loop lingered on.
    """
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiting], timeout=seconds)
    finally:
        waiting.cancel()
    return event.is_set()


_POLLERS: dict[asyncio.AbstractEventLoop, dict[PollKey, Poller[Any]]] = {}


def shared_poller(key: PollKey, connect: Connect, fetch: Fetch[S], *, batch: int = 200) -> Poller[S]:
    """
    Return the running event loop's poller for ``key``, made from the other arguments where there is none yet.

    :param connect: Returns a new async client's context manager; called again when the client has to be replaced.
    :param fetch: ``await fetch(client, ids)`` returns the snapshots by id. An id that it leaves out counts as polled
        and not found. May raise what the client raises.
    :param batch: The most ids in one ``fetch``: the API's own limit.
    """
    for loop in [loop for loop in _POLLERS if loop.is_closed()]:
        del _POLLERS[loop]
    pollers = _POLLERS.setdefault(asyncio.get_running_loop(), {})
    if key not in pollers:
        pollers[key] = Poller(key, connect, fetch, batch)
    return cast("Poller[S]", pollers[key])
