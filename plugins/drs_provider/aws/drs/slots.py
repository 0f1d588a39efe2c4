"""The slots for DRS jobs of an account and region: what jobs in progress take of them, and whether another fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from drs_provider.aws.drs.reads import is_complete
from drs_provider.aws.quotas import Quotas

__all__ = ["BUSY_WINDOW", "SlotsTaken"]

BUSY_WINDOW = timedelta(days=2)
"""How far back jobs in progress are looked for when slots are counted: a job may hang for long."""


@dataclass(frozen=True)
class SlotsTaken:
    """What the jobs in progress take.

    :param jobs: the number of source servers by job id.
    """

    jobs: Mapping[str, int]

    @classmethod
    def of(cls, jobs: Iterable[Mapping[str, Any]]) -> SlotsTaken:
        """Count the jobs, in the shape of DescribeJobs, that have not ended."""
        return cls(
            {str(job["jobID"]): len(job.get("participatingServers") or ()) for job in jobs if not is_complete(job)}
        )

    @property
    def servers(self) -> int:
        """The source servers in all jobs in progress."""
        return sum(self.jobs.values())

    def leave_room_for(self, servers: int, quotas: Quotas) -> bool:
        """Whether one more job, of so many servers, fits."""
        return len(self.jobs) < quotas.jobs and self.servers + servers <= quotas.servers_in_jobs

    def against(self, quotas: Quotas) -> str:
        """Return the numbers for a log."""
        return (
            f"{len(self.jobs)} of {quotas.jobs} jobs and {self.servers} of {quotas.servers_in_jobs} servers in jobs "
            "are in progress"
        )
