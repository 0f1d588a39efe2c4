"""Launching source servers exactly once.

StartRecovery has no client token. What makes a launch happen once, whatever is killed and whenever, is the order of
things: every job bears the tags of its launch (:mod:`~drs_provider.aws.drs.launch_key`); before anything is started,
the jobs of that launch are looked up and adopted; the call itself is sent without SDK retries; after an answer that
leaves it open whether AWS accepted the call, the jobs are looked up again, with patience, since a new job need not be
listed at once. DRS itself allows a server in one job at a time only, so even a job that is not listed yet answers a
second start with a conflict, never with a second launch.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, NamedTuple

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import patience_of
from drs_provider.aws.drs.launch_intents import LaunchJournal
from drs_provider.aws.drs.launch_key import LAUNCH_TAG, LaunchKey
from drs_provider.aws.drs.launched_instances import ended_servers
from drs_provider.aws.drs.previous_instances import PreviousInstance, previous_instances
from drs_provider.aws.drs.questions import DrsAccess
from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.drs.slots import BUSY_WINDOW, SlotsTaken
from drs_provider.aws.faults import ActionFailed, Fault, classify, error_text
from drs_provider.aws.freshness import Look
from drs_provider.aws.pauses import pause_for
from drs_provider.aws.quotas import API_SERVERS_PER_JOB, Quotas
from drs_provider.timestamps import parse_timestamp

__all__ = [
    "NO_SLOT_PATIENCE",
    "ForeignJobError",
    "LaunchError",
    "LaunchPatience",
    "LaunchedJob",
    "LiveInstanceError",
    "NoFreeSlot",
    "Relaunch",
    "ServerToLaunch",
    "launch_once",
]

Relaunch = Literal["none", "failed", "all"]
Job = Mapping[str, Any]

ALIVE = frozenset({"PENDING", "IN_PROGRESS", "LAUNCHED"})
QUOTA_TRIES = 3

_EXPLANATIONS = {
    "AccessDeniedException": "The caller needs drs:StartRecovery and drs:TagResource, and, because DRS launches with "
    "the caller's own rights, those of EC2 and iam:PassRole that the policy "
    "AWSElasticDisasterRecoveryConsoleFullAccess lists.",
    "UninitializedAccountException": "DRS is not initialised in this account and region.",
    "ValidationException": "DRS did not accept the request: look for a server without a finished recovery snapshot, "
    "one whose replication is stopped or disconnected, or a snapshot that has expired.",
}


class LaunchError(ActionFailed):
    """DRS did not start a job, and another try would not change that."""


class ForeignJobError(LaunchError):
    """A server is in a job that this launch did not start."""


class LiveInstanceError(LaunchError):
    """
    A server has a live instance that the launch would delete.

    :param message: What a person reads.
    :param instances: The instances.
    """

    def __init__(self, message: str, instances: Sequence[PreviousInstance]) -> None:
        super().__init__(message)
        self.instances = tuple(instances)


class NoFreeSlot(LaunchError):
    """
    No slot for another job became free in time.

    :param message: What a person reads.
    :param servers: How many servers the job would have.
    :param quotas: What it has to fit into.
    """

    def __init__(self, message: str, servers: int, quotas: Quotas) -> None:
        super().__init__(message)
        self.servers = servers
        self.quotas = quotas


class ServerToLaunch(NamedTuple):
    """A source server and the recovery snapshot to launch it from; None means the latest data."""

    id: str
    snapshot: str | None = None

    @classmethod
    def of(cls, server: str | Mapping[str, Any]) -> ServerToLaunch:
        """
        Return a server given as an id, or as a mapping with ``id`` and ``snapshot``.

        The names that the API uses, ``sourceServerID`` and ``recoverySnapshotID``, are understood too.
        """
        if isinstance(server, str):
            return cls(server)
        identity = server.get("id") or server.get("sourceServerID")
        if not identity:
            raise ValueError(f"a server needs an id: {dict(server)!r}")
        return cls(str(identity), server.get("snapshot") or server.get("recoverySnapshotID") or None)


@dataclass(frozen=True)
class LaunchedJob:
    """A DRS job of a launch: started now, or adopted because an earlier try had started it."""

    job_id: str
    launch_key: str
    attempt: int
    adopted: bool
    source_servers: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the job in the shape of the launch task's XCom."""
        return {
            "job_id": self.job_id,
            "launch_key": self.launch_key,
            "attempt": self.attempt,
            "adopted": self.adopted,
            "source_servers": list(self.source_servers),
        }


@dataclass(frozen=True)
class LaunchPatience:
    """
    How long a launch waits for what.

    :param slots: For free job slots; nothing for a caller that would rather wait elsewhere.
    :param listing: For a job to be listed after an answer that leaves it open whether the job was accepted.
    :param starting: For DRS to accept one job, in spite of transient errors.
    """

    slots: timedelta = timedelta(minutes=30)
    listing: timedelta = timedelta(seconds=30)
    starting: timedelta = timedelta(minutes=10)


NO_SLOT_PATIENCE = LaunchPatience(slots=timedelta(0))
"""Of who waits for a slot elsewhere than in :func:`launch_once`."""


def launch_once(
    drs: DrsAccess,
    key: LaunchKey,
    servers: Iterable[str | Mapping[str, Any] | ServerToLaunch],
    *,
    is_drill: bool,
    since: datetime,
    tags: Mapping[str, str] | None = None,
    relaunch: Relaunch = "none",
    quotas: Quotas | None = None,
    ended: Collection[str] = (),
    listed: Sequence[Job] | None = None,
    listed_at: float | None = None,
    patience: LaunchPatience | None = None,
    replace: Collection[str] = (),
    journal: LaunchJournal | None = None,
    check: Callable[[Sequence[str]], None] = lambda servers: None,
    on_job: Callable[[LaunchedJob], None] | None = None,
    on_replaced: Callable[[PreviousInstance], None] | None = None,
    log: logging.Logger | None = None,
) -> list[LaunchedJob]:
    """
    Launch source servers, each in exactly one job, however often this is called with the same key.

    :param drs: The connection to the recovery region.
    :param key: The identity of the launch. Jobs of the same run, mode, wave and attempt are adopted, their servers as
        long as EC2 has the instances that were launched.
    :param servers: What to launch; ids, or mappings with ``id`` and ``snapshot``.
    :param is_drill: A drill, or a recovery in earnest.
    :param since: No job of this run was created before: bounds the look through DescribeJobs.
    :param tags: Further tags for the jobs.
    :param relaunch: What a later generation of the key does about the jobs of the earlier ones: ``none`` adopts them,
        ``failed`` adopts the servers that launched or are on their way and launches the others again, ``all`` launches
        every server again but for those that are still on their way.
    :param quotas: Defaults to what the account has.
    :param ended: Servers whose instances have been ended since an earlier generation launched them: with ``failed``
        they are launched again too.
    :param listed: The jobs that the caller has read a moment ago, newest first, where it has: all since ``since``, and
        at least all of the last two days (:data:`BUSY_WINDOW`).
    :param listed_at: When it began to read them, in epoch seconds; by default now.
    :param patience: How long to wait for what.
    :param replace: Ids of live instances that a person gave up: DRS deletes a server's previous instance.
    :param journal: Told before and after each call of StartRecovery.
    :param check: Called with the servers of each job right before its start; what it raises keeps the job from being
        started. Adopted jobs are not checked.
    :param on_job: Told of each job as soon as it is known.
    :param on_replaced: Told of each live instance that the launch is about to replace and that is not the run's own.
    :returns: The jobs, adopted ones first.
    :raises ForeignJobError: when a server is in a job of someone else; the message names job and server.
    :raises LiveInstanceError: when a server has a live instance of a recovery, or in a drill one of another drill, and
        nobody gave it up.
    :raises NoFreeSlot: when no slot became free in time.
    :raises LaunchError: when DRS refuses. Here as there, the jobs started so far go on, and the next call adopts them.
    """
    wanted: dict[str, ServerToLaunch] = {}
    for server in servers:
        one = server if isinstance(server, ServerToLaunch) else ServerToLaunch.of(server)
        if wanted.setdefault(one.id, one) != one:
            raise ValueError(f"{one.id} is given with two snapshots: {wanted[one.id].snapshot} and {one.snapshot}")
    launch = _Launch(
        drs,
        key.in_mode("drill" if is_drill else "recovery"),
        since,
        is_drill,
        dict(tags or {}),
        relaunch,
        frozenset(ended),
        patience or LaunchPatience(),
        log or _log,
        frozenset(replace),
        journal,
        on_replaced or (lambda instance: None),
        check,
    )
    told = on_job or (lambda job: None)
    if listed is None:
        listed, listed_at = drs.jobs_since(min(since, datetime.now(timezone.utc) - BUSY_WINDOW)), None
    # One listing serves twice: what to adopt, and how many slots are taken when the first job is started.
    launch.listed, launch.look = listed, Look(listed_at)
    done = launch.adopt(listed)
    for job in done:
        told(job)
    pending = _without(wanted.values(), done)
    if not pending:
        return done
    bounds = quotas or drs.quotas()
    size = max(1, min(bounds.servers_per_job, bounds.servers_in_jobs, API_SERVERS_PER_JOB))
    while pending:
        for job in launch.start(pending[:size], bounds):
            told(job)
            done.append(job)
        pending = _without(pending, done)
    return done


_log = logging.getLogger(__name__)


def _without(servers: Iterable[ServerToLaunch], jobs: Iterable[LaunchedJob]) -> list[ServerToLaunch]:
    covered = {server for job in jobs for server in job.source_servers}
    return sorted(server for server in servers if server.id not in covered)


def _servers_of(job: Job, states: frozenset[str] | None = None) -> list[str]:
    return [
        server["sourceServerID"]
        for server in job.get("participatingServers") or ()
        if states is None or server.get("launchStatus", "PENDING") in states
    ]


@dataclass
class _Launch:
    drs: DrsAccess
    key: LaunchKey
    since: datetime
    is_drill: bool
    tags: dict[str, str]
    relaunch: Relaunch
    ended: frozenset[str]
    patience: LaunchPatience
    log: logging.Logger
    replace: frozenset[str]
    journal: LaunchJournal | None
    on_replaced: Callable[[PreviousInstance], None]
    check: Callable[[Sequence[str]], None]
    listed: Sequence[Job] | None = None
    look: Look = field(default_factory=Look)

    def adopt(self, jobs: Sequence[Job]) -> list[LaunchedJob]:
        """Return this launch's jobs among ``jobs`` (newest first), each with the servers that count as launched."""
        adopted: list[LaunchedJob] = []
        taken: set[str] = set()
        ours = [
            (job, theirs)
            for job in jobs
            if (theirs := self.key.of_job(job)) is not None
            and theirs.attempt == self.key.attempt
            and not self._of_a_deleted_run(job)
        ]
        ended = ended_servers(self.drs, [job for job, _ in ours])
        for job, theirs in ours:
            gone = ended.get(str(job["jobID"]), frozenset())
            servers = [one for one in self._counting(job, theirs) if one not in taken and one not in gone]
            if not servers:
                continue
            taken.update(servers)
            adopted.append(LaunchedJob(job["jobID"], job["tags"][LAUNCH_TAG], theirs.attempt, True, tuple(servers)))
            self.log.info("Adopting job %s, which launches %s", job["jobID"], ", ".join(servers))
        return adopted

    def _of_a_deleted_run(self, job: Job) -> bool:
        """Whether a job is over that was started before this run began: a run that was deleted had the same id."""
        before = is_complete(job) and parse_timestamp(str(job["creationDateTime"])) < self.since
        return before and not self.key.identity.takes_over(job)

    def _counting(self, job: Job, theirs: LaunchKey) -> list[str]:
        if self.relaunch == "none" or theirs.generation >= self.key.generation:
            return _servers_of(job)
        if self.relaunch == "failed":
            alive = _servers_of(job, ALIVE if not is_complete(job) else frozenset({"LAUNCHED"}))
            return [server for server in alive if server not in self.ended]
        return [] if is_complete(job) else _servers_of(job)

    def start(self, chunk: Sequence[ServerToLaunch], quotas: Quotas) -> list[LaunchedJob]:
        """Start one job for the chunk; return it, or the jobs of an earlier try that turn out to hold servers of it."""
        pauses = Backoff(time.time() + patience_of(self.patience.starting.total_seconds()))
        refused, first_refusal = 0, 0.0
        adopted_from = self.listed
        while True:
            waited, jobs = self._wait_for_slots(len(chunk), quotas)
            pauses.until += waited
            # After a pause another try, which was given up for dead, may have started the job, and it may have ended.
            if jobs is not adopted_from and (found := self._of(chunk, jobs)):
                return found
            if not self.look.is_fresh or not self._clear_the_way(chunk, jobs):
                continue
            try:
                return [self._start(chunk)]
            except Exception as error:
                fault = classify(error)
                if fault not in (Fault.AMBIGUOUS, Fault.CONFLICT):
                    self._answered(chunk, None)
                self.log.warning("StartRecovery of %d servers: %s", len(chunk), error_text(error))
                if fault is Fault.DEFINITE:
                    raise self._explained(error, chunk) from error
                if fault in (Fault.AMBIGUOUS, Fault.CONFLICT):
                    found = self._look_again(chunk, error)
                    if found:
                        return found
                    if fault is Fault.CONFLICT:
                        raise self._explained(error, chunk) from error
                if fault is Fault.QUOTA:
                    # The slots were free a moment ago: someone else may have been faster, so count again. Their job
                    # need not be listed at once.
                    refused += 1
                    first_refusal = first_refusal or time.time()
                    listed_by_now = time.time() >= first_refusal + self.patience.listing.total_seconds()
                    if refused >= QUOTA_TRIES and listed_by_now:
                        raise self._explained(error, chunk) from error
                if fault is Fault.EXPIRED:
                    self.drs.renew_credentials()
                if pauses.is_over:
                    raise self._explained(error, chunk) from error
            pause_for(pauses.take())

    def _clear_the_way(self, chunk: Sequence[ServerToLaunch], jobs: Sequence[Job]) -> bool:
        """
        Do what has to be done right before the call; return False where that took so long that the look is an old one.

        :param jobs: The jobs of the last look, this run's own among them.
        :raises LiveInstanceError: when a server has a live instance that the launch must not replace.
        """
        live = previous_instances(
            self.drs.recovery_instances(server_ids=[server.id for server in chunk]), jobs, self.key.identity
        )
        kept = [one for one in live if one.protected(drill=self.is_drill, replace=self.replace)]
        if kept:
            code = "drill-instance-live" if all(one.is_drill for one in kept) else "recovered-instance-live"
            raise LiveInstanceError(
                f"Nothing was started for {', '.join(server.id for server in chunk)} ({code}): DRS deletes a server's "
                "previous instance at its next launch, and there are live ones: "
                + "; ".join(f"{one.server} has {one}" for one in kept)
                + ". If nothing depends on them, terminate them, or name them in replace_instances.",
                kept,
            )
        for one in live:
            if not one.own:
                self.log.warning("The launch of %s deletes %s", one.server, one)
                self.on_replaced(one)
        self.check([server.id for server in chunk])
        if self.journal:
            self.journal.before(self._tag(chunk), [server.id for server in chunk])
        if not self.look.is_fresh:
            self._answered(chunk, None)
            return False
        return True

    def _answered(self, chunk: Sequence[ServerToLaunch], job_id: str | None) -> None:
        """Note what became of the call; a journal that fails now leaves the call in doubt, and that is all."""
        if self.journal:
            try:
                self.journal.after(self._tag(chunk), job_id)
            except Exception:
                self.log.warning("What became of StartRecovery could not be recorded", exc_info=True)

    def _tag(self, chunk: Sequence[ServerToLaunch]) -> str:
        return self.key.chunk(server.id for server in chunk)

    def _start(self, chunk: Sequence[ServerToLaunch]) -> LaunchedJob:
        ids = tuple(server.id for server in chunk)
        tags = {**self.tags, **self.key.tags(ids, is_drill=self.is_drill)}
        job = self.drs.start_client.start_recovery(
            sourceServers=[
                {"sourceServerID": server.id, **({"recoverySnapshotID": server.snapshot} if server.snapshot else {})}
                for server in chunk
            ],
            isDrill=self.is_drill,
            tags=tags,
        )["job"]
        self.log.info("Started job %s, which launches %s", job["jobID"], ", ".join(ids))
        self._answered(chunk, str(job["jobID"]))
        return LaunchedJob(job["jobID"], tags[LAUNCH_TAG], self.key.attempt, False, ids)

    def _look_again(self, chunk: Sequence[ServerToLaunch], error: Exception) -> list[LaunchedJob]:
        """Look whether the job was accepted after all, for as long as it may take until it is listed."""
        ids = {server.id for server in chunk}
        # Ten minutes before now: more than a signed request's clock may be wrong.
        since = datetime.now(timezone.utc) - timedelta(minutes=10) - self.patience.starting - self.patience.slots
        pauses = Backoff(time.time() + self.patience.listing.total_seconds(), first=0.5)
        while True:
            jobs = self.drs.jobs_since(since)
            if found := self._of(chunk, jobs):
                self._answered(chunk, found[0].job_id)
                return found
            if classify(error) is Fault.CONFLICT:
                self._name_foreign_job(jobs, ids, error)
            if pauses.is_over:
                return []
            pause_for(pauses.take())

    def _of(self, chunk: Sequence[ServerToLaunch], jobs: Sequence[Job]) -> list[LaunchedJob]:
        """Return this launch's jobs that hold servers of the chunk."""
        ids = {server.id for server in chunk}
        return [job for job in self.adopt(jobs) if ids.intersection(job.source_servers)]

    def _name_foreign_job(self, jobs: Sequence[Job], ids: set[str], error: Exception) -> None:
        for job in jobs:
            shared = sorted(ids.intersection(_servers_of(job)))
            if shared and not is_complete(job):
                owner = (job.get("tags") or {}).get(LAUNCH_TAG)
                raise ForeignJobError(
                    f"{', '.join(shared)}: in job {job['jobID']} ({job.get('type', 'LAUNCH')}, started by "
                    f"{owner or job.get('initiatedBy', 'someone else')}), which this launch did not start. Nothing was "
                    f"launched; try again when that job has ended. DRS says: {error_text(error)}"
                ) from error

    def _wait_for_slots(self, servers: int, quotas: Quotas) -> tuple[float, Sequence[Job]]:
        """Wait until a job with so many servers fits the quotas; return the seconds that it took, and the jobs."""
        started = time.time()
        pauses = Backoff(started + self.patience.slots.total_seconds(), first=2.0)
        while True:
            jobs, self.listed = self.listed, None
            if jobs is None:
                jobs = self.drs.jobs_since(min(self.since, datetime.now(timezone.utc) - BUSY_WINDOW))
                self.look.again()
            slots = SlotsTaken.of(jobs)
            if slots.leave_room_for(servers, quotas):
                return time.time() - started, jobs
            taken = f"{slots.against(quotas)}, and {servers} servers wait"
            if pauses.is_over:
                raise NoFreeSlot(
                    f"No free DRS job slot within {self.patience.slots}: {taken}. Jobs in progress: "
                    f"{', '.join(slots.jobs)}",
                    servers,
                    quotas,
                )
            self.log.info("Waiting for a free DRS job slot: %s", taken)
            pause_for(pauses.take())

    def _explained(self, error: Exception, chunk: Sequence[ServerToLaunch]) -> LaunchError:
        ids = ", ".join(server.id for server in chunk)
        code = error_text(error).partition(":")[0]
        more = _EXPLANATIONS.get(code, "")
        if classify(error) is Fault.QUOTA:
            more = f"A quota of DRS is reached with {len(chunk)} servers in this job; see Service Quotas for `drs`."
        if classify(error) is Fault.CONFLICT:
            more = (
                "No job in progress holds these servers. A failback in progress, or an instance that runs where a "
                "launch into an existing instance is configured, gives this answer too."
            )
        return LaunchError(f"DRS did not start a job for {ids}. {error_text(error)}{' ' + more if more else ''}")
