"""The simulation that runs in this process: its clock, its log, its faults and its scenario, in one place.

`current()` is what the backends ask; there is one at a time, because moto's own state is one per process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drs_provider.simulator.answers import Answers
from drs_provider.simulator.clock import Clock
from drs_provider.simulator.event_log import EventLog
from drs_provider.simulator.faults import Fault, Faults
from drs_provider.simulator.history import History
from drs_provider.simulator.scenario import Scenario
from drs_provider.simulator.scenario_file import load_scenario

__all__ = ["Simulation", "activate", "current", "deactivate", "require"]


class Simulation:
    """A recovery region and everything that can be done to it from outside.

    :param speed: how much faster than AWS the phases pass.
    :param log: the file that JSON lines are appended to; absent: in memory only.
    """

    def __init__(self, speed: float = 1.0, log: Path | str | None = None) -> None:
        self.clock = Clock(speed)
        self.answers = Answers(self.clock)
        self.events = EventLog(log)
        self.history = History(self)
        self.clock.before_due = self.history.changing
        self.faults = Faults(self.history.follow)
        self.scenario = Scenario()
        self.loaded_at = self.clock.now()

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
        from drs_provider.simulator import registration
        from drs_provider.simulator.surroundings import seed_surroundings

        scenario = load_scenario(source)
        with self.clock.lock:
            if speed is not None:
                self.clock.set_speed(speed)
            self.clock.clear()  # From here on, no answer is given that was kept.
            self.faults.forget()
            registration.reset_backends()
            self.scenario = scenario
            self.loaded_at = self.clock.now()
            for account, region, site in scenario.sites():
                for service in registration.SERVICES:
                    service.seed(self, account, region, site)
            seed_surroundings(scenario, self.clock.now())
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
        from drs_provider.simulator.drs.models import backend_of

        with self.clock.lock:
            self.clock.run_due()
            self.clock.changed()
            backend = backend_of(server_id)
            backend.happen(event, backend.servers[server_id])
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

    def record(self, event: str, job: str | None = None, server: str | None = None, **more: Any) -> None:
        """Write a change of state to the log, at the exact time of its phase."""
        self.events.event(self.clock.now(), event, job, server, **more)

    def close(self) -> None:
        """Stop the timer thread, let go what is held, and close the log."""
        self.clock.stop()
        self.faults.clear()
        self.events.close()


_current: Simulation | None = None


def activate(simulation: Simulation) -> Simulation:
    """Make this the process's simulation, and register the simulator with moto."""
    global _current
    from drs_provider.simulator import registration

    registration.install()
    _current = simulation
    simulation.clock.start()
    return simulation


def deactivate() -> None:
    """End the process's simulation; moto goes on without it."""
    global _current
    simulation, _current = _current, None
    if simulation is not None:
        from drs_provider.simulator import registration

        simulation.close()
        registration.reset_backends()


def current() -> Simulation | None:
    """The process's simulation, where there is one."""
    return _current


def require() -> Simulation:
    """The process's simulation.

    :raises RuntimeError: there is none.
    """
    if _current is None:
        raise RuntimeError("no DRS simulation is active in this process")
    return _current
