"""The empty database that rehearsals start from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drs_provider.rehearsal.empty_database import copy_empty_database, keep_empty_database
from drs_provider.rehearsal.private_airflow import PrivateAirflow


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A virtual environment of the test's own."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    return tmp_path / "venv"


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
