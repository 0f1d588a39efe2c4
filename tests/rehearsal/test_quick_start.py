"""An API server starts with little garbage collection, and goes on with Python's usual one."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.quick_start import collect_rarely


@pytest.fixture(autouse=True)
def usual() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_garbage_is_collected_rarely_and_then_as_before(usual: tuple[int, int, int]) -> None:
    back = collect_rarely(seconds=0.2)
    assert gc.isenabled()
    assert gc.get_threshold()[0] > 10 * usual[0]
    back.join()
    assert gc.get_threshold() == usual


def test_the_timer_holds_up_no_exit() -> None:
    program = "from drs_provider.rehearsal.quick_start import collect_rarely; collect_rarely(600)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_command_is_airflows(tmp_path: Path) -> None:
    airflow = PrivateAirflow(tmp_path / "home", tmp_path / "plans")
    command = airflow.components["api-server"].command
    assert command[1:3] == ["-m", "drs_provider.rehearsal.quick_start"]
    asked = subprocess.run(
        [*command[:3], "version"], env={**os.environ, **airflow.env}, capture_output=True, text=True, check=True
    )
    plain = [command[0], "-m", "airflow", "version"]
    meant = subprocess.run(plain, env={**os.environ, **airflow.env}, capture_output=True, text=True, check=True)
    assert asked.stdout.split() == meant.stdout.split()
