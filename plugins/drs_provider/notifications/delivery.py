"""Sends a message to every channel at once, within seconds, and tells what became of it. It never raises.

Whoever notifies is in the middle of a recovery: a chat that is down, or a topic without rights, must neither fail nor
hold up the work. Each channel has the same few seconds, side by side.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from airflow.sdk import BaseNotifier

from drs_provider.notifications.channels import UnusableNotifierError, address, notifier_for
from drs_provider.notifications.message import Message

__all__ = ["PATIENCE", "Delivery", "deliver", "deliver_async"]

log = logging.getLogger(__name__)

PATIENCE = 15.0
"""Seconds that all channels together may take."""


@dataclass
class Delivery:
    """What became of one message on one channel.

    :param event: the message's event.
    :param wave: its wave, empty where there is none.
    :param to: the topic or the notifier.
    :param sent: when, ISO 8601 in UTC.
    :param status: ``success`` or ``failed``.
    :param reason: why it failed.
    """

    event: str
    wave: str
    to: str
    sent: str
    status: str
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def deliver(
    message: Message,
    channels: Sequence[Mapping[str, Any]],
    context: Mapping[str, Any],
    *,
    aws_conn_id: str | None,
    patience: float = PATIENCE,
) -> list[Delivery]:
    """Send a message from a worker.

    :param message: what to send.
    :param channels: as :func:`~drs_provider.notifications.channels.notifier_for` takes them.
    :param context: Airflow's context; notifiers find the message's fields in it under ``notification``.
    :param aws_conn_id: the Airflow connection for SNS.
    :param patience: seconds to wait for all channels; one that takes longer is left alone and counts as failed.
    :returns: one delivery for each channel, in their order.
    """
    told = {**context, "notification": message.as_dict()}
    deliveries = [_begun(message, channel, patience) for channel in channels]

    def send(channel: Mapping[str, Any], delivery: Delivery) -> None:
        try:
            notifier_for(channel, message, aws_conn_id=aws_conn_id).notify(told)  # type: ignore[arg-type]
            _sent(delivery)
        except BaseException as error:
            _failed(delivery, error)

    # Daemons: a channel that hangs must not keep the worker's process from ending.
    threads = [threading.Thread(target=send, args=pair, daemon=True) for pair in zip(channels, deliveries, strict=True)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [Delivery(**delivery.as_dict()) for delivery in deliveries]


async def deliver_async(
    message: Message,
    channels: Sequence[Mapping[str, Any]],
    context: Mapping[str, Any],
    *,
    aws_conn_id: str | None,
    patience: float = PATIENCE,
) -> list[Delivery]:
    """Send a message from the triggerer; parameters and result are those of :func:`deliver`."""
    from asgiref.sync import sync_to_async

    told = {**context, "notification": message.as_dict()}

    async def send(channel: Mapping[str, Any]) -> Delivery:
        delivery = _begun(message, channel, patience)
        try:
            # Not on the event loop: an import takes its time.
            make = sync_to_async(notifier_for, thread_sensitive=False)
            notifier = await asyncio.wait_for(make(channel, message, aws_conn_id=aws_conn_id), patience)
            await asyncio.wait_for(_notify_async(notifier, told), patience)
            _sent(delivery)
        except asyncio.TimeoutError:
            log.error("No notification of %s to %s: %s", delivery.event, delivery.to, delivery.reason)
        except Exception as error:
            _failed(delivery, error)
        return delivery

    return list(await asyncio.gather(*(send(channel) for channel in channels)))


async def _notify_async(notifier: BaseNotifier, context: Any) -> None:
    from asgiref.sync import sync_to_async

    try:
        if type(notifier).async_notify is not BaseNotifier.async_notify:
            await notifier.async_notify(context)
        else:
            # asgiref's own threads: only from those does Airflow 3.2 answer in the triggerer, for a connection say.
            await sync_to_async(notifier.notify, thread_sensitive=False)(context)
    except SystemExit as error:
        # asyncio would pass it on and end the triggerer, and with it every wait of every run.
        raise RuntimeError("it tried to end the process") from error


def _begun(message: Message, channel: Mapping[str, Any], patience: float) -> Delivery:
    reason = f"it did not answer within {patience:g} s"
    return Delivery(message.event, message.wave, address(channel), _now(), "failed", reason)


def _sent(delivery: Delivery) -> None:
    delivery.sent, delivery.status, delivery.reason = _now(), "success", None


def _failed(delivery: Delivery, error: BaseException) -> None:
    log.error("No notification of %s to %s: %r", delivery.event, delivery.to, error, exc_info=error)
    # An error of a web hook often quotes its address, which is a secret; the log masks secrets, a report does not.
    shown = isinstance(error, UnusableNotifierError) or delivery.to.startswith("arn:")
    name = type(error).__name__
    delivery.sent, delivery.reason = _now(), f"{name}: {error}" if shown else f"{name}; the task's log says more"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat()
