"""Recovery instances: DRS's view of the EC2 instances that it launched."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from typing import Any

from drs_provider.simulator.drs.replication import Replication
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.timestamps import live_timestamp

__all__ = ["FailbackClient", "RecoveryInstance"]

_UNPROTECTED = ("STOPPED", "DISCONNECTED")


@dataclass
class FailbackClient:
    """The failback client on a machine on premises, from one boot of it on."""

    booted_at: float
    replication: Replication


@dataclass
class RecoveryInstance:
    """One recovery instance; its id is the EC2 instance's."""

    ec2: Any
    server: SourceServer
    job_id: str
    is_drill: bool
    snapshot_at: float
    launched_at: float
    tags: dict[str, str] = field(default_factory=dict)
    failback_state: str = ""
    failback_job_id: str | None = None
    failback_started_at: float | None = None
    #: The source server that replicates this instance since a ReverseReplication, and until when it is INITIATING.
    feeds: SourceServer | None = None
    initiates_until: float = 0.0
    #: On premises: the client that replicates this instance to the machine, and how often one was booted.
    client: FailbackClient | None = None
    boots: int = 0
    failback_launches: int = 0
    disconnected: bool = False
    terminating: bool = False
    #: Whether the EC2 instance was there before, and the server was launched into it.
    launched_into: bool = False
    failback_configuration: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.failback_state:
            fresh = {"aws": "FAILBACK_NOT_READY_FOR_LAUNCH", "on_premises": "FAILBACK_NOT_STARTED"}
            self.failback_state = fresh[self.server.spec.origin]

    @property
    def id(self) -> str:
        """The id, that of the EC2 instance."""
        return str(self.ec2.id)

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:drs:{self.server.region}:{self.server.account}:recovery-instance/{self.id}"

    def is_replicated(self, now: float) -> bool:
        """Whether a source server replicates it, however well."""
        if self.feeds is None or self.feeds.source is not self:
            return False
        return self.feeds.replication.state(now) not in _UNPROTECTED

    def is_protected(self, now: float) -> bool:
        """Whether it is protected by the server that recovers it, as after a failback: it is production."""
        return self.is_replicated(now) and self.feeds is not None and self.feeds.direction == "FAILOVER"

    def in_failback(self, now: float) -> bool:
        """Whether its failback, or its protection, forbids to terminate it."""
        return self.is_replicated(now) or (
            self.client is not None and self.failback_state in ("FAILBACK_IN_PROGRESS", "FAILBACK_READY_FOR_LAUNCH")
        )

    def replication_shown(self, now: float) -> str:
        """dataReplicationInfo.dataReplicationState."""
        if self.disconnected:
            return "DISCONNECTED"
        if self.feeds is not None and now < self.initiates_until and self.is_replicated(now):
            return "INITIATING"
        replication = self._replication()
        return "NOT_STARTED" if replication is None else replication.state(now)

    def _replication(self) -> Replication | None:
        if self.client is not None:
            return self.client.replication
        return self.feeds.replication if self.feeds is not None and self.feeds.source is self else None

    def _replication_info(self, now: float) -> dict[str, Any]:
        state = self.replication_shown(now)
        replication = self._replication()
        if replication is None or self.disconnected:
            return {"dataReplicationState": state}
        info = {**replication.describe(now, self.server.spec.disks), "dataReplicationState": state}
        if state == "INITIATING":
            info.pop("lagDuration", None)
            info.pop("etaDateTime", None)
            info.pop("dataReplicationError", None)
        return info

    def steady_until(self, now: float) -> float:
        """Until when `describe` says the same, where only the time changes; now: one that is replicated moves."""
        return math.inf if self.client is None and self.feeds is None else now

    def describe(self, now: float) -> dict[str, Any]:
        """As DescribeRecoveryInstances shows it, with the state that EC2 has it in."""
        spec = self.server.spec
        failback: dict[str, Any] = {
            "state": self.failback_state,
            "failbackToOriginalServer": spec.origin == "on_premises",
        }
        if self.failback_job_id:
            failback["failbackJobID"] = self.failback_job_id
        if self.failback_started_at is not None:
            failback["failbackInitiationTime"] = live_timestamp(self.failback_started_at)
        if self.client is not None:
            failback["failbackClientLastSeenByServiceDateTime"] = live_timestamp(max(self.client.booted_at, now - 20))
        shown: dict[str, Any] = {
            "recoveryInstanceID": self.id,
            "ec2InstanceID": self.id,
            "ec2InstanceState": str(self.ec2.state).upper(),
            "arn": self.arn,
            "jobID": self.job_id,
            "sourceServerID": self.server.id,
            "isDrill": self.is_drill,
            "tags": dict(self.tags),
            "pointInTimeSnapshotDateTime": live_timestamp(self.snapshot_at),
            "originEnvironment": "AWS" if spec.origin == "aws" else "ON_PREMISES",
            "agentVersion": "6.4.0",
            "failback": failback,
            "dataReplicationInfo": self._replication_info(now),
            "recoveryInstanceProperties": {
                "lastUpdatedDateTime": live_timestamp(self.launched_at),
                "identificationHints": {
                    "hostname": spec.hostname,
                    "fqdn": spec.fqdn or spec.hostname,
                    "awsInstanceID": self.id,
                },
                "networkInterfaces": [{"ips": [self.ec2.private_ip], "isPrimary": True}],
                "disks": [
                    {
                        "internalDeviceName": f"/dev/sd{chr(ord('a') + index)}",
                        "bytes": size,
                        "ebsVolumeID": "vol-" + hashlib.sha256(f"{self.id}/{index}".encode()).hexdigest()[:17],
                    }
                    for index, size in enumerate(spec.disks)
                ],
                "cpus": [{"cores": 2, "modelName": "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz"}],
                "ramBytes": 4 * 2**30,
                "os": {"fullString": "Linux" if spec.os == "linux" else "Windows"},
            },
        }
        if spec.origin == "aws":
            shown["originAvailabilityZone"] = f"{spec.origin_region}a"
        return shown
