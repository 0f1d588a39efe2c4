"""The parts of Airflow's inside that this package needs: they are named, found, and used in one place only."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.execution_time import task_runner

import drs_provider
from drs_provider import airflow_compat
from drs_provider.deploy.doctor.installation import check_installation

COMPAT = Path(inspect.getfile(airflow_compat))
PACKAGE = Path(inspect.getfile(drs_provider)).parent
#: What Airflow documents as its public interface, and the command itself.
PUBLIC = (
    "airflow.__main__",
    "airflow.listeners",
    "airflow.plugins_manager",
    "airflow.providers.",
    "airflow.sdk.definitions.",
    "airflow.sdk.exceptions",
    "airflow.sdk.log",
    "airflow.sdk.timezone",
    "airflow.triggers.base",
)
PRIVATE = ("SUPERVISOR_COMMS", "_region_name", "_verify")


def gone(patch: pytest.MonkeyPatch) -> None:
    patch.delattr(task_runner, "TaskRunnerMarker")


def other_parameters(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(BaseOperator, "resume_execution", lambda self, context: None)


@pytest.mark.parametrize(
    ("moved", "named"),
    [
        (gone, "airflow.sdk.execution_time.task_runner:TaskRunnerMarker is gone"),
        (other_parameters, "BaseOperator.resume_execution takes self, context, and not self, next_method, next_kwargs"),
    ],
)
def test_a_seam_that_moves_is_named_and_the_doctor_says_so(
    moved: Callable[[pytest.MonkeyPatch], None], named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    airflow_compat.check()
    moved(monkeypatch)
    with pytest.raises(airflow_compat.AirflowChangedError, match=r"differs from those .* to below 3\.4") as caught:
        airflow_compat.check()
    assert named in str(caught.value)
    assert [found.message for found in check_installation(tmp_path) if found.level == "error"] == [str(caught.value)]


def test_an_airflow_that_nobody_tested_is_a_warning_of_the_doctor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(airflow_compat, "UNTESTED", "3.2")
    warnings = [found.message for found in check_installation(tmp_path) if found.level == "warning"]
    assert any("is newer than what this package was tested with (below 3.2)" in text for text in warnings)


def test_nothing_else_touches_what_is_private_to_airflow() -> None:
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path == COMPAT:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            names = [each for each in names if each.startswith("airflow.") and not each.startswith(PUBLIC)]
            # Of a hook of the amazon provider, and of Airflow's task runner.
            names += [node.attr] if isinstance(node, ast.Attribute) and node.attr in PRIVATE else []
            found += [f"{path.relative_to(PACKAGE)}: {name}" for name in names if name != "airflow.sdk"]
    assert found == []


def test_states_and_counts_are_asked_for_as_every_airflow_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def states(**kwargs: Any) -> Any:
        asked.append(kwargs)
        return {"run": {"a": task_runner.TaskInstanceState.SUCCESS, "b": None}}

    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", staticmethod(states))
    assert airflow_compat.task_states("dag", "run") == {"a": "success", "b": None}
    assert airflow_compat.task_states("dag", "other", ["a"], -1) == {}
    assert asked == [
        {"dag_id": "dag", "run_ids": ["run"]},
        {"dag_id": "dag", "run_ids": ["other"], "task_ids": ["a"], "map_index": -1},
    ]


def test_a_deadline_is_stored_as_a_number_and_has_a_name_where_airflow_takes_one() -> None:
    from airflow.sdk.definitions.deadline import DeadlineAlert

    named = "name" in inspect.signature(DeadlineAlert).parameters
    assert airflow_compat.named_deadline("RTO") == ({"name": "RTO"} if named else {})
    stored = airflow_compat.stored_interval(timedelta(minutes=5))
    assert getattr(stored, "total_seconds", lambda: stored)() == 300
