"""Instances of a run that were gone before the run had ended: another job took them, or somebody terminated them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from drs_provider.aws.drs.launch_key import LAUNCH_TAG
from drs_provider.evidence.jobs import JobFacts, Reading
from drs_provider.evidence.reading import items, mapping, moment, text
from drs_provider.evidence.record import Wave
from drs_provider.timestamps import moment_text

__all__ = ["LISTED_BY_THEN", "is_gone", "without_taken"]

Item = Mapping[str, Any]

LISTED_BY_THEN = timedelta(minutes=10)
"""After so long EC2 lists every new instance: its answers are eventually consistent, and lag by seconds to minutes."""


def is_gone(state: str | None, launched: datetime | None, now: datetime) -> bool:
    """Return whether an instance that a job launched is gone.

    :param state: EC2's word; None where EC2 does not list the instance.
    :param launched: when its job ended; None where that is not known.
    :param now: when EC2 was asked.
    """
    if state is None:
        return launched is not None and now - launched > LISTED_BY_THEN
    return state in ("shutting-down", "terminated")


def without_taken(
    reading: Reading,
    waves: Sequence[Wave],
    jobs: Sequence[JobFacts],
    others: Sequence[Item],
    until: datetime | None,
    gone: Mapping[str, str],
) -> list[Wave]:
    """Fail the waves whose instances were gone before the run ended; say which job deleted or terminated them.

    :param reading: asks for the logs of the jobs.
    :param jobs: the run's own jobs.
    :param others: the jobs of others since the run began, in the shape of DescribeJobs.
    :param until: when the run had no claim to its instances any more; None where it still has.
    :param gone: what EC2 says of the instances that were gone before the run's end, by instance id.
    """
    launches = [job for job in others if job.get("type", "LAUNCH") == "LAUNCH"]
    terminations = [job for job in others if job.get("type") == "TERMINATE"]
    launched = {job.job_id: job for job in jobs}
    logs: dict[str, list[dict[str, Any]]] = {}
    found = []
    for wave in waves:
        reasons = []
        servers = []
        for server in wave.servers:
            own = launched.get(server.job_id or "")
            why = None
            if own is not None and own.started and server.ec2_instance_id:
                taker = _taker(reading, server.source_server_id, own.started, launches, until, logs)
                if taker is not None:
                    why = f"its instance {server.ec2_instance_id} was deleted by {taker}"
                elif wave.state == "success" and server.ec2_instance_id in gone:
                    why = (
                        f"its instance {server.ec2_instance_id} was terminated before the run ended"
                        f" (EC2 says: {gone[server.ec2_instance_id]}){_terminators(own.started, terminations, until)}"
                    )
            if why is not None:
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
            return _named(job, created)
    return None


def _terminators(launched: datetime, terminations: Iterable[Item], until: datetime | None) -> str:
    """Name the jobs that may have terminated an instance: a TERMINATE job that has ended does not name its servers."""
    later = [
        (created, job)
        for job in terminations
        if (created := moment(job.get("creationDateTime"))) is not None
        and launched < created
        and (until is None or created < until)
    ]
    named = ", ".join(_named(job, created) for created, job in sorted(later, key=lambda pair: pair[0])[:3])
    return f"; terminations in DRS since then: {named}" if named else "; DRS lists no job that terminates since then"


def _named(job: Item, created: datetime) -> str:
    owner = text(mapping(job.get("tags")).get(LAUNCH_TAG)) or text(job.get("initiatedBy")) or "somebody"
    return f"job {job.get('jobID')} ({owner}), created at {moment_text(created)}"


def _deleted(server_id: str, log: Sequence[Item]) -> bool:
    """Return whether a launch deleted the server's previous instance; so it did where its log cannot tell."""
    events = [str(line.get("event")) for line in map(mapping, log) if _server_of(line) == server_id]
    return "CLEANUP_START" in events or "CLEANUP_END" in events or "SNAPSHOT_START" not in events


def _server_of(line: Item) -> str | None:
    return text(mapping(line.get("eventData")).get("sourceServerID"))
