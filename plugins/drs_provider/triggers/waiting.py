"""The base of all triggers of this package: an AWS connection, a deadline by the clock, and never to raise.

A subclass says in :meth:`WaitTrigger.wait` what it waits for, over a :class:`~drs_provider.triggers.posts.Post`; the
synchronous form of its task runs the same coroutine in a worker. The base serialises the trigger, turns every exception
into an event for a worker, and keeps the event back until the deferral is old enough: a task that fires within about
two seconds of its deferral can be failed by a scheduler that sees the worker's exit after the task was queued again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from drs_provider.airflow_compat import ask_in_triggerer, kills_triggers, task_states
from drs_provider.aws.clients import quiet_boto
from drs_provider.aws.faults import error_text, transient_cause
from drs_provider.live.model import Outcome
from drs_provider.live.target import open_progress
from drs_provider.triggers.posts import Post, TriggererPost, WaitFailed
from drs_provider.triggers.stoppable import StopRequested, stop_event, unless_stopped

__all__ = ["WaitTrigger", "deferral_timeout", "error_event", "success_event"]

YOUNGEST_EVENT_SECONDS = 2.5
#: Airflow ends a deferral when the triggerer has not, so many seconds after the wait's own deadline.
TRIGGERER_GRACE = 900.0


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


class WaitTrigger(BaseTrigger):
    """
    The base of the triggers over a :class:`~drs_provider.triggers.posts.Post`.

    Success ends the task from the triggerer, a failure is handed to a worker. The deadline is a moment of the clock, so
    a triggerer that restarts goes on with what is left of it. A subclass names its own parameters in ``fields``.

    :param deadline: When to give up, in epoch seconds.
    :param poll_interval: Seconds between two looks.
    :param deferred_at: When the task was deferred, in epoch seconds; a trigger that fires too soon after that can fail
        its task.
    :param end_task: Whether success ends the task from the triggerer. A task with outlets has to end in a worker, since
        asset events come from there only.
    :param stop_requests_of: The DAG whose drills may be asked to stop (:mod:`drs_provider.requests`): such a request
        ends the wait, and the event tells a worker. None: the wait heeds no request.
    :param live: Where the wait writes how far it is, as :func:`drs_provider.live.target.live_target` returns it. None:
        nowhere.
    :param aws_conn_id: The Airflow connection; with ``region_name``, ``verify`` and ``botocore_config`` as in the
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
        end_task: bool = True,
        stop_requests_of: str | None = None,
        live: dict[str, Any] | None = None,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.deferred_at = time.time() if deferred_at is None else deferred_at
        self.end_task = end_task
        self.stop_requests_of = stop_requests_of
        self.live = live
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
        names = (*self.fields, "deadline", "poll_interval", "deferred_at", "end_task", "stop_requests_of", "live")
        arguments = {name: getattr(self, name) for name in names}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**arguments, **self.connection}

    def hook(self, service: str) -> AwsGenericHook[Any]:
        """Return a hook for a service with this trigger's connection."""
        return self.hook_of(service, self.connection)

    @staticmethod
    def hook_of(service: str, connection: Mapping[str, Any]) -> AwsGenericHook[Any]:
        """
        Return a hook for a service.

        :param connection: ``aws_conn_id``, ``region_name``, ``verify`` and ``botocore_config``.

        The SDK's own retries are off and its time-outs short unless the configuration says otherwise: the poller sees
        throttling and dead connections at once, and waits on behalf of all.
        """
        quiet_boto()
        config = {"connect_timeout": 10, "read_timeout": 20, "retries": {"total_max_attempts": 1, "mode": "standard"}}
        return AwsGenericHook(
            aws_conn_id=connection["aws_conn_id"],
            region_name=connection["region_name"],
            verify=connection["verify"],
            client_type=service,
            config={**config, **(connection["botocore_config"] or {})},
        )

    @abstractmethod
    async def wait(self, post: Post) -> Any:
        """
        Wait, and return the task's return value.

        :raises WaitFailed: when the wait is over without success.
        """

    async def ended_by_a_person(self) -> None:
        """Act on the end of the task by a person. By default what is waited for is left alone."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and yield one event. Never raises but when cancelled."""
        post = TriggererPost(self.hook, self.connection)
        post.progress = open_progress(self.live, self.deadline)
        outcome: Outcome = "failed"
        try:
            value = await unless_stopped(self.wait(post), self.stop_requests_of)
            event, outcome = success_event(value, end_task=self.end_task), "success"
        except StopRequested as stop:
            self.log.warning("The wait ends: %s", stop)
            with contextlib.suppress(Exception):
                await self.ended_by_a_person()
            event, outcome = stop_event(stop.request), "stopped"
        except asyncio.CancelledError:
            post.progress.leave()
            # From 3.3 on Airflow calls on_kill() itself, and only then.
            if not kills_triggers() and await self._no_longer_deferred():
                await self.ended_by_a_person()
            raise
        except WaitFailed as failure:
            event = error_event(str(failure), timed_out=failure.timed_out, **failure.details)
        except Exception as error:
            if cause := transient_cause(error):
                # Not what was waited for has failed: nobody knows what became of it.
                event = error_event(f"AWS does not answer {cause}", timed_out=False, transient=cause.as_dict())
            else:
                self.log.exception("The wait ended with an error")
                event = error_event(error_text(error), timed_out=False)
        await post.progress.end(outcome)
        early = self.deferred_at + YOUNGEST_EVENT_SECONDS - time.time()
        await asyncio.sleep(min(max(0.0, early), YOUNGEST_EVENT_SECONDS))
        yield event

    async def on_kill(self) -> None:
        """Act when a person marks the deferred task or clears it; a triggerer's end does not come here."""
        await self.ended_by_a_person()

    async def _no_longer_deferred(self) -> bool:
        """Whether the task instance has another state by now: a cancelled trigger of Airflow 3.2 does not know why."""
        ti: Any = self.task_instance
        with contextlib.suppress(Exception):
            states = await ask_in_triggerer(lambda: task_states(ti.dag_id, ti.run_id, [ti.task_id], ti.map_index))
            return any(state != "deferred" for state in states.values())
        return False


def deferral_timeout(trigger: WaitTrigger) -> timedelta:
    """Return the timeout of a deferral: the trigger's own deadline and a grace, should the triggerer be gone."""
    return timedelta(seconds=max(trigger.deadline - time.time(), 0.0) + TRIGGERER_GRACE)
