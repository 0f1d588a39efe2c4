"""Who holds the servers right now: active DRS jobs, and instances of an earlier recovery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from drs_provider.readiness.clients import Clients, pages
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.resolution import MAX_IDS_PER_FILTER, ResolvedServer

__all__ = ["RUN_TAG", "active_jobs", "check_busy", "check_recovered", "describe_jobs", "live_recovery_instances"]

RUN_TAG = "drs-provider:run"
ACTIVE = ("PENDING", "STARTED")
GONE = ("TERMINATED", "NOT_FOUND")


def describe_jobs(clients: Clients, since: datetime | None = None) -> list[dict[str, Any]]:
    """Jobs of the region, to the last page (DescribeJobs, which cannot filter by status or tag).

    :param since: only jobs created at or after it; None means all that DRS still keeps.
    """
    filters: dict[str, Any] = {"filters": {"fromDate": since.strftime("%Y-%m-%dT%H:%M:%SZ")}} if since else {}
    return list(pages(clients.drs.describe_jobs, **filters))


def active_jobs(jobs: Iterable[Mapping[str, Any]], run_tag: str | None) -> list[Mapping[str, Any]]:
    """The jobs that have not ended and are not of this run.

    :param jobs: items of DescribeJobs.
    :param run_tag: the value of ``drs-provider:run`` on this run's own jobs; None: every job is another's.
    """
    return [job for job in jobs if job.get("status") in ACTIVE and not _own(job, run_tag)]


def check_busy(active: Iterable[Mapping[str, Any]], servers: Iterable[ResolvedServer]) -> list[Finding]:
    """A finding for each server that an active job of another run holds: DRS runs one job a server.

    :param active: what :func:`active_jobs` returns.
    :param servers: the servers that this run launches.
    """
    holders: dict[str, Mapping[str, Any]] = {}
    for job in active:
        for participant in job.get("participatingServers") or ():
            holders.setdefault(participant["sourceServerID"], job)
    findings = []
    for server in servers:
        if (holder := holders.get(server.id)) is not None:
            owner = (holder.get("tags") or {}).get(RUN_TAG)
            what = f"{holder.get('type', 'A')} job {holder['jobID']} ({holder['status']})"
            message = f"{what} holds {server.hostname or server.id}{f', started by {owner}' if owner else ''}."
            remedy = "Wait until the job has ended; DRS cannot cancel a job."
            findings.append(server.finding("server-busy", message, remedy))
    return findings


def live_recovery_instances(clients: Clients, server_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Recovery instances of these servers that still exist and are no drill's (DescribeRecoveryInstances).

    :param server_ids: source server ids; more than 200 take several calls.
    """
    chunks = [server_ids[i : i + MAX_IDS_PER_FILTER] for i in range(0, len(server_ids), MAX_IDS_PER_FILTER)]
    return [
        instance
        for chunk in chunks
        for instance in pages(clients.drs.describe_recovery_instances, filters={"sourceServerIDs": list(chunk)})
        if not instance.get("isDrill") and instance.get("ec2InstanceState") not in GONE
    ]


def check_recovered(
    instances: Iterable[Mapping[str, Any]],
    jobs: Iterable[Mapping[str, Any]],
    servers: Iterable[ResolvedServer],
    run_tag: str | None,
) -> list[Finding]:
    """A finding for each server that has already been recovered for real, other than by this run.

    DRS removes a server's previous instance when it launches the next one, so a drill of a server that has failed over
    could take the recovered system down.

    :param instances: what :func:`live_recovery_instances` returns.
    :param jobs: items of DescribeJobs; tells this run's instances from others'.
    :param servers: the servers that this run launches.
    :param run_tag: the value of ``drs-provider:run`` on this run's own jobs.
    """
    own = {job["jobID"] for job in jobs if _own(job, run_tag)}
    live = {instance["sourceServerID"]: instance for instance in instances if instance.get("jobID") not in own}
    findings = []
    for server in servers:
        if (instance := live.get(server.id)) is not None:
            message = (
                f"{server.hostname or server.id} was recovered for real: instance {instance.get('ec2InstanceID')} "
                f"({instance.get('ec2InstanceState', 'state unknown')}) of job {instance.get('jobID')} still exists."
            )
            remedy = "Leave its wave out, or end or disconnect that instance first if nothing depends on it."
            findings.append(server.finding("recovered-instance-live", message, remedy))
    return findings


def _own(job: Mapping[str, Any], run_tag: str | None) -> bool:
    return run_tag is not None and (job.get("tags") or {}).get(RUN_TAG) == run_tag
