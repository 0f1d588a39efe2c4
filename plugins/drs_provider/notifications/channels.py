"""Whom a message is sent to: an SNS topic, or an Airflow notifier that is named by its dotted path.

A dotted path lets whoever writes it choose code that runs with Airflow's permissions. So nothing is imported that the
administrator does not allow by ``[drs_provider] notifiers``, the path may only name an Airflow notifier (a subclass of
``BaseNotifier``), and its arguments are never rendered as templates: a template could read connections and variables.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier

from drs_provider.allow_lists import notifier_refusal
from drs_provider.hooks.connection import connection_refusal, is_missing
from drs_provider.notifications.message import Message

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.sns import SnsHook

__all__ = [
    "SnsTopic",
    "UnusableConnectionError",
    "UnusableNotifierError",
    "address",
    "notifier_class",
    "notifier_for",
]

_PLACEHOLDER = re.compile(r"\{(event|subject|text|plan|run_id|mode|wave|url)\}")
# Where a notifier takes the words of a message under these names, it need not be told so.
_FILLED_IN = {"subject": "subject", "text": "text", "message": "text"}
# Limits of SNS Publish: a subject of 100 characters, a message of 256 KB in UTF-8.
_LONGEST_SUBJECT = 100
_LONGEST_TEXT = 60_000


IMPORT_PATIENCE = 5.0
"""Seconds that the import of a notifier's module may take."""


class UnusableNotifierError(ValueError):
    """A dotted path that is not allowed, that names no Airflow notifier, or that its arguments do not fit."""


class UnusableConnectionError(ValueError):
    """An Airflow connection that does not exist, or that plans may not use."""


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
        """Publish from a worker.

        :raises UnusableConnectionError: when Airflow lacks the connection, or plans may not use it.
        """
        self._require_connection()
        self._hook().publish_to_target(**self._request())

    async def async_notify(self, context: Any) -> None:
        """Publish from the triggerer.

        :raises UnusableConnectionError: when Airflow lacks the connection, or plans may not use it.
        """
        from asgiref.sync import sync_to_async

        # asgiref's own threads: only from those does Airflow 3.2 answer in the triggerer.
        await sync_to_async(self._require_connection, thread_sensitive=False)()
        await self._hook().apublish_to_target(**self._request())

    def _require_connection(self) -> None:
        """Publish through the plan's connection and no other: Airflow would take the machine's own credentials."""
        if self.aws_conn_id is None:
            return
        if refusal := connection_refusal(self.aws_conn_id):
            raise UnusableConnectionError(refusal)
        if is_missing(self.aws_conn_id):
            raise UnusableConnectionError(
                f"Airflow has no connection {self.aws_conn_id}, or cannot look it up now; "
                "nothing is published as somebody else"
            )

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
        fields["ticket"] = message.ticket
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
        ``{text}``, ``{event}``, ``{plan}``, ``{mode}``, ``{wave}``, ``{run_id}``, ``{url}`` and ``{ticket}`` stand for
        the fields of the message. Parameters named ``subject``, ``text`` and ``message`` that ``args`` leaves out are
        filled in.
    :param message: what to send.
    :param aws_conn_id: the Airflow connection for SNS.
    :raises UnusableNotifierError: when the path is not allowed, names no notifier, or its arguments do not fit.
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
        raise UnusableNotifierError(f"{path} does not accept the args {', '.join(args) or 'none'}: {error}") from error
    except SystemExit as error:
        raise UnusableNotifierError(f"{path} tried to end the process") from error


def notifier_class(path: str) -> type[BaseNotifier]:
    """Return the notifier that a dotted path names.

    :param path: the notifier's dotted path, as ``notify`` has it.
    :raises UnusableNotifierError: when it is not allowed, cannot be imported within :data:`IMPORT_PATIENCE`, or is no
        notifier.
    """
    if refusal := notifier_refusal(path):
        raise UnusableNotifierError(f"{refusal}.")
    found = _imported(path)
    if not isinstance(found, type) or not issubclass(found, BaseNotifier):
        raise UnusableNotifierError(
            f"{path} is not an Airflow notifier: expected a subclass of airflow.sdk.BaseNotifier"
        )
    return found


def _imported(path: str) -> Any:
    """Import what a dotted path names, in a thread of its own.

    A module may do anything while it is imported: exit, which would end the triggerer and every wait in it, or hang.
    """
    module, _, name = path.rpartition(".")
    outcome: dict[str, Any] = {}

    def work() -> None:
        try:
            outcome["found"] = getattr(import_module(module), name)
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=work, daemon=True, name=f"import {module}")
    thread.start()
    thread.join(IMPORT_PATIENCE)
    if "found" in outcome:
        return outcome["found"]
    error = outcome.get("error")
    if error is None:
        raise UnusableNotifierError(f"{path} cannot be imported: it took more than {IMPORT_PATIENCE:g} s.")
    if isinstance(error, SystemExit):
        raise UnusableNotifierError(f"{path} cannot be imported: it tried to end the process.") from error
    why = str(error) if isinstance(error, (ImportError, AttributeError, ValueError)) else repr(error)
    raise UnusableNotifierError(f"{path} cannot be imported: {why}. Install its provider, or correct it.") from error


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
