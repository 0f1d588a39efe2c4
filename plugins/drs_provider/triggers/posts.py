"""The two places where a task waits for AWS, a worker and the triggerer, behind one face.

What a wait does (look, log, judge, collect) is a coroutine over a :class:`Post`, the same in both forms of a task. At a
:class:`TriggererPost` it shares the process's poller with all other waits; at a :class:`WorkerPost` it has the
worker's boto3 client to itself and blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from drs_provider.aws.calls import BlockingCalls, Calls, patience_of
from drs_provider.aws.faults import Fault, TransientError, classify, error_text, transient_cause
from drs_provider.aws.pauses import pause_for
from drs_provider.hooks.ssm import sibling_hook
from drs_provider.live.writing import NO_PROGRESS, Progress
from drs_provider.triggers.polling import DeadlinePassed, Fetch, Interval, PollFailed, PollKey, shared_poller

__all__ = ["NotYet", "OneLook", "Post", "TriggererPost", "Wait", "WaitFailed", "WorkerPost"]

T = TypeVar("T")

#: How long a question may take although the deadline has passed: it is what tells how the wait ended.
LAST_QUESTION_SECONDS = 30.0
_SLOWEST_RETRY = 30.0
_DEFINITE_TRIES = 3
_PROBES_AT_A_TIME = 50


class WaitFailed(Exception):
    """The wait is over without success.

    :param message: what is told to the person who reads the task's log.
    :param timed_out: whether the deadline passed; what was waited for may still go on.
    :param details: what the worker gets besides the message, as JSON.
    """

    def __init__(self, message: str, *, timed_out: bool = False, **details: Any) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.details = details


class NotYet(Exception):
    """One look was asked for, and what is waited for has not ended; its time is not up either."""


class Wait(Protocol):
    """A watch over some ids: ``async with`` it and ask for the next look."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def next(self, deadline: float) -> dict[str, Any]:
        """Return the next snapshots by id; one look is made even after the deadline.

        :raises TransientError: when AWS does not answer at the deadline.
        """
        ...


class Post(ABC):
    """Where a task waits, and who is shown what the wait sees."""

    progress: Progress = NO_PROGRESS

    @abstractmethod
    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], interval: Interval[Any], *, service: str, batch: int
    ) -> Wait:
        """Return a watch of ids.

        :param kind: what is polled; waits of one kind, connection and region share their calls.
        :param fetch: ``await fetch(calls, ids)`` returns snapshots by id.
        :param interval: called with the latest snapshots, returns the seconds until the next look.
        :param service: the AWS service of the client.
        :param batch: the most ids in one ``fetch``.
        """

    @abstractmethod
    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return ``await question(calls)``; transient errors are waited out until the deadline."""

    @abstractmethod
    def elsewhere(self, hook: Callable[[str], AwsGenericHook[Any]], connection: Mapping[str, Any]) -> Post:
        """Return a post like this one over another connection.

        :param hook: makes its hook for a service.
        :param connection: its ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.
        """

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Pause."""

    @abstractmethod
    async def tell(self, write: Callable[[], None]) -> None:
        """Write to the task's log, where that takes time nobody else waits for."""

    @abstractmethod
    def beating(self, seconds: float, beat: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """Write to the task's log every so many seconds meanwhile, whether AWS answers or not."""

    @abstractmethod
    async def together(self, probes: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Return the outcomes of probes that need an event loop, run at the same time."""


class WorkerPost(Post):
    """A wait in a worker, for the synchronous form of a task; the coroutine is run by ``run_blocking``.

    :param hook: a hook of the service, or of another one with the same connection.
    :param killed: asked while waiting: the task was killed, and the wait ends.
    """

    def __init__(self, hook: AwsGenericHook[Any], killed: Callable[[], bool] = lambda: False) -> None:
        self.hook = hook
        self.killed = killed
        self._clients: dict[str, Any] = {}
        self._beat: tuple[float, Callable[[], None]] | None = None
        self._next_beat = math.inf

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service."""
        if service not in self._clients:
            own = self.hook.client_type == service
            self._clients[service] = (self.hook if own else sibling_hook(self.hook, service)).conn
        return self._clients[service]

    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], interval: Interval[Any], *, service: str, batch: int
    ) -> Wait:
        """Return a watch that fetches by itself."""
        return _WorkerWatch(self, kind, fetch, ids, interval, service, batch)

    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return the answer, read with the patience that the deadline leaves."""
        patience = max(deadline - time.time(), LAST_QUESTION_SECONDS)
        return await question(BlockingCalls(self.client(service), patience=patience, log=self.hook.log))

    def elsewhere(self, hook: Callable[[str], AwsGenericHook[Any]], connection: Mapping[str, Any]) -> Post:
        """Return a post over another connection's hook."""
        return type(self)(hook("drs"), self.killed)

    async def sleep(self, seconds: float) -> None:
        """Block, and end the wait if the task was killed in the meantime."""
        end = time.time() + seconds
        while not self.killed() and (left := end - time.time()) > 0:
            pause_for(min(left, 1.0))
            if self._beat is not None and time.time() >= self._next_beat:
                every, beat = self._beat
                self._next_beat = time.time() + every
                beat()
        if self.killed():
            raise WaitFailed("The task was killed")

    async def tell(self, write: Callable[[], None]) -> None:
        """Write at once: nobody else waits."""
        write()

    @asynccontextmanager
    async def beating(self, seconds: float, beat: Callable[[], None]) -> AsyncIterator[None]:
        """Write in the pauses of the wait."""
        self._beat, self._next_beat = (seconds, beat), time.time() + seconds
        try:
            yield
        finally:
            self._beat = None

    async def together(self, probes: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Run the probes in a thread with an event loop of its own, and block until they are done."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_together(probes))).result()


class OneLook(WorkerPost):
    """A worker that looks once: where a wait would pause for the next look, it raises :class:`NotYet`."""

    async def sleep(self, seconds: float) -> None:
        """Do not wait.

        :raises NotYet: always.
        """
        raise NotYet


class _WorkerWatch:
    def __init__(
        self,
        post: WorkerPost,
        kind: str,
        fetch: Fetch[Any],
        ids: Sequence[str],
        interval: Interval[Any],
        service: str,
        batch: int,
    ) -> None:
        self.post, self.kind, self.fetch, self.ids, self.interval = post, kind, fetch, list(ids), interval
        self.service, self.batch = service, batch
        self.seen: dict[str, Any] = {}
        self.looked = False

    async def __aenter__(self) -> _WorkerWatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def next(self, deadline: float) -> dict[str, Any]:
        pause, refusals, trouble = self.interval(self.seen), 0, ""
        unanswered: TransientError | None = None
        # Not for ever in a worker that a better place to wait is known for.
        blind_until = min(deadline, time.time() + patience_of(math.inf))
        while True:
            if self.looked:
                if unanswered is not None and time.time() >= blind_until:
                    raise unanswered
                if time.time() >= deadline:
                    raise DeadlinePassed(f"the last poll failed: {trouble}" if trouble else "")
                await self.post.sleep(min(pause * random.uniform(0.9, 1.1), max(deadline - time.time(), 0.0)))
            self.looked = True
            try:
                seen: dict[str, Any] = {}
                calls = BlockingCalls(self.post.client(self.service))
                for start in range(0, len(self.ids), self.batch):
                    seen.update(await self.fetch(calls, self.ids[start : start + self.batch]))
                self.seen = seen
                return dict(seen)
            except Exception as error:
                trouble, unanswered = error_text(error), transient_cause(error)
                refusals = refusals + 1 if classify(error) is Fault.DEFINITE else 0
                if refusals >= _DEFINITE_TRIES or (refusals and time.time() >= deadline):
                    raise PollFailed(", ".join(self.ids[:3]), error) from error
                pause = min(max(pause * 2, 1.0), _SLOWEST_RETRY)
                self.post.hook.log.warning("Poll of %s failed, goes on in %.0f s: %s", self.kind, pause, trouble)


class TriggererPost(Post):
    """A wait in the triggerer, which shares clients and polls with the others of the process.

    :param hook: makes the hook for a service; called when a client is needed.
    :param connection: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config`` of the wait.
    """

    def __init__(self, hook: Callable[[str], AwsGenericHook[Any]], connection: Mapping[str, Any]) -> None:
        self.hook = hook
        self.connection = dict(connection)

    def _poller(self, kind: str, fetch: Fetch[Any], service: str, batch: int) -> Any:
        key = PollKey.of(kind, **self.connection)
        return shared_poller(
            key, lambda: _connect(self.hook(service)), lambda client, ids: fetch(Calls(client), ids), batch=batch
        )

    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], interval: Interval[Any], *, service: str, batch: int
    ) -> Wait:
        """Return a watch of the shared poller."""
        watch: Wait = self._poller(kind, fetch, service, batch).watch(ids, interval)
        return watch

    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return the answer, read with a client that all questions to the service share."""
        poller = self._poller(f"{service}-question", _nothing, service, 1)
        answer: T = await poller.call(
            lambda client: question(Calls(client)), max(deadline, time.time() + LAST_QUESTION_SECONDS)
        )
        return answer

    def elsewhere(self, hook: Callable[[str], AwsGenericHook[Any]], connection: Mapping[str, Any]) -> Post:
        """Return a post that shares the clients and polls of another connection."""
        return TriggererPost(hook, connection)

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)

    async def tell(self, write: Callable[[], None]) -> None:
        """Write from a thread: the disk of a log must not hold up the waits of all other tasks."""
        await asyncio.to_thread(write)

    @asynccontextmanager
    async def beating(self, seconds: float, beat: Callable[[], None]) -> AsyncIterator[None]:
        """Write from a thread, beside the wait."""

        async def beats() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self.tell(beat)

        beating = asyncio.create_task(beats())
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await beating

    async def together(self, probes: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Run the probes in this event loop."""
        return await _together(probes)


async def _together(probes: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    slots = asyncio.Semaphore(_PROBES_AT_A_TIME)

    async def one(probe: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await probe()

    return await asyncio.gather(*(one(probe) for probe in probes))


def _connect(hook: Any) -> Any:
    return hook.get_async_conn()


async def _nothing(_calls: Calls, _ids: Iterable[str]) -> dict[str, Any]:
    return {}
