"""What an Airflow on SQLite needs: an empty database that is copied, ids that are given once, one change at a time.

SQLite gives the id of a deleted row to the next one. When a person marks a deferred task, Airflow deletes its trigger's
row, and a task that is deferred at that moment may get the same id. The triggerer knows triggers by their ids: it lets
the old one run on, and gives its event to the other task, which has then succeeded with somebody else's servers.
PostgreSQL and MySQL count ids in one direction.

SQLite also has one lock for all that is written. Airflow's API server writes its audit log on its event loop, and each
change in a thread whose commit the event loop has to start. When one request has changed something and another's audit
log is next, the event loop waits for a lock that is free only after it has gone on, and nothing is answered until
SQLite's patience ends. PostgreSQL locks rows, and knows no such wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from drs_provider.airflow_compat import AirflowChangedError, never_reuse_ids

__all__ = [
    "OneWriter",
    "copy_empty_database",
    "install_one_writer",
    "keep_empty_database",
    "never_reuse_trigger_ids",
]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_FILE = '''"""Of this Airflow on SQLite: its API server makes one change at a time."""

from airflow.plugins_manager import AirflowPlugin

from drs_provider.rehearsal.airflow_on_sqlite import OneWriter


class OneWriterPlugin(AirflowPlugin):
    """Puts the API server's requests in a row."""

    name = "one_writer"
    fastapi_root_middlewares = [{"middleware": OneWriter, "name": "one writer at a time"}]
'''

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _kept() -> Path | None:
    """Return where the database of this version of Airflow is kept; None outside of a virtual environment."""
    if sys.prefix == sys.base_prefix:
        return None
    return Path(sys.prefix) / "share" / "drs-rehearsal" / f"empty-airflow-{version('apache-airflow-core')}.db"


def copy_empty_database(database: Path) -> bool:
    """Copy the kept database to where a new Airflow has its own: making one takes longer.

    :returns: False where there is none, or there is a database already: then Airflow has to make or migrate it.
    """
    kept = _kept()
    if kept is None or database.exists() or not kept.is_file():
        return False
    shutil.copyfile(kept, database)
    return True


def keep_empty_database(database: Path) -> None:
    """Keep a database that was just made, before anything is in it. Without the right to write, none is kept."""
    kept = _kept()
    if kept is None or kept.exists():
        return
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=kept.parent)
        os.close(handle)
        shutil.copyfile(database, name)
        # In one step: another rehearsal finds a whole database or none.
        Path(name).replace(kept)


def never_reuse_trigger_ids(database: Path) -> None:
    """Make an Airflow database on SQLite, in which no trigger is yet, count the ids of triggers in one direction.

    :param database: the file.
    :raises AirflowChangedError: when the table of triggers is not as it is known: a rehearsal on it could show a task
        that succeeded with another's servers.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE tbl_name = 'trigger' AND sql IS NOT NULL ORDER BY type DESC"
        ).fetchall()
        tables = [sql for kind, sql in found if kind == "table"]
        if len(tables) != 1:
            raise AirflowChangedError(["its database has no table of triggers"])
        table = never_reuse_ids(tables[0])
        connection.execute("PRAGMA foreign_keys = OFF")
        with connection:
            connection.execute('DROP TABLE "trigger"')
            for sql in (table, *(sql for kind, sql in found if kind == "index")):
                connection.execute(sql)


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


def install_one_writer(plugins_folder: Path) -> None:
    """Write the plugin's file into the plugins folder of an Airflow whose database is SQLite."""
    plugins_folder.mkdir(parents=True, exist_ok=True)
    (plugins_folder / "one_writer.py").write_text(_FILE, encoding="utf-8")
