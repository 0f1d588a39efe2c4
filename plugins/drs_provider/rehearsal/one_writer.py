"""What lets an API server on SQLite answer several changes at once: it makes them one after the other.

Airflow's API server writes its audit log on its event loop, and each change in a thread whose commit the event loop has
to start. SQLite has one lock for all that is written. When one request has changed something and another's audit log is
next, the event loop waits for a lock that is free only after it has gone on, and nothing is answered until SQLite's
patience ends. PostgreSQL locks rows, and knows no such wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

__all__ = ["OneWriter", "OneWriterPlugin", "install"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_FILE = '''"""Of this Airflow on SQLite: its API server makes one change at a time."""

from drs_provider.rehearsal.one_writer import OneWriterPlugin  # noqa: F401
'''

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class OneWriter:
    """ASGI middleware that lets one request at a time change something; those that only read go by.

    :param app: the application.
    """

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)


class OneWriterPlugin(AirflowPlugin):
    """The plugin, as Airflow finds it in its plugins folder."""

    name = "one_writer"
    fastapi_root_middlewares = [{"middleware": OneWriter, "name": "one writer at a time"}]


def install(plugins_folder: Path) -> None:
    """Write the plugin's file into the plugins folder of an Airflow whose database is SQLite."""
    plugins_folder.mkdir(parents=True, exist_ok=True)
    (plugins_folder / "one_writer.py").write_text(_FILE, encoding="utf-8")
