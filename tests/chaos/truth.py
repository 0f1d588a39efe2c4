"""What really happened, by the simulator's word: jobs, instances and scripts of each run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

from drs_provider.rehearsal.simulator_process import SimulatorProcess
from tests.chaos.cases import REGION

__all__ = ["Job", "RunTruth", "Truth"]

_RUN = "drs-provider:run"
_WAVE = "drs-provider:wave"
_LAUNCH = "drs-provider:launch"


@dataclass
class Job:
    """A LAUNCH job.

    :param started: JOB_START, in epoch seconds of the simulator.
    :param ended: JOB_END; None where it has not ended.
    :param statuses: launch status by source server.
    :param launched: EC2 instance by source server (LAUNCH_END).
    :param asked_to_end: when each source server's instance was asked to end (TerminateRecoveryInstances).
    """

    id: str
    wave: str
    key: str
    started: float
    ended: float | None
    statuses: dict[str, str]
    launched: dict[str, str]
    asked_to_end: dict[str, float] = field(default_factory=dict)


@dataclass
class RunTruth:
    """What happened in one run."""

    jobs: list[Job] = field(default_factory=list)

    def waves(self) -> dict[str, list[Job]]:
        """The jobs by wave."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in self.jobs:
            found[job.wave].append(job)
        return found

    def launches(self) -> dict[str, list[Job]]:
        """The jobs by source server, in order."""
        found: dict[str, list[Job]] = defaultdict(list)
        for job in sorted(self.jobs, key=lambda job: job.started):
            for server in job.statuses:
                found[server].append(job)
        return found

    def instances(self) -> set[str]:
        """Every EC2 instance that the run launched."""
        return {instance for job in self.jobs for instance in job.launched.values()}


class Truth:
    """The simulator's state at the end of a round, with no fault in force.

    :param log: its log.
    :param drs: a client of DRS.
    :param ec2: a client of EC2.
    """

    def __init__(self, log: Sequence[dict[str, Any]], drs: Any, ec2: Any) -> None:
        self.log = list(log)
        pages = drs.get_paginator("describe_jobs").paginate()
        self._jobs = [job for page in pages for job in page["items"]]
        self.states = {
            instance["InstanceId"]: instance["State"]["Name"]
            for page in ec2.get_paginator("describe_instances").paginate()
            for reservation in page["Reservations"]
            for instance in reservation["Instances"]
        }
        self._events: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in self.log:
            if entry.get("job"):
                self._events[entry["job"]].append(entry)
        self._asked_to_end: dict[str, float] = {}
        for entry in self.log:
            if entry.get("operation") == "TerminateRecoveryInstances" and not entry.get("error"):
                for instance in entry["params"]["recoveryInstanceIDs"]:
                    self._asked_to_end.setdefault(instance, entry["t"])
        self._job_logs = {
            job["jobID"]: [
                item
                for page in drs.get_paginator("describe_job_log_items").paginate(jobID=job["jobID"])
                for item in page["items"]
            ]
            for job in self._jobs
            if job.get("tags", {}).get(_RUN)
        }

    @classmethod
    def of(cls, simulator: SimulatorProcess) -> Truth:
        """What a simulator in a process of its own knows."""
        once = Config(retries={"total_max_attempts": 2, "mode": "standard"}, connect_timeout=5, read_timeout=60)
        session = boto3.Session("testing", "testing", region_name=REGION)
        drs, ec2 = (
            session.client(name, endpoint_url=simulator.endpoint_url, config=once)  # type: ignore[call-overload]
            for name in ("drs", "ec2")
        )
        return cls(simulator.log.read(), drs, ec2)

    def run(self, dag_id: str, run_id: str) -> RunTruth:
        """What happened in a run, found by the tags on its jobs."""
        found = RunTruth()
        for job in self._jobs:
            tags = job.get("tags") or {}
            if tags.get(_RUN) != f"{dag_id}/{run_id}" or job.get("type") == "TERMINATE":
                continue
            events = self._events[job["jobID"]]
            ends = [entry["t"] for entry in events if entry["event"] == "JOB_END"]
            launched = {
                item["eventData"]["sourceServerID"]: item["eventData"]["targetInstanceID"]
                for item in self._job_logs[job["jobID"]]
                if item["event"] == "LAUNCH_END" and (item.get("eventData") or {}).get("targetInstanceID")
            }
            found.jobs.append(
                Job(
                    id=job["jobID"],
                    wave=tags[_WAVE],
                    key=tags[_LAUNCH],
                    started=min(entry["t"] for entry in events if entry["event"] == "JOB_START"),
                    ended=max(ends, default=None),
                    statuses={
                        server["sourceServerID"]: server.get("launchStatus", "PENDING")
                        for server in job["participatingServers"]
                    },
                    launched=launched,
                    asked_to_end={
                        server: self._asked_to_end[one] for server, one in launched.items() if one in self._asked_to_end
                    },
                )
            )
        return found

    def tags(self, job_id: str) -> dict[str, str]:
        """Return the tags of a job."""
        return next((dict(job.get("tags") or {}) for job in self._jobs if job["jobID"] == job_id), {})

    def untagged_jobs(self, servers: Iterable[str]) -> list[str]:
        """Launch jobs that hold one of these servers and bear no run's tag: nobody could adopt them."""
        wanted = set(servers)
        return [
            job["jobID"]
            for job in self._jobs
            if job.get("type") != "TERMINATE"
            and not (job.get("tags") or {}).get(_RUN)
            and wanted & {server["sourceServerID"] for server in job["participatingServers"]}
        ]

    def scripts(self, document: str) -> list[tuple[float, float | None, str]]:
        """The executions of a document: when each started, when it ended, and how."""
        started: dict[str, float] = {}
        ended: dict[str, tuple[float, str]] = {}
        for entry in self.log:
            identity = entry.get("execution") or entry.get("command")
            if entry.get("document") != document or not identity or entry.get("step"):
                continue
            started[identity] = min(entry["t"], started.get(identity, entry["t"]))
            # A command has lines for each of its instances too; its own end is the last.
            if str(entry["event"]).endswith("END"):
                ended[identity] = (entry["t"], str(entry.get("status")))
        return [
            (start, *ended.get(identity, (None, "InProgress")))
            for identity, start in sorted(started.items(), key=lambda item: item[1])
        ]
