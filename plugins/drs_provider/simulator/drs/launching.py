"""What a LAUNCH or TERMINATE job does, and when: every phase is put down with the clock, and happens at its time.

The times are those of live drills: JOB_START 0.3 s after the call, SNAPSHOT_START 0.8, SNAPSHOT_END 1.0,
CONVERSION_START 52, then conversion and launch by operating system, and JOB_END some seconds after the last server.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drs_provider.aws.typical import JOB_BEGINS, JOB_ENDS, LAUNCH_BEGINS, SNAPSHOT_BEGINS
from drs_provider.simulator import simulation as simulations
from drs_provider.simulator.drs.exceptions import Conflict
from drs_provider.simulator.drs.instances import (
    begin_instance,
    begin_termination,
    complete_instance,
    termination_refused,
)
from drs_provider.simulator.drs.jobs import Job, Participant
from drs_provider.simulator.drs.launch_actions import run_launch_actions
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.run_instances import LaunchRefused
from drs_provider.simulator.drs.source_servers import LastLaunch, SourceServer
from drs_provider.simulator.drs.templates import add_version, lacking, recovery_profile, template_data

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["Launching", "Terminating", "Work", "converter_of", "instance_tags", "note_an_earlier_launch"]

_SILENT_JOB_END = 0.2
_NO_SNAPSHOT = "Snapshot of the latest state timed out: the agent on the source server was not seen"
_RAW_ERROR = (
    "An error occurred (InvalidParameterCombination) when calling the RunInstances operation: "
    "Could not launch the recovery instance"
)


def instance_tags(server: SourceServer, job: Job) -> dict[str, str]:
    """The tags that DRS itself puts on the instances that it launches."""
    return {
        "Name": server.spec.hostname,
        "AWSElasticDisasterRecoveryManaged": "drs.amazonaws.com",
        "AWSElasticDisasterRecoverySourceServerID": server.id,
        "AWSElasticDisasterRecoveryJobID": job.id,
    }


def converter_of(job: Job) -> str:
    """The id of the conversion server of a job."""
    return "i-" + hashlib.sha256(f"{job.id}/converter".encode()).hexdigest()[:17]


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


class Work:
    """A job at work: its log goes to the simulator's too."""

    def __init__(self, backend: DrsBackend, job: Job) -> None:
        self.backend = backend
        self.job = job
        self.simulation = simulations.require()
        self.clock = self.simulation.clock

    def note(self, event: str, server: SourceServer | None = None, **data: Any) -> None:
        """Put an event into the job's log and into the simulator's, at this moment."""
        server_id = server.id if server else None
        self.job.note(self.clock.now(), event, ({"sourceServerID": server_id} if server_id else {}) | data)
        more = {"instance": data["targetInstanceID"]} if "targetInstanceID" in data else {}
        self.simulation.record(event, self.job.id, server_id, account=self.job.account, region=self.job.region, **more)

    def begin_soon(self, callback: Callable[[], None]) -> None:
        """Put the first phase down with the clock: it counts from the job's creation, however long the call takes."""
        self.clock.call_at(self.job.created_at + self.clock.scaled(JOB_BEGINS), callback)

    def begin(self) -> None:
        """JOB_START."""
        self.job.status = "STARTED"
        self.note("JOB_START")

    def end(self) -> None:
        """JOB_END."""
        self.job.status = "COMPLETED"
        self.job.ended_at = self.clock.now()
        self.backend.job_ended(self.job)
        self.note("JOB_END")


class Launching(Work):
    """A LAUNCH job, from its acceptance to its end.

    :param snapshots: the moment that each server is recovered to, by server id; absent: now, by an on-demand snapshot.
    :param permissions: what DRS may do for the caller.
    """

    def __init__(
        self, backend: DrsBackend, job: Job, snapshots: dict[str, float], permissions: LaunchPermissions
    ) -> None:
        super().__init__(backend, job)
        self.snapshots = snapshots
        self.permissions = permissions
        self.rules = self.simulation.scenario.launching
        #: What EC2 refused the caller, by server id.
        self.denials: dict[str, str] = {}
        self.targets: dict[str, Any] = {}
        #: What the launch templates said when the job read them.
        self.templates: dict[str, dict[str, Any] | None] = {}
        self.outcomes: dict[str, str] = {}
        self.servers = [backend.servers[one.source_server_id] for one in job.participants]

    def start(self) -> None:
        """Put the first phases down with the clock."""
        now = self.clock.now()
        for server in self.servers:
            outcome = server.next_outcome()
            if not self._template_read(server):
                outcome = "failed_silently"  # DRS says nothing of an incomplete template.
            self.outcomes[server.id] = outcome
            server.last_launch = LastLaunch(self.job.id, now, self.job.is_drill)
        self.begin_soon(self._begin)

    def _begin(self) -> None:
        self.begin()
        for server in self.servers:
            if self.outcomes[server.id] == "skipped":
                self.note("SERVER_SKIPPED", server)
                self._ended(server, "FAILED", JOB_ENDS)
                continue
            begins = server.spread("begin", SNAPSHOT_BEGINS)
            self.clock.call_in(begins, lambda server=server: self._clean_up(server))  # type: ignore[misc]

    def _clean_up(self, server: SourceServer) -> None:
        denial = self.permissions.to_launch(server)
        if denial is not None:
            self.denials[server.id] = denial
        previous = self.backend.instances.get(server.recovery_instance_id or "")
        # A real recovery is no exception: AWS documents the same for both. What cannot be replaced is left alone.
        spared = previous is not None and self.rules.replaces == "drills" and not previous.is_drill
        if previous is None or spared or denial is not None:
            self._snapshot(server)
            return
        if previous.launched_into and not self.rules.deletes_launched_into:
            self.backend.forget_instance(previous)
            self._snapshot(server)
            return
        self.note("CLEANUP_START", server)
        denial = self.permissions.to_terminate(previous) or termination_refused(previous.ec2)
        if denial is not None:
            self.denials[server.id] = denial
            self.note("CLEANUP_FAIL", server, rawError=denial)
            self._snapshot(server)
            return
        previous.terminating = True
        begin_termination(previous.ec2)

        def cleaned() -> None:
            self.backend.remove_instance(previous)
            self.note("CLEANUP_END", server)
            self._snapshot(server)

        self.clock.call_in(server.duration("cleanup"), cleaned)

    def _snapshot(self, server: SourceServer) -> None:
        self.note("SNAPSHOT_START", server)
        silent = server.replication.silent_since(self.clock.now()) is not None
        if silent and server.id not in self.snapshots:
            self.clock.call_in(server.duration("snapshot_timeout"), lambda: self._no_snapshot(server))
            return
        self.clock.call_in(server.duration("snapshot"), lambda: self._snapshot_taken(server))

    def _snapshot_taken(self, server: SourceServer) -> None:
        if self._fails_at("snapshot", server, "SNAPSHOT_FAIL"):
            return
        now = self.clock.now()
        if server.id not in self.snapshots:
            self.snapshots[server.id] = server.replication.last_consistent(now)
            server.snapshots.take(self.snapshots[server.id])
        self.note("SNAPSHOT_END", server)
        self._prepare(server)

    def _no_snapshot(self, server: SourceServer) -> None:
        """The agent gave no answer: the launch takes the newest point that there is."""
        self.note("SNAPSHOT_FAIL", server, rawError=_NO_SNAPSHOT)
        now = self.clock.now()
        points = server.snapshots.at(now, server.replication.last_consistent(now))
        finished = [point.taken_at for point in points if point.finished]
        if self.rules.silent_agent == "fail" or not finished:
            self.note("USING_PREVIOUS_SNAPSHOT_FAILED", server)
            self._ended(server, "FAILED", JOB_ENDS)
            return
        self.snapshots[server.id] = finished[-1]
        self.note("USING_PREVIOUS_SNAPSHOT", server)
        self._prepare(server)

    def _prepare(self, server: SourceServer) -> None:
        if self.outcomes[server.id] == "failed_silently":
            self._ended(server, "FAILED", _SILENT_JOB_END)
            return
        self.clock.call_in(server.duration("preparation"), lambda: self._convert(server))

    def _convert(self, server: SourceServer) -> None:
        converter = converter_of(self.job)
        self.note("CONVERSION_START", server, conversionServerID=converter)
        if self.outcomes[server.id] == "hangs":
            return

        def converted() -> None:
            if self._fails_at("conversion", server, "CONVERSION_FAIL"):
                return
            self.note("CONVERSION_END", server, conversionServerID=converter)
            self.clock.call_in(LAUNCH_BEGINS, lambda: self._launch(server))

        self.clock.call_in(server.duration("conversion"), converted)

    def _launch(self, server: SourceServer) -> None:
        self._set(server, "IN_PROGRESS")
        self.note("LAUNCH_START", server)
        if self.outcomes[server.id] != "failed" and server.id not in self.denials:
            # EC2 shows the instance some time before DRS says LAUNCH_END; not every server's at the same moment.
            share = 0.2 + 0.6 * (zlib.crc32(server.id.encode()) % 100) / 100
            self.clock.call_in(server.duration("launch") * share, lambda: self._begin_instance(server))
        # After that, so that it comes second where a launch takes no time.
        self.clock.call_in(server.duration("launch"), lambda: self._launched(server))

    def _template_read(self, server: SourceServer) -> bool:
        """Read the template, where the job reads it at its start; False where it lacks what a launch needs."""
        if server.launches_into or self.rules.template_read != "job_start":
            return True
        self.templates[server.id] = self._read(server)
        return not lacking(self.templates[server.id])

    def _read(self, server: SourceServer) -> dict[str, Any] | None:
        data = template_data(server, self.rules.job_version_from)
        if data is not None and server.launch_configuration.get("postLaunchEnabled"):
            # DRS adds a profile of its own where there is none, so that Systems Manager reaches the instance.
            data.setdefault("IamInstanceProfile", {"Arn": recovery_profile(server.account)})
        return data

    def _begin_instance(self, server: SourceServer) -> None:
        try:
            if server.launches_into:
                self.targets[server.id] = self.backend.launch_target(server)
            else:
                starts = server.launch_configuration.get("launchDisposition") != "STOPPED"
                self.targets[server.id] = begin_instance(
                    server, self._own_version(server), self._tags(server), starts=starts
                )
        except (LaunchRefused, Conflict) as error:
            self.note("LAUNCH_FAILED", server, rawError=str(getattr(error, "message", "") or error))
            self._ended(server, "FAILED", JOB_ENDS)

    def _own_version(self, server: SourceServer) -> dict[str, Any]:
        """DRS writes a version of its own, makes it the default, and launches from it."""
        if self.rules.template_read == "launch_start":
            self.templates[server.id] = self._read(server)
        data = self.templates[server.id]
        if data is None or template_data(server) is None:
            message = f"The specified launch template, with template ID {server.launch_template_id}, does not exist."
            raise LaunchRefused("InvalidLaunchTemplateId.NotFound", message, "CreateLaunchTemplateVersion")
        if lacking(data):
            message = f"The launch template has no {' and no '.join(lacking(data))}"
            raise LaunchRefused("MissingParameter", message)
        disks = [
            {**disk, "Ebs": {**disk.get("Ebs", {}), "SnapshotId": self._snapshot_id(server, index)}}
            for index, disk in enumerate(data.get("BlockDeviceMappings") or [])
        ]
        add_version(server, {**data, "BlockDeviceMappings": disks}, f"Recovery job {self.job.id}")
        return data

    def _snapshot_id(self, server: SourceServer, disk: int) -> str:
        return "snap-" + hashlib.sha256(f"{self.job.id}/{server.id}/{disk}".encode()).hexdigest()[:17]

    def _tags(self, server: SourceServer) -> dict[str, str]:
        own = server.tags if server.launch_configuration.get("copyTags", True) else {}
        return {**own, **instance_tags(server, self.job)}

    def _launched(self, server: SourceServer) -> None:
        if self.job.participant(server.id).ended:
            return
        if server.id in self.denials:
            self.note("LAUNCH_FAILED", server, rawError=self.denials[server.id])
            self._ended(server, "FAILED", JOB_ENDS)
            return
        if self._fails_at("launch", server, "LAUNCH_FAILED"):
            return
        ec2 = self.targets[server.id]
        stopped = server.launch_configuration.get("launchDisposition") == "STOPPED"
        complete_instance(ec2, server, stopped, self._tags(server))
        instance = self.backend.add_instance(
            RecoveryInstance(
                ec2=ec2,
                server=server,
                job_id=self.job.id,
                is_drill=self.job.is_drill,
                snapshot_at=self.snapshots[server.id],
                launched_at=self.clock.now(),
                tags=dict(server.tags),
                launched_into=server.launches_into is not None,
            )
        )
        if server.fails_back is not None and not self.job.is_drill:
            server.fails_back.failback_state = "FAILBACK_COMPLETED"
        self.backend.await_failback_client(instance)
        self.job.participant(server.id).recovery_instance_id = instance.id
        self.note("LAUNCH_END", server, targetInstanceID=instance.id)
        self._ended(server, "LAUNCHED", JOB_ENDS)
        if server.launch_configuration.get("postLaunchEnabled") and not stopped:
            run_launch_actions(self.backend, self.job, self.job.participant(server.id), instance)

    def _fails_at(self, phase: str, server: SourceServer, event: str) -> bool:
        if self.outcomes[server.id] != "failed" or server.spec.fail_at != phase:
            return False
        self.note(event, server, rawError=server.spec.error or _RAW_ERROR)
        self._ended(server, "FAILED", JOB_ENDS)
        return True

    def _set(self, server: SourceServer, status: str) -> None:
        self.job.participant(server.id).launch_status = status
        if server.last_launch is not None and server.last_launch.job_id == self.job.id:
            server.last_launch.status = status

    def _ended(self, server: SourceServer, status: str, to_job_end: float) -> None:
        self._set(server, status)
        if all(participant.ended for participant in self.job.participants):
            self.clock.call_in(to_job_end, self.end)


class Terminating(Work):
    """A TERMINATE job: the instances shut down at once, and are gone at its end.

    :param permissions: what DRS may do for the caller; what it may not terminate stays, and the job's log says why.
    """

    def __init__(
        self, backend: DrsBackend, job: Job, instances: list[RecoveryInstance], permissions: LaunchPermissions
    ) -> None:
        super().__init__(backend, job)
        self.instances = instances
        self.permissions = permissions

    def start(self) -> None:
        """Put the phases down with the clock."""
        for instance in self.instances:
            instance.terminating = True
        self.begin_soon(self._begin)

    def _begin(self) -> None:
        self.begin()
        for pair in zip(self.instances, self.job.participants, strict=True):
            instance = pair[0]
            self.note("CLEANUP_START", instance.server)
            if (self.permissions.to_terminate(instance) or termination_refused(instance.ec2)) is None:
                begin_termination(instance.ec2)
            took = instance.server.duration("terminate")
            self.clock.call_in(took, lambda pair=pair: self._gone(*pair))  # type: ignore[misc]

    def _gone(self, instance: RecoveryInstance, participant: Participant) -> None:
        refused = self.permissions.to_terminate(instance) or termination_refused(instance.ec2)
        if refused is None:
            self.backend.remove_instance(instance)
            participant.launch_status = "TERMINATED"
            self.note("CLEANUP_END", instance.server)
        else:
            instance.terminating = False
            participant.launch_status = "FAILED"
            self.note("CLEANUP_FAIL", instance.server, rawError=refused)
        if all(one.ended for one in self.job.participants):
            self.end()
