"""Recovery instances: DRS's view of the EC2 instances that it launched."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.timestamps import timestamp

__all__ = ["RecoveryInstance"]


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
    failback_state: str = "FAILBACK_NOT_STARTED"
    failback_job_id: str | None = None
    failback_started_at: float | None = None
    #: The FAILBACK server in the origin region whose replication this instance shows.
    follows: SourceServer | None = None
    terminating: bool = False
    failback_configuration: dict[str, Any] = field(default_factory=dict)
    #: When the failback client on premises was seen, and when it has synced.
    client_seen_at: float | None = None
    client_synced_at: float | None = None
    _replication: str = "STOPPED"

    @property
    def id(self) -> str:
        """The id, that of the EC2 instance."""
        return str(self.ec2.id)

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:drs:{self.server.region}:{self.server.account}:recovery-instance/{self.id}"

    def set_replication(self, state: str) -> None:
        """From now on its own replication is so, and follows no other server's."""
        self._replication = state
        self.follows = None

    def replication_shown(self, now: float) -> str:
        """dataReplicationInfo.dataReplicationState."""
        return self.follows.replication.state(now) if self.follows is not None else self._replication

    def failback_shown(self, now: float) -> str:
        """failback.state: on premises it follows the failback client."""
        if self.failback_state != "FAILBACK_NOT_STARTED" or self.client_seen_at is None or now < self.client_seen_at:
            return self.failback_state
        if self.client_synced_at is not None and now >= self.client_synced_at:
            return "FAILBACK_READY_FOR_LAUNCH"
        return "FAILBACK_IN_PROGRESS"

    def describe(self, now: float) -> dict[str, Any]:
        """As DescribeRecoveryInstances shows it, with the state that EC2 has it in."""
        spec = self.server.spec
        failback: dict[str, Any] = {"state": self.failback_shown(now), "failbackToOriginalServer": False}
        if self.failback_job_id:
            failback["failbackJobID"] = self.failback_job_id
        if self.failback_started_at is not None:
            failback["failbackInitiationTime"] = timestamp(self.failback_started_at)
        shown: dict[str, Any] = {
            "recoveryInstanceID": self.id,
            "ec2InstanceID": self.id,
            "ec2InstanceState": str(self.ec2.state).upper(),
            "arn": self.arn,
            "jobID": self.job_id,
            "sourceServerID": self.server.id,
            "isDrill": self.is_drill,
            "tags": dict(self.tags),
            "pointInTimeSnapshotDateTime": timestamp(self.snapshot_at),
            "originEnvironment": "AWS" if spec.origin == "aws" else "ON_PREMISES",
            "agentVersion": "6.4.0",
            "failback": failback,
            "dataReplicationInfo": {"dataReplicationState": self.replication_shown(now)},
            "recoveryInstanceProperties": {
                "lastUpdatedDateTime": timestamp(self.launched_at),
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
