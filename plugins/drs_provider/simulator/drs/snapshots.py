"""Recovery snapshots (points in time) of a source server: those of a scenario, or those that the default policy keeps.

They age with the wall clock, whatever the speed: a recovery point's age is what an RPO is measured by.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from drs_provider.simulator.scenario import SnapshotSpec
from drs_provider.timestamps import live_timestamp

__all__ = ["Snapshot", "SnapshotSeries"]

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
#: Every 10 minutes for an hour, hourly for a day, daily for a week: (interval, kept for).
_POLICY = ((10 * _MINUTE, _HOUR), (_HOUR, _DAY), (_DAY, 7 * _DAY))
#: The newest snapshot of the policy is this old when a scenario begins.
_FIRST_AGE = 2 * _MINUTE
#: How long a snapshot is there without a timestamp.
_UNFINISHED_FOR = 30.0


@dataclass(frozen=True)
class Snapshot:
    """One point in time; unfinished ones have no timestamp."""

    id: str
    taken_at: float
    finished: bool

    def describe(self, server_id: str) -> dict[str, Any]:
        """As DescribeRecoverySnapshots shows it."""
        shown: dict[str, Any] = {
            "snapshotID": self.id,
            "sourceServerID": server_id,
            "expectedTimestamp": live_timestamp(self.taken_at),
            "ebsSnapshots": [_identity("snap-", f"{self.id}/0")],
        }
        if self.finished:
            shown["timestamp"] = live_timestamp(self.taken_at)
        return shown


@dataclass
class SnapshotSeries:
    """The snapshots of one server.

    :param specs: the scenario's snapshots; None for what the default policy keeps.
    """

    server_id: str
    began_at: float
    specs: list[SnapshotSpec] | None
    on_demand: list[Snapshot] = field(default_factory=list)
    not_before: float = 0.0

    def at(self, now: float, last_consistent: float) -> list[Snapshot]:
        """The snapshots that exist at `now`, oldest first, where replication was consistent until `last_consistent`."""
        if self.specs is not None:
            fixed = [
                Snapshot(
                    spec.id or _identity("pit-", f"{self.server_id}/{index}"), self.began_at - spec.age, spec.finished
                )
                for index, spec in enumerate(self.specs)
            ]
        else:
            fixed = [
                Snapshot(_identity("pit-", f"{self.server_id}/{taken:.3f}"), taken, now - taken >= _UNFINISHED_FOR)
                for taken in self._kept(now)
                if taken <= last_consistent
            ]
        kept = [one for one in (*fixed, *self.on_demand) if one.taken_at >= self.not_before]
        return sorted(kept, key=lambda snapshot: (snapshot.taken_at, snapshot.id))

    def take(self, now: float) -> Snapshot:
        """An on-demand snapshot, as a launch of the latest state takes one."""
        snapshot = Snapshot(_identity("pit-", f"{self.server_id}/demand/{now:.6f}"), now, finished=True)
        self.on_demand.append(snapshot)
        return snapshot

    def delete_all(self) -> None:
        """Replication stopped: DRS keeps no snapshot."""
        self.begin(float("inf"))

    def begin(self, at: float) -> None:
        """There is nothing from before `at`."""
        self.not_before = at
        if at < float("inf"):
            self.began_at = at + _FIRST_AGE
        self.on_demand.clear()

    def _kept(self, now: float) -> set[float]:
        newest = self.began_at - _FIRST_AGE
        kept: set[float] = set()
        for interval, retention in _POLICY:
            steps = int((now - newest) // interval)
            latest = newest + steps * interval
            kept.update(latest - n * interval for n in range(int(retention // interval)))
        return kept


def _identity(prefix: str, seed: str) -> str:
    return prefix + hashlib.sha256(seed.encode()).hexdigest()[:17]
