"""An Airflow on SQLite: ids that are given once, the empty database that is copied, one change at a time."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from drs_provider.airflow_compat import AirflowChangedError
from drs_provider.rehearsal.airflow_on_sqlite import (
    OneWriter,
    copy_empty_database,
    keep_empty_database,
    never_reuse_trigger_ids,
)
from drs_provider.rehearsal.private_airflow import PrivateAirflow

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


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("CREATE TABLE trigger (id TEXT PRIMARY KEY)", "cannot be kept from being given twice: CREATE TABLE trigger"),
        ("CREATE TABLE triggers (id INTEGER NOT NULL)", "its database has no table of triggers"),
    ],
)
def test_a_table_that_is_not_known_ends_the_rehearsal_before_it_begins(tmp_path: Path, table: str, said: str) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(table)
    with pytest.raises(AirflowChangedError, match=said):
        never_reuse_trigger_ids(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall() == [(table,)]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment of the test's own."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path / "venv"


@pytest.mark.usefixtures("environment")
def test_a_database_is_kept_once_and_copied_to_who_has_none(tmp_path: Path) -> None:
    made, other, own = (tmp_path / name for name in ("made.db", "other.db", "own.db"))
    made.write_bytes(b"empty")
    assert not copy_empty_database(other)
    keep_empty_database(made)
    made.write_bytes(b"used")
    keep_empty_database(made)
    assert copy_empty_database(other)
    assert other.read_bytes() == b"empty"
    own.write_bytes(b"in use")
    assert not copy_empty_database(own)
    assert own.read_bytes() == b"in use"


def test_nothing_is_kept_outside_of_a_virtual_environment_or_where_it_cannot(
    tmp_path: Path, environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made.db"
    made.write_bytes(b"empty")
    environment.write_text("a file where a folder is wanted")
    keep_empty_database(made)
    assert not copy_empty_database(tmp_path / "other.db")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    keep_empty_database(made)
    assert not copy_empty_database(tmp_path / "other.db")


def test_an_airflow_starts_from_it_unless_its_settings_name_another_database(tmp_path: Path) -> None:
    assert PrivateAirflow(tmp_path / "home", tmp_path).has_own_database
    other = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow@127.0.0.1/airflow"}
    assert not PrivateAirflow(tmp_path / "home", tmp_path, other).has_own_database


async def within(methods: list[str]) -> tuple[int, list[str]]:
    """Send requests at once to an application that takes a while; return the most at a time, and how they ended."""
    going = most = 0
    ended: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        nonlocal going, most
        going += 1
        most = max(most, going)
        # A change takes more turns of the loop than a question.
        for _ in range(2 if scope["method"] == "GET" else 6):
            await asyncio.sleep(0)
        going -= 1
        ended.append(scope["method"])

    one_writer = OneWriter(application)
    await asyncio.gather(*(one_writer({"type": "http", "method": method}, None, None) for method in methods))  # type: ignore[arg-type]
    return most, ended


def test_changes_are_made_one_after_the_other() -> None:
    assert asyncio.run(within(["POST", "PATCH", "DELETE", "PUT"])) == (1, ["POST", "PATCH", "DELETE", "PUT"])


def test_who_only_reads_waits_for_no_change() -> None:
    assert asyncio.run(within(["POST", "GET", "POST", "GET"])) == (3, ["GET", "GET", "POST", "POST"])


def test_an_error_lets_the_next_one_go_on() -> None:
    answered: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            raise ValueError("broken")
        answered.append(scope["path"])

    async def both() -> None:
        one_writer = OneWriter(application)
        requests = [{"type": "http", "method": "POST", "path": path} for path in ("/broken", "/well")]
        await asyncio.gather(*(one_writer(each, None, None) for each in requests), return_exceptions=True)  # type: ignore[arg-type]

    asyncio.run(both())
    assert answered == ["/well"]


def test_a_server_that_starts_or_stops_is_let_through() -> None:
    seen: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(OneWriter(application)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
