"""DRS jobs and their log. A job is PENDING, STARTED or COMPLETED, and never failed: its servers may be."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from drs_provider.timestamps import live_timestamp

__all__ = ["ActionsStatus", "Job", "Participant", "Resource"]


@dataclass
class ActionsStatus:
    """launchActionsStatus of a participating server."""

    agent_seen_at: float | None = None
    runs: list[dict[str, Any]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        shown: dict[str, Any] = {"runs": [dict(run) for run in self.runs]}
        if self.agent_seen_at is not None:
            shown["ssmAgentDiscoveryDatetime"] = live_timestamp(self.agent_seen_at)
        return shown


@dataclass
class Resource:
    """One source network of a job."""

    network_id: str
    launch_status: str = "PENDING"

    def describe(self) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        return {"participatingResourceID": {"sourceNetworkID": self.network_id}, "launchStatus": self.launch_status}


@dataclass
class Participant:
    """One server of a job."""

    source_server_id: str
    launch_status: str = "PENDING"
    recovery_instance_id: str | None = None
    launch_actions: ActionsStatus = field(default_factory=ActionsStatus)

    @property
    def launched(self) -> bool:
        """Whether it was launched, whatever became of it later."""
        return self.launch_status == "LAUNCHED"

    @property
    def ended(self) -> bool:
        """Whether the job is done with it."""
        return self.launch_status in ("LAUNCHED", "FAILED", "TERMINATED")


def _new_id() -> str:
    return "drsjob-" + uuid.uuid4().hex[:17]


@dataclass
class Job:
    """One job of an account and region.

    :param names_instances: whether it names recovery instances once it is completed; live ones often do not.
    """

    account: str
    region: str
    type: str
    initiated_by: str
    created_at: float
    participants: list[Participant]
    tags: dict[str, str] = field(default_factory=dict)
    names_instances: bool = False
    resources: list[Resource] = field(default_factory=list)
    id: str = field(default_factory=_new_id)
    status: str = "PENDING"
    ended_at: float | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    #: Called when it has ended.
    on_end: list[Callable[[], None]] = field(default_factory=list)

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:drs:{self.region}:{self.account}:job/{self.id}"

    @property
    def is_drill(self) -> bool:
        """Whether it launches drill instances."""
        return self.initiated_by == "START_DRILL"

    def participant(self, server_id: str) -> Participant:
        """One server of the job."""
        return next(one for one in self.participants if one.source_server_id == server_id)

    def note(self, at: float, event: str, data: dict[str, Any]) -> None:
        """Add an item to the job's log."""
        item: dict[str, Any] = {"logDateTime": live_timestamp(at), "event": event}
        if data:
            item["eventData"] = data
        self.log.append(item)

    def describe(self) -> dict[str, Any]:
        """As DescribeJobs shows it."""
        shown: dict[str, Any] = {
            "jobID": self.id,
            "arn": self.arn,
            "type": self.type,
            "initiatedBy": self.initiated_by,
            "creationDateTime": live_timestamp(self.created_at),
            "status": self.status,
            "participatingServers": [],
            "participatingResources": [resource.describe() for resource in self.resources],
            # Live jobs show a tag that nobody set, besides the caller's own.
            "tags": {**self.tags, "resourceArn": self.arn},
        }
        if self.ended_at is not None:
            shown["endDateTime"] = live_timestamp(self.ended_at)
            if self.type == "TERMINATE":
                return shown  # Live TERMINATE jobs forget their servers when they end.
        shown["participatingServers"] = [self._server(participant) for participant in self.participants]
        return shown

    def _server(self, participant: Participant) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "sourceServerID": participant.source_server_id,
            "launchStatus": participant.launch_status,
            "launchActionsStatus": participant.launch_actions.describe(),
        }
        if participant.recovery_instance_id and (self.names_instances or self.type == "TERMINATE"):
            shown["recoveryInstanceID"] = participant.recovery_instance_id
        return shown
