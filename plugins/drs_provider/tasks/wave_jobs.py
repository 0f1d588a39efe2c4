"""The DRS jobs of one wave of one run, found by their tags: what AWS says, whatever Airflow remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from drs_provider.aws.drs.launch_key import LAUNCH_TAG, LaunchKey, attempt_in
from drs_provider.aws.drs.launched_instances import ended_servers
from drs_provider.aws.drs.outcome import newest_by_server
from drs_provider.aws.drs.reads import is_complete
from drs_provider.hooks.drs import DrsHook
from drs_provider.tasks.intents import Intent, resolve
from drs_provider.timestamps import parse_timestamp

__all__ = ["Down", "WaveJobs"]

_UNDER_WAY = frozenset({"PENDING", "IN_PROGRESS", "LAUNCHED"})


class Down(NamedTuple):
    """A server that is not up.

    :param attempt: which attempt was made last; 0 where none was made since the launch was cleared.
    :param since: when the job of that ended, as far as DRS says so.
    """

    attempt: int
    since: datetime | None


@dataclass(frozen=True)
class WaveJobs:
    """Every job that a run started for a wave, in all generations and attempts.

    :param jobs: the jobs in the shape of DescribeJobs, newest first.
    :param key: the launch that they belong to; its generation and attempt do not matter here.
    :param open: calls of StartRecovery of which it is not known yet whether they started a job.
    """

    jobs: tuple[Mapping[str, Any], ...]
    key: LaunchKey
    open: tuple[Intent, ...] = ()

    @classmethod
    def find(
        cls,
        hook: DrsHook,
        key: LaunchKey,
        since: datetime,
        known: Collection[str] = (),
        intents: Sequence[Intent] = (),
    ) -> WaveJobs:
        """Ask DRS for the jobs.

        :param since: no job of the run is older.
        :param known: ids of jobs that a task told of: asked for by these where the list lacks them, as it may at first.
        :param intents: what the wave's tasks were about to start.
        """
        listed = hook.jobs_since(since)
        resolved = resolve(hook, intents, key.identity, listed)
        listed += resolved.jobs
        missing = sorted(set(known).difference(str(job["jobID"]) for job in listed))
        if missing:
            listed = [*listed, *hook.jobs(missing)]
        listed.sort(key=lambda job: str(job.get("creationDateTime", "")), reverse=True)
        return cls(tuple(job for job in listed if key.of_job(job)), key, resolved.open)

    @property
    def servers(self) -> set[str]:
        """Every source server of the jobs."""
        return set(newest_by_server(self.jobs))

    @property
    def alive(self) -> dict[str, str]:
        """The id of the job that launched, or is still launching, each source server."""
        found = {}
        for server, (job, participant) in newest_by_server(self.jobs).items():
            status = str(participant.get("launchStatus", "PENDING"))
            if status == "LAUNCHED" or (status in _UNDER_WAY and not is_complete(job)):
                found[server] = str(job["jobID"])
        return found

    def ended_since(self, hook: DrsHook) -> frozenset[str]:
        """Return the source servers that were launched, and whose instances have been terminated since."""
        newest = newest_by_server(self.jobs)
        ended = ended_servers(hook, {str(job["jobID"]): job for job, _ in newest.values()}.values())
        return frozenset(
            server for server, (job, _) in newest.items() if server in ended.get(str(job["jobID"]), frozenset())
        )

    @property
    def all_complete(self) -> bool:
        """Whether every job has ended."""
        return all(is_complete(job) for job in self.jobs)

    @property
    def attempts(self) -> dict[str, int]:
        """Which attempt of the key's generation each job is, by its id; 0 for one of an earlier generation."""
        return {str(job["jobID"]): attempt_in(self.key.generation, job["tags"][LAUNCH_TAG]) for job in self.jobs}

    def down(self, servers: Collection[str], *, terminated: bool) -> dict[str, Down]:
        """Return those of some servers that are not up, and that no job holds.

        :param servers: ids of source servers.
        :param terminated: whether servers whose instances were terminated since are among them.
        """
        newest = newest_by_server(self.jobs)
        attempts = self.attempts
        last = max(attempts.values(), default=0)
        # Of all its jobs: the newest need not be the last attempt, and an attempt that was made is not made again.
        made: dict[str, int] = {}
        for job in self.jobs:
            for one in job.get("participatingServers") or ():
                server = str(one["sourceServerID"])
                made[server] = max(made.get(server, 0), attempts[str(job["jobID"])])
        found = {}
        for server in sorted(servers):
            job, participant = newest.get(server, ({}, {}))
            status = str(participant.get("launchStatus", "PENDING"))
            if job and (not is_complete(job) or status == "LAUNCHED" or (status == "TERMINATED" and not terminated)):
                continue
            ended = job.get("endDateTime")
            found[server] = Down(made.get(server, last), parse_timestamp(str(ended)) if ended else None)
        return found

    def entries(self, *, began: datetime | None = None) -> list[dict[str, Any]]:
        """Return the jobs as the launch task's XCom holds them.

        :param began: when the present try began: what was started after that is not adopted. None: all of them are.
        """
        entries = []
        for job in self.jobs:
            key = self.key.of_job(job)
            entries.append(
                {
                    "job_id": str(job["jobID"]),
                    "launch_key": job["tags"][LAUNCH_TAG],
                    "attempt": key.attempt if key else 1,
                    "adopted": began is None or parse_timestamp(str(job["creationDateTime"])) < began,
                    "source_servers": [server["sourceServerID"] for server in job.get("participatingServers") or ()],
                }
            )
        return entries
