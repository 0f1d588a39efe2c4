"""Drill instances that no run owns any more: launched by a drill of this provider, and nobody is going to end them.

A run's instances are found through the tags on its jobs, which DRS keeps for a limited time only; once a job is
gone, its instances show as drill instances of an unknown run. From AWS alone, a run that keeps its instances up on
purpose looks like one that has died, so instances younger than a given age are left out, unless the caller can tell
which runs are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.questions import Drs
from drs_provider.aws.drs.run_identity import INSTALLATION_TAG, RUN_TAG, RunIdentity
from drs_provider.readiness.jobs import ACTIVE, GONE
from drs_provider.timestamps import parse_timestamp

__all__ = ["DrillInstance", "find_drill_instances"]


@dataclass(frozen=True)
class DrillInstance:
    """A recovery instance of a drill that still exists.

    :param recovery_instance_id: its id in DRS.
    :param ec2_instance_id: its id in EC2.
    :param state: its EC2 state as DRS reports it.
    :param source_server_id: the server it is a copy of.
    :param job_id: the job that launched it.
    :param installation: the Airflow whose run it is, by its tag; None where there is no tag.
    :param run: ``<dag_id>/<run_id>`` of the run that launched it; None: not known any more, or not of this provider.
    :param launched: when its job was created, ISO 8601; None where the job is not kept any more.
    :param region: the AWS region.
    :param verdict: ``orphan``, ``owned`` or ``unknown``.
    :param reason: why.
    """

    recovery_instance_id: str
    ec2_instance_id: str | None
    state: str | None
    source_server_id: str | None
    job_id: str | None
    run: str | None
    installation: str | None
    launched: str | None
    region: str | None
    verdict: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The instance as JSON-serialisable data."""
        return asdict(self)


def find_drill_instances(
    clients: Clients,
    *,
    now: datetime,
    older_than: timedelta,
    is_alive: Callable[[str], bool | None] | None = None,
    installation: str = "",
) -> list[DrillInstance]:
    """All drill instances of the region with a verdict on each (DescribeRecoveryInstances, DescribeJobs).

    :param clients: clients of the account and region.
    :param now: the present moment, aware.
    :param older_than: instances of jobs younger than this are taken to be owned, where ``is_alive`` cannot tell.
    :param is_alive: tells of a run (``<dag_id>/<run_id>``) whether it is still going; None for one it does not know.
    :param installation: this Airflow, whose drills alone are judged; empty: those of every Airflow.
    """
    here = RunIdentity("", "", installation=installation)
    jobs = {job["jobID"]: job for job in Drs(clients).jobs_since(None)}
    busy = {run for job in jobs.values() if job.get("status") in ACTIVE and (run := _run(job)) is not None}
    found = []
    region = str(clients.drs.meta.region_name)
    for instance in Drs(clients).recovery_instances():
        if not instance.get("isDrill") or instance.get("ec2InstanceState") in GONE:
            continue
        job = jobs.get(instance.get("jobID", ""), {})
        run = _run(job) or _run(instance)
        launched = job.get("creationDateTime")
        theirs = _tag(job, INSTALLATION_TAG) or _tag(instance, INSTALLATION_TAG)
        if installation and not here.is_of_installation({"tags": {INSTALLATION_TAG: theirs} if theirs else {}}):
            verdict, reason = "unknown", f"a drill of the installation {theirs}: only that one can tell"
        else:
            alive = is_alive(run) if is_alive is not None and run is not None else None
            verdict, reason = _judge(run, job, alive, run in busy, now, older_than)
        found.append(
            DrillInstance(
                recovery_instance_id=instance["recoveryInstanceID"],
                ec2_instance_id=instance.get("ec2InstanceID"),
                state=instance.get("ec2InstanceState"),
                source_server_id=instance.get("sourceServerID"),
                job_id=instance.get("jobID"),
                run=run,
                installation=theirs,
                launched=launched,
                region=region,
                verdict=verdict,
                reason=reason,
            )
        )
    return sorted(found, key=lambda one: (one.run or "", one.launched or "", one.recovery_instance_id))


def _judge(
    run: str | None, job: Mapping[str, Any], alive: bool | None, busy: bool, now: datetime, older_than: timedelta
) -> tuple[str, str]:
    if run is None:
        if job:
            return "unknown", "its job was not started by a recovery plan"
        return "unknown", "DRS does not keep its job any more, so it cannot be told who launched it"
    if busy:
        return "owned", "a job of its run is still going"
    if alive is not None:
        return ("owned", "its run is still going") if alive else ("orphan", "its run has ended")
    launched = job.get("creationDateTime")
    if launched is not None and now - parse_timestamp(launched) < older_than:
        return "owned", f"launched less than {older_than} ago; its run may keep it up"
    return "orphan", "no job of its run is going, and it is old"


def _run(item: Mapping[str, Any]) -> str | None:
    return _tag(item, RUN_TAG)


def _tag(item: Mapping[str, Any], name: str) -> str | None:
    value: str | None = (item.get("tags") or {}).get(name)
    return value
