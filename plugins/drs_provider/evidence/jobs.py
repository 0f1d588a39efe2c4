"""The DRS jobs of a run as the report needs them: who was in them, and when each phase was, as their logs say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol, TypeVar

from drs_provider.aws.drs.launch_key import LAUNCH_TAG, RUN_TAG, WAVE_TAG, RunIdentity
from drs_provider.aws.drs.reads import instances_in_log
from drs_provider.aws.ec2.instances import Ec2Instance
from drs_provider.aws.faults import Fault, TransientError, classify, transient_cause
from drs_provider.evidence.reading import first, items, mapping, moment, text
from drs_provider.evidence.record import Phase, PhaseKind, Unread
from drs_provider.steps.launch.event import LaunchedJob

__all__ = ["AnnouncedJob", "DrsReader", "JobFacts", "Reading", "job_facts", "read_jobs"]

# A job log's clock is AWS's, a run's is Airflow's: look a little further back than the run's start.
CLOCK_TOLERANCE = timedelta(minutes=10)

# The hook waits these out; when they come through all the same, the next call would wait as long.
_LASTING = frozenset({Fault.THROTTLED, Fault.AMBIGUOUS, Fault.EXPIRED})
_ATTEMPT = re.compile(r"/a(\d+)/c[0-9a-f]+$")
_PHASES: dict[str, tuple[PhaseKind, bool]] = {
    "SNAPSHOT_START": ("snapshot", True),
    "SNAPSHOT_END": ("snapshot", False),
    "SNAPSHOT_FAIL": ("snapshot", False),
    "CONVERSION_START": ("conversion", True),
    "CONVERSION_END": ("conversion", False),
    "CONVERSION_FAIL": ("conversion", False),
    "LAUNCH_START": ("launch", True),
    "LAUNCH_END": ("launch", False),
    "LAUNCH_FAILED": ("launch", False),
}


T = TypeVar("T")


class DrsReader(Protocol):
    """What the report asks of DRS; :class:`drs_provider.hooks.drs.DrsHook` answers it."""

    def jobs(self, job_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return the jobs that exist of those named (DescribeJobs)."""

    def jobs_since(self, moment: datetime) -> list[dict[str, Any]]:
        """Return all jobs created at or after a moment (DescribeJobs)."""

    def job_log(self, job_id: str) -> list[dict[str, Any]]:
        """Return a job's log (DescribeJobLogItems)."""

    def snapshots(
        self, server_id: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> list[dict[str, Any]]:
        """Return a server's finished recovery snapshots, newest first (DescribeRecoverySnapshots)."""

    def instances(self, instance_ids: Sequence[str]) -> dict[str, Ec2Instance]:
        """Return the EC2 instances that EC2 lists, by id (DescribeInstances)."""


class Reading:
    """Asks, and notes what could not be read instead of raising.

    An error that patience did not cure (the network, a service that is down) ends all asking: a report that waits
    for every one of a hundred calls would come too late to be of use.

    :param reader: the hook; None when there is none to ask.

    ``unanswered`` says why asking ended, where that passes by itself.
    """

    def __init__(self, reader: DrsReader | None) -> None:
        self.reader = reader
        self.unread: list[Unread] = []
        self.unanswered: TransientError | None = None
        self._gave_up = False

    def ask(self, what: str, question: Callable[[DrsReader], list[T]]) -> list[T]:
        """Return the answer to a question, or an empty list.

        :param what: what is asked, for people, such as ``the log of job drsjob-1 (DescribeJobLogItems)``.
        """
        if self.reader is None:
            self.note(what, "no connection to AWS was given")
        elif self._gave_up:
            self.note(what, "not tried: AWS could not be reached before")
        else:
            try:
                return question(self.reader)
            except Exception as error:
                self._gave_up = classify(error) in _LASTING
                self.unanswered = self.unanswered or transient_cause(error)
                self.note(what, f"{type(error).__name__}: {error}")
        return []

    def note(self, what: str, why: str) -> None:
        """Note something that could not be read."""
        self.unread.append(Unread(what=what, why=text(why) or "no reason was given"))


@dataclass(frozen=True)
class AnnouncedJob:
    """A job that a task of the run told of.

    :param wave: the wave whose task it was.
    :param job: the job, as far as the task told.
    """

    wave: str
    job: LaunchedJob


@dataclass(frozen=True)
class JobFacts:
    """One DRS launch job, put together from DescribeJobs, its log, and what the launching task said of it.

    :param wave: the wave by the job's tag, None where the job has none.
    :param phases: by source server id.
    :param participants: the server as DescribeJobs describes it, by source server id.
    :param instances: EC2 instance ids by source server id, from the log's LAUNCH_END.
    :param errors: what the log says went wrong, by source server id.
    :param data_times: the moment to which a server's data goes back, where the log tells.
    :param fell_back: servers launched from an earlier snapshot because a new one could not be taken.
    """

    job_id: str
    wave: str | None = None
    attempt: int = 1
    adopted: bool = False
    status: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    source_servers: tuple[str, ...] = ()
    participants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    phases: Mapping[str, list[Phase]] = field(default_factory=dict)
    instances: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    data_times: Mapping[str, datetime] = field(default_factory=dict)
    fell_back: frozenset[str] = frozenset()


def read_jobs(
    reading: Reading,
    own: RunIdentity,
    *,
    since: datetime | None,
    announced: Mapping[str, AnnouncedJob],
    others: list[Mapping[str, Any]] | None = None,
) -> list[JobFacts]:
    """Return the launch jobs of a run, oldest first. What a task reported and DRS says to be another's is left out.

    :param reading: asks AWS.
    :param own: the run.
    :param since: the start of the run.
    :param announced: the jobs that the run's tasks reported, by job id.
    :param others: gets the jobs of others, in the shape of DescribeJobs.
    """
    found: dict[str, Mapping[str, Any]] = {}
    if since is not None:
        start = since - CLOCK_TOLERANCE
        answer = reading.ask("the jobs of the run (DescribeJobs)", lambda r: r.jobs_since(start))
        for job_id, job in _by_id(answer).items():
            if job_id in announced or own.adopts(job):
                found[job_id] = job
            elif others is not None and not own.owns(job):
                others.append(job)
    missing = sorted(set(announced) - set(found))
    if missing:
        found.update(_by_id(reading.ask(f"the jobs {', '.join(missing)} (DescribeJobs)", lambda r: r.jobs(missing))))
    jobs = []
    for job_id in [*found, *(job_id for job_id in missing if job_id not in found)]:
        item = found.get(job_id, {})
        if item.get("type") == "TERMINATE":
            continue
        if item and not own.owns(item):
            owner = mapping(item.get("tags")).get(RUN_TAG) or item.get("initiatedBy") or "somebody else"
            reading.note(f"job {job_id} as this run's own", f"a task reported it, and it was started by {owner}")
            continue
        log = reading.ask(f"the log of job {job_id} (DescribeJobLogItems)", partial(_log, job_id))
        jobs.append(job_facts(job_id, item, log, announced.get(job_id)))
    return sorted(jobs, key=lambda job: (job.started is None, job.started and job.started.timestamp(), job.job_id))


def _log(job_id: str, reader: DrsReader) -> list[dict[str, Any]]:
    return reader.job_log(job_id)


def _by_id(answer: Iterable[Any]) -> dict[str, Mapping[str, Any]]:
    return {job_id: item for item in map(mapping, answer or ()) if (job_id := text(item.get("jobID")))}


def job_facts(
    job_id: str, item: Mapping[str, Any], log: Iterable[Any], announced: AnnouncedJob | None = None
) -> JobFacts:
    """Put one job together.

    :param item: the job in the shape of DescribeJobs; empty where it could not be read.
    :param log: its log in the shape of DescribeJobLogItems, in any order.
    :param announced: what the launching task said of it, if it did.
    """
    told = announced.job if announced else LaunchedJob(job_id=job_id)
    lines = sorted(
        ((at, line) for line in map(mapping, log) if (at := moment(line.get("logDateTime")))),
        key=lambda pair: pair[0],
    )
    when = {str(line.get("event")): at for at, line in reversed(lines)}
    started = first(when.get("JOB_START"), moment(item.get("creationDateTime")))
    ended = first(when.get("JOB_END"), moment(item.get("endDateTime")))
    tags = mapping(item.get("tags"))
    attempt = _ATTEMPT.search(str(tags.get(LAUNCH_TAG) or ""))
    participants = {
        server_id: server
        for server in map(mapping, items(item.get("participatingServers")))
        if (server_id := text(server.get("sourceServerID")))
    }
    said = _Log(lines, ended)
    return JobFacts(
        job_id=job_id,
        wave=first(text(tags.get(WAVE_TAG)), announced.wave if announced else None),
        attempt=first(told.attempt, int(attempt.group(1)) if attempt else None, 1),
        adopted=told.adopted,
        status=text(item.get("status")),
        started=started,
        ended=ended,
        source_servers=tuple(dict.fromkeys([*participants, *told.source_servers])),
        participants=participants,
        phases=said.phases,
        instances={one.server: one.instance_id for one in instances_in_log(line for _, line in lines)},
        errors=said.errors,
        data_times=said.data_times,
        fell_back=frozenset(said.fell_back),
    )


class _Log:
    """What the lines of one job's log say of each server."""

    def __init__(self, lines: Iterable[tuple[datetime, Mapping[str, Any]]], ended: datetime | None) -> None:
        self.phases: dict[str, list[Phase]] = {}
        self.errors: dict[str, str] = {}
        self.data_times: dict[str, datetime] = {}
        self.fell_back: set[str] = set()
        self._open: dict[tuple[str, PhaseKind], datetime] = {}
        for at, line in lines:
            data = mapping(line.get("eventData"))
            if server := text(data.get("sourceServerID")):
                self._read(at, str(line.get("event")), server, data)
        # A phase that the log never ended lasted until its job did: a server that failed has no end line of its own.
        for (server, kind), start in self._open.items():
            self._add(server, kind, start, ended)

    def _read(self, at: datetime, event: str, server: str, data: Mapping[str, Any]) -> None:
        if event in _PHASES:
            kind, starts = _PHASES[event]
            if starts:
                self._open.setdefault((server, kind), at)
            elif (start := self._open.pop((server, kind), None)) is not None:
                self._add(server, kind, start, at)
        if event in ("USING_PREVIOUS_SNAPSHOT", "SNAPSHOT_FAIL"):
            # A server that is launched after its snapshot failed is launched from the one before.
            self.fell_back.add(server)
        if error := text(data.get("rawError")):
            self.errors[server] = error
        if data_time := moment(mapping(data.get("conversionProperties")).get("dataTimestamp")):
            self.data_times[server] = data_time

    def _add(self, server: str, kind: PhaseKind, start: datetime, end: datetime | None) -> None:
        self.phases.setdefault(server, []).append(Phase(kind=kind, started=start, ended=end))
