"""What all triggers of this package have in common: an AWS connection, a deadline, and never to raise.

A subclass says in :meth:`SharedPollTrigger.wait` what it waits for, over the shared poller of its kind. The base
serialises it, hands its poller out, turns every exception into an event for a worker, and keeps the event back until
the deferral is old enough: a task that fires within about two seconds of its deferral can be failed by a scheduler that
sees the worker's exit after the task was queued again.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timezone
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from drs_provider.hooks.faults import error_text
from drs_provider.triggers.polling import Poller, PollKey, shared_poller

__all__ = ["SharedPollTrigger", "error_event", "success_event"]

YOUNGEST_EVENT_SECONDS = 2.5


def success_event(value: Any, *, end_task: bool) -> TriggerEvent:
    """
    Return the event of a wait that succeeded; ending the task, it also leaves the moment in XCom, under ``ended``.

    :param value: The task's return value.
    :param end_task: End the task from the triggerer with this value in XCom, without another worker slot.
    """
    if end_task:
        return TaskSuccessEvent(xcoms={"return_value": value, "ended": datetime.now(timezone.utc).isoformat()})
    return _event({"status": "success", "value": value})


def error_event(message: str, **details: Any) -> TriggerEvent:
    """Return the event that makes the worker's ``execute_complete`` raise ``message``."""
    return _event({"status": "error", "message": message, **details})


def _event(payload: dict[str, Any]) -> TriggerEvent:
    return TriggerEvent(payload)  # type: ignore[no-untyped-call]


class SharedPollTrigger(BaseTrigger):
    """
    Base of the triggers that wait over a shared poller.

    :param deferred_at: When the task was deferred, in epoch seconds.
    :param end_task: Whether success ends the task from the triggerer.
    :param aws_conn_id: The Airflow connection for AWS.
    :param region_name: The AWS region.
    :param verify: Verification of TLS certificates.
    :param botocore_config: The client's configuration.
    """

    kind: ClassVar[str]
    """What is polled; triggers of one kind and connection share a poller."""
    hook_class: ClassVar[type[AwsBaseHook]]
    hook_arguments: ClassVar[Mapping[str, Any]] = {}
    fields: ClassVar[tuple[str, ...]] = ()
    """The subclass's own parameters, kept as attributes of the same name."""
    batch: ClassVar[int] = 200

    def __init__(
        self,
        *,
        deferred_at: float | None = None,
        end_task: bool = True,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deferred_at = time.time() if deferred_at is None else deferred_at
        self.end_task = end_task
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name
        self.verify = verify
        self.botocore_config = botocore_config

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and the arguments that make this trigger again."""
        common = ("deferred_at", "end_task", "aws_conn_id", "region_name", "verify", "botocore_config")
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", {name: getattr(self, name) for name in (*self.fields, *common)}

    def hook(self) -> AwsBaseHook:
        """
        Return a new hook for polling.

        The SDK's own retries are off and its time-outs short unless the configuration says otherwise: the poller sees
        throttling and dead connections at once, and waits on behalf of all.
        """
        config = {"connect_timeout": 10, "read_timeout": 20, "retries": {"total_max_attempts": 1, "mode": "standard"}}
        return self.hook_class(
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            config={**config, **(self.botocore_config or {})},
            **self.hook_arguments,
        )

    def poller(self) -> Poller[Any]:
        """Return the poller that this trigger shares with the others of its kind and connection."""
        key = PollKey.of(
            self.kind,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        return shared_poller(key, self._connect, self.make_fetch(), batch=self.batch)

    async def _connect(self) -> AbstractAsyncContextManager[Any]:
        client: AbstractAsyncContextManager[Any] = await self.hook().get_async_conn()  # type: ignore[no-untyped-call]
        return client

    @classmethod
    @abstractmethod
    def make_fetch(cls) -> Any:
        """Return the poller's ``async fetch(client, ids) -> {id: snapshot}``."""

    @abstractmethod
    async def wait(self) -> TriggerEvent:
        """Wait, and return the event that ends the deferral. May raise: that becomes an event as well."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event of :meth:`wait`, no earlier than the deferral allows."""
        try:
            event = await self.wait()
        except Exception as error:
            self.log.exception("The wait ended with an error")
            event = error_event(error_text(error))
        early = self.deferred_at + YOUNGEST_EVENT_SECONDS - time.time()
        if early > 0:
            await asyncio.sleep(min(early, YOUNGEST_EVENT_SECONDS))
        yield event
