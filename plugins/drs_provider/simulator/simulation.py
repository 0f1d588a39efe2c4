"""A simulation as whoever runs one sees it: scenarios to load, a clock to freeze and move on, faults, and a log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moto.ec2.models import ec2_backends

from drs_provider.simulator import registration, runtime
from drs_provider.simulator.drs.models import backend_of, drs_backends
from drs_provider.simulator.faults import Fault
from drs_provider.simulator.moto_compat import patches
from drs_provider.simulator.runtime import Runtime
from drs_provider.simulator.scenario import Scenario
from drs_provider.simulator.scenario_file import load_scenario
from drs_provider.simulator.seeding import seed_scenario
from drs_provider.simulator.ssm.models import ssm_backends

__all__ = ["Simulation", "activate", "deactivate"]


class Simulation(Runtime):
    """A recovery region and everything that can be done to it from outside.

    :param speed: how much faster than AWS the phases pass.
    :param log: the file that JSON lines are appended to; absent: in memory only.
    """

    def __init__(self, speed: float = 1.0, log: Path | str | None = None) -> None:
        super().__init__(speed, log, lambda: (drs_backends, ssm_backends, ec2_backends))

    @property
    def log(self) -> list[dict[str, Any]]:
        """What happened so far: calls and changes of state, oldest first."""
        self.clock.run_due()
        return self.events.entries()

    def load(self, source: Path | str | Mapping[str, Any] | Scenario, speed: float | None = None) -> Scenario:
        """Forget everything, and begin with a scenario; `speed` stays as it is where it is absent.

        :raises ScenarioError: the scenario is not valid; what ran before goes on.
        :raises ValueError: the speed is not above 0; what ran before goes on.
        """
        scenario = load_scenario(source)
        with self.clock.lock:
            if speed is not None:
                self.clock.set_speed(speed)
            self.clock.clear()  # From here on, no answer is given that was kept.
            self.faults.forget()
            patches.empty_backends()
            self.scenario = scenario
            self.loaded_at = self.clock.now()
            for account, region, site in scenario.sites():
                for service in registration.SERVICES:
                    service.seed(self, account, region, site)
            seed_scenario(scenario, self.clock.now())
            for fault in scenario.faults:
                self.faults.add(fault)
        return scenario

    def reset(self) -> None:
        """Begin again with the scenario that was loaded last; the log in memory is emptied."""
        self.events.clear()
        self.load(self.scenario)

    def freeze(self) -> None:
        """Stop the clock."""
        self.clock.freeze()

    def resume(self) -> None:
        """Let the clock go on."""
        self.clock.resume()

    def advance(self, seconds: float) -> None:
        """Move the clock on by so many seconds (clock seconds, not divided by the speed)."""
        self.clock.advance(seconds)

    def happen(self, event: str, server_id: str) -> None:
        """Let a person do something to the machine of a source server on premises.

        :param event: ``failback_client_booted``, ``failback_media_removed`` or ``agent_installed``.
        :raises ValueError: there is no such server, or nobody can do that now.
        """
        with self.clock.lock:
            self.clock.run_due()
            self.clock.changed()
            backend = backend_of(server_id)
            backend.on_premises.happen(event, backend.servers[server_id])
            self.record(event.upper(), server=server_id, account=backend.account_id, region=backend.region_name)

    def add_fault(self, operation: str | Fault, **fields: Any) -> Fault:
        """Put a fault in force; see `Fault` for the fields. Returns it, with its `id`."""
        if isinstance(operation, Fault):
            return self.faults.add(operation)
        return self.faults.add(operation=operation, **fields)

    def clear_faults(self) -> None:
        """Take all faults out of force, and let go what they hold."""
        self.faults.clear()

    def release(self, fault_id: int | None = None) -> None:
        """Let the answers go that a `hold` fault holds back."""
        self.faults.release(fault_id)

    def close(self) -> None:
        """Stop the timer thread, let go what is held, and close the log."""
        self.clock.stop()
        self.faults.clear()
        self.events.close()


def activate(simulation: Simulation) -> Simulation:
    """Make this the process's simulation, and register the simulator with moto."""
    registration.install()
    runtime.make_current(simulation)
    simulation.clock.start()
    return simulation


def deactivate() -> None:
    """End the process's simulation; moto goes on without it."""
    simulation = runtime.make_current(None)
    if isinstance(simulation, Simulation):
        simulation.close()
        patches.empty_backends()
