"""pytest fixtures: the simulator in this process, and the simulator as a server.

Put `pytest_plugins = ["drs_provider.simulator.pytest_plugin"]` into the topmost `conftest.py`.

- `drs_simulator`: in this process, within `mock_aws()`; boto3 only. `load` a scenario, `freeze` and `advance` the
  clock, `add_fault`, and read `log`.
- `drs_simulator_server`: a `drs-sim` process, which aiobotocore and other processes reach too. It begins empty, at
  speed 1; `load(scenario, speed=60)` changes both. `AWS_ENDPOINT_URL` and credentials are set for the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from drs_provider.simulator.remote import RemoteSimulator, SimulatorProcess

if TYPE_CHECKING:
    from drs_provider.simulator.simulation import Simulation

__all__ = ["drs_simulator", "drs_simulator_server"]


@pytest.fixture
def drs_simulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    """The simulator in this process: an empty region until `load` is called."""
    from moto import mock_aws

    from drs_provider.simulator.simulation import Simulation, activate, deactivate

    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    simulation = Simulation()
    with mock_aws():
        activate(simulation)
        try:
            simulation.load({})
            simulation.events.clear()
            yield simulation
        finally:
            deactivate()


@pytest.fixture(scope="session")
def _drs_simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    """One process for all the tests of a session, because it takes seconds to start."""
    process = SimulatorProcess(tmp_path_factory.mktemp("drs-simulator") / "log.jsonl")
    try:
        yield process
    finally:
        process.stop()


@pytest.fixture
def drs_simulator_server(
    _drs_simulator_process: SimulatorProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RemoteSimulator]:
    """The simulator as a server: empty, its log empty, its clock running."""
    simulator = _drs_simulator_process
    simulator.resume()
    simulator.load({}, speed=1.0)
    simulator.clear_log()
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in simulator.environment.items():
        monkeypatch.setenv(name, value)
    yield simulator
    simulator.clear_faults()
