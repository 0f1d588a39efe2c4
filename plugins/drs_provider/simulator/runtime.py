"""The simulation that runs in this process, as its services see it: its clock, its log, its faults and its scenario.

`current()` is what they ask; there is one at a time, because moto's own state is one per process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from drs_provider.simulator.answers import Answers
from drs_provider.simulator.clock import Clock
from drs_provider.simulator.event_log import EventLog
from drs_provider.simulator.faults import Faults
from drs_provider.simulator.history import History
from drs_provider.simulator.scenario import Scenario

__all__ = ["Runtime", "current", "make_current", "require"]


class Runtime:
    """What a simulation has while it runs.

    :param speed: how much faster than AWS the phases pass.
    :param log: the file that JSON lines are appended to; absent: in memory only.
    :param services: gives the `BackendDict` of every service whose lists can be stale.
    """

    def __init__(self, speed: float, log: Path | str | None, services: Callable[[], Sequence[Any]]) -> None:
        self.clock = Clock(speed)
        self.answers = Answers(self.clock)
        self.events = EventLog(log)
        self.history = History(self, services)
        self.clock.before_due = self.history.changing
        self.faults = Faults(self.history.follow)
        self.scenario = Scenario()
        self.loaded_at = self.clock.now()

    def record(self, event: str, job: str | None = None, server: str | None = None, **more: Any) -> None:
        """Write a change of state to the log, at the exact time of its phase."""
        self.events.event(self.clock.now(), event, job, server, **more)


_current: Runtime | None = None


def make_current(runtime: Runtime | None) -> Runtime | None:
    """Make this the process's simulation, or None: there is none; return the one before."""
    global _current
    before, _current = _current, runtime
    return before


def current() -> Runtime | None:
    """The process's simulation, where there is one."""
    return _current


def require() -> Runtime:
    """The process's simulation.

    :raises RuntimeError: there is none.
    """
    if _current is None:
        raise RuntimeError("no DRS simulation is active in this process")
    return _current
