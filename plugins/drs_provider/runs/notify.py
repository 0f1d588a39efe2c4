"""Tells the channels of ``notify`` what happens in a run. A notification never fails a task; the report lists it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from drs_provider.airflow_compat import ask_in_triggerer, set_xcom
from drs_provider.evidence.events import NOTIFIED_KEY
from drs_provider.runs.messages import mode_of, wave_failed
from drs_provider.runs.stopping import DrillStoppedError

if TYPE_CHECKING:
    from drs_provider.notifications.message import Message
    from drs_provider.plan import LoadedPlan, RecoveryPlan

__all__ = ["channels_of", "leave_word", "notify", "notify_wave_failed"]

log = logging.getLogger(__name__)


def channels_of(plan: RecoveryPlan) -> list[dict[str, Any]]:
    """Return whom a plan notifies, as plain values."""
    return [channel.model_dump(mode="json") for channel in plan.notify]


def notify(loaded: LoadedPlan, context: Mapping[str, Any], message: Message) -> list[dict[str, Any]]:
    """Send a message to the plan's channels, and leave word of it for the report.

    :param loaded: the plan.
    :param context: Airflow's context of the task that tells.
    :param message: what to tell.
    :returns: one delivery for each channel; none where the plan names no channel.
    """
    if not loaded.plan.notify:
        return []
    try:
        from drs_provider.notifications.delivery import deliver

        deliveries = [
            delivery.as_dict()
            for delivery in deliver(
                message.with_ticket((context.get("params") or {}).get("ticket")),
                channels_of(loaded.plan),
                context,
                aws_conn_id=loaded.plan.default_target.aws_conn_id,
            )
        ]
        context["ti"].xcom_push(key=f"{NOTIFIED_KEY}_{message.event}", value=deliveries)
        return deliveries
    except Exception:
        log.exception("The notification of %s could not be sent or recorded", message.event)
        return []


async def leave_word(dag_id: str, run_id: str, event: str, deliveries: list[dict[str, Any]]) -> None:
    """Leave the outcome of a notification that the triggerer sent where the report finds it.

    It lies beside what the run's first task left. Never raises.
    """
    try:
        await ask_in_triggerer(lambda: set_xcom(dag_id, "confirm", run_id, f"{NOTIFIED_KEY}_{event}", deliveries))
    except Exception:
        log.exception("The report of %s will not list the notification of %s", run_id, event)


def notify_wave_failed(context: Any) -> None:
    """Tell that a wave failed: the ``on_failure_callback`` of its tasks, called once no retry is left.

    A drill that stops for a recovery tells that once, at its end.
    """
    if isinstance(context.get("exception"), DrillStoppedError):
        return
    try:
        task, ti = context["task"], context["ti"]
        reason = context.get("exception") or context.get("reason") or ""
        message = wave_failed(
            ti.dag_id,
            ti.run_id,
            mode_of(context.get("params")),
            wave=task.wave.name,
            task=ti.task_id,
            reason=str(reason),
        )
    except Exception:
        log.exception("The failure of a wave could not be put into words")
        return
    notify(task.loaded, context, message)
