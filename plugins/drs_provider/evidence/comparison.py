"""The run that a report compares its figures with: the last one before it of the same kind that recovered."""

from __future__ import annotations

import re
from statistics import median
from typing import TYPE_CHECKING

from drs_provider.evidence.record import Previous, RunRecord, WaveBefore
from drs_provider.evidence.storage import UnreadableReport, read_report, run_folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["last_before", "usual_launches"]

_MOST_READ = 20
"""A plan may have hundreds of reports in an object store: most run ids tell their moment, and the newest are read."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d.\d\d.\d\d")


def last_before(record: RunRecord, folder: str | None = None) -> Previous | None:
    """Return what a run is compared with; None where no earlier one recovered, or none of the newest can be read.

    :param record: the run. A simulated one is compared with those of the same speed.
    :param folder: the reports folder; that of the configuration by default.
    """
    found: list[RunRecord] = []
    for place in _newest_first(run_folders(record.plan.name, folder))[:_MOST_READ]:
        try:
            other = read_report(place)
        except (FileNotFoundError, UnreadableReport, UnicodeDecodeError, OSError):
            continue
        if _compares(record, other):
            found.append(other)
            if _MOMENT.search(place):
                break
    newest = max(found, key=lambda each: each.run.started or each.generated, default=None)
    return _previous(newest) if newest is not None else None


def usual_launches(plan: str, *, simulated: bool, folder: str | None = None, runs: int = 5) -> dict[str, float]:
    """Return how long a server's launch usually takes, in seconds from the start of its job, by source server id.

    :param plan: the plan's name.
    :param simulated: learn from rehearsals, and else from none.
    :param folder: the reports folder; that of the configuration by default.
    :param runs: of how many runs, the newest, the median is.
    """
    times: dict[str, list[float]] = {}
    read = 0
    for place in _newest_first(run_folders(plan, folder))[:_MOST_READ]:
        try:
            record = read_report(place)
        except (FileNotFoundError, UnreadableReport, UnicodeDecodeError, OSError):
            continue
        if (record.run.simulation is not None) is not simulated:
            continue
        for server, seconds in _launches(record):
            times.setdefault(server, []).append(seconds)
        read += 1
        if read == runs:
            break
    return {server: round(median(found), 1) for server, found in times.items()}


def _launches(record: RunRecord) -> Iterator[tuple[str, float]]:
    for wave in record.waves:
        began = {job.job_id: job.started for job in wave.jobs}
        for server in wave.servers:
            start = began.get(server.job_id or "")
            end = max((phase.ended for phase in server.phases if phase.ended), default=None)
            if server.launch_status == "LAUNCHED" and server.attempts == 1 and start and end:
                yield server.source_server_id, (end - start).total_seconds()


def _newest_first(places: Sequence[str]) -> list[str]:
    def moment(place: str) -> str:
        match = _MOMENT.search(place.rpartition("/")[2])
        return match.group() if match else ""

    # Run ids that tell no moment come first: nothing says that they are older.
    dated = sorted((place for place in places if moment(place)), key=moment, reverse=True)
    return [*(place for place in places if not moment(place)), *dated]


def _compares(record: RunRecord, other: RunRecord) -> bool:
    return (
        other.run.run_id != record.run.run_id
        and (other.run.mode, other.run.simulation) == (record.run.mode, record.run.simulation)
        and other.rto.achieved_seconds is not None
        and other.run.started is not None
        and (record.run.started is None or other.run.started < record.run.started)
    )


def _previous(record: RunRecord) -> Previous | None:
    if record.run.started is None or record.rto.achieved_seconds is None:
        return None
    return Previous(
        run_id=record.run.run_id,
        started=record.run.started,
        plan_hash=record.plan.hash,
        rto_seconds=record.rto.achieved_seconds,
        rpo_seconds=record.rpo.achieved_seconds,
        servers=sum(server.launch_status == "LAUNCHED" for wave in record.waves for server in wave.servers),
        waves=[WaveBefore(name=wave.name, seconds=wave.seconds) for wave in record.waves if wave.state == "success"],
    )
