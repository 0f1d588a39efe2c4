"""XCom between the tasks of a run: what another task left, and what has to outlive the task that leaves it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from drs_provider.airflow_compat import set_xcom

__all__ = ["leave_with", "pulled"]


def pulled(context: Mapping[str, Any], task_id: str, key: str = "return_value") -> Any:
    """Return an XCom of another task of the run, None where there is none.

    What a trigger leaves in XCom when it ends its task, Airflow stores as the text of its JSON; a worker's as it is.
    """
    value = context["ti"].xcom_pull(task_ids=task_id, key=key)
    if isinstance(value, str) and value[:1] in ("{", "[", '"'):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def leave_with(context: Mapping[str, Any], task_id: str, key: str, value: Any) -> None:
    """Store an XCom under another task of the run: Airflow deletes a task's XComs when a retry of it starts.

    :param task_id: the task that it is stored under.
    :param value: JSON-serialisable.
    """
    ti = context["ti"]
    set_xcom(ti.dag_id, task_id, ti.run_id, key, value)
