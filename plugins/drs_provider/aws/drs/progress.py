"""How far the replication of a source server or of a recovery instance is, from what DRS shows of it.

A server can be CONTINUOUS with a lag of minutes and a rescan that is not finished (seen live after a failback), so that
the state alone does not say that what it protects could be recovered whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drs_provider.durations import format_duration, parse_iso8601

__all__ = ["NOT_REPLICATING", "Progress"]

NOT_REPLICATING = frozenset({None, "NOT_STARTED", "STOPPED", "DISCONNECTED", "REPLICATION_STATE_NOT_AVAILABLE"})
"""Values of ``dataReplicationState`` in which nothing replicates."""

_STUCK = frozenset({"STALLED", "PAUSED", *NOT_REPLICATING})
_COPYING = frozenset({"INITIATING", "INITIAL_SYNC"})


@dataclass(frozen=True)
class Progress:
    """
    The ``dataReplicationInfo`` of a source server or a recovery instance.

    :param state: ``dataReplicationState``; None where DRS shows none.
    :param error: Why it does not replicate, in DRS's word.
    :param lag: Seconds that the copy is behind; None where DRS shows none.
    :param total: Bytes on its disks.
    :param replicated: Bytes that were copied.
    :param rescanned: Bytes that were compared after an interruption.
    :param backlogged: Bytes that wait to be sent.
    :param rescan_finished: Whether every disk is rescanned; not of a server without disks.
    :param eta: When DRS expects the copy to be complete, in its own form; None where it does not say.
    """

    state: str | None
    error: str | None = None
    lag: float | None = None
    total: int = 0
    replicated: int = 0
    rescanned: int = 0
    backlogged: int = 0
    rescan_finished: bool = False
    eta: str | None = None

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Progress:
        """Read an item of DescribeSourceServers or DescribeRecoveryInstances."""
        info = item.get("dataReplicationInfo") or {}
        disks = info.get("replicatedDisks") or ()
        lag = info.get("lagDuration")

        def bytes_of(name: str) -> int:
            return sum(int(disk.get(name) or 0) for disk in disks)

        return cls(
            state=info.get("dataReplicationState"),
            error=(info.get("dataReplicationError") or {}).get("error"),
            lag=parse_iso8601(lag).total_seconds() if lag else None,
            total=bytes_of("totalStorageBytes"),
            replicated=bytes_of("replicatedStorageBytes"),
            rescanned=bytes_of("rescannedStorageBytes"),
            backlogged=bytes_of("backloggedStorageBytes"),
            rescan_finished=bool(disks)
            and all(
                int(disk.get("rescannedStorageBytes") or 0) >= int(disk.get("totalStorageBytes") or 0) > 0
                for disk in disks
            ),
            eta=info.get("etaDateTime"),
        )

    @property
    def replicates(self) -> bool:
        """Whether something replicates it, however well."""
        return self.state not in NOT_REPLICATING

    @property
    def whole(self) -> bool:
        """Whether it is CONTINUOUS **and** rescanned **and** without lag. A lag that is not shown is one."""
        return self.in_sync(0.0)

    def in_sync(self, max_lag: float | None) -> bool:
        """
        Return whether it is CONTINUOUS and rescanned, with no more lag than that.

        :param max_lag: Seconds; None accepts any.
        """
        if self.state != "CONTINUOUS" or not self.rescan_finished:
            return False
        return max_lag is None or (self.lag is not None and self.lag <= max_lag)

    @property
    def percent(self) -> float | None:
        """How much of the copy, or of the rescan after it, is done; None of a server without disks."""
        if not self.total:
            return None
        done = self.replicated if self.state in _COPYING else self.rescanned
        return min(100.0 * done / self.total, 100.0)

    def advanced_since(self, before: Progress) -> bool:
        """Return whether anything got better since an earlier look. A lag that grows is no progress."""
        if self.state in _STUCK:
            return False
        if self.state != before.state or self.replicated > before.replicated or self.rescanned > before.rescanned:
            return True
        if self.backlogged < before.backlogged:
            return True
        return self.lag is not None and (before.lag is None or self.lag < before.lag)

    def __str__(self) -> str:
        parts = [f"{self.state or 'state unknown'}{f' ({self.error})' if self.error else ''}"]
        if self.percent is not None:
            done = "copied" if self.state in _COPYING else "rescanned"
            parts.append(f"{self.percent:.0f} % of {_size(self.total)} {done}")
        if self.lag is not None:
            parts.append(f"lag {format_duration(timedelta(seconds=self.lag))}")
        if self.backlogged:
            parts.append(f"{_size(self.backlogged)} to send")
        if self.eta:
            parts.append(f"ETA {self.eta}")
        return ", ".join(parts)


def _size(count: int) -> str:
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        del units[0]
    return f"{size:.0f} {units[0]}" if units[0] == "B" or size >= 100 else f"{size:.1f} {units[0]}"
