"""What the tests of this room share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def xcoms_of_other_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep XComs that a task stores under another one in this process: there is no Airflow."""
    from airflow.sdk.execution_time.xcom import XCom

    from tests.xcoms import store_xcom

    monkeypatch.setattr(XCom, "set", store_xcom)
