"""The servers of a wave: how their launch ended, and how old the data is that they came back with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from drs_provider.aws.drs.outcome import with_hint
from drs_provider.aws.ec2.instances import Ec2Instance
from drs_provider.evidence.facts import RunFacts
from drs_provider.evidence.jobs import DrsReader, JobFacts, Reading
from drs_provider.evidence.reading import first, moment, text
from drs_provider.evidence.record import Server, Wave
from drs_provider.evidence.timeline import clock_seconds
from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH
from drs_provider.steps.launch.event import LaunchEvent, ServerToLaunch
from drs_provider.steps.wait_for_launch.event import ServerResult, WaitEvent, WaitResult

__all__ = ["RecoveryPoint", "collect_servers", "recovery_point", "with_instances"]


SAME_SNAPSHOT = timedelta(seconds=2)
"""How far apart two times of one snapshot may be, in the list and in a job's log."""

LAG_TELLS = timedelta(minutes=5)
"""How far from a job's start a lag tells how old its data is. It may grow by as much as the time that passes."""


class RecoveryPoint(NamedTuple):
    """The data that a server was launched with."""

    snapshot_id: str | None = None
    data_time: datetime | None = None
    rpo_seconds: float | None = None
    rpo_source: Any = None


def collect_servers(facts: RunFacts, wave: str, jobs: Sequence[JobFacts], reading: Reading) -> list[Server]:
    """Put the servers of a wave together, in the order in which they were asked for.

    What the waiting task said counts before what DRS says by now: DRS forgets a launch once its instance is gone.

    :param jobs: the launch jobs of the wave, oldest first.
    :param reading: asks for the snapshots whose time nobody told.
    """
    launch = facts.task(f"{wave}.{LAUNCH}")
    wait = facts.task(f"{wave}.{WAIT_FOR_LAUNCH}")
    launched_by, waited = launch.last(LaunchEvent), wait.last(WaitEvent)
    asked = launched_by.servers if launched_by else {}
    looked = launched_by.ended if launched_by else None
    ended = {**wait.result(WaitResult).servers, **(waited.servers if waited else {})}
    ids = [*asked, *ended, *(server for job in jobs for server in job.source_servers)]
    servers = []
    for server_id in dict.fromkeys(ids):
        request, result = asked.get(server_id) or ServerToLaunch(), ended.get(server_id) or ServerResult()
        tried = [job for job in jobs if server_id in job.source_servers or job.job_id == result.job_id]
        job = next((job for job in tried if job.job_id == result.job_id), tried[-1] if tried else None)
        by_aws = job.participants.get(server_id, {}) if job else {}
        late = _launched_late(result, tried)
        if late is not None:
            # The wave did not wait for it: what the wait said of it was not the end.
            job, by_aws, result = late, late.participants.get(server_id, {}), result.model_copy(update=_LATE)
        status = text(first(result.launch_status, by_aws.get("launchStatus")))
        instance = text(first(result.ec2_instance_id, job.instances.get(server_id) if job else None))
        launched = status in ("LAUNCHED", "TERMINATED") or instance is not None
        read = first(request.lag_read, looked)
        point = recovery_point(server_id, request, job, reading, read) if launched else RecoveryPoint()
        critical = result.critical if result.critical is not None else request.critical
        reason = first(result.reason, _error(job, server_id) if job and not launched else None)
        if late is not None:
            reason = "; ".join(filter(None, [_how_late(status), text(reason)]))
        servers.append(
            Server(
                source_server_id=server_id,
                hostname=result.hostname or request.hostname,
                critical=critical,
                launch_status=status,
                recovery_instance_id=text(first(result.recovery_instance_id, by_aws.get("recoveryInstanceID"))),
                ec2_instance_id=instance,
                reason=text(reason),
                attempts=len(tried),
                job_id=job.job_id if job else result.job_id,
                snapshot_id=point.snapshot_id or request.snapshot_id,
                data_time=point.data_time,
                rpo_seconds=point.rpo_seconds,
                rpo_source=point.rpo_source,
                phases=[phase for each in tried for phase in each.phases.get(server_id, [])],
            )
        )
    return servers


def with_instances(waves: Sequence[Wave], instances: Mapping[str, Ec2Instance]) -> list[Wave]:
    """Add to each server where its instance stands.

    :param instances: what EC2 says of them, by id.
    """
    return [
        wave.model_copy(update={"servers": [_with_instance(server, instances) for server in wave.servers]})
        for wave in waves
    ]


def _with_instance(server: Server, instances: Mapping[str, Ec2Instance]) -> Server:
    found = instances.get(server.ec2_instance_id or "")
    return server.model_copy(update={k: v for k, v in found._asdict().items() if k != "state"}) if found else server


_LATE: Mapping[str, Any] = {
    "launch_status": None,
    "recovery_instance_id": None,
    "ec2_instance_id": None,
    "reason": None,
}


def _launched_late(result: ServerResult, tried: Sequence[JobFacts]) -> JobFacts | None:
    """Return the job in which a server was on its way when its wave went on; None where the wave knew its end."""
    if not tried or result.launch_status in (None, "LAUNCHED", "TERMINATED"):
        return None
    newest = tried[-1]
    went_on = result.launch_status in ("PENDING", "IN_PROGRESS") and newest.attempt > 1
    return newest if newest.job_id != result.job_id or went_on else None


def _how_late(status: str | None) -> str:
    if status == "LAUNCHED":
        return "launched again after the wave had gone on: no script and no health check of the wave was run on it"
    if status == "FAILED":
        return "launched again beside the wave, and failed again"
    return "launched again, and on its way when this was written"


def _error(job: JobFacts, server_id: str) -> str | None:
    error = job.errors.get(server_id)
    return with_hint(error) if error else None


def recovery_point(
    server_id: str, request: ServerToLaunch, job: JobFacts | None, reading: Reading, looked: datetime | None = None
) -> RecoveryPoint:
    """Find out to which moment a launched server's data goes back, and how long before the job's start that was.

    :param request: what the launch asked for.
    :param job: the job that launched it.
    :param looked: when the lag was read. Of a job that began long before (it was adopted when the launch was cleared)
        or long after (the server failed, and was launched again), the lag says nothing.
    """
    started = job.started if job else None
    snapshot_id = request.snapshot_id
    fell_back = job is not None and server_id in job.fell_back
    logged = job.data_times.get(server_id) if job else None
    if snapshot_id or fell_back:
        # What was asked for may not be what was used: the log of the job says that another snapshot was taken.
        asked = None if fell_back else request.snapshot_time
        taken, used = asked, None if fell_back else snapshot_id
        if taken is None or (logged is not None and abs(logged - taken) > SAME_SNAPSHOT):
            what = f"the snapshots of {server_id} (DescribeRecoverySnapshots)"
            known = reading.ask(what, partial(_snapshots, server_id))
            used, taken = _taken_at(known, logged) if logged else _look_up(known, used, started)
        return RecoveryPoint(used, taken, _age(taken, started), "snapshot" if taken and started else None)
    # The newest data: DRS takes a snapshot in the job, and what had not been replicated by then is lost.
    age = _age(logged, started)
    lag = request.lag_seconds
    if started and looked and abs(started - looked) > LAG_TELLS:
        lag = None
    if lag is not None and lag >= 0 and (age is None or lag >= age):
        data_time = started - timedelta(seconds=lag) if started and lag < 1e9 else None
        return RecoveryPoint(None, data_time, round(lag, 3), "replication lag")
    return RecoveryPoint(None, logged, age, "job log" if age is not None else None)


def _snapshots(server_id: str, reader: DrsReader) -> list[dict[str, Any]]:
    return reader.snapshots(server_id)


def _look_up(
    snapshots: Sequence[Mapping[str, Any]], snapshot_id: str | None, started: datetime | None
) -> tuple[str | None, datetime | None]:
    """Return a snapshot and its time: the one named, or the newest that existed when the job started."""
    known = [(taken, text(item.get("snapshotID"))) for item in snapshots if (taken := moment(item.get("timestamp")))]
    if snapshot_id:
        return snapshot_id, next((taken for taken, found in known if found == snapshot_id), None)
    earlier = [pair for pair in known if started is None or pair[0] <= started]
    newest = max(earlier, key=lambda pair: pair[0], default=(None, None))
    return newest[1], newest[0]


def _taken_at(snapshots: Sequence[Mapping[str, Any]], logged: datetime) -> tuple[str | None, datetime]:
    """Return the snapshot of the moment that the job's log names, and that moment; it may not be kept any more."""
    known = [(taken, text(item.get("snapshotID"))) for item in snapshots if (taken := moment(item.get("timestamp")))]
    return next((found for taken, found in known if abs(taken - logged) <= SAME_SNAPSHOT), None), logged


def _age(data_time: datetime | None, started: datetime | None) -> float | None:
    age = clock_seconds(data_time, started)
    return max(age, 0.0) if age is not None else None
