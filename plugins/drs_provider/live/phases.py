"""How far each server of a DRS job is, from DescribeJobs and DescribeJobLogItems.

``launchStatus`` stays PENDING through snapshot and conversion; the log tells those apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from textwrap import shorten
from typing import Any, Final

from drs_provider.live.model import LiveServer, PhaseTimes, ServerPhase
from drs_provider.timestamps import parse_timestamp

__all__ = ["phase_counts", "server_phases"]

Item = Mapping[str, Any]

_BEGINS: Final = {
    "CLEANUP_START": "cleanup", "SNAPSHOT_START": "snapshot", "CONVERSION_START": "conversion",
    "LAUNCH_START": "launch",
}  # fmt: skip
_ENDS: Final = {
    "CLEANUP_END": "cleanup", "CLEANUP_FAIL": "cleanup", "SNAPSHOT_END": "snapshot", "SNAPSHOT_FAIL": "snapshot",
    "USING_PREVIOUS_SNAPSHOT": "snapshot", "USING_PREVIOUS_SNAPSHOT_FAILED": "snapshot", "CONVERSION_END": "conversion",
    "CONVERSION_FAIL": "conversion", "LAUNCH_END": "launch", "LAUNCH_FAILED": "launch",
}  # fmt: skip
_LONGEST_ERROR = 1000
_OVER: Final[dict[str, ServerPhase]] = {"LAUNCHED": "launched", "FAILED": "failed", "TERMINATED": "terminated"}


def server_phases(
    jobs: Sequence[tuple[Item, Sequence[Item]]], names: Mapping[str, str | None] | None = None
) -> list[LiveServer]:
    """Return the servers of jobs with the phase that each is in, sorted by host name.

    :param jobs: jobs (DescribeJobs) with their logs (DescribeJobLogItems), oldest first; of a server that is in
        several, the last counts.
    :param names: host names by source server id; servers that no job has yet are waiting.
    """
    names = names or {}
    found = {server: LiveServer(id=server, hostname=name) for server, name in names.items()}
    for job, log in jobs:
        about: dict[str, list[Item]] = {}
        for item in log:
            about.setdefault(str((item.get("eventData") or {}).get("sourceServerID") or ""), []).append(item)
        for participant in job.get("participatingServers") or ():
            server = str(participant.get("sourceServerID"))
            found[server] = _server(server, names.get(server), job, participant, about.get(server, []))
    return sorted(found.values(), key=lambda server: (server.hostname or "", server.id))


def phase_counts(servers: Sequence[LiveServer]) -> dict[str, int]:
    """Return how many servers are in which phase; phases without one are left out."""
    counts: dict[str, int] = {}
    for server in servers:
        counts[server.phase] = counts.get(server.phase, 0) + 1
    return counts


def _server(server: str, name: str | None, job: Item, participant: Item, log: Sequence[Item]) -> LiveServer:
    phases: list[PhaseTimes] = []
    instance = error = None
    last: datetime | None = None
    for item in log:
        event, data = str(item.get("event")), item.get("eventData") or {}
        at = _moment(item.get("logDateTime"))
        if at is None:
            continue
        last = at
        instance = data.get("targetInstanceID") or instance
        error = data.get("rawError") or error
        if (phase := _BEGINS.get(event)) is not None:
            phases.append(PhaseTimes(phase=phase, started=at))
        elif phases and _ENDS.get(event) == phases[-1].phase and phases[-1].ended is None:
            phases[-1] = phases[-1].model_copy(update={"ended": at})
    status = str(participant.get("launchStatus") or "")
    over = _OVER.get(status)
    now: ServerPhase = over or (phases[-1].phase if phases else "waiting")
    return LiveServer(
        id=server,
        hostname=name,
        job_id=str(job.get("jobID")),
        phase=now,
        since=last if over else phases[-1].started if phases else _moment(job.get("creationDateTime")),
        launch_status=status or None,
        instance_id=instance,
        phases=phases,
        error=None if over == "launched" or not error else shorten(str(error), _LONGEST_ERROR, placeholder=" …"),
    )


def _moment(written: Any) -> datetime | None:
    try:
        return parse_timestamp(str(written))
    except ValueError:
        return None
