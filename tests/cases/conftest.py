"""What the cases share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drs_provider.simulator.simulation import Simulation
from tests.cases.world import CASES, Case


@pytest.fixture
def case(
    request: pytest.FixtureRequest, drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Case]:
    """Load the case of the test's ``case`` parameter."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    folder = CASES / request.param
    drs_simulator.load(folder / "scenario.yaml", speed=60)
    drs_simulator.events.clear()
    yield Case(folder, drs_simulator, tmp_path, monkeypatch)
