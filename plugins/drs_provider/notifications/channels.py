"""Whom a message is sent to: an SNS topic, or an Airflow notifier that is named by its dotted path.

A dotted path lets whoever writes it choose code that runs with Airflow's rights. So the path may only name a class
that is an Airflow notifier (a subclass of ``BaseNotifier``), and nothing of it is called before that is known. Its
arguments are never rendered as templates: a template could read connections and variables.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from drs_provider.notifications.message import Message

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook

__all__ = ["SnsTopic", "UnusableNotifier", "address", "notifier_class", "notifier_for"]

_PLACEHOLDER = re.compile(r"\{(event|subject|text|plan|run_id|mode|wave|url)\}")
# Where a notifier takes the words of a message under these names, it need not be told so.
_FILLED_IN = {"subject": "subject", "text": "text", "message": "text"}
# Limits of SNS Publish: a subject of 100 characters, a message of 256 KB in UTF-8.
_LONGEST_SUBJECT = 100
_LONGEST_TEXT = 60_000


class UnusableNotifier(ValueError):
    """A dotted path that names no Airflow notifier, or one that its arguments do not fit."""


class SnsTopic(BaseNotifier):
    """Publishes to an SNS topic (SNS Publish), with the message's fields as attributes to filter subscriptions by.

    :param topic_arn: the topic; its region is that of the ARN. A FIFO topic gets the messages of a plan in order.
    :param message: what to publish.
    :param aws_conn_id: an Airflow connection.
    """

    def __init__(self, topic_arn: str, message: Message, *, aws_conn_id: str | None) -> None:
        super().__init__()
        self.topic_arn = topic_arn
        self.message = message
        self.aws_conn_id = aws_conn_id

    def notify(self, context: Any) -> None:
        """Publish from a worker."""
        self._hook().publish_to_target(**self._request())

    async def async_notify(self, context: Any) -> None:
        """Publish from the triggerer."""
        await self._hook().apublish_to_target(**self._request())

    def _hook(self) -> SnsHook:
        from airflow.providers.amazon.aws.hooks.sns import SnsHook
        from botocore.config import Config

        # The defaults wait for minutes; a notification is worth seconds.
        config = Config(connect_timeout=4, read_timeout=4, retries={"mode": "standard", "total_max_attempts": 3})
        region = self.topic_arn.split(":")[3]
        return SnsHook(aws_conn_id=self.aws_conn_id, region_name=region, config=config)  # type: ignore[no-untyped-call]

    def _request(self) -> dict[str, Any]:
        message = self.message
        fields = {"event": message.event, "plan": message.plan, "mode": message.mode, "wave": message.wave}
        request: dict[str, Any] = {
            "target_arn": self.topic_arn,
            "subject": message.subject[:_LONGEST_SUBJECT],
            "message": message.text[:_LONGEST_TEXT],
            "message_attributes": {name: value for name, value in fields.items() if value},
        }
        if self.topic_arn.endswith(".fifo"):
            # The same words twice within five minutes are one message to a FIFO topic.
            request["message_group_id"] = message.plan
            request["message_deduplication_id"] = _fingerprint(message)
        return request


def address(channel: Mapping[str, Any]) -> str:
    """Return the name of a channel: the topic's ARN, or the notifier's dotted path."""
    return str(channel.get("sns") or channel.get("notifier"))


def notifier_for(channel: Mapping[str, Any], message: Message, *, aws_conn_id: str | None) -> BaseNotifier:
    """Return the notifier that sends a message to a channel.

    :param channel: ``{"sns": ARN}``, or ``{"notifier": PATH, "args": {…}}``. In the texts of ``args``, ``{subject}``,
        ``{text}``, ``{event}``, ``{plan}``, ``{mode}``, ``{wave}``, ``{run_id}`` and ``{url}`` stand for the fields of
        the message. Parameters named ``subject``, ``text`` and ``message`` that ``args`` leaves out are filled in.
    :param message: what to send.
    :param aws_conn_id: the Airflow connection for SNS.
    :raises UnusableNotifier: when the path names no notifier, or its arguments do not fit.
    """
    if channel.get("sns"):
        return SnsTopic(str(channel["sns"]), message, aws_conn_id=aws_conn_id)
    path = str(channel.get("notifier"))
    made = notifier_class(path)
    fields = message.as_dict()
    args = _filled(dict(channel.get("args") or {}), fields)
    parameters = inspect.signature(made).parameters
    for parameter, name in _FILLED_IN.items():
        if parameter in parameters:
            args.setdefault(parameter, fields[name])
    try:
        return made(**args)
    except TypeError as error:
        raise UnusableNotifier(f"{path} cannot be made with the args {', '.join(args) or 'none'}: {error}") from error


def notifier_class(path: str) -> type[BaseNotifier]:
    """Return the notifier that a dotted path names.

    :raises UnusableNotifier: when it cannot be imported, or is no notifier.
    """
    module, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UnusableNotifier(f"{path} cannot be imported: {error}. Install its provider, or correct it.") from error
    if not isinstance(found, type) or not issubclass(found, BaseNotifier):
        raise UnusableNotifier(f"{path} is not an Airflow notifier: expected a subclass of airflow.sdk.BaseNotifier")
    return found


def _filled(value: Any, fields: Mapping[str, str]) -> Any:
    """Put the fields of the message into the texts of a notifier's arguments."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda found: fields[found[1]], value)
    if isinstance(value, Mapping):
        return {key: _filled(item, fields) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(item, fields) for item in value]
    return value


def _fingerprint(message: Message) -> str:
    import hashlib

    return hashlib.sha256(repr(message).encode()).hexdigest()
