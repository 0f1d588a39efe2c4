"""What a launch would destroy: DRS deletes a server's previous recovery instance when it launches the next one.

It does so for drills and for recoveries alike (DRS quick start guide), so StartRecovery on a server that was recovered
for real takes production down, and a drill takes another drill's instance away.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from drs_provider.aws.drs.run_identity import RUN_TAG, RunIdentity

__all__ = ["PreviousInstance", "previous_instances"]

Item = Mapping[str, Any]

_GOING = frozenset({"SHUTTING-DOWN", "TERMINATED", "NOT_FOUND"})


@dataclass(frozen=True)
class PreviousInstance:
    """
    A live recovery instance of a source server.

    :param server: The source server's id.
    :param id: The recovery instance's id in DRS.
    :param ec2: Its id in EC2.
    :param state: Its state in EC2, as DRS says.
    :param is_drill: Whether a drill launched it; what does not say so, a recovery did.
    :param job: The id of the job that launched it.
    :param run: The run that launched it, as far as a tag tells.
    :param own: Whether it is the run's own.
    :param failed: Whether its launch failed, by its job's word: of the run's own, what may be replaced.
    """

    server: str
    id: str
    ec2: str | None
    state: str | None
    is_drill: bool
    job: str | None
    run: str | None
    own: bool
    failed: bool

    def is_named_in(self, ids: Collection[str]) -> bool:
        """Return whether a list of ids names it, by its id in DRS or in EC2."""
        return self.id in ids or (self.ec2 is not None and self.ec2 in ids)

    def protected(self, *, drill: bool, replace: Collection[str] = ()) -> bool:
        """
        Return whether no launch may replace it.

        :param drill: Whether the launch is a drill's. A recovery goes on over a drill's instance.
        :param replace: Ids of instances that a person gave up.
        """
        if self.is_named_in(replace):
            return False
        if self.is_drill:
            return drill and not self.own
        return not (self.own and self.failed)

    def as_event(self) -> dict[str, Any]:
        """Return the instance as the report tells of it."""
        return {"server": self.server, "instance_id": self.ec2 or self.id, "what": str(self)}

    def __str__(self) -> str:
        kind = "a drill" if self.is_drill else "a recovery"
        run = f" of {self.run}" if self.run else ""
        return f"{self.ec2 or self.id} ({self.state or 'state unknown'}), launched by {kind}{run} in job {self.job}"


def previous_instances(
    instances: Iterable[Item], jobs: Iterable[Item], own: RunIdentity | None
) -> list[PreviousInstance]:
    """
    Return the live instances among recovery instances.

    :param instances: In the shape of DescribeRecoveryInstances.
    :param jobs: In the shape of DescribeJobs; tells whose the instances are.
    :param own: The run that is about to launch; None: every instance is another's.
    """
    by_id = {str(job.get("jobID")): job for job in jobs}
    found = []
    for instance in instances:
        if instance.get("ec2InstanceState") in _GOING:
            continue
        server, job = str(instance.get("sourceServerID")), by_id.get(str(instance.get("jobID")), {})
        statuses = {
            str(one.get("launchStatus"))
            for one in job.get("participatingServers") or ()
            if one.get("sourceServerID") == server
        }
        found.append(
            PreviousInstance(
                server=server,
                id=str(instance["recoveryInstanceID"]),
                ec2=instance.get("ec2InstanceID"),
                state=instance.get("ec2InstanceState"),
                is_drill=instance.get("isDrill") is True,
                job=instance.get("jobID"),
                run=(job.get("tags") or {}).get(RUN_TAG),
                own=own is not None and own.owns(job),
                failed=statuses == {"FAILED"},
            )
        )
    return found
