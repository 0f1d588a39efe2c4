"""A small valid plan that tests change in one place, and the problems of a text."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drs_provider.plan import PlanError, Problem, load_plan

SERVER = "s-00000000000000001"

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "target": {"region": "us-west-2"},
    "waves": [
        {"name": "db", "servers": [{"id": SERVER}]},
        {"name": "app", "depends_on": ["db"], "servers": [{"tags": {"Tier": "app"}}]},
    ],
}


@pytest.fixture
def data() -> dict[str, Any]:
    """The data of a small valid plan, the test's own."""
    return copy.deepcopy(PLAN)


@pytest.fixture
def problems_of(tmp_path: Path) -> Callable[[str | bytes], list[Problem]]:
    """Problems of a plan file with the given text; empty if it is valid."""

    def problems(text: str | bytes) -> list[Problem]:
        path = tmp_path / "plan.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            load_plan(path)
        except PlanError as error:
            return error.problems
        return []

    return problems
