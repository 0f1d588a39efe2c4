"""Instances of a run that another job took away before the run had ended: DRS deletes a server's previous instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from drs_provider.aws.drs.launch_key import LAUNCH_TAG
from drs_provider.evidence.duration import moment_text
from drs_provider.evidence.jobs import JobFacts, Reading
from drs_provider.evidence.reading import events_of, items, mapping, moment, text
from drs_provider.evidence.record import Wave

__all__ = ["without_taken"]

Item = Mapping[str, Any]


def without_taken(
    reading: Reading, waves: Sequence[Wave], jobs: Sequence[JobFacts], others: Sequence[Item], until: datetime | None
) -> list[Wave]:
    """Let waves fail whose instances another job's launch took away before the run ended; say which job.

    :param reading: asks for the logs of the jobs.
    :param jobs: the run's own jobs.
    :param others: the launch jobs of others since the run began, in the shape of DescribeJobs.
    :param until: when the run had no claim to its instances any more; None where it still has.
    """
    launched = {job.job_id: job for job in jobs}
    logs: dict[str, list[dict[str, Any]]] = {}
    found = []
    for wave in waves:
        reasons = []
        servers = []
        for server in wave.servers:
            own = launched.get(server.job_id or "")
            taker = None
            if own is not None and own.started and server.ec2_instance_id:
                taker = _taker(reading, server.source_server_id, own.started, others, until, logs)
            if taker is not None:
                why = f"its instance {server.ec2_instance_id} was deleted by {taker}"
                server = server.model_copy(update={"taken": why})
                reasons.append(f"{server.hostname or server.source_server_id}: {why}")
            servers.append(server)
        if reasons:
            update: dict[str, Any] = {"servers": servers}
            if wave.state == "success":
                update |= {"state": "failed", "reached_seconds": None}
            update["reason"] = "; ".join(filter(None, [wave.reason, *reasons]))
            wave = wave.model_copy(update=update)
        found.append(wave)
    return found


def _taker(
    reading: Reading,
    server_id: str,
    launched: datetime,
    others: Iterable[Item],
    until: datetime | None,
    logs: dict[str, list[dict[str, Any]]],
) -> str | None:
    """Return the first job that launched a server after this run had, and deleted its instance for that."""
    later = []
    for job in others:
        created = moment(job.get("creationDateTime"))
        holds = any(
            text(mapping(one).get("sourceServerID")) == server_id for one in items(job.get("participatingServers"))
        )
        if holds and created is not None and created > launched and (until is None or created < until):
            later.append((created, job))
    for created, job in sorted(later, key=lambda pair: pair[0]):
        job_id = str(job.get("jobID"))
        if job_id not in logs:
            what = f"the log of job {job_id}, which is another's (DescribeJobLogItems)"
            logs[job_id] = reading.ask(what, lambda reader, job_id=job_id: reader.job_log(job_id))  # type: ignore[misc]
        if _deleted(server_id, logs[job_id]):
            owner = text(mapping(job.get("tags")).get(LAUNCH_TAG)) or text(job.get("initiatedBy")) or "somebody"
            return f"job {job_id} ({owner}), created at {moment_text(created)}"
    return None


def _deleted(server_id: str, log: Sequence[Item]) -> bool:
    """Return whether a launch deleted the server's previous instance; so it did where its log cannot tell."""
    events = [str(line.get("event")) for line in events_of(list(log)) if _server_of(line) == server_id]
    return "CLEANUP_START" in events or "CLEANUP_END" in events or "SNAPSHOT_START" not in events


def _server_of(line: Item) -> str | None:
    return text(mapping(line.get("eventData")).get("sourceServerID"))
