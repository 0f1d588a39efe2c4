"""What DRS, SSM and EC2 were like some time ago, for answers that lag behind (the fault `stale`).

While such a fault is in force, the state of the three is copied just before it changes: before a call that writes, and
before a phase that is due. A stale call is then served from the copy of that moment, with the clock set back, so that
every list, filter and page of it is as it would have been. Nothing is kept, and nothing costs anything, otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from drs_provider.simulator.runtime import Runtime

__all__ = ["LISTS", "READS", "SERVICES", "History"]

#: What can be stale: the services, and how the names of operations that only read begin.
SERVICES: Final = ("drs", "ssm", "ec2")
READS: Final = ("Describe", "List", "Get")
#: Those of which AWS itself says that they may lag; a Get by id does so only where a fault names it.
LISTS: Final = ("Describe", "List")
#: Changes closer together than this share of the lag are one: a copy of 40 servers takes 60 ms.
_RESOLUTION: Final = 0.05
#: What copies share with the present: it never changes, or is no state of AWS, or moto cannot copy it.
_SHARED_TYPES: Final = ("ParameterDict", "lock", "RLock")
_IMAGES: Final = "drs_simulator_images"


@dataclass(frozen=True)
class _Moment:
    """The backends as they were until an epoch time."""

    until: float
    backends: list[tuple[Any, dict[str, Any]]]


class History:
    """The recent past of one simulation. Everything here runs under the simulation's lock.

    :param services: gives the `BackendDict` of every service that can be stale.
    """

    def __init__(self, simulation: Runtime, services: Callable[[], Sequence[Any]]) -> None:
        self._simulation = simulation
        self._services = services
        self._kept: list[_Moment] = []
        self._lags: tuple[float, ...] = ()
        self._since = 0.0

    def follow(self, lags: tuple[float, ...]) -> None:
        """Keep what answers need that lag by so many seconds of AWS; none: forget what was kept."""
        with self._simulation.clock.lock:
            if not self._lags or not lags:
                self._kept.clear()
                self._since = self._simulation.clock.now()
            if lags and not self._lags:
                self._make_backends()
            self._lags = lags

    def changing(self) -> None:
        """Keep the present state: it is about to change."""
        if not self._lags:
            return
        clock = self._simulation.clock
        now = clock.now()
        if self._kept and now - self._kept[-1].until < clock.scaled(min(self._lags)) * _RESOLUTION:
            return
        oldest = now - clock.scaled(max(self._lags))
        self._kept = [moment for moment in self._kept if moment.until > oldest]
        self._kept.append(_Moment(now, self._copies()))

    @contextmanager
    def as_of(self, seconds: float) -> Iterator[None]:
        """Let the state be as it was so long ago, but no earlier than it is known.

        :param seconds: how long ago, in seconds of AWS.
        """
        clock = self._simulation.clock
        at = max(clock.now() - clock.scaled(seconds), self._since)
        moment = next((one for one in self._kept if one.until > at), None)
        present = [(backend, backend.__dict__) for backend, _ in (moment.backends if moment else ())]
        with clock.set_back(at):
            try:
                for backend, then in moment.backends if moment else ():
                    backend.__dict__ = then
                yield
            finally:
                for backend, now in present:
                    backend.__dict__ = now

    def _make_backends(self) -> None:
        """Make what moto makes with the first call: of what is not there nothing is kept, and nothing lags."""
        for account, region, _ in self._simulation.scenario.sites():
            for by_account in self._services():
                by_account[account][region]

    def _copies(self) -> list[tuple[Any, dict[str, Any]]]:
        backends = [
            backend
            for by_account in self._services()
            for by_region in list(dict.values(by_account))
            for backend in list(dict.values(by_region))
        ]
        scenario = self._simulation.scenario
        shared: list[Any] = [self, self._simulation, self._simulation.clock, self._simulation.events, scenario]
        shared += [self._simulation.faults, *(server for _, _, site in scenario.sites() for server in site.servers)]
        for backend in backends:
            for name, value in vars(backend).items():
                if type(value).__name__ in _SHARED_TYPES or name == _IMAGES:
                    shared.append(value)
        copies = copy.deepcopy(backends, {id(one): one for one in shared})
        return [(backend, vars(then)) for backend, then in zip(backends, copies, strict=True)]
