"""Waits that end early when their run is asked to stop: a drill, because a recovery of its plan waits."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncIterator, Awaitable
from importlib import import_module
from typing import Any, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from drs_provider.requests.model import RunRequest
from drs_provider.requests.watching import request_watch

__all__ = ["STOP_REQUEST", "StopRequested", "StoppableTrigger", "stop_event", "unless_stopped"]

T = TypeVar("T")

STOP_REQUEST = "stop_request"
"""The key of the request in the event of a wait that it ended."""


class StopRequested(Exception):
    """The run was asked to stop while it waited.

    :param request: who asks, and why.
    """

    def __init__(self, request: RunRequest) -> None:
        super().__init__(str(request))
        self.request = request


async def unless_stopped(wait: Awaitable[T], dag_id: str | None) -> T:
    """Return what a wait returns.

    :param wait: it is cancelled when the run is asked to stop.
    :param dag_id: the DAG whose drills may be asked to stop; None: this wait heeds no request.
    :raises StopRequested: when the run was asked to stop first.
    """
    if dag_id is None:
        return await wait
    waiting = asyncio.ensure_future(wait)
    stopping = asyncio.ensure_future(request_watch().stop_requested(dag_id))
    try:
        await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        request = stopping.result()
    finally:
        for task in (waiting, stopping):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await asyncio.gather(waiting, stopping, return_exceptions=True)
    raise StopRequested(request)


def stop_event(request: RunRequest) -> TriggerEvent:
    """Return the event of a wait that a request ended: the worker fails the task, whichever it is."""
    return TriggerEvent(  # type: ignore[no-untyped-call]
        {
            "status": "error",
            "message": str(request),
            "error": str(request),
            "error_type": "unknown",
            "timed_out": False,
            STOP_REQUEST: request.model_dump(mode="json"),
        }
    )


class StoppableTrigger(BaseTrigger):
    """
    Any other trigger, ended early when the run is asked to stop.

    :param classpath: The trigger's class.
    :param kwargs: Its arguments.
    :param dag_id: The DAG whose drills may be asked to stop.
    """

    def __init__(self, *, classpath: str, kwargs: dict[str, Any], dag_id: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.classpath = classpath
        self.kwargs = kwargs
        self.dag_id = dag_id
        self._inner: BaseTrigger | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and all that a new process needs to go on."""
        arguments = {"classpath": self.classpath, "kwargs": self.kwargs, "dag_id": self.dag_id}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    @classmethod
    def around(cls, trigger: BaseTrigger, dag_id: str) -> StoppableTrigger:
        """Return the stoppable form of a trigger."""
        classpath, kwargs = trigger.serialize()
        return cls(classpath=classpath, kwargs=kwargs, dag_id=dag_id)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the event of the other trigger, or that the run is asked to stop."""
        module, _, name = self.classpath.rpartition(".")
        # Some take what they are given apart.
        inner = self._inner = getattr(import_module(module), name)(**copy.deepcopy(self.kwargs))
        inner.task_instance = self.task_instance
        inner.trigger_id = self.trigger_id
        try:
            event = await unless_stopped(anext(aiter(inner.run())), self.dag_id)
        except StopRequested as stop:
            event = stop_event(stop.request)
        yield event

    async def on_kill(self) -> None:
        """Let the other trigger act on the end of the task by a person."""
        if self._inner is not None and hasattr(self._inner, "on_kill"):
            await self._inner.on_kill()
