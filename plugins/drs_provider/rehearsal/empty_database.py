"""An empty Airflow database on SQLite, kept in the virtual environment: making one takes longer than copying it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

__all__ = ["copy_empty_database", "keep_empty_database"]


def _kept() -> Path | None:
    """Return where the database of this version of Airflow is kept; None outside of a virtual environment."""
    if sys.prefix == sys.base_prefix:
        return None
    return Path(sys.prefix) / "share" / "drs-rehearsal" / f"empty-airflow-{version('apache-airflow-core')}.db"


def copy_empty_database(database: Path) -> bool:
    """Copy the kept database to where a new Airflow has its own.

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
