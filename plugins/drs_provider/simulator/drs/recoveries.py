"""StartRecovery and TerminateRecoveryInstances: what they refuse, and the jobs that they start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drs_provider.simulator import call_context, runtime
from drs_provider.simulator.drs.exceptions import Conflict, InJob, NotFound, QuotaExceeded, Validation
from drs_provider.simulator.drs.jobs import Job, Participant
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.launching import Launching
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.simulator.drs.terminating import Terminating
from drs_provider.simulator.quotas import quota_code

if TYPE_CHECKING:
    pass

__all__ = ["Recoveries"]

#: States in which a server has no recovery point that a launch could start from.
_NOT_LAUNCHABLE = {"STOPPED", "DISCONNECTED", "INITIATING", "INITIAL_SYNC"}


class Recoveries(Component):
    """Jobs that launch and terminate."""

    def start_recovery(self, request: Request) -> dict[str, Any]:
        """StartRecovery: a LAUNCH job over up to 100 servers (200 by the model, 100 by the quota)."""
        wanted = request["sourceServers"]
        ids = [entry["sourceServerID"] for entry in wanted]
        if len(set(ids)) != len(ids):
            raise Validation("A source server may stand in the request only once")
        moments = {
            entry["sourceServerID"]: self.moment(entry["sourceServerID"], entry["recoverySnapshotID"])
            for entry in wanted
            if entry.get("recoverySnapshotID")
        }
        for server_id in ids:
            self.launchable(server_id)
        job = self.launch(
            ids,
            initiated_by="START_DRILL" if request.get("isDrill") else "START_RECOVERY",
            tags=request.get("tags") or {},
            moments=moments,
        )
        return {"job": job.describe()}

    def terminate_recovery_instances(self, request: Request) -> dict[str, Any]:
        """TerminateRecoveryInstances: a TERMINATE job, after which the instances are gone from EC2 and DRS."""
        ids = list(dict.fromkeys(request["recoveryInstanceIDs"]))
        instances = [self.backend.instance(instance_id) for instance_id in ids]
        for instance in instances:
            self._terminable(instance)
        self.within_quotas(len(instances))
        job = self.add_job(
            "TERMINATE",
            "TERMINATE_RECOVERY_INSTANCES",
            [Participant(instance.server.id, recovery_instance_id=instance.id) for instance in instances],
            {},
        )
        Terminating(self.backend, job, instances, LaunchPermissions(call_context.caller.get())).start()
        return {"job": job.describe()}

    def launchable(self, server_id: str) -> None:
        """Refuse to launch a server that does not exist, is in another job, or has no recovery point."""
        server = self.backend.server(server_id)
        if server_id in self.backend.busy:
            raise InJob
        if server.extension_failed:
            raise Conflict("A source server cannot be launched: it could not be extended")
        now = self.backend.clock.now()
        state = server.replication.state(now)
        if state in _NOT_LAUNCHABLE or not server.has_recovery_point(now):
            # Conflicts of live DRS name no server.
            raise Conflict(f"A source server cannot be launched while its data replication state is {state}")
        self.backend.configuration.launch_target(server, server.settings)

    def delete_job(self, request: Request) -> dict[str, Any]:
        """DeleteJob of a completed one."""
        job = self.backend.job(request["jobID"])
        if job.ended_at is None:
            raise Conflict(f"Job {job.id} is {job.status}", resourceId=job.id, resourceType="Job")
        del self.backend.jobs[job.id]
        return {}

    def launch(
        self,
        server_ids: list[str],
        initiated_by: str,
        tags: dict[str, str],
        moments: dict[str, float],
    ) -> Job:
        """Start a LAUNCH job within the quotas."""
        self.within_quotas(len(server_ids))
        participants = [Participant(server_id) for server_id in server_ids]
        job = self.add_job("LAUNCH", initiated_by, participants, tags)
        Launching(self.backend, job, dict(moments), LaunchPermissions(call_context.caller.get())).start()
        return job

    def add_job(self, kind: str, initiated_by: str, participants: list[Participant], tags: dict[str, str]) -> Job:
        job = Job(
            account=self.backend.account_id,
            region=self.backend.region_name,
            type=kind,
            initiated_by=initiated_by,
            created_at=self.backend.clock.now(),
            participants=participants,
            tags=dict(tags),
            names_instances=runtime.require().scenario.job_recovery_instance_ids,
        )
        self.backend.job_began(job)
        return job

    def within_quotas(self, servers: int) -> None:
        for key, used, what in (
            ("servers_per_job", servers, "source servers in a single job"),
            ("concurrent_jobs", len(self.backend.running) + 1, "concurrent jobs in progress"),
            ("servers_in_jobs", len(self.backend.busy) + servers, "source servers in all jobs"),
        ):
            if used > self.backend.quotas[key]:
                raise QuotaExceeded(
                    f"Maximum number of {what} ({self.backend.quotas[key]:g}) exceeded",
                    quota_code=quota_code(key) or "",
                )

    def moment(self, server_id: str, snapshot_id: str) -> float:
        """The moment of a finished snapshot of a server."""
        server = self.backend.server(server_id)
        now = self.backend.clock.now()
        for snapshot in server.snapshots.at(now, server.replication.last_consistent(now)):
            if snapshot.id == snapshot_id:
                if not snapshot.finished:
                    raise Conflict(f"Recovery snapshot {snapshot_id} is not finished", resourceId=snapshot_id)
                return snapshot.taken_at
        raise NotFound("RecoverySnapshot", snapshot_id)

    def refuse_busy(self, instance: RecoveryInstance) -> None:
        """Refuse what a job is at work on."""
        if instance.terminating or instance.server.id in self.backend.busy:
            raise InJob

    def _terminable(self, instance: RecoveryInstance) -> None:
        self.refuse_busy(instance)
        if instance.in_failback(self.backend.clock.now()):
            raise Conflict("The recovery instance cannot be terminated during failback")
