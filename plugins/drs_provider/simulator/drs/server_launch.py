"""The launch of one server in a job, phase by phase: every phase is put down with the clock, and happens at its time.

The times are those of live drills: JOB_START 0.3 s after the call, SNAPSHOT_START 0.8, SNAPSHOT_END 1.0,
CONVERSION_START 52, then conversion and launch by operating system, and JOB_END some seconds after the last server.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from drs_provider.aws.typical import JOB_ENDS, LAUNCH_BEGINS
from drs_provider.simulator.drs.exceptions import Conflict
from drs_provider.simulator.drs.instances import (
    begin_instance,
    begin_termination,
    complete_instance,
    termination_refused,
)
from drs_provider.simulator.drs.job_work import JobWork
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.launch_actions import run_launch_actions
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.run_instances import LaunchRefused
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.templates import add_version, lacking, recovery_profile, template_data

__all__ = ["ServerLaunch", "converter_of", "instance_tags"]

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


class ServerLaunch:
    """The launch of one server.

    :param work: the job at work.
    :param permissions: what DRS may do for the caller.
    :param snapshot_at: the moment that it is recovered to; None: now, by an on-demand snapshot.
    """

    def __init__(
        self, work: JobWork, server: SourceServer, permissions: LaunchPermissions, snapshot_at: float | None
    ) -> None:
        self.work = work
        self.server = server
        self.permissions = permissions
        self.snapshot_at = snapshot_at
        self.job = work.job
        self.backend = work.backend
        self.clock = work.clock
        self.rules = work.simulation.scenario.launching
        self.outcome = ""
        #: What EC2 refused the caller.
        self.denial: str | None = None
        #: What the launch configuration and the launch template said when the job read them.
        self.settings = server.settings
        self.template: dict[str, Any] | None = None
        self.target: Any = None

    def accept(self) -> None:
        """Take the next outcome, and read settings and template, where the job reads them at its start."""
        self.outcome = self.server.next_outcome()
        if self.rules.template_read == "job_start":
            self._read()
            if not self.settings.launches_into and lacking(self.template):
                self.outcome = "failed_silently"  # DRS says nothing of an incomplete template.

    def clean_up(self) -> None:
        """Delete the previous recovery instance, where the caller may launch another; then the phases go on."""
        self.denial = self.permissions.to_launch(self.server)
        previous = self.backend.instances.get(self.server.recovery_instance_id or "")
        # A real recovery is no exception: AWS documents the same for both. What cannot be replaced is left alone.
        spared = previous is not None and self.rules.replaces == "drills" and not previous.is_drill
        if previous is None or spared or self.denial is not None:
            self._snapshot()
            return
        if previous.launched_into and not self.rules.deletes_launched_into:
            self.backend.forget_instance(previous)
            self._snapshot()
            return
        self._note("CLEANUP_START")
        self.denial = self.permissions.to_terminate(previous) or termination_refused(previous.ec2)
        if self.denial is not None:
            self._note("CLEANUP_FAIL", rawError=self.denial)
            self._snapshot()
            return
        previous.terminating = True
        begin_termination(previous.ec2)

        def cleaned() -> None:
            self.backend.remove_instance(previous)
            self._note("CLEANUP_END")
            self._snapshot()

        self.clock.call_in(self.server.duration("cleanup"), cleaned)

    def end(self, status: str, to_job_end: float = JOB_ENDS) -> None:
        """The job is done with the server, and ends after the last one, so many seconds later."""
        self._set(status)
        if all(participant.ended for participant in self.job.participants):
            self.clock.call_in(to_job_end, self.work.end)

    def _note(self, event: str, **data: Any) -> None:
        self.work.note(event, self.server, **data)

    def _set(self, status: str) -> None:
        self.job.participant(self.server.id).launch_status = status
        last = self.server.last_launch
        if last is not None and last.job_id == self.job.id:
            last.status = status

    def _fails_at(self, phase: str, event: str) -> bool:
        if self.outcome != "failed" or self.server.spec.fail_at != phase:
            return False
        self._note(event, rawError=self.server.spec.error or _RAW_ERROR)
        self.end("FAILED")
        return True

    def _snapshot(self) -> None:
        self._note("SNAPSHOT_START")
        silent = self.server.replication.silent_since(self.clock.now()) is not None
        if silent and self.snapshot_at is None:
            self.clock.call_in(self.server.duration("snapshot_timeout"), self._no_snapshot)
        else:
            self.clock.call_in(self.server.duration("snapshot"), self._snapshot_taken)

    def _snapshot_taken(self) -> None:
        if self._fails_at("snapshot", "SNAPSHOT_FAIL"):
            return
        if self.snapshot_at is None:
            self.snapshot_at = self.server.replication.last_consistent(self.clock.now())
            self.server.snapshots.take(self.snapshot_at)
        self._note("SNAPSHOT_END")
        self._prepare()

    def _no_snapshot(self) -> None:
        """The agent gave no answer: the launch takes the newest point that there is."""
        self._note("SNAPSHOT_FAIL", rawError=_NO_SNAPSHOT)
        now = self.clock.now()
        points = self.server.snapshots.at(now, self.server.replication.last_consistent(now))
        finished = [point.taken_at for point in points if point.finished]
        if self.rules.silent_agent == "fail" or not finished:
            self._note("USING_PREVIOUS_SNAPSHOT_FAILED")
            self.end("FAILED")
            return
        self.snapshot_at = finished[-1]
        self._note("USING_PREVIOUS_SNAPSHOT")
        self._prepare()

    def _prepare(self) -> None:
        if self.outcome == "failed_silently":
            self.end("FAILED", _SILENT_JOB_END)
        else:
            self.clock.call_in(self.server.duration("preparation"), self._convert)

    def _convert(self) -> None:
        self._note("CONVERSION_START", conversionServerID=converter_of(self.job))
        if self.outcome != "hangs":
            self.clock.call_in(self.server.duration("conversion"), self._converted)

    def _converted(self) -> None:
        if not self._fails_at("conversion", "CONVERSION_FAIL"):
            self._note("CONVERSION_END", conversionServerID=converter_of(self.job))
            self.clock.call_in(LAUNCH_BEGINS, self._launch)

    def _launch(self) -> None:
        self._set("IN_PROGRESS")
        self._note("LAUNCH_START")
        took = self.server.duration("launch")
        if self.outcome != "failed" and self.denial is None:
            # EC2 shows the instance some time before DRS says LAUNCH_END; not every server's at the same moment.
            share = 0.2 + 0.6 * (zlib.crc32(self.server.id.encode()) % 100) / 100
            self.clock.call_in(took * share, self._begin_instance)
        # After that, so that it comes second where a launch takes no time.
        self.clock.call_in(took, self._launched)

    def _read(self) -> None:
        """Read the launch configuration and the launch template."""
        self.settings = self.server.settings
        self.template = template_data(self.server, self.rules.job_version_from)
        if self.template is not None and self.settings.post_launch:
            # DRS adds a profile of its own where there is none, so that Systems Manager reaches the instance.
            self.template.setdefault("IamInstanceProfile", {"Arn": recovery_profile(self.server.account)})

    def _begin_instance(self) -> None:
        if self.rules.template_read == "launch_start":
            self._read()
        try:
            if self.settings.launches_into:
                self.target = self.backend.configuration.launch_target(self.server, self.settings)
            else:
                starts = not self.settings.stopped
                self.target = begin_instance(self.server, self._own_version(), self._tags(), starts=starts)
        except (LaunchRefused, Conflict) as error:
            self._note("LAUNCH_FAILED", rawError=str(getattr(error, "message", "") or error))
            self.end("FAILED")

    def _own_version(self) -> dict[str, Any]:
        """DRS writes a version of its own, makes it the default, and launches from it."""
        data = self.template
        if data is None or template_data(self.server) is None:
            template = self.server.launch_template_id
            message = f"The specified launch template, with template ID {template}, does not exist."
            raise LaunchRefused("InvalidLaunchTemplateId.NotFound", message, "CreateLaunchTemplateVersion")
        if lacking(data):
            message = f"The launch template has no {' and no '.join(lacking(data))}"
            raise LaunchRefused("MissingParameter", message)
        disks = [
            {**disk, "Ebs": {**disk.get("Ebs", {}), "SnapshotId": self._snapshot_id(index)}}
            for index, disk in enumerate(data.get("BlockDeviceMappings") or [])
        ]
        add_version(self.server, {**data, "BlockDeviceMappings": disks}, f"Recovery job {self.job.id}")
        return data

    def _snapshot_id(self, disk: int) -> str:
        return "snap-" + hashlib.sha256(f"{self.job.id}/{self.server.id}/{disk}".encode()).hexdigest()[:17]

    def _tags(self) -> dict[str, str]:
        own = self.server.tags if self.settings.copy_tags else {}
        return {**own, **instance_tags(self.server, self.job)}

    def _launched(self) -> None:
        participant = self.job.participant(self.server.id)
        if participant.ended:
            return
        if self.denial is not None:
            self._note("LAUNCH_FAILED", rawError=self.denial)
            self.end("FAILED")
            return
        if self._fails_at("launch", "LAUNCH_FAILED"):
            return
        complete_instance(self.target, self.server, self.settings.stopped, self._tags())
        instance = self.backend.add_instance(
            RecoveryInstance(
                ec2=self.target,
                server=self.server,
                job_id=self.job.id,
                is_drill=self.job.is_drill,
                snapshot_at=self.snapshot_at or self.clock.now(),
                launched_at=self.clock.now(),
                tags=dict(self.server.tags),
                launched_into=self.settings.launches_into is not None,
            )
        )
        if self.server.fails_back is not None and not self.job.is_drill:
            self.server.fails_back.failback_state = "FAILBACK_COMPLETED"
        self.backend.on_premises.await_failback_client(instance)
        participant.recovery_instance_id = instance.id
        self._note("LAUNCH_END", targetInstanceID=instance.id)
        self.end("LAUNCHED")
        if self.settings.post_launch and not self.settings.stopped:
            run_launch_actions(self.backend, self.job, participant, instance)
