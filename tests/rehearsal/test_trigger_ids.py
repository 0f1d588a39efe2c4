"""On SQLite, a trigger never gets the id of one that was deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from drs_provider.rehearsal.trigger_ids import never_reuse_trigger_ids

INSERT = "INSERT INTO trigger (classpath, kwargs, created_date) VALUES ('a.b', '{}', '2026-01-01')"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An Airflow database with no rows."""
    from airflow.models import import_all_models
    from airflow.models.trigger import Trigger

    import_all_models()
    path = tmp_path / "airflow.db"
    engine = create_engine(f"sqlite:///{path}")
    Trigger.metadata.create_all(engine)
    engine.dispose()
    return path


def second_id(database: Path) -> int:
    """Insert a trigger, delete it, and return the id of the next."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(INSERT)
        connection.execute("DELETE FROM trigger")
        return int(connection.execute(INSERT).lastrowid or 0)


def test_an_id_is_given_once(database: Path) -> None:
    never_reuse_trigger_ids(database)
    assert second_id(database) == 2


def test_without_it_an_id_is_given_again(database: Path) -> None:
    assert second_id(database) == 1


def test_everything_else_of_the_table_stays(database: Path) -> None:
    def columns() -> list[object]:
        with closing(sqlite3.connect(database)) as connection:
            known = connection.execute("PRAGMA table_info('trigger')").fetchall()
            others = connection.execute("PRAGMA foreign_key_list('trigger')").fetchall()
            indexes = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE tbl_name = 'trigger' AND type = 'index'"
            ).fetchall()
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        return [known, others, indexes]

    before = columns()
    never_reuse_trigger_ids(database)
    assert columns() == before


def test_a_table_that_is_not_known_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE trigger (id TEXT PRIMARY KEY)")
    never_reuse_trigger_ids(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA table_info('trigger')").fetchall()[0][2] == "TEXT"
