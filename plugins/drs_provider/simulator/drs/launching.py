"""A LAUNCH job: its servers begin together, each goes through its phases on its own, and the last one ends the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.aws.typical import JOB_BEGINS, JOB_ENDS, LAUNCH_BEGINS, SNAPSHOT_BEGINS
from drs_provider.simulator.drs.job_work import JobWork
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.server_launch import ServerLaunch, converter_of
from drs_provider.simulator.drs.source_servers import LastLaunch, SourceServer

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["Launching", "note_an_earlier_launch"]


class Launching(JobWork):
    """A LAUNCH job, from its acceptance to its end.

    :param snapshots: the moment that each server is recovered to, by server id; absent: now, by an on-demand snapshot.
    :param permissions: what DRS may do for the caller.
    """

    def __init__(
        self, backend: DrsBackend, job: Job, snapshots: dict[str, float], permissions: LaunchPermissions
    ) -> None:
        super().__init__(backend, job)
        servers = [backend.servers[one.source_server_id] for one in job.participants]
        self.launches = [ServerLaunch(self, server, permissions, snapshots.get(server.id)) for server in servers]

    def start(self) -> None:
        """Put the first phase down with the clock."""
        now = self.clock.now()
        for launch in self.launches:
            launch.accept()
            launch.server.last_launch = LastLaunch(self.job.id, now, self.job.is_drill)
        self.begin_soon(self._begin)

    def _begin(self) -> None:
        self.begin()
        for launch in self.launches:
            if launch.outcome == "skipped":
                self.note("SERVER_SKIPPED", launch.server)
                launch.end("FAILED")
            else:
                self.clock.call_in(launch.server.spread("begin", SNAPSHOT_BEGINS), launch.clean_up)


def note_an_earlier_launch(job: Job, server: SourceServer, instance_id: str) -> None:
    """Fill the log of a job that launched one server before the scenario began, and set its end."""
    at = job.created_at
    named, converter = {"sourceServerID": server.id}, {"conversionServerID": converter_of(job)}
    for event, after, data in (
        ("JOB_START", JOB_BEGINS, {}),
        ("SNAPSHOT_START", SNAPSHOT_BEGINS, named),
        ("SNAPSHOT_END", server.duration("snapshot"), named),
        ("CONVERSION_START", server.duration("preparation"), {**named, **converter}),
        ("CONVERSION_END", server.duration("conversion"), {**named, **converter}),
        ("LAUNCH_START", LAUNCH_BEGINS, named),
        ("LAUNCH_END", server.duration("launch"), {**named, "targetInstanceID": instance_id}),
        ("JOB_END", JOB_ENDS, {}),
    ):
        at += after
        job.note(at, event, data)
    job.ended_at = at
