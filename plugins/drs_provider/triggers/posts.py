"""The two places where a task waits for AWS, a worker and the triggerer, behind one face.

What a wait does (look, log, judge, collect) is a coroutine over a :class:`Post`, the same in both forms of a task. At a
:class:`TriggererPost` it shares the process's poller with all other waits; at a :class:`WorkerPost` it has the
worker's boto3 client to itself and blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from drs_provider.hooks.calls import BlockingCalls, Calls
from drs_provider.hooks.faults import Fault, classify, error_text
from drs_provider.hooks.ssm import sibling_hook
from drs_provider.triggers.polling import DeadlinePassed, Fetch, PollFailed, PollKey, shared_poller
from drs_provider.triggers.waiting import YOUNGEST_EVENT_SECONDS, error_event, success_event

__all__ = ["Post", "TriggererPost", "Wait", "WaitFailed", "WaitTrigger", "WorkerPost", "deferral_timeout"]

T = TypeVar("T")

#: Airflow ends a deferral when the triggerer has not, so many seconds after the wait's own deadline.
TRIGGERER_GRACE = 900.0
#: How long a question may take although the deadline has passed: it is what tells how the wait ended.
LAST_QUESTION_SECONDS = 30.0
_SLOWEST_RETRY = 30.0
_DEFINITE_TRIES = 3
_PROBES_AT_A_TIME = 50


class WaitFailed(Exception):
    """The wait is over without success.

    :param message: what is told to the person who reads the task's log.
    :param timed_out: whether the deadline passed; what was waited for may still go on.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Wait(Protocol):
    """A watch over some ids: ``async with`` it and ask for the next look."""

    async def __aenter__(self) -> Any: ...

    async def __aexit__(self, *_: object) -> None: ...

    async def next(self, deadline: float) -> dict[str, Any]:
        """Return the next snapshots by id; one look is made even after the deadline."""
        ...


class Post(ABC):
    """Where a task waits."""

    @abstractmethod
    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], seconds: float, *, service: str, batch: int
    ) -> Wait:
        """Return a watch of ids.

        :param kind: what is polled; waits of one kind, connection and region share their calls.
        :param fetch: ``await fetch(client, ids)`` returns snapshots by id.
        :param seconds: between two looks.
        :param service: the AWS service of the client.
        :param batch: the most ids in one ``fetch``.
        """

    @abstractmethod
    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return ``await question(calls)``; transient errors are waited out until the deadline."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Pause."""

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

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service."""
        if service not in self._clients:
            own = self.hook.client_type == service
            self._clients[service] = (self.hook if own else sibling_hook(self.hook, service)).conn
        return self._clients[service]

    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], seconds: float, *, service: str, batch: int
    ) -> Wait:
        """Return a watch that fetches by itself."""
        return _WorkerWatch(self, kind, fetch, ids, seconds, service, batch)

    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return the answer, read with the patience that the deadline leaves."""
        patience = max(deadline - time.time(), LAST_QUESTION_SECONDS)
        return await question(BlockingCalls(self.client(service), patience=patience, log=self.hook.log))

    async def sleep(self, seconds: float) -> None:
        """Block, and end the wait if the task was killed in the meantime."""
        end = time.time() + seconds
        while not self.killed() and (left := end - time.time()) > 0:
            time.sleep(min(left, 1.0))  # noqa: ASYNC251 - no event loop runs here, see run_blocking
        if self.killed():
            raise WaitFailed("The task was killed")

    async def together(self, probes: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
        """Run the probes in a thread with an event loop of its own, and block until they are done."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(lambda: asyncio.run(_together(probes))).result()


class _WorkerWatch:
    def __init__(
        self,
        post: WorkerPost,
        kind: str,
        fetch: Fetch[Any],
        ids: Sequence[str],
        seconds: float,
        service: str,
        batch: int,
    ) -> None:
        self.post, self.kind, self.fetch, self.ids, self.seconds = post, kind, fetch, list(ids), seconds
        self.service, self.batch = service, batch
        self.looked = False

    async def __aenter__(self) -> _WorkerWatch:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def next(self, deadline: float) -> dict[str, Any]:
        pause, refusals, trouble = self.seconds, 0, ""
        while True:
            if self.looked:
                if time.time() >= deadline:
                    raise DeadlinePassed(f"the last poll failed: {trouble}" if trouble else "")
                await self.post.sleep(min(pause * random.uniform(0.9, 1.1), max(deadline - time.time(), 0.0)))
            self.looked = True
            try:
                seen: dict[str, Any] = {}
                client = self.post.client(self.service)
                for start in range(0, len(self.ids), self.batch):
                    seen.update(await self.fetch(client, self.ids[start : start + self.batch]))
                return seen
            except Exception as error:
                trouble = error_text(error)
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
        return shared_poller(key, lambda: _connect(self.hook(service)), fetch, batch=batch)

    def watch(
        self, kind: str, fetch: Fetch[Any], ids: Sequence[str], seconds: float, *, service: str, batch: int
    ) -> Wait:
        """Return a watch of the shared poller."""
        watch: Wait = self._poller(kind, fetch, service, batch).watch(ids, lambda _: seconds)
        return watch

    async def ask(self, question: Callable[[Calls], Awaitable[T]], deadline: float, *, service: str) -> T:
        """Return the answer, read with a client that all questions to the service share."""
        poller = self._poller(f"{service}-question", _nothing, service, 1)
        answer: T = await poller.call(
            lambda client: question(Calls(client)), max(deadline, time.time() + LAST_QUESTION_SECONDS)
        )
        return answer

    async def sleep(self, seconds: float) -> None:
        """Pause."""
        await asyncio.sleep(seconds)

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


async def _nothing(_client: Any, _ids: Iterable[str]) -> dict[str, Any]:
    return {}


class WaitTrigger(BaseTrigger):
    """The base of the triggers over a :class:`Post`: ends its task on success, hands failures to a worker.

    A subclass names its own parameters in ``fields`` and waits in :meth:`wait`. The deadline is a moment of the clock,
    so a triggerer that restarts goes on with what is left of it.

    :param deadline: epoch seconds.
    :param poll_interval: seconds between two looks.
    :param deferred_at: epoch seconds; a trigger that fires too soon after the deferral can fail its task.
    :param aws_conn_id: the Airflow connection; with ``region_name``, ``verify`` and ``botocore_config`` as in the
        amazon provider.
    """

    #: Attributes that are serialised besides those of this class.
    fields: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        deadline: float,
        poll_interval: float = 10.0,
        deferred_at: float | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.deferred_at = time.time() if deferred_at is None else deferred_at
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    @property
    def connection(self) -> dict[str, Any]:
        """The parameters of the connection."""
        return {
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and all that a new process needs to go on."""
        names = (*self.fields, "deadline", "poll_interval", "deferred_at")
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**arguments, **self.connection}

    def hook(self, service: str) -> AwsGenericHook[Any]:
        """Return a hook for a service with this trigger's connection.

        The SDK's own retries are off and its time-outs short unless the configuration says otherwise: the poller sees
        throttling and dead connections at once, and waits on behalf of all.
        """
        config = {"connect_timeout": 10, "read_timeout": 20, "retries": {"total_max_attempts": 1, "mode": "standard"}}
        return AwsGenericHook(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            client_type=service,
            config={**config, **(self.botocore_config or {})},
        )

    def success(self, result: Any) -> TriggerEvent:
        """Return the event of a wait that succeeded: the end of the task, with its return value."""
        return success_event(result, end_task=True)

    @abstractmethod
    async def wait(self, post: Post) -> Any:
        """Wait, and return the task's return value.

        :raises WaitFailed: when the wait is over without success.
        """

    async def stop_work(self) -> None:
        """Stop what is waited for, because a person ended the task. By default it is left alone."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event. Never raises but when cancelled."""
        try:
            event = self.success(await self.wait(TriggererPost(self.hook, self.connection)))
        except asyncio.CancelledError:
            # From 3.3 on Airflow calls on_kill() itself, and only then.
            if not hasattr(BaseTrigger, "on_kill") and await self._ended_by_a_person():
                await self.stop_work()
            raise
        except WaitFailed as failure:
            event = error_event(str(failure), timed_out=failure.timed_out)
        except Exception as error:
            self.log.exception("The wait ended with an error")
            event = error_event(error_text(error), timed_out=False)
        early = self.deferred_at + YOUNGEST_EVENT_SECONDS - time.time()
        await asyncio.sleep(min(max(0.0, early), YOUNGEST_EVENT_SECONDS))
        yield event

    async def on_kill(self) -> None:
        """Stop the work when a person marks the deferred task or clears it; a triggerer's end leaves it alone."""
        await self.stop_work()

    async def _ended_by_a_person(self) -> bool:
        """Whether the task instance is no longer deferred: a cancelled trigger of Airflow 3.2 does not know why."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from asgiref.sync import sync_to_async

        ti: Any = self.task_instance
        with contextlib.suppress(Exception):
            states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
                dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
            )
            return any(state != "deferred" for tasks in states.values() for state in tasks.values())
        return False


def deferral_timeout(trigger: WaitTrigger) -> timedelta:
    """Return the timeout of a deferral: the trigger's own deadline and a grace, should the triggerer be gone."""
    return timedelta(seconds=max(trigger.deadline - time.time(), 0.0) + TRIGGERER_GRACE)
