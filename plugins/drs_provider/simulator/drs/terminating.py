"""What a TERMINATE job does: the instances shut down at its beginning, and are gone at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.simulator.drs.instances import begin_termination, termination_refused
from drs_provider.simulator.drs.job_work import JobWork
from drs_provider.simulator.drs.jobs import Job, Participant
from drs_provider.simulator.drs.launch_permissions import LaunchPermissions
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["Terminating"]


class Terminating(JobWork):
    """A TERMINATE job, from its acceptance to its end.

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
