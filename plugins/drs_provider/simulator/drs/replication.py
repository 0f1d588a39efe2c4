"""Data replication of one server over time: its state, a lag that stands, grows or is caught up, and its rescan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drs_provider.durations import format_iso8601
from drs_provider.simulator.scenario import ServerSpec
from drs_provider.timestamps import live_timestamp

__all__ = ["Replication"]

#: In these states no data arrives, so that the lag grows by itself.
_STUCK = {"STALLED", "PAUSED"}
#: In these states there is no lag to speak of.
_WITHOUT_LAG = {"STOPPED", "DISCONNECTED", "INITIATING", "INITIAL_SYNC"}
#: States in which what is replicated is consistent.
_SYNCED = {"CONTINUOUS", "CREATING_SNAPSHOT", "BACKLOG", "RESCAN"}
#: The share of the disks that is rescanned when a state begins; in other states it stays as it was.
_RESCANNED = {
    "RESCAN": 0.0,
    "INITIATING": 0.0,
    "INITIAL_SYNC": 0.0,
    "STOPPED": 0.0,
    "DISCONNECTED": 0.0,
    "CONTINUOUS": 1.0,
}
#: The share that is rescanned when a server becomes CONTINUOUS: live servers do before their rescan is finished.
_RESCANNED_AT_CONTINUOUS = 0.8


@dataclass(frozen=True)
class _Stretch:
    """From `since` on, until the next one."""

    since: float
    state: str
    lag: float
    growth: float
    error: str | None
    rescanned: float = 1.0
    #: The share that is rescanned in a second of AWS.
    rescan_rate: float = 0.0
    #: When the first copy is complete, where that is known (epoch seconds).
    copied_at: float | None = None


class Replication:
    """What a server's replication is at any moment; changes are put down with the time from which they hold.

    :param speed: how many seconds of AWS pass in a second of the clock.
    """

    def __init__(self, spec: ServerSpec, began_at: float, speed: float) -> None:
        self.speed = speed
        self._stretches = [
            _Stretch(
                began_at,
                spec.replication,
                spec.lag,
                _growth(spec.replication, spec.lag_growth),
                spec.replication_error,
                _RESCANNED.get(spec.replication, 1.0) if spec.rescanned is None else spec.rescanned,
            )
        ]
        for change in sorted(spec.changes, key=lambda change: change.after):
            self.change(
                began_at + change.after / speed,
                state=change.replication,
                lag=change.lag,
                growth=change.lag_growth,
                error=change.error,
                rescanned=change.rescanned,
            )

    @classmethod
    def starting(cls, at: float, speed: float) -> Replication:
        """A replication that begins now, of no server of the scenario."""
        return cls(ServerSpec(id="s-" + "0" * 17, hostname="", replication="INITIATING"), at, speed)

    def change(
        self,
        at: float,
        state: str | None = None,
        lag: float | None = None,
        growth: float | None = None,
        error: str | None = None,
        rescanned: float | None = None,
        rescan_rate: float = 0.0,
        copied_at: float | None = None,
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
                self._begins_rescanned(at, new_state, state is None) if rescanned is None else rescanned,
                rescan_rate,
                copied_at,
            )
        )

    def catch_up(self, at: float, phases: Sequence[tuple[str, float]], seconds: float) -> float:
        """Go through phases, then be CONTINUOUS, with a lag and an unfinished rescan for a while.

        Nothing is replicated for good in the phases, so that the lag grows; it is caught up afterwards.

        :param at: when the first phase begins (epoch seconds).
        :param phases: states and how long each lasts, in seconds of AWS.
        :param seconds: from CONTINUOUS until the lag is zero and the rescan finished, in seconds of AWS.
        :return: when it is CONTINUOUS (epoch seconds).
        """
        for state, duration in phases:
            rate = _RESCANNED_AT_CONTINUOUS / duration if state == "RESCAN" and duration else 0.0
            lag = 0.0 if state == "INITIATING" else None
            ends = at + duration / self.speed
            copied_at = ends if state == "INITIAL_SYNC" else None
            self.change(at, state=state, lag=lag, growth=1.0, rescanned=0.0, rescan_rate=rate, copied_at=copied_at)
            at = ends
        if seconds:
            rate = (1 - _RESCANNED_AT_CONTINUOUS) / seconds
            self.change(
                at,
                state="CONTINUOUS",
                growth=-self.lag(at) / seconds,
                rescanned=_RESCANNED_AT_CONTINUOUS,
                rescan_rate=rate,
            )
        self.change(at + seconds / self.speed, state="CONTINUOUS", lag=0.0)
        return at

    def state(self, now: float) -> str:
        """dataReplicationState."""
        return self._at(now).state

    def silent_since(self, now: float) -> float | None:
        """Since when the agent has not been seen (epoch seconds); None where it is seen."""
        stretch = self._at(now)
        return stretch.since if stretch.error == "AGENT_NOT_SEEN" else None

    def steady_until(self, now: float) -> float:
        """Until when `describe` says the same (epoch seconds); `now` where that moves all the time."""
        current = self._at(now)
        moves = current.growth != 0 or (current.rescan_rate != 0 and self.rescanned(now) < 1.0)
        if moves and not (current.growth < 0 and self.lag(now) == 0.0 and self.rescanned(now) >= 1.0):
            return now
        return min((stretch.since for stretch in self._stretches if stretch.since > now), default=math.inf)

    def lag(self, now: float) -> float:
        """The lag in seconds."""
        return self._lag_in(self._at(now), now)

    def rescanned(self, now: float) -> float:
        """The share of the disks that is rescanned, from 0 to 1."""
        stretch = self._at(now)
        return min(1.0, stretch.rescanned + stretch.rescan_rate * (now - stretch.since) * self.speed)

    def synced(self, now: float) -> bool:
        """Whether what is replicated now is consistent, so that a snapshot of it can be launched."""
        return self.state(now) in _SYNCED

    def last_consistent(self, now: float) -> float:
        """The latest moment that a recovery point can show; never earlier than it was, however the lag grows."""
        latest = -math.inf
        ends = [stretch.since for stretch in self._stretches[1:]] + [math.inf]
        for stretch, end in zip(self._stretches, ends, strict=True):
            if stretch.since > now and latest > -math.inf:
                break
            moments = [stretch.since, min(now, end)] if stretch.state in _SYNCED else [stretch.since]
            latest = max(latest, *(moment - self._lag_in(stretch, moment) for moment in moments))
        return latest

    def describe(self, now: float, disks: list[int]) -> dict[str, Any]:
        """dataReplicationInfo."""
        stretch = self._at(now)
        gone = stretch.state in ("STOPPED", "DISCONNECTED")
        replicated = 0.0 if stretch.state == "INITIATING" or gone else self._copied(stretch, now)
        lag, rescanned = self.lag(now), self.rescanned(now)
        shown: dict[str, Any] = {
            "dataReplicationState": stretch.state,
            "replicatedDisks": [
                {
                    "deviceName": f"/dev/sd{chr(ord('a') + index)}",
                    "totalStorageBytes": 0 if gone else size,
                    "replicatedStorageBytes": int(size * replicated),
                    "rescannedStorageBytes": int(size * rescanned),
                    "backloggedStorageBytes": int(min(size, lag * 2**20)),
                }
                for index, size in enumerate(disks)
            ],
        }
        if stretch.copied_at is not None:
            shown["etaDateTime"] = live_timestamp(stretch.copied_at)
        if stretch.state not in _WITHOUT_LAG:
            shown["lagDuration"] = format_iso8601(lag)
        if stretch.error:
            shown["dataReplicationError"] = {"error": stretch.error}
        return shown

    @staticmethod
    def _copied(stretch: _Stretch, now: float) -> float:
        """The share of the disks that the first copy has reached."""
        if stretch.state != "INITIAL_SYNC":
            return 1.0
        if stretch.copied_at is None:
            return 0.4
        return (now - stretch.since) / max(stretch.copied_at - stretch.since, 1e-9)

    def _lag_in(self, stretch: _Stretch, now: float) -> float:
        return max(0.0, stretch.lag + stretch.growth * (now - stretch.since) * self.speed)

    def _begins_rescanned(self, at: float, state: str, stays: bool) -> float:
        before = self.rescanned(at)
        return before if stays else _RESCANNED.get(state, before)

    def _at(self, now: float) -> _Stretch:
        current = self._stretches[0]
        for stretch in self._stretches[1:]:
            if stretch.since > now:
                break
            current = stretch
        return current


def _growth(state: str, growth: float) -> float:
    return growth or (1.0 if state in _STUCK else 0.0)
