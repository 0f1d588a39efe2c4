"""A rehearsal's Airflow looks after its components as a supervisor of services does."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.processes import ProcessDied, stop_all

LIVING = "import time; time.sleep(600)"
STALE = "raise SystemExit('sqlalchemy.orm.exc.StaleDataError: expected to update 1 row(s); 0 were matched.')"
OTHER = "raise SystemExit('ModuleNotFoundError: no module named shop')"


@pytest.fixture
def airflow(tmp_path: Path) -> Iterator[PrivateAirflow]:
    """Components that do nothing, for as long as they are left alone."""
    airflow = PrivateAirflow(tmp_path / "home", tmp_path / "plans")
    for component in airflow.components.values():
        component.command = [sys.executable, "-c", LIVING]
        component.start()
    yield airflow
    stop_all(airflow.components.values(), grace=1)


def ends(airflow: PrivateAirflow, name: str, program: str) -> None:
    """Let a component end as this program does."""
    component = airflow.components[name]
    component.kill()
    component.command = [sys.executable, "-c", program]
    component.start()
    while component.alive:
        time.sleep(0.02)
    component.command = [sys.executable, "-c", LIVING]


def test_a_scheduler_that_met_somebody_elses_change_is_started_again(airflow: PrivateAirflow) -> None:
    ends(airflow, "scheduler", STALE)
    airflow.supervise()
    assert airflow.components["scheduler"].alive
    assert airflow.scheduler_restarts == 1
    airflow.supervise()
    assert airflow.scheduler_restarts == 1, "it runs"


def test_one_that_goes_on_ending_is_a_fault(airflow: PrivateAirflow) -> None:
    for _ in range(3):
        ends(airflow, "scheduler", STALE)
        airflow.supervise()
    ends(airflow, "scheduler", STALE)
    with pytest.raises(ProcessDied, match="StaleDataError"):
        airflow.supervise()


@pytest.mark.parametrize(("name", "program"), [("scheduler", OTHER), ("triggerer", STALE)])
def test_every_other_end_is_a_fault(airflow: PrivateAirflow, name: str, program: str) -> None:
    ends(airflow, name, program)
    with pytest.raises(ProcessDied, match=f"{name} ended with exit code 1"):
        airflow.supervise()
