"""The watch over a run from outside of its tasks: it tells that a run waits in the queue, and that one stands still.

None of a queued run's tasks runs, and while its plan is paused Airflow starts none either. What still happens is a
deadline of Airflow: its callback runs in the triggerer. It comes a few seconds after each run was queued. For a drill
it is over at once; for a recovery it stays until the run is over, with one look at its tasks each half minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import conf

from drs_provider.airflow_compat import ask_in_triggerer, count_runs, task_states
from drs_provider.requests.channel import is_waiting, now, send_request
from drs_provider.requests.model import RunRequest
from drs_provider.runs import messages
from drs_provider.runs.notify import leave_word

if TYPE_CHECKING:
    from drs_provider.notifications.message import Message

__all__ = ["FROZEN_AFTER", "QUEUED_FOR", "watch_run"]

log = logging.getLogger(__name__)

T = TypeVar("T")

QUEUED_FOR = timedelta(seconds=15)
"""How long after a run was queued its watch begins."""

LOOK_SECONDS = 30.0
_WORD_SECONDS = 5.0
"""Seconds between tries to leave word of a message: a run that goes on may be over before the next look."""
FROZEN_AFTER = 4
"""So many looks in a row at which nothing moves are notified."""

_MOVING = frozenset({"running", "queued", "deferred", "awaiting_input", "up_for_reschedule", "restarting"})
_TO_COME = frozenset({None, "none", "scheduled", "up_for_retry"})
_BY_HAND = frozenset({"manual", "operator_triggered"})


async def watch_run(
    channels: list[dict[str, Any]], aws_conn_id: str, context: dict[str, Any], looks: int | None = None
) -> str:
    """Tell when a run waits in the queue, ask a drill to stop where the run says so, and watch over a recovery.

    :param channels: whom to tell.
    :param aws_conn_id: the Airflow connection for SNS.
    :param context: what Airflow knows of the run: ``dag_run`` in the shape of its REST API.
    :param looks: how many looks to make; None: until the run is over.
    :returns: what was done, for Airflow's record of the callback.
    """
    watch = _Watch(channels, aws_conn_id, context)
    if await ask_in_triggerer(lambda: is_waiting(watch.dag_id, watch.run_id)):
        await watch.tell_of_waiting()
    if watch.mode == "recovery":
        await watch.until_over(looks)
    return f"notified: {', '.join(watch.notified) or 'nothing'}"


class _Watch:
    """The watch over one run."""

    def __init__(self, channels: list[dict[str, Any]], aws_conn_id: str, context: dict[str, Any]) -> None:
        self.channels, self.aws_conn_id, self.context = channels, aws_conn_id, context
        self.run: Mapping[str, Any] = context["dag_run"]
        self.dag_id, self.run_id = str(self.run["dag_id"]), str(self.run["dag_run_id"])
        self.conf: Mapping[str, Any] = self.run.get("conf") or {}
        self.mode = messages.mode_of(self.conf)
        self.notified: list[str] = []
        self._deliveries: dict[str, list[dict[str, Any]]] = {}

    async def tell_of_waiting(self) -> None:
        """Tell that the run is queued; before that, ask the drill that it waits for to stop."""
        why_not = self._why_not_stop()
        if why_not is None:
            by = str(self.run.get("triggering_user_name") or "an unknown user")
            reason = f"a recovery of {self.dag_id} waits for this drill to end"
            request = RunRequest(
                kind="stop_drill", dag_id=self.dag_id, from_run=self.run_id, by=by, at=now(), reason=reason
            )
            await ask_in_triggerer(lambda: send_request(request))
        running = await ask_in_triggerer(lambda: count_runs(self.dag_id, ["running"]))
        await self._tell(
            messages.waiting_for_run(
                self.dag_id, self.run_id, self.mode, running=running, stop_asked=why_not is None, why_not=why_not or ""
            )
        )

    def _why_not_stop(self) -> str | None:
        """Return why no drill is asked to stop; None where it is. A run that will be refused stops nobody's drill."""
        if self.conf.get("stop_drill") is not True:
            return "its parameter stop_drill is not set"
        if self.mode != "recovery":
            return "only a recovery may stop a drill"
        if self.conf.get("confirm") != self.dag_id:
            return "its parameter confirm is not the plan's name, so it will be refused"
        if str(self.run.get("run_type")) not in _BY_HAND:
            return "nobody started it by hand"
        if not conf.getboolean("core", "dag_run_conf_overrides_params", fallback=True):
            return "[core] dag_run_conf_overrides_params is off, so it will be refused"
        return None

    async def until_over(self, looks: int | None) -> None:
        """Look until the run is over; tell when nothing of it moves."""
        still = 0
        before: frozenset[str] = frozenset()
        while looks is None or looks > 0:
            looks = None if looks is None else looks - 1
            try:
                state = await ask_in_triggerer(lambda: _state(self.dag_id, self.run_id))
                if state is None:
                    return
                stuck, scheduled = await self._look(state)
                # Tasks that wait to be started, and do so look after look, stand still although others run.
                still = still + 1 if stuck or (scheduled and scheduled & before) else 0
                before = scheduled
                if still == FROZEN_AFTER:
                    seconds = timedelta(seconds=LOOK_SECONDS * FROZEN_AFTER)
                    await self._tell(messages.run_frozen(self.dag_id, self.run_id, self.mode, state, seconds))
            except Exception:
                log.warning("The states of %s could not be read; looking again", self.run_id, exc_info=True)
            await self._pause()

    async def _look(self, state: str) -> tuple[bool, frozenset[str]]:
        """Return whether nothing of the run moves, and the tasks that wait to be started."""
        if state == "queued":
            return await ask_in_triggerer(lambda: count_runs(self.dag_id, ["running"])) == 0, frozenset()
        states = await ask_in_triggerer(lambda: task_states(self.dag_id, self.run_id))
        await self._leave_word(states)
        stuck = not _MOVING.intersection(states.values()) and any(each in _TO_COME for each in states.values())
        return stuck, frozenset(task for task, each in states.items() if each == "scheduled")

    async def _pause(self) -> None:
        """Wait for the next look; meanwhile, leave word as soon as the run goes on."""
        left = LOOK_SECONDS
        while left > 0:
            pause = min(left, _WORD_SECONDS) if self._deliveries else left
            await asyncio.sleep(pause)
            left -= pause
            if self._deliveries and left > 0:
                try:
                    await self._leave_word(await ask_in_triggerer(lambda: task_states(self.dag_id, self.run_id)))
                except Exception:
                    log.warning("Word for the report of %s could not be left; trying again", self.run_id, exc_info=True)

    async def _tell(self, message: Message) -> None:
        from drs_provider.notifications.delivery import deliver_async

        message = message.with_ticket(self.conf.get("ticket"))
        log.warning("%s\n%s", message.subject, message.text)
        self.notified.append(message.event)
        deliveries = await deliver_async(message, self.channels, self.context, aws_conn_id=self.aws_conn_id)
        if deliveries:
            self._deliveries[message.event] = [delivery.as_dict() for delivery in deliveries]

    async def _leave_word(self, states: Mapping[str, str | None]) -> None:
        """Leave the deliveries for the report, once the first task has begun, which forgets what lay beside it."""
        if states.get("confirm") in _TO_COME or states.get("confirm") == "queued":
            return
        for event, deliveries in list(self._deliveries.items()):
            await leave_word(self.dag_id, self.run_id, event, deliveries)
            del self._deliveries[event]


def _state(dag_id: str, run_id: str) -> str | None:
    """Return ``queued`` or ``running``; None where the run is over or was deleted."""
    return next((state for state in ("running", "queued") if count_runs(dag_id, [state], [run_id])), None)
