"""A message, a topic in a simulated region, and a module of notifiers as somebody's own code would hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TOPIC = "arn:aws:sns:us-west-2:123456789012:dr-events"

NOTIFIERS = """
import asyncio
import time

from airflow.sdk import BaseNotifier

heard = []
called = []


class Chat(BaseNotifier):
    template_fields = ("text",)

    def __init__(self, *, text, channel="#none"):
        super().__init__()
        self.text, self.channel = text, channel

    def notify(self, context):
        heard.append((self.channel, self.text, context["notification"]["event"]))


class AsyncChat(Chat):
    async def async_notify(self, context):
        heard.append(("async", self.text, context["notification"]["event"]))


class Hanging(BaseNotifier):
    def notify(self, context):
        time.sleep(30)

    async def async_notify(self, context):
        await asyncio.sleep(30)


class Broken(BaseNotifier):
    def notify(self, context):
        raise ConnectionError("https://hooks.example/T000/secret-token is down")


class Exiting(BaseNotifier):
    def notify(self, context):
        raise SystemExit(1)


class NoNotifier:
    def __init__(self, **args):
        called.append(args)

    def notify(self, context):
        called.append(context)


def function(**args):
    called.append(args)
"""


@pytest.fixture
def message() -> Any:
    """The message that a wave failed."""
    from drs_provider.notifications.message import Message

    return Message(
        event="wave_failed",
        subject="[drill] shop: wave database failed",
        text="The wave failed: {{ conn.aws_default.password }} {subject}",
        plan="shop",
        run_id="manual__1",
        mode="drill",
        wave="database",
    )


@pytest.fixture(autouse=True)
def _allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans may name every notifier, unless a test says otherwise."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", "*")


@pytest.fixture
def notifiers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module ``site_notifiers``."""
    import importlib
    import sys

    (tmp_path / "site_notifiers.py").write_text(NOTIFIERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "site_notifiers", raising=False)
    yield importlib.import_module("site_notifiers")
    sys.modules.pop("site_notifiers", None)


@pytest.fixture
def region(drs_simulator_server: Any) -> Any:
    """A simulated region with the topic, and a FIFO topic."""
    drs_simulator_server.load({"topics": [TOPIC]})
    drs_simulator_server.clear_log()
    return drs_simulator_server
