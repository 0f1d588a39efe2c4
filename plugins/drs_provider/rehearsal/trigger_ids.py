"""What keeps a trigger's id its own on SQLite.

SQLite gives the id of a deleted row to the next one. When a person marks a deferred task, Airflow deletes its trigger's
row, and a task that is deferred at that moment may get the same id. The triggerer knows triggers by their ids: it lets
the old one run on, and gives its event to the other task, which has then succeeded with somebody else's servers.
PostgreSQL and MySQL count ids in one direction.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["never_reuse_trigger_ids"]

_ID = re.compile(r"\bid INTEGER NOT NULL")
_KEY = re.compile(r",\s*CONSTRAINT \w+ PRIMARY KEY \(id\)")


def never_reuse_trigger_ids(database: Path) -> None:
    """Make an Airflow database on SQLite, in which no trigger is yet, count the ids of triggers in one direction.

    :param database: the file; one whose table of triggers is not as it is known stays as it is.
    """
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE tbl_name = 'trigger' AND sql IS NOT NULL ORDER BY type DESC"
        ).fetchall()
        tables = [sql for kind, sql in found if kind == "table"]
        if len(tables) != 1 or not (_ID.search(tables[0]) and _KEY.search(tables[0])):
            return
        table = _ID.sub("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", _KEY.sub("", tables[0], count=1), count=1)
        connection.execute("PRAGMA foreign_keys = OFF")
        with connection:
            connection.execute('DROP TABLE "trigger"')
            for sql in (table, *(sql for kind, sql in found if kind == "index")):
                connection.execute(sql)
