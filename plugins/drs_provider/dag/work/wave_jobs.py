"""The DRS jobs of one wave of one run, found by their tags: what AWS says, whatever Airflow remembers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drs_provider.hooks.calls import run_blocking
from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.drs_reads import is_complete
from drs_provider.hooks.instance_end import instance_states
from drs_provider.hooks.launch_key import LAUNCH_TAG, LaunchKey
from drs_provider.hooks.outcome import newest_by_server

__all__ = ["WaveJobs"]

_ENDED = frozenset({"shutting-down", "terminated"})
_UNDER_WAY = frozenset({"PENDING", "IN_PROGRESS", "LAUNCHED"})


@dataclass(frozen=True)
class WaveJobs:
    """Every job that a run started for a wave, in all generations and attempts.

    :param jobs: the jobs in the shape of DescribeJobs, newest first.
    :param key: the launch that they belong to; its generation and attempt do not matter here.
    """

    jobs: tuple[Mapping[str, Any], ...]
    key: LaunchKey

    @classmethod
    def find(cls, hook: DrsHook, key: LaunchKey, since: datetime, known: Collection[str] = ()) -> WaveJobs:
        """Ask DRS for the jobs.

        :param since: no job of the run is older.
        :param known: ids of jobs that a task told of: asked for by these where the list lacks them, as it may at first.
        """
        listed = hook.jobs_since(since)
        missing = sorted(set(known).difference(str(job["jobID"]) for job in listed))
        if missing:
            listed = [*listed, *hook.jobs(missing)]
            listed.sort(key=lambda job: str(job.get("creationDateTime", "")), reverse=True)
        return cls(tuple(job for job in listed if key.of_job(job)), key)

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
        """Return the source servers that an earlier generation launched, and whose instances have been ended since.

        A drill's end and a rollback leave the jobs of a launch as they are: its servers stay LAUNCHED there. What
        counts is EC2's word on the instances that the jobs' logs name (LAUNCH_END); where none is named, the job's.
        """
        launched = {}
        for server, (job, participant) in newest_by_server(self.jobs).items():
            key = self.key.of_job(job)
            earlier = key is not None and key.generation < self.key.generation
            if earlier and is_complete(job) and participant.get("launchStatus") == "LAUNCHED":
                launched[server] = str(job["jobID"])
        instances = {
            (job_id, str(data["sourceServerID"])): str(data["targetInstanceID"])
            for job_id in sorted(set(launched.values()))
            for item in hook.job_log(job_id)
            if item.get("event") == "LAUNCH_END" and (data := item.get("eventData") or {}).get("targetInstanceID")
        }
        named = {
            server: instances[job_id, server] for server, job_id in launched.items() if (job_id, server) in instances
        }
        states = run_blocking(instance_states(hook.calls("ec2"), sorted(named.values()))) if named else {}
        # EC2 forgets an instance an hour after its end.
        return frozenset(server for server, one in named.items() if states.get(one, "terminated") in _ENDED)

    @property
    def all_complete(self) -> bool:
        """Whether every job has ended."""
        return all(is_complete(job) for job in self.jobs)

    def attempts(self, generation: int) -> int:
        """Return the number of the last attempt in a generation, 0 before the first."""
        keys = [key for job in self.jobs if (key := self.key.of_job(job))]
        return max((key.attempt for key in keys if key.generation == generation), default=0)

    def entries(self) -> list[dict[str, Any]]:
        """Return the jobs as the launch task's XCom holds them, all of them adopted."""
        entries = []
        for job in self.jobs:
            key = self.key.of_job(job)
            entries.append(
                {
                    "job_id": str(job["jobID"]),
                    "launch_key": job["tags"][LAUNCH_TAG],
                    "attempt": key.attempt if key else 1,
                    "adopted": True,
                    "source_servers": [server["sourceServerID"] for server in job.get("participatingServers") or ()],
                }
            )
        return entries
