"""The intents of a run's launches: what was about to be asked of DRS, recorded before the call.

They lie under other tasks than the launch, since Airflow deletes the XComs of a task when a retry of it starts, and a
worker that dies at the call leaves nothing else: under the run's first task and under its last, so that clearing either
loses none. Airflow cannot list keys: those of a wave are numbered, and each launch tag
has one entry, so that two tries of a task that run at the same time write the same.

Whoever ends a run resolves every intent: a call whose answer is lost may have started a job that is not listed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

from drs_provider.aws.drs.launch_intents import UNANSWERED
from drs_provider.aws.drs.launch_key import LAUNCH_TAG
from drs_provider.aws.drs.run_identity import RunIdentity
from drs_provider.hooks.drs import DrsHook
from drs_provider.plan.targets import NamedTarget
from drs_provider.tasks.xcom import leave_with, pulled
from drs_provider.timestamps import parse_timestamp

__all__ = ["Intent", "IntentJournal", "Resolved", "keep_intents", "next_look", "read_intents", "resolve"]

_HOLDERS = ("confirm", "report")
_CLOCKS = timedelta(minutes=1)
_LOOK_AGAIN = timedelta(seconds=20)
_SHORTEST_DEFERRAL = timedelta(seconds=2.5)


@dataclass(frozen=True)
class Intent:
    """
    A call of StartRecovery.

    :param launch: The launch tag of its job.
    :param wave: The wave.
    :param mode: ``drill`` or ``recovery``.
    :param servers: The source servers.
    :param asked: When it was recorded last, ISO 8601 in UTC: the call came afterwards.
    :param job: The job that it started, where that is known.
    :param settled: Whether its outcome is known: its job, or that nothing was started.
    :param doubt: Whether an earlier call under the same tag was never answered: then a refusal settles nothing.
    :param aws_conn_id: The connection that it was asked through; empty in a record of version 0.1.0.
    :param region: The region where it was asked; empty in a record of version 0.1.0.
    """

    launch: str
    wave: str
    mode: str
    servers: tuple[str, ...]
    asked: str
    job: str | None = None
    settled: bool = False
    doubt: bool = False
    aws_conn_id: str = ""
    region: str = ""

    def is_of(self, place: NamedTarget) -> bool:
        """Return whether it was asked in a target. A plan of version 0.1.0 has one only."""
        return (self.aws_conn_id, self.region) in (place.key, ("", ""))

    @property
    def certain_from(self) -> datetime:
        """The moment from which on the call is over, and its job listed."""
        return datetime.fromisoformat(self.asked) + UNANSWERED

    def __str__(self) -> str:
        return f"StartRecovery of {', '.join(self.servers)} in the wave {self.wave} at {self.asked}"


def _key(wave: str, number: int) -> str:
    return f"launch_intent_{wave}_{number}"


def read_intents(context: Mapping[str, Any], waves: Iterable[str], place: NamedTarget | None = None) -> list[Intent]:
    """Return the intents of waves, in the order in which they were recorded.

    :param place: only those of this target; None: all.
    """
    found = []
    for wave in dict.fromkeys(waves):
        for number in count(1):
            key = _key(wave, number)
            stored = next((kept for holder in _HOLDERS if (kept := pulled(context, holder, key))), None)
            if not stored:
                break
            found.append(Intent(**{**stored, "servers": tuple(stored["servers"])}))
    return [intent for intent in found if place is None or intent.is_of(place)]


def keep_intents(context: Mapping[str, Any], waves: Iterable[str]) -> None:
    """Store the intents of waves under both of their holders again, for the report: its start deleted one copy."""
    for wave in dict.fromkeys(waves):
        for number, intent in enumerate(read_intents(context, [wave]), start=1):
            _store(context, number, intent)


def _store(context: Mapping[str, Any], number: int, intent: Intent) -> None:
    # The one that is read first is written last.
    for holder in reversed(_HOLDERS):
        leave_with(context, holder, _key(intent.wave, number), asdict(intent))


class IntentJournal:
    """
    Records the intents of one wave; a :class:`~drs_provider.aws.drs.launch_intents.LaunchJournal`.

    :param context: Airflow's context of the launching task.
    :param wave: The wave.
    :param mode: ``drill`` or ``recovery``.
    :param check: Everything that must hold right before the call; raises where it does not.
    :param place: The target that it launches in.
    """

    def __init__(
        self, context: Mapping[str, Any], wave: str, mode: str, check: Callable[[], None], place: NamedTarget
    ) -> None:
        self._context = context
        self._wave = wave
        self._mode = mode
        self._check = check
        self._place = place

    def before(self, launch_key: str, servers: Sequence[str]) -> None:
        """Record that StartRecovery is about to be called."""
        self._check()
        number, known = self._find(launch_key)
        doubt = known is not None and (known.doubt or not known.settled)
        now = datetime.now(timezone.utc).isoformat()
        aws_conn_id, region = self._place.key
        intent = Intent(
            launch_key, self._wave, self._mode, tuple(servers), now, doubt=doubt, aws_conn_id=aws_conn_id, region=region
        )
        _store(self._context, number, intent)

    def after(self, launch_key: str, job_id: str | None) -> None:
        """Record the outcome of the call."""
        number, known = self._find(launch_key)
        if known is not None and (job_id or not known.doubt):
            _store(self._context, number, replace(known, job=job_id or known.job, settled=True))

    def _find(self, launch_key: str) -> tuple[int, Intent | None]:
        known = read_intents(self._context, [self._wave])
        for number, intent in enumerate(known, start=1):
            if intent.launch == launch_key:
                return number, intent
        return len(known) + 1, None


@dataclass(frozen=True)
class Resolved:
    """
    The outcome of intents.

    :param jobs: The jobs that they started and that DRS does not list yet, in the shape of DescribeJobs.
    :param open: Those of which nothing is known, and whose job may still appear.
    """

    jobs: tuple[dict[str, Any], ...]
    open: tuple[Intent, ...]


def next_look(unanswered: Iterable[Intent]) -> datetime:
    """Return when to look again at calls that may have started jobs: soon, and once more when it is certain."""
    now = datetime.now(timezone.utc)
    certain = max(intent.certain_from for intent in unanswered)
    return max(min(certain, now + _LOOK_AGAIN), now + _SHORTEST_DEFERRAL)


def resolve(
    hook: DrsHook, intents: Iterable[Intent], own: RunIdentity, listed: Sequence[Mapping[str, Any]]
) -> Resolved:
    """
    Find the outcome of intents.

    The list of jobs may lag. A source server shows the job that launched it last in its life cycle, and a job is found
    by its id before it is listed.

    :param own: The run.
    :param listed: The jobs that DRS lists, in the shape of DescribeJobs.
    """
    intents = list(intents)
    known = {str(job["jobID"]) for job in listed}
    ids: set[str | None] = {intent.job for intent in intents}
    unsettled = [intent for intent in intents if not intent.settled and not _answers(listed, intent, own)]
    servers = sorted({server for intent in unsettled for server in intent.servers})
    for server in hook.source_servers(servers) if servers else ():
        last = ((server.get("lifeCycle") or {}).get("lastLaunch") or {}).get("initiated") or {}
        ids.add(last.get("jobID"))
    wanted = sorted(str(job_id) for job_id in ids if job_id and job_id not in known)
    jobs = tuple(job for job in hook.jobs(wanted) if own.owns(job)) if wanted else ()
    now = datetime.now(timezone.utc)
    left = tuple(one for one in unsettled if not _answers(jobs, one, own) and now < one.certain_from)
    return Resolved(jobs, left)


def _answers(jobs: Iterable[Mapping[str, Any]], intent: Intent, own: RunIdentity) -> bool:
    """Return whether one of the jobs is that of an intent. An older one may have the same tag."""
    since = datetime.fromisoformat(intent.asked) - _CLOCKS
    return any(
        (job.get("tags") or {}).get(LAUNCH_TAG) == intent.launch
        and own.owns(job)
        and parse_timestamp(str(job["creationDateTime"])) >= since
        for job in jobs
    )
