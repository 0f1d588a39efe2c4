"""Notifications reach every channel, and whatever becomes of one, whoever notifies goes on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from drs_provider.notifications.delivery import Delivery, deliver, deliver_async
from tests.notifications.conftest import TOPIC

Send = Callable[..., list[Delivery]]


def _from_the_triggerer(*args: Any, **kwargs: Any) -> list[Delivery]:
    return asyncio.run(deliver_async(*args, **kwargs))


@pytest.fixture(params=[deliver, _from_the_triggerer], ids=["worker", "triggerer"])
def send(request: pytest.FixtureRequest) -> Send:
    """Both ways to send."""
    return request.param


def notifier(name: str, **args: Any) -> dict[str, Any]:
    return {"sns": None, "notifier": f"site_notifiers.{name}", "args": args}


def test_a_topic_gets_the_message_with_its_fields_as_attributes(send: Send, message: Any, region: Any) -> None:
    (delivery,) = send(message, [{"sns": TOPIC}], {}, aws_conn_id=None)
    assert (delivery.status, delivery.reason, delivery.to) == ("success", None, TOPIC)
    (call,) = [call for call in region.log if call.get("operation") == "Publish"]
    params = call["params"]
    assert call["region"] == "us-west-2"
    assert params["TargetArn"] == TOPIC
    assert params["Subject"] == "[drill] shop: wave database failed"
    assert json.loads(params["Message"])["default"] == message.text, "as it is, not rendered as a template"
    attributes = {params[f"MessageAttributes.entry.{n}.Name"] for n in range(1, 5)}
    assert attributes == {"event", "plan", "mode", "wave"}


def test_a_topic_that_is_not_there_is_told_of_and_nothing_is_raised(send: Send, message: Any, region: Any) -> None:
    missing = TOPIC.replace("dr-events", "nobody")
    (delivery,) = send(message, [{"sns": missing}], {}, aws_conn_id=None)
    assert delivery.status == "failed"
    assert "NotFound" in (delivery.reason or "")


def test_nothing_is_published_through_a_connection_that_is_missing_or_not_allowed(
    send: Send, message: Any, region: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (missing,) = send(message, [{"sns": TOPIC}], {}, aws_conn_id="aws_gone")
    monkeypatch.setenv("AIRFLOW_CONN_CHAT", "http://login:password@")
    (other,) = send(message, [{"sns": TOPIC}], {}, aws_conn_id="chat")
    assert (missing.status, other.status) == ("failed", "failed")
    assert "Airflow has no connection aws_gone" in str(missing.reason)
    assert "The connection chat is of type http" in str(other.reason)
    assert "Publish" not in {entry.get("operation") for entry in region.log}


def test_a_fifo_topic_gets_a_group_and_one_id_for_the_same_words(message: Any) -> None:
    from drs_provider.notifications.channels import SnsTopic

    first, second = (SnsTopic(f"{TOPIC}.fifo", message, aws_conn_id=None)._request() for _ in range(2))
    assert first["message_group_id"] == "shop"
    assert first["message_deduplication_id"] == second["message_deduplication_id"]
    assert "message_group_id" not in SnsTopic(TOPIC, message, aws_conn_id=None)._request()


def test_a_notifier_gets_the_words_where_it_takes_them(send: Send, message: Any, notifiers: Any) -> None:
    channels = [notifier("Chat"), notifier("Chat", channel="#{plan}", text="{subject} / {wave}: {unknown}")]
    deliveries = send(message, channels, {}, aws_conn_id=None)
    assert [each.status for each in deliveries] == ["success", "success"], deliveries
    assert sorted(notifiers.heard) == sorted(
        [
            ("#none", message.text, "wave_failed"),
            ("#shop", "[drill] shop: wave database failed / database: {unknown}", "wave_failed"),
        ]
    )


def test_the_triggerer_uses_what_a_notifier_has_for_it(message: Any, notifiers: Any) -> None:
    _from_the_triggerer(message, [notifier("AsyncChat")], {}, aws_conn_id=None)
    assert notifiers.heard == [("async", message.text, "wave_failed")]


@pytest.mark.parametrize("name", ["NoNotifier", "function", "heard", "missing"])
def test_only_an_airflow_notifier_may_be_named(send: Send, message: Any, notifiers: Any, name: str) -> None:
    (delivery,) = send(message, [notifier(name, text="x")], {}, aws_conn_id=None)
    assert delivery.status == "failed"
    assert f"site_notifiers.{name}" in (delivery.reason or "")
    assert notifiers.called == [], "what is no notifier is never called"


@pytest.mark.parametrize("path", ["os.system", "subprocess.Popen", "airflow.sdk.BaseOperator", "no.such.module"])
def test_nothing_else_that_can_be_imported_is_called(send: Send, message: Any, path: str) -> None:
    (delivery,) = send(message, [{"notifier": path, "args": {"args": "true"}}], {}, aws_conn_id=None)
    assert delivery.status == "failed"
    assert "UnusableNotifierError" in (delivery.reason or "")


def test_arguments_that_do_not_fit_are_named(send: Send, message: Any, notifiers: Any) -> None:
    (delivery,) = send(message, [notifier("Chat", chanel="#a")], {}, aws_conn_id=None)
    assert "chanel" in (delivery.reason or "")


def test_an_error_is_told_without_what_may_be_secret(send: Send, message: Any, notifiers: Any) -> None:
    broken, exiting = send(message, [notifier("Broken"), notifier("Exiting")], {}, aws_conn_id=None)
    assert broken.status == exiting.status == "failed"
    assert broken.reason == "ConnectionError; the task's log says more"


def test_a_channel_that_hangs_holds_up_neither_the_others_nor_the_task(
    send: Send, message: Any, notifiers: Any
) -> None:
    began = time.monotonic()
    hanging, chat = send(message, [notifier("Hanging"), notifier("Chat")], {}, aws_conn_id=None, patience=1.0)
    assert time.monotonic() - began < 20, "long before the channel would have answered"
    assert (hanging.status, hanging.reason) == ("failed", "it did not answer within 1 s")
    assert chat.status == "success"
