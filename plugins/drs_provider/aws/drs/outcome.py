"""What came of a launch, server by server, and whether that is good enough.

A DRS job never fails: it is COMPLETED although servers FAILED. So servers are judged, by
``participatingServers[].launchStatus``; the reasons come from the job log, where they are at all.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drs_provider.aws.drs.reads import DrsReads, hostname_of, instances_in_log, is_complete
from drs_provider.aws.ec2.launch_errors import hint_for
from drs_provider.aws.faults import error_text

__all__ = [
    "SILENT_FAILURE",
    "Verdict",
    "collect_outcomes",
    "describe_event",
    "failure_table",
    "judge",
    "log_or_nothing",
    "named",
    "newest_by_server",
    "with_hint",
]

Item = Mapping[str, Any]
Outcome = dict[str, Any]

SILENT_FAILURE = (
    "the job log gives no reason. Known causes: the caller of StartRecovery lacks EC2 rights or iam:PassRole (DRS acts "
    "with the caller's credentials), or the EC2 launch template has no subnet, security group or instance profile"
)
MAX_REASON = 1000
INSTANCE_TRIES = 3
"""A recovery instance can be listed a moment after its job has ended."""


@dataclass(frozen=True)
class Verdict:
    """
    The judgement of a launch.

    :param ok: Whether the launch counts as a success.
    :param launched: How many servers launched.
    :param failed: Ids of the servers that did not, whether they were required or not.
    :param message: One sentence for logs and failures.
    """

    ok: bool
    launched: int
    failed: list[str]
    message: str


def judge(
    servers: Mapping[str, Item],
    required: Collection[str] | None = None,
    optional: Collection[str] | None = None,
    min_launched: int | None = None,
) -> Verdict:
    """
    Decide whether enough servers launched.

    :param servers: Outcomes by source server id; only ``launch_status`` is read. ``LAUNCHED`` is a success, whether the
        instance runs or was launched stopped.
    :param required: Servers that must launch; None means all that are not optional. One that no job holds has failed.
    :param optional: Servers that may fail.
    :param min_launched: How many must launch at least. With optional servers it comes on top of the required ones;
        without any, the number alone decides, so that "8 of 10" can be said.
    """
    may_fail = set(optional or ())
    must = (set(required) if required is not None else set(servers)) - may_fail
    everyone = sorted(must | may_fail | set(servers))
    launched = {server for server in everyone if servers.get(server, {}).get("launch_status") == "LAUNCHED"}
    failed = [server for server in everyone if server not in launched]
    counted = f"{len(launched)} of {len(everyone)} servers launched"
    problems = []
    if min_launched is not None and len(launched) < min_launched:
        problems.append(f"at least {min_launched} have to")
    if min_launched is None or may_fail:
        missing = sorted(must - launched)
        if missing:
            problems.append(f"required and not launched: {', '.join(named(one, servers.get(one)) for one in missing)}")
    if problems:
        return Verdict(False, len(launched), failed, f"{counted}; {'; '.join(problems)}")
    names = ", ".join(named(one, servers.get(one)) for one in failed)
    return Verdict(True, len(launched), failed, counted + (f"; not launched: {names}" if failed else ""))


def named(server: str, outcome: Item | None) -> str:
    """Return a server as a person knows it: its host name first, where that is known, and its id."""
    hostname = (outcome or {}).get("hostname")
    return f"{hostname} ({server})" if hostname else server


def newest_by_server(jobs: Iterable[Item]) -> dict[str, tuple[Item, Item]]:
    """Return ``(job, participating server)`` by source server id; of several jobs with a server the newest counts."""
    found: dict[str, tuple[Item, Item]] = {}
    for job in sorted(jobs, key=lambda job: str(job.get("creationDateTime", ""))):
        for server in job.get("participatingServers") or ():
            found[server["sourceServerID"]] = (job, server)
    return found


def describe_event(item: Item, names: Mapping[str, str] | None = None) -> str:
    """Return a line of the job log as one line of text.

    :param names: host names by source server id.
    """
    data = item.get("eventData") or {}
    parts = [str(item.get("logDateTime", ""))[:19], str(item.get("event", ""))]
    if server := data.get("sourceServerID"):
        parts.append(named(str(server), {"hostname": (names or {}).get(str(server))}))
    parts += [str(data[name]) for name in ("targetInstanceID", "rawError") if data.get(name)]
    if data.get("attemptCount"):
        parts.append(f"(attempt {data['attemptCount']} of {data.get('maxAttemptsCount', '?')})")
    return textwrap.shorten(" ".join(parts), MAX_REASON)


def reason_of(server_id: str, log_items: Sequence[Item]) -> str:
    """Return why a server failed: the job log's errors about it, or the hints for failures that give none."""
    about = [item for item in log_items if (item.get("eventData") or {}).get("sourceServerID") in (server_id, None)]
    errors = [
        f"{item.get('event')}: {with_hint(str(item['eventData']['rawError']))}"
        for item in about
        if (item.get("eventData") or {}).get("rawError")
    ]
    if errors:
        return textwrap.shorten("; ".join(dict.fromkeys(errors)), MAX_REASON)
    ends = [str(item["event"]) for item in about if str(item.get("event", "")).endswith(("FAIL", "FAILED", "CANCEL"))]
    return f"{', '.join(dict.fromkeys(ends))}: {SILENT_FAILURE}" if ends else SILENT_FAILURE


def with_hint(error: str) -> str:
    """Return EC2's raw error with what it means, where that is known."""
    hint = hint_for(error)
    return f"{textwrap.shorten(error, MAX_REASON // 2)} ({hint})" if hint else error


async def collect_outcomes(
    reads: DrsReads, jobs: Sequence[Item], required: Collection[str] | None, optional: Collection[str] | None
) -> dict[str, Outcome]:
    """
    Return what came of every server of the jobs, in the shape of the XCom ``servers``.

    A completed job may lack ``recoveryInstanceID``, so instances are looked up by source server and job. Hostnames and
    reasons are for people: when they cannot be read, the outcome stands without them.
    """
    by_server = newest_by_server(jobs)
    ids = sorted(by_server)
    launched = [server for server in ids if by_server[server][1].get("launchStatus") == "LAUNCHED"]
    instances, hostnames = await reads.calls.together(
        _instances(reads, {server: str(by_server[server][0]["jobID"]) for server in launched}), _hostnames(reads, ids)
    )
    unclear = {str(by_server[server][0]["jobID"]) for server in ids if server not in instances}
    logs = {job_id: await log_or_nothing(reads, job_id) for job_id in sorted(unclear)}
    logged = {(job_id, one.server): one.instance_id for job_id in logs for one in instances_in_log(logs[job_id])}
    may_fail = set(optional or ())
    must = set(required) if required is not None else set(ids) - may_fail
    outcomes = {}
    for server in ids:
        job, participant = by_server[server]
        job_id = str(job["jobID"])
        status = str(participant.get("launchStatus", "PENDING"))
        instance = instances.get(server, {})
        recovery_instance = participant.get("recoveryInstanceID") or instance.get("recoveryInstanceID")
        in_log = logged.get((job_id, server))
        outcomes[server] = {
            "job_id": job_id,
            "launch_status": status,
            "recovery_instance_id": recovery_instance or in_log if status == "LAUNCHED" else None,
            "ec2_instance_id": (instance.get("ec2InstanceID") or in_log or recovery_instance)
            if status == "LAUNCHED"
            else None,
            "reason": None if status == "LAUNCHED" else _reason(server, status, job, logs.get(job_id, ())),
            "critical": server in must and server not in may_fail,
            "hostname": hostnames.get(server),
        }
    return outcomes


def failure_table(servers: Mapping[str, Item], absent: Iterable[str] = ()) -> str:
    """Return the servers that did not launch, a line each, for the message of a failure."""
    lines = [
        f"  {named(server, outcome)}: {outcome['launch_status']}, "
        f"{'required' if outcome.get('critical') else 'optional'}, job {outcome['job_id']}: "
        f"{outcome.get('reason') or 'no reason is known'}"
        for server, outcome in sorted(servers.items())
        if outcome["launch_status"] != "LAUNCHED"
    ]
    return "\n".join([*lines, *(f"  {server}  is in none of the jobs" for server in sorted(absent))])


def _reason(server: str, status: str, job: Item, log_items: Sequence[Item]) -> str:
    if status == "TERMINATED":
        return "its recovery instance was terminated"
    if not is_complete(job):
        last = [
            describe_event(item) for item in log_items if (item.get("eventData") or {}).get("sourceServerID") == server
        ]
        return f"still {status} in a job that is {job.get('status')}; last seen: {last[-1] if last else 'nothing'}"
    return reason_of(server, log_items)


async def _instances(reads: DrsReads, jobs: Mapping[str, str]) -> dict[str, Item]:
    found: dict[str, Item] = {}
    for again in range(INSTANCE_TRIES if jobs else 0):
        if again:
            await reads.calls.sleep(1.0)
        for instance in await reads.recovery_instances(server_ids=[server for server in jobs if server not in found]):
            server = instance.get("sourceServerID", "")
            if jobs.get(server) == instance.get("jobID"):
                found[server] = instance
        if len(found) == len(jobs):
            break
    return found


async def _hostnames(reads: DrsReads, ids: Sequence[str]) -> dict[str, str | None]:
    try:
        return {server["sourceServerID"]: hostname_of(server) for server in await reads.source_servers(ids)}
    except Exception as error:
        reads.calls.log.warning("Hostnames are left out: %s", error_text(error))
        return {}


async def log_or_nothing(reads: DrsReads, job_id: str) -> list[dict[str, Any]]:
    """Return a job's log; an empty one where it cannot be read, since logs are for people and decide nothing."""
    try:
        return await reads.job_log(job_id)
    except Exception as error:
        reads.calls.log.warning("The log of job %s cannot be read: %s", job_id, error_text(error))
        return []
