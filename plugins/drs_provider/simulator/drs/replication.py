"""Data replication of one server over time: its state, and a lag that stands, grows, stalls or recovers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from drs_provider.simulator.durations import iso8601
from drs_provider.simulator.scenario import ServerSpec

__all__ = ["Replication"]

#: In these states no data arrives, so that the lag grows by itself.
_STUCK = {"STALLED", "PAUSED"}
#: In these states there is no lag to speak of.
_WITHOUT_LAG = {"STOPPED", "DISCONNECTED", "INITIATING", "INITIAL_SYNC"}
#: States in which what is replicated is consistent.
_SYNCED = {"CONTINUOUS", "CREATING_SNAPSHOT", "BACKLOG", "RESCAN"}


@dataclass(frozen=True)
class _Stretch:
    """From `since` on, until the next one."""

    since: float
    state: str
    lag: float
    growth: float
    error: str | None


class Replication:
    """What a server's replication is at any moment; changes are put down with the time from which they hold.

    :param speed: how many seconds of AWS pass in a second of the clock.
    """

    def __init__(self, spec: ServerSpec, began_at: float, speed: float) -> None:
        self.speed = speed
        self._stretches = [
            _Stretch(
                began_at, spec.replication, spec.lag, _growth(spec.replication, spec.lag_growth), spec.replication_error
            )
        ]
        for change in sorted(spec.changes, key=lambda change: change.after):
            self.change(
                began_at + change.after / speed,
                state=change.replication,
                lag=change.lag,
                growth=change.lag_growth,
                error=change.error,
            )

    def change(
        self,
        at: float,
        state: str | None = None,
        lag: float | None = None,
        growth: float | None = None,
        error: str | None = None,
    ) -> None:
        """From `at` on it is so; what is absent goes on as it was, and later plans are dropped."""
        before = self._at(at)
        self._stretches = [stretch for stretch in self._stretches if stretch.since <= at]
        new_state = state or before.state
        kept_growth = before.growth if state is None else 0.0
        self._stretches.append(
            _Stretch(
                at,
                new_state,
                self.lag(at) if lag is None else lag,
                _growth(new_state, kept_growth if growth is None else growth),
                error,
            )
        )

    def state(self, now: float) -> str:
        """dataReplicationState."""
        return self._at(now).state

    def lag(self, now: float) -> float:
        """The lag in seconds."""
        stretch = self._at(now)
        return max(0.0, stretch.lag + stretch.growth * (now - stretch.since) * self.speed)

    def last_consistent(self, now: float) -> float:
        """The latest moment that a recovery point can show."""
        stretch = self._at(now)
        until = now if stretch.state in _SYNCED else stretch.since
        return until - self.lag(until)

    def describe(self, now: float, disks: list[int]) -> dict[str, Any]:
        """dataReplicationInfo."""
        stretch = self._at(now)
        gone = stretch.state in ("STOPPED", "DISCONNECTED")
        replicated = 0.4 if stretch.state == "INITIAL_SYNC" else 0.0 if stretch.state == "INITIATING" or gone else 1.0
        lag = self.lag(now)
        shown: dict[str, Any] = {
            "dataReplicationState": stretch.state,
            "replicatedDisks": [
                {
                    "deviceName": f"/dev/sd{chr(ord('a') + index)}",
                    "totalStorageBytes": 0 if gone else size,
                    "replicatedStorageBytes": int(size * replicated),
                    "rescannedStorageBytes": 0,
                    "backloggedStorageBytes": int(min(size, lag * 2**20)),
                }
                for index, size in enumerate(disks)
            ],
        }
        if stretch.state not in _WITHOUT_LAG:
            shown["lagDuration"] = iso8601(lag)
        if stretch.error:
            shown["dataReplicationError"] = {"error": stretch.error}
        return shown

    def _at(self, now: float) -> _Stretch:
        current = self._stretches[0]
        for stretch in self._stretches[1:]:
            if stretch.since > now:
                break
            current = stretch
        return current


def _growth(state: str, growth: float) -> float:
    return growth or (1.0 if state in _STUCK else 0.0)
