"""Waiting for DRS in the triggerer: for jobs, for replication, and for instances to be gone."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from drs_provider.aws.calls import Calls
from drs_provider.aws.drs.job_wait import UNSEEN_SECONDS, JobLogTail, JobWait, LaunchFailed
from drs_provider.aws.drs.launch_progress import Expectations, LaunchProgress
from drs_provider.aws.drs.outcome import collect_outcomes, failure_table, judge, log_or_nothing
from drs_provider.aws.drs.reads import DrsReads, is_complete
from drs_provider.aws.drs.replication import not_ready, replication_of
from drs_provider.aws.ec2.instance_end import instance_states, not_gone, not_stopped
from drs_provider.live.model import LiveItem
from drs_provider.live.phases import phase_counts, server_phases
from drs_provider.timestamps import parse_timestamp
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["DrsInstancesGoneTrigger", "DrsJobTrigger", "DrsReplicationTrigger", "JobFetch", "JobSnapshot"]

Item = dict[str, Any]

FASTEST_SECONDS = 1.0
FAST_SECONDS = 2.0
SLOWEST_SECONDS = 15.0
HANGING_SECONDS = 3600.0
HEARTBEAT_SECONDS = 60.0
"""How often a wait says how far it is, whatever happens."""
LOGS_A_TICK = 5
"""How many job logs are read in one tick at most: hundreds of jobs mean rarer progress, not more calls."""
COLLECT_SECONDS = 600.0
"""How long the look-ups after the end of the jobs may take."""
JOB_BATCH = 1000
SERVER_BATCH = 200
INSTANCE_BATCH = 200


@dataclass
class JobSnapshot:
    """A job and what was read of its log so far."""

    job: Item
    log: list[Item]


@dataclass
class _JobLog:
    items: list[Item] = field(default_factory=list)
    state: tuple[Any, ...] = ()
    read_at: float = 0.0
    asked_at: float = 0.0


class JobFetch:
    """
    Fetches jobs for the shared poller: one DescribeJobs for all, and the logs of a few.

    A job's log is read when the state of the job or of a server has changed, and now and then in between. An error
    there costs progress lines, never the wait.
    """

    def __init__(self) -> None:
        self._logs: dict[str, _JobLog] = {}
        self._logs_from = 0.0

    async def __call__(self, calls: Calls, ids: Sequence[str]) -> dict[str, JobSnapshot]:
        """Return the snapshots of the jobs that exist."""
        reads = DrsReads(calls)
        jobs = {str(job["jobID"]): job for job in await reads.jobs(ids)}
        now = time.monotonic()
        for job_id in jobs:
            self._logs.setdefault(job_id, _JobLog()).asked_at = now
        self._logs = {key: entry for key, entry in self._logs.items() if now - entry.asked_at < 600}
        if now >= self._logs_from:
            try:
                await calls.together(*(self._read(reads, jobs[job_id]) for job_id in self._due(jobs, now)))
            except Exception:
                self._logs_from = now + 30.0
        return {job_id: JobSnapshot(job, self._logs[job_id].items) for job_id, job in jobs.items()}

    def _due(self, jobs: Mapping[str, Item], now: float) -> list[str]:
        due = []
        for job_id, job in jobs.items():
            entry = self._logs[job_id]
            changed = entry.state != _state(job)
            # The log of a job that has ended is read when its outcome is: nothing may delay the news of the end.
            if not is_complete(job) and (changed or now - entry.read_at > min(max(_age(job) / 10, 5.0), 60.0)):
                due.append((not changed, entry.read_at, job_id))
        return [job_id for _, _, job_id in sorted(due)[:LOGS_A_TICK]]

    async def _read(self, reads: DrsReads, job: Item) -> None:
        items = await reads.job_log(str(job["jobID"]))
        entry = self._logs[str(job["jobID"])]
        entry.items, entry.state, entry.read_at = items, _state(job), time.monotonic()


def _state(job: Item) -> tuple[Any, ...]:
    servers = job.get("participatingServers") or ()
    return (job.get("status"), *(server.get("launchStatus") for server in servers))


def _age(job: Item) -> float:
    return max(time.time() - parse_timestamp(str(job["creationDateTime"])).timestamp(), 0.0)


def job_poll_seconds(snapshots: Mapping[str, JobSnapshot]) -> float:
    """
    Return how soon jobs should be polled again.

    Snapshot and conversion take minutes, so the interval grows with the job's age, to 15 s. Once a server is launching
    the end is near: 2 s. Once every server has launched or failed, the job itself ends within seconds: 1 s. A job that
    has been near its end for an hour hangs, and has time.
    """
    wanted = [FAST_SECONDS if not snapshots else SLOWEST_SECONDS]
    for snapshot in snapshots.values():
        if is_complete(snapshot.job):
            continue
        age = _age(snapshot.job)
        states = {server.get("launchStatus") for server in snapshot.job.get("participatingServers") or ()}
        if age < HANGING_SECONDS and "IN_PROGRESS" in states:
            wanted.append(FAST_SECONDS)
        elif age < HANGING_SECONDS and states and "PENDING" not in states:
            wanted.append(FASTEST_SECONDS)
        else:
            wanted.append(min(max(age / 20, FAST_SECONDS), SLOWEST_SECONDS))
    return min(wanted)


async def fetch_source_servers(calls: Calls, ids: Sequence[str]) -> dict[str, Item]:
    """Return source servers by id: the fetch of the poller for replication."""
    servers = await DrsReads(calls).source_servers(ids)
    return {str(server["sourceServerID"]): server for server in servers}


async def fetch_instance_states(calls: Calls, ids: Sequence[str]) -> dict[str, str]:
    """Return the states of EC2 instances by id: the fetch of the poller for their end."""
    return await instance_states(calls, ids)


class DrsJobTrigger(WaitTrigger):
    """
    Waits until DRS jobs have ended and judges their servers.

    Success ends the task from the triggerer; a failure goes to the worker with the outcomes.

    :param job_ids: The jobs.
    :param required: Servers that must launch; None means all but the optional ones.
    :param optional: Servers that may fail.
    :param min_launched: How many must launch at least.
    :param timeout: Seconds from the creation of the newest job.
    :param deadline: When to give up a job that DRS does not show, in epoch seconds; by default ``timeout`` from now.
    :param look_every: Seconds between two looks; None looks rarely while snapshot and conversion run, and often near
        the expected end.
    :param retryable: Jobs whose failed servers may be launched again: the wait ends without success as soon as such a
        job has, and the event names them under ``again``, and under ``enough`` whether enough launched without them.
    :param background: Jobs that are waited for only until enough servers launched.
    :param names: Host names by source server id, for the log.
    :param usual: Seconds that a server's launch usually takes, by source server id, for the log.
    :param objective_at: When the RTO is over, in epoch seconds, for the log.
    :param shown: How many lines of each job's log are in the task's log already, by job id.
    """

    fields = (
        "job_ids",
        "required",
        "optional",
        "min_launched",
        "timeout",
        "look_every",
        "retryable",
        "background",
        "names",
        "usual",
        "objective_at",
        "shown",
    )

    def __init__(
        self,
        *,
        job_ids: Sequence[str],
        timeout: float,
        required: Sequence[str] | None = None,
        optional: Sequence[str] | None = None,
        min_launched: int | None = None,
        deadline: float | None = None,
        look_every: float | None = None,
        retryable: Sequence[str] = (),
        background: Sequence[str] = (),
        names: Mapping[str, str] | None = None,
        usual: Mapping[str, float] | None = None,
        objective_at: float | None = None,
        shown: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(deadline=time.time() + timeout if deadline is None else deadline, **kwargs)
        self.look_every = look_every
        self.job_ids = list(job_ids)
        self.timeout = timeout
        self.required = required
        self.optional = optional
        self.min_launched = min_launched
        self.retryable = list(retryable)
        self.background = list(background)
        self.names = dict(names or {})
        self.usual = dict(usual or {})
        self.objective_at = objective_at
        self.shown = dict(shown or {})

    async def wait(self, post: Post) -> dict[str, Any]:
        """Wait for the jobs' end or the deadline, then collect and judge."""
        first_look = self.deadline - self.timeout
        wait = JobWait(
            self.job_ids,
            self.required,
            self.optional,
            self.min_launched,
            self.timeout,
            first_look,
            self.retryable,
            self.background,
        )
        tail = JobLogTail(self.names, self.shown)
        progress = LaunchProgress(Expectations(self.names, self.usual, self.objective_at))
        trouble = ""
        jobs: list[Item] = []
        seen: dict[str, JobSnapshot] = {}
        again: list[str] = []
        begins = not self.shown
        watched = post.watch("drs-job", JobFetch(), self.job_ids, self._interval, service="drs", batch=JOB_BATCH)

        def beat() -> None:
            self.log.info("%s", progress.heartbeat(wait.deadline(progress.jobs)))

        async with watched as watch, post.beating(HEARTBEAT_SECONDS, beat):
            while not wait.ended(jobs):
                try:
                    seen = await watch.next(wait.deadline(jobs))
                except DeadlinePassed as error:
                    more = f" ({error})" if str(error) else ""
                    trouble = f"Not ended within {self.timeout:.0f} s of the job's creation{more}"
                    break
                jobs = [snapshot.job for snapshot in seen.values()]
                self._show(post, wait, list(seen.values()))
                progress.take(jobs, {job_id: snapshot.log for job_id, snapshot in seen.items()})
                if begins:
                    begins = False
                    await post.tell(beat)
                await self._tell(post, tail, {job_id: snapshot.log for job_id, snapshot in seen.items()})
                if again := wait.again(jobs):
                    break
                unseen = wait.unseen(jobs)
                if unseen and time.time() > first_look + UNSEEN_SECONDS:
                    trouble = f"DRS has no job {', '.join(unseen)}: it may have been deleted"
                    break
        servers, logs = await post.ask(
            lambda calls: self._outcomes_and_logs(DrsReads(calls), jobs), time.time() + COLLECT_SECONDS, service="drs"
        )
        await self._tell(post, tail, logs)
        # The log of a job that has ended was not read before.
        self._show(post, wait, [JobSnapshot(one.job, logs.get(job_id) or one.log) for job_id, one in seen.items()])
        if again:
            verdict = judge(servers, self.required, self.optional, self.min_launched)
            message = f"{verdict.message}\n{failure_table({one: servers[one] for one in again if one in servers})}"
            raise WaitFailed(
                message, servers=servers, failed=verdict.failed, again=again, enough=verdict.ok, shown=self.shown
            )
        try:
            return wait.result(servers, trouble, jobs)
        except LaunchFailed as failure:
            raise WaitFailed(
                str(failure),
                timed_out=bool(trouble),
                servers=failure.servers,
                failed=failure.failed,
                shown=self.shown,
            ) from None

    def _show(self, post: Post, wait: JobWait, seen: Sequence[JobSnapshot]) -> None:
        if not post.progress.is_watched:
            return
        created = sorted(seen, key=lambda one: str(one.job.get("creationDateTime", "")))
        servers = server_phases([(one.job, one.log) for one in created], post.progress.names)
        ended = sum(is_complete(one.job) for one in seen)
        post.progress.show(
            what=f"{ended} of {len(self.job_ids)} DRS jobs have ended",
            gives_up_at=datetime.fromtimestamp(wait.deadline([one.job for one in seen]), timezone.utc),
            counts=phase_counts(servers),
            servers=servers,
        )

    async def _tell(self, post: Post, tail: JobLogTail, logs: Mapping[str, Sequence[Item]]) -> None:
        """Write what is new in the logs of the jobs into the task's log."""
        lines = [line for job_id, items in logs.items() for line in tail.new_lines(job_id, items)]

        def write() -> None:
            for line in lines:
                self.log.info("%s", line)

        if lines:
            await post.tell(write)

    async def _outcomes_and_logs(self, reads: DrsReads, jobs: Sequence[Item]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask for what is told at the end, all at once."""
        ids = [str(job["jobID"]) for job in jobs]
        servers, *logs = await reads.calls.together(
            collect_outcomes(reads, jobs, self.required, self.optional),
            *(log_or_nothing(reads, job_id) for job_id in ids),
        )
        return servers, dict(zip(ids, logs, strict=True))

    def _interval(self, snapshots: Mapping[str, JobSnapshot]) -> float:
        return job_poll_seconds(snapshots) if self.look_every is None else self.look_every

    async def ended_by_a_person(self) -> None:
        """Say that the jobs go on; DRS has no call that ends one, and a real recovery must not be undone by a click."""
        self.log.warning("The wait was ended by a person; jobs go on in DRS: %s", ", ".join(self.job_ids))


class DrsReplicationTrigger(WaitTrigger):
    """
    Waits until source servers replicate as wanted.

    :param source_server_ids: The servers.
    :param states: Acceptable values of ``dataReplicationState``.
    :param max_lag: The longest acceptable lag in seconds; None accepts any.
    """

    fields = ("source_server_ids", "states", "max_lag")

    def __init__(
        self, *, source_server_ids: Sequence[str], states: Sequence[str], max_lag: float | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.source_server_ids = list(source_server_ids)
        self.states = list(states)
        self.max_lag = max_lag

    async def wait(self, post: Post) -> dict[str, dict[str, Any]]:
        """Wait until every server is ready or the deadline passes."""
        problems = ["not looked at yet"]
        async with post.watch(
            "drs-source-server",
            fetch_source_servers,
            self.source_server_ids,
            lambda _: self.poll_interval,
            service="drs",
            batch=SERVER_BATCH,
        ) as watch:
            while True:
                try:
                    seen = await watch.next(self.deadline)
                except DeadlinePassed as error:
                    message = "; ".join(filter(None, ["Replication is not ready in time", *problems, str(error)]))
                    raise WaitFailed(message, timed_out=True) from None
                problems = not_ready(self.source_server_ids, seen, self.states, self.max_lag)
                post.progress.show(what="replication: " + ("; ".join(problems) or "ready"))
                if not problems:
                    return replication_of(seen)
                self.log.info("Waiting for replication: %s", "; ".join(problems))


class DrsInstancesGoneTrigger(WaitTrigger):
    """
    Waits until EC2 says that instances are terminated, and others stopped.

    :param instance_ids: The EC2 instances to be terminated.
    :param value: The task's return value.
    :param stopped: The EC2 instances to be stopped.
    """

    fields = ("instance_ids", "value", "stopped")

    def __init__(
        self,
        *,
        instance_ids: Sequence[str],
        value: Any,
        stopped: Sequence[str] = (),
        poll_interval: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(poll_interval=poll_interval, **kwargs)
        self.instance_ids = list(instance_ids)
        self.value = value
        self.stopped = list(stopped)

    async def wait(self, post: Post) -> Any:
        """Wait until no instance is left or the deadline passes."""
        left = [*self.instance_ids, *self.stopped]
        async with post.watch(
            "ec2-instance-state",
            fetch_instance_states,
            left,
            lambda _: self.poll_interval,
            service="ec2",
            batch=INSTANCE_BATCH,
        ) as watch:
            while left:
                try:
                    states = await watch.next(self.deadline)
                except DeadlinePassed as error:
                    trouble = f" ({error})" if str(error) else ""
                    raise WaitFailed(
                        f"Not terminated or stopped in time: {', '.join(left)}{trouble}", timed_out=True
                    ) from None
                left = [*not_gone(self.instance_ids, states), *not_stopped(self.stopped, states)]
                post.progress.show(
                    what=f"{len(left)} instances are not terminated or stopped yet",
                    counts={"total": len(self.instance_ids) + len(self.stopped), "left": len(left)},
                    items=[LiveItem(id=one.partition(" is ")[0], status=one.partition(" is ")[2]) for one in left],
                )
                if left:
                    self.log.info("Waiting until terminated or stopped: %s", ", ".join(left))
        return self.value
