"""The job that fails recovery instances back to machines on premises: a conversion, and a reboot over there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drs_provider.simulator.drs.job_work import JobWork
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.recovery_instances import FailbackClient, RecoveryInstance

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["FailbackLaunching"]

_RAW_ERROR = "The failback client did not finish the conversion"


class FailbackLaunching(JobWork):
    """A LAUNCH job with initiatedBy FAILBACK."""

    def __init__(self, backend: DrsBackend, job: Job, instances: list[RecoveryInstance]) -> None:
        super().__init__(backend, job)
        self.instances = instances

    def start(self) -> None:
        """Put the phases down with the clock."""
        for instance in self.instances:
            instance.failback_job_id = self.job.id
        self.begin_soon(self._begin)

    def _begin(self) -> None:
        self.begin()
        for instance in self.instances:
            self._convert(instance)

    def _convert(self, instance: RecoveryInstance) -> None:
        server = instance.server
        outcomes = server.spec.failback_outcome
        outcome = outcomes[min(instance.failback_launches, len(outcomes) - 1)]
        instance.failback_launches += 1
        client = instance.client
        self.note("CONVERSION_START", server)
        if outcome != "hangs":
            self.clock.call_in(server.duration("conversion"), lambda: self._converted(instance, client, outcome))

    def _converted(self, instance: RecoveryInstance, client: FailbackClient | None, outcome: str) -> None:
        stopped = instance.client is not client or client is None
        if outcome == "launched" and not stopped:
            self.note("CONVERSION_END", instance.server)
            self.backend.on_premises.failed_back(instance)
        else:
            if outcome != "failed_silently":
                self.note("CONVERSION_FAIL", instance.server, rawError=instance.server.spec.error or _RAW_ERROR)
            if not stopped:
                instance.failback_state = "FAILBACK_ERROR"
        failed = instance.failback_state != "FAILBACK_COMPLETED"
        self.job.participant(instance.server.id).launch_status = "FAILED" if failed else "LAUNCHED"
        if all(participant.ended for participant in self.job.participants):
            self.end()
