"""A job at work: its phases are put down with the clock, and its log goes to the simulator's log too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from drs_provider.aws.typical import JOB_BEGINS
from drs_provider.simulator import runtime
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.source_servers import SourceServer

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["JobWork"]


class JobWork:
    """What jobs of every kind have: a beginning, a log and an end."""

    def __init__(self, backend: DrsBackend, job: Job) -> None:
        self.backend = backend
        self.job = job
        self.simulation = runtime.require()
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
