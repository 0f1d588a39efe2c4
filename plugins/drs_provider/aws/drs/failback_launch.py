"""Launching recovered servers on their machines on premises, each in exactly one job.

StartFailbackLaunch has no client token. As for StartRecovery (:mod:`~drs_provider.aws.drs.launch`), every job has the
tags of its launch; before anything is started, the jobs of that launch are looked up and adopted; the call is sent
without SDK retries; and after an answer that leaves it open whether DRS accepted it, the jobs are looked up again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import chunks
from drs_provider.aws.drs.failback_guard import check_failback_launch
from drs_provider.aws.drs.launch import ForeignJobError, LaunchedJob, LaunchError
from drs_provider.aws.drs.launch_key import LAUNCH_TAG, MODE_TAG, LaunchKey
from drs_provider.aws.drs.questions import DrsAccess
from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.drs.slots import BUSY_WINDOW
from drs_provider.aws.faults import Fault, classify, error_text
from drs_provider.aws.freshness import Look
from drs_provider.aws.pauses import pause_for
from drs_provider.aws.quotas import API_SERVERS_PER_JOB
from drs_provider.timestamps import parse_timestamp

__all__ = ["launch_failback_once"]

Job = Mapping[str, Any]

LISTING_SECONDS = 30.0
"""How long a job may take to be listed after a call whose answer leaves it open whether it was accepted."""


def launch_failback_once(
    drs: DrsAccess,
    key: LaunchKey,
    instance_ids: Sequence[str],
    *,
    since: datetime,
    tags: Mapping[str, str] | None = None,
    seconds: float = 600.0,
    on_job: Callable[[str], None] = lambda job_id: None,
    log: Any,
) -> list[LaunchedJob]:
    """
    Launch recovery instances on premises, each in exactly one job, however often this is called with the same key.

    :param drs: The connection to the recovery region.
    :param key: The identity of the launch. Jobs of the same run, wave and attempt are adopted; those of an earlier
        generation only as far as they did not fail.
    :param instance_ids: The recovery instances.
    :param since: No job of this run was created before.
    :param tags: Further tags for the jobs.
    :param seconds: How long to go on through quotas in use and transient errors.
    :param on_job: Called with the id of each job as soon as it is known.
    :param log: Where to tell what happens.
    :returns: The jobs, adopted ones first; ``source_servers`` has the servers that the instances were launched from.
    :raises FailbackRefusedError: when an instance must not be launched, or is not ready; nothing was started then.
    :raises ForeignJobError: when an instance is in somebody else's job.
    :raises LaunchError: when DRS refuses, or the time is up. Jobs started so far go on, and the next call adopts them.
    """
    launch = _FailbackLaunch(drs, key, since, dict(tags or {}), log)
    wanted = launch.servers_of(instance_ids)
    jobs: dict[str, LaunchedJob] = {}
    pauses = Backoff(time.time() + seconds)
    unclear: Exception | None = None
    unclear_until = 0.0
    while True:
        # Also what began before this run: the job of somebody else that holds an instance is named.
        look, listed = Look(), drs.jobs_since(min(since, datetime.now(timezone.utc) - BUSY_WINDOW))
        for job in launch.adopt(listed, set(wanted)):
            if job.job_id not in jobs:
                jobs[job.job_id] = job
                on_job(job.job_id)
        taken = {server for job in jobs.values() for server in job.source_servers}
        left = sorted(server for server in wanted if server not in taken)
        if not left:
            return list(jobs.values())
        # Our own job may be the one that holds them, and not listed yet; somebody else's is named at once.
        over = time.time() > unclear_until or launch.held(left, listed)
        if unclear is not None and classify(unclear) is Fault.CONFLICT and over:
            raise launch.refused(unclear, left, listed)
        if unclear is None or time.time() > unclear_until:
            unclear = None
            check_failback_launch(drs.recovery_instances(instance_ids=[wanted[server] for server in left]))
            if look.is_fresh:
                size = max(1, min(drs.quotas().servers_per_job, API_SERVERS_PER_JOB))
                some = next(chunks(left, size))
                try:
                    job = launch.start(some, [wanted[server] for server in some])
                except Exception as error:
                    log.warning("StartFailbackLaunch of %d instances: %s", len(some), error_text(error))
                    fault = classify(error)
                    if fault is Fault.DEFINITE or pauses.is_over:
                        raise launch.refused(error, some, listed) from error
                    if fault is Fault.EXPIRED:
                        drs.renew_credentials()
                    if fault in (Fault.AMBIGUOUS, Fault.CONFLICT):
                        unclear, unclear_until = error, time.time() + LISTING_SECONDS
                else:
                    jobs[job.job_id] = job
                    on_job(job.job_id)
                    continue
        pause_for(pauses.take())


class _FailbackLaunch:
    def __init__(self, drs: DrsAccess, key: LaunchKey, since: datetime, tags: Mapping[str, str], log: Any) -> None:
        self.drs = drs
        self.key = key
        self.since = since
        self.tags = tags
        self.log = log

    def servers_of(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Return the recovery instances by the source servers that they were launched from: what jobs name."""
        found = self.drs.recovery_instances(instance_ids=instance_ids)
        known = {str(one["recoveryInstanceID"]) for one in found}
        if unknown := [one for one in dict.fromkeys(instance_ids) if one not in known]:
            raise LaunchError(f"Not a recovery instance here: {', '.join(unknown)}. Nothing was started.")
        return {str(one["sourceServerID"]): str(one["recoveryInstanceID"]) for one in found}

    def adopt(self, jobs: Sequence[Job], servers: set[str]) -> list[LaunchedJob]:
        """Return this launch's jobs, newest first, each with those of the servers that count as launched."""
        adopted: list[LaunchedJob] = []
        taken: set[str] = set()
        for job in jobs:
            theirs = self.key.of_job(job)
            if theirs is None or theirs.attempt != self.key.attempt or job.get("initiatedBy") != "FAILBACK":
                continue
            if parse_timestamp(str(job["creationDateTime"])) < self.since.replace(microsecond=0):
                # Of a run that had the same id and was deleted.
                continue
            earlier = theirs.generation < self.key.generation
            counting = [
                str(one["sourceServerID"])
                for one in job.get("participatingServers") or ()
                if not (earlier and one.get("launchStatus") == "FAILED")
            ]
            own = tuple(one for one in counting if one in servers and one not in taken)
            if own:
                taken.update(own)
                adopted.append(LaunchedJob(str(job["jobID"]), job["tags"][LAUNCH_TAG], theirs.attempt, True, own))
        return adopted

    def start(self, servers: Sequence[str], instance_ids: Sequence[str]) -> LaunchedJob:
        """Start one job."""
        tags = {**self.tags, **self.key.tags(servers, is_drill=False), MODE_TAG: "recovery"}
        job = self.drs.start_client.start_failback_launch(recoveryInstanceIDs=list(instance_ids), tags=tags)["job"]
        self.log.info("Started job %s, which fails back %s", job["jobID"], ", ".join(instance_ids))
        return LaunchedJob(str(job["jobID"]), tags[LAUNCH_TAG], self.key.attempt, False, tuple(servers))

    @staticmethod
    def held(servers: Sequence[str], jobs: Sequence[Job]) -> tuple[list[str], Job] | None:
        """Return which of some servers a job holds that goes on, and the job."""
        for job in jobs:
            theirs = {str(one.get("sourceServerID")) for one in job.get("participatingServers") or ()}
            if not is_complete(job) and (shared := sorted(theirs.intersection(servers))):
                return shared, job
        return None

    def refused(self, error: Exception, servers: Sequence[str], jobs: Sequence[Job]) -> LaunchError:
        """Return the exception for what DRS refused, which names the job that holds a server, where there is one."""
        if held := self.held(servers, jobs):
            shared, job = held
            owner = (job.get("tags") or {}).get(LAUNCH_TAG) or job.get("initiatedBy", "someone else")
            return ForeignJobError(
                f"{', '.join(shared)}: in job {job['jobID']} ({job.get('type', 'LAUNCH')}, started by {owner}), "
                f"which this launch did not start. Try again when it has ended. DRS says: {error_text(error)}"
            )
        return LaunchError(f"DRS did not launch {', '.join(servers)} on premises: {error_text(error)}")
