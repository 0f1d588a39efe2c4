"""Servers that a wave can do without: what stands in their way is a warning, and says what becomes of them.

An optional server (``critical: false``) that stalls is launched from its last snapshot where that is within the wave's
``max_replication_lag``, else it is left out; so is one that DRS would refuse, since one such server fails the call for
all of its job.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from drs_provider.durations import format_duration
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.timestamps import parse_timestamp

__all__ = ["LeftOut", "missing_selections", "stalls", "without_optional"]

_STALLED = frozenset({"replication-state", "replication-lag"})
_LAUNCHABLE = frozenset(
    {
        "launch-template-incomplete",
        "launch-template-broken",
        "instance-profile-missing",
        "launches-stopped",
        "launch-into-unusable",
    }
)
_GONE = frozenset({"server-not-found", "selection-empty"})


@dataclass(frozen=True)
class LeftOut:
    """What a wave selects and does not launch.

    :param wave: the wave.
    :param server: the source server's id, or the selection as a person would write it where it matches none.
    :param critical: whether the wave needs it: a person went on without it.
    :param reason: why.
    """

    wave: str
    server: str
    critical: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON-serialisable data."""
        return asdict(self)


def stalls(findings: Iterable[Finding]) -> set[str]:
    """Return the ids of the servers whose replication a finding is about, and that DRS would launch anyway."""
    return {finding.server for finding in findings if finding.server and finding.code in _STALLED}


def missing_selections(findings: Iterable[Finding]) -> list[LeftOut]:
    """Return the selections that match no source server."""
    return [
        LeftOut(finding.wave or "", finding.server or "", finding.severity == "error", finding.message)
        for finding in findings
        if finding.code in _GONE
    ]


def without_optional(
    servers: Sequence[ResolvedServer], findings: Sequence[Finding], max_lag: Mapping[str, timedelta | None]
) -> tuple[list[ResolvedServer], list[Finding], list[LeftOut]]:
    """Let no finding on an optional server block, and leave out those that cannot be launched.

    :param servers: the servers, each with the snapshot that it would be launched from.
    :param findings: all findings on them, and others.
    :param max_lag: the waves' ``max_replication_lag`` by wave, None: any age.
    :return: the servers to launch, the findings with their new severity, and what was left out.
    """
    errors: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.severity == "error" and finding.server:
            errors.setdefault(finding.server, []).append(finding)
    kept: list[ResolvedServer] = []
    left_out: list[LeftOut] = []
    becomes: dict[str, str] = {}
    for server in servers:
        own = errors.get(server.id, [])
        if server.critical or not own:
            kept.append(server)
            continue
        codes = {finding.code for finding in own}
        snapshot = f"its snapshot {server.snapshot} of {server.snapshot_time}"
        if codes <= _LAUNCHABLE:
            kept.append(server)
            becomes[server.id] = "The server is optional: it is launched, and may fail."
        elif codes <= _STALLED | _LAUNCHABLE and _recent(server, max_lag.get(server.wave)):
            kept.append(server)
            becomes[server.id] = f"The server is optional: it is launched from {snapshot}."
        else:
            becomes[server.id] = "The server is optional: it is left out."
            limit = max_lag.get(server.wave)
            if codes <= _STALLED | _LAUNCHABLE and server.snapshot and limit is not None:
                becomes[server.id] += f" {snapshot[:1].upper()}{snapshot[1:]} is older than {format_duration(limit)}."
            left_out.append(LeftOut(server.wave, server.id, False, own[0].message))
    final = [
        replace(finding, severity="warning", remedy=f"{becomes[finding.server]} {finding.remedy}".rstrip())
        if finding.server in becomes and finding.severity == "error"
        else finding
        for finding in findings
    ]
    return kept, final, left_out


def _recent(server: ResolvedServer, limit: timedelta | None) -> bool:
    """Whether the snapshot to launch from is within the objective."""
    if server.snapshot is None or server.snapshot_time is None:
        return False
    return limit is None or time.time() - parse_timestamp(server.snapshot_time).timestamp() <= limit.total_seconds()
