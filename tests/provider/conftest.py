"""What tests of the provider share: the context that Airflow gives a task, and a region to recover into."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import datetime, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

# Before the first import of Airflow, which writes its configuration there.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-provider-tests-"))


class TaskInstanceDouble:
    """As much of a RuntimeTaskInstance as operators use."""

    def __init__(self, task: Any, run_id: str, try_number: int, max_tries: int) -> None:
        self.task = task
        self.task_id = task.task_id
        self.dag_id = "tests"
        self.run_id = run_id
        self.map_index = -1
        self.try_number = try_number
        self.max_tries = max_tries
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is pushed; it has to be JSON, as in Airflow."""
        self.xcoms[key] = json.loads(json.dumps(value))


@pytest.fixture
def task_context() -> Callable[..., dict[str, Any]]:
    """Make the context of a task: ``task_context(operator, run_id=, try_number=, max_tries=)``."""

    def make(task: Any, run_id: str = "manual__1", try_number: int = 1, max_tries: int | None = None) -> dict[str, Any]:
        tries = int(task.retries or 0) if max_tries is None else max_tries
        run = SimpleNamespace(run_after=datetime.now(timezone.utc), run_id=run_id, queued_at=None, start_date=None)
        return {"ti": TaskInstanceDouble(task, run_id, try_number, tries), "dag_run": run, "task": task}

    return make


@pytest.fixture
def remake() -> Callable[[Any], Any]:
    """Make a trigger again from its serialised state, as a restarted triggerer does."""

    def again(trigger: Any) -> Any:
        path, arguments = trigger.serialize()
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    return again
