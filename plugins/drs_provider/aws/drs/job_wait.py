"""What waiting for DRS jobs means, the same in a worker and in the triggerer: deadline, progress, end, result."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drs_provider.aws.drs.outcome import describe_event, failure_table, judge, newest_by_server
from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.faults import ActionFailed
from drs_provider.timestamps import parse_timestamp

__all__ = ["JobLogTail", "JobWait", "LaunchFailed", "job_ids_of"]

Item = Mapping[str, Any]

UNSEEN_SECONDS = 300.0
"""How long a job may be missing from DescribeJobs before it counts as deleted."""


class LaunchFailed(ActionFailed):
    """
    Too few servers launched.

    :param message: What a person reads, with a line for each server that did not launch.
    :param servers: The outcomes by source server id.
    :param failed: Ids of the servers that did not launch.
    :param again: Ids of the servers that failed and may be launched again at once: the wait is not over.
    :param enough: Whether enough servers launched without them.
    """

    def __init__(
        self,
        message: str,
        servers: Mapping[str, Any] | None = None,
        failed: Sequence[str] = (),
        *,
        again: Sequence[str] = (),
        enough: bool = False,
    ) -> None:
        super().__init__(message)
        self.servers = dict(servers or {})
        self.failed = list(failed)
        self.again = list(again)
        self.enough = enough


@dataclass(frozen=True)
class JobWait:
    """
    A wait for jobs and the terms of its success.

    :param job_ids: The jobs.
    :param required: Servers that must launch; None means all but the optional ones.
    :param optional: Servers that may fail.
    :param min_launched: How many must launch at least; see :func:`drs_provider.aws.drs.outcome.judge`.
    :param timeout: Seconds from the creation of the newest job.
    :param first_look: When the wait began, in epoch seconds: stands in for jobs that are not listed yet.
    :param retryable: Jobs whose failed servers may be launched again, as soon as the job has ended.
    :param background: Jobs that are waited for only until enough servers launched.
    """

    job_ids: Sequence[str]
    required: Sequence[str] | None
    optional: Sequence[str] | None
    min_launched: int | None
    timeout: float
    first_look: float
    retryable: Collection[str] = ()
    background: Collection[str] = ()

    def deadline(self, jobs: Iterable[Item]) -> float:
        """Return the moment, in epoch seconds, at which the wait ends; it depends on DRS's clock, not on retries."""
        created = [
            parse_timestamp(str(job["creationDateTime"])).timestamp() for job in jobs if "creationDateTime" in job
        ]
        start = max(created) if len(created) == len(self.job_ids) else max([*created, self.first_look])
        return start + self.timeout

    def unseen(self, jobs: Iterable[Item]) -> list[str]:
        """Return the ids of the jobs that are not listed."""
        seen = {job["jobID"] for job in jobs}
        return [job_id for job_id in self.job_ids if job_id not in seen]

    def ended(self, jobs: Collection[Item]) -> bool:
        """Return whether all the jobs have ended."""
        if not self.unseen(jobs) and all(is_complete(job) for job in jobs):
            return True
        running = {str(job["jobID"]) for job in jobs if not is_complete(job)}.union(self.unseen(jobs))
        return running.issubset(self.background) and self._enough(jobs)

    def again(self, jobs: Collection[Item]) -> list[str]:
        """Return the servers that failed and may be launched again: no job holds them any more."""
        if not self.retryable or self.unseen(jobs):
            # A job that is not listed yet may hold any of them.
            return []
        known = None if self.required is None or self.optional is None else {*self.required, *self.optional}
        return sorted(
            server
            for server, (job, participant) in newest_by_server(jobs).items()
            if is_complete(job)
            and job["jobID"] in self.retryable
            and (known is None or server in known)
            and participant.get("launchStatus", "PENDING") not in ("LAUNCHED", "TERMINATED")
        )

    def _enough(self, jobs: Collection[Item]) -> bool:
        servers = {
            server: {"launch_status": participant.get("launchStatus")}
            for server, (_, participant) in newest_by_server(jobs).items()
        }
        return judge(servers, self.required, self.optional, self.min_launched).ok

    def _on_their_way(self, jobs: Collection[Item]) -> list[str]:
        return sorted(
            server
            for server, (job, participant) in newest_by_server(jobs).items()
            if not is_complete(job) and participant.get("launchStatus") in ("PENDING", "IN_PROGRESS")
        )

    def result(self, servers: Mapping[str, Any], trouble: str = "", jobs: Collection[Item] = ()) -> dict[str, Any]:
        """
        Return the wait's XCom, ``{"servers": ..., "launched": int, "failed": [ids], "on_their_way": [ids]}``.

        :param servers: The outcomes of :func:`drs_provider.aws.drs.outcome.collect_outcomes`.
        :param trouble: Why the wait ended before its jobs, if it did.
        :param jobs: The jobs, as they were seen last.
        :raises LaunchFailed: when too few servers launched, or the wait ended early. Where the required servers are
            named and up, a job that hangs over others fails nothing.
        """
        verdict = judge(servers, self.required, self.optional, self.min_launched)
        if verdict.ok and (not trouble or self.required):
            return {
                "servers": dict(servers),
                "launched": verdict.launched,
                "failed": verdict.failed,
                "on_their_way": self._on_their_way(jobs),
            }
        table = failure_table(servers, [server for server in verdict.failed if server not in servers])
        message = f"{trouble + ': ' if trouble else ''}{verdict.message}"
        raise LaunchFailed(f"{message}\n{table}" if table else message, servers, verdict.failed)


@dataclass
class JobLogTail:
    """Finds the lines of the jobs' logs that have not been written into the task's log yet.

    :param names: host names by source server id.
    :param shown: how many lines of each job's log have been written, by job id; it goes with the wait from one process
        to the next.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)

    def new_lines(self, job_id: str, items: Sequence[Item]) -> list[str]:
        """Return the lines that are new, in words, and take them for written."""
        new = [f"{job_id}: {describe_event(item, self.names)}" for item in items[self.shown.get(job_id, 0) :]]
        self.shown[job_id] = max(self.shown.get(job_id, 0), len(items))
        return new


def job_ids_of(jobs: Any) -> list[str]:
    """
    Return the job ids in what a task was given: an id, a launch task's return value, or a list of either.

    :raises ValueError: when there is none.
    """
    found: list[str] = []
    for one in [jobs] if isinstance(jobs, (str, Mapping)) else list(jobs or ()):
        if isinstance(one, str):
            found.append(one)
        elif "jobs" in one:
            found += [str(job["job_id"]) for job in one["jobs"]]
        else:
            found.append(str(one["job_id"]))
    if not found:
        raise ValueError(f"no DRS job to wait for in {jobs!r}")
    return list(dict.fromkeys(found))
