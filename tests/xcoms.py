"""XComs that a task stores under another one: in Airflow by its API, in tests in this process."""

from __future__ import annotations

import json
from typing import Any

import pytest

__all__ = ["XComs", "store_xcom", "stored_xcoms", "xcoms_of_other_tasks"]

XComs = dict[str, dict[str, Any]]

_STORED: dict[tuple[str, str], XComs] = {}


def stored_xcoms(dag_id: str, run_id: str, *, anew: bool = False) -> XComs:
    """Return the XComs of a run, by task id and key; none where the run begins ``anew``."""
    if anew:
        _STORED[dag_id, run_id] = {}
    return _STORED.setdefault((dag_id, run_id), {})


def store_xcom(key: str, value: Any, *, dag_id: str, task_id: str, run_id: str, **_: Any) -> None:
    """Store an XCom, in the place of ``XCom.set`` of Airflow's task SDK."""
    stored_xcoms(dag_id, run_id).setdefault(task_id, {})[key] = json.loads(json.dumps(value))


@pytest.fixture(autouse=True)
def xcoms_of_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep XComs that a task stores under another one in this process: there is no Airflow."""
    from airflow.sdk.execution_time.xcom import XCom

    monkeypatch.setattr(XCom, "set", store_xcom)
