"""Who holds the servers right now: active DRS jobs, and instances of an earlier recovery."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from drs_provider.aws.drs.previous_instances import previous_instances
from drs_provider.aws.drs.run_identity import RUN_TAG, RunIdentity
from drs_provider.readiness.findings import Finding, Mode
from drs_provider.readiness.resolution import ResolvedServer

__all__ = [
    "active_jobs",
    "check_busy",
    "check_previous_instances",
]

ACTIVE = ("PENDING", "STARTED")
GONE = ("TERMINATED", "NOT_FOUND")


def active_jobs(jobs: Iterable[Mapping[str, Any]], own: RunIdentity | None) -> list[Mapping[str, Any]]:
    """The jobs that have not ended and are not of this run.

    :param jobs: items of DescribeJobs.
    :param own: the run; None: every job is another's.
    """
    return [job for job in jobs if job.get("status") in ACTIVE and not _own(job, own)]


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


def check_previous_instances(
    instances: Iterable[Mapping[str, Any]],
    jobs: Iterable[Mapping[str, Any]],
    servers: Iterable[ResolvedServer],
    own: RunIdentity | None,
    *,
    mode: Mode,
    replace: Collection[str] = (),
) -> list[Finding]:
    """A finding for each server with a live instance of another run, which DRS deletes at the next launch.

    :param instances: what :func:`recovery_instances` returns.
    :param jobs: items of DescribeJobs; tells this run's instances from others'.
    :param servers: the servers that this run launches.
    :param own: the run; None: every instance is another's.
    :param mode: the run's mode: a recovery replaces a drill's instance, with a warning.
    :param replace: ids of instances that a person gave up.
    """
    live = {one.server: one for one in previous_instances(instances, jobs, own) if not one.own}
    findings = []
    for server in servers:
        if (instance := live.get(server.id)) is None or instance.is_named_in(replace):
            continue
        what, lets_go = f"{server.hostname or server.id} has the live instance {instance}", "replace_instances"
        if not instance.is_drill:
            message = f"{what}. A launch would delete it."
            remedy = (
                f"Leave its wave out. If nothing depends on the instance any more, terminate it, or start the run with "
                f"its id in {lets_go}."
            )
            findings.append(server.finding("recovered-instance-live", message, remedy))
        elif mode == "drill":
            message = f"{what}. A drill would delete it."
            remedy = f"Wait until that drill has ended, or start the run with the instance's id in {lets_go}."
            findings.append(server.finding("drill-instance-live", message, remedy))
        else:
            message, remedy = f"{what}. The launch of this recovery deletes it.", "Nothing: a recovery goes first."
            findings.append(server.finding("drill-instance-live", message, remedy, severity="warning"))
    return findings


def _own(job: Mapping[str, Any], own: RunIdentity | None) -> bool:
    return own is not None and own.owns(job)
