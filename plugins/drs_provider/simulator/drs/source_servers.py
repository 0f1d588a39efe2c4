"""Source servers: what is known of them, how they replicate, and what was last launched of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from drs_provider.aws.typical import BY_SYSTEM, COMMON
from drs_provider.simulator.drs.replication import Replication
from drs_provider.simulator.drs.snapshots import SnapshotSeries
from drs_provider.simulator.launch_rules import LaunchRules
from drs_provider.simulator.scenario import Durations, ServerSpec
from drs_provider.timestamps import live_timestamp

if TYPE_CHECKING:
    from drs_provider.simulator.drs.recovery_instances import RecoveryInstance

__all__ = ["LastLaunch", "LaunchSettings", "SourceServer"]

#: What the phases take, in seconds, where neither scenario nor server says otherwise.
_TYPICAL = {
    system: {
        **COMMON,
        **phases,
        "initiation": 60.0,
        "initial_sync": 600.0,
        "rescan": 600.0,
        "catch_up": 300.0,
        "initialisation": 60.0,
    }
    for system, phases in BY_SYSTEM.items()
}
_TYPICAL["linux"]["snapshot_timeout"] = _TYPICAL["windows"]["snapshot_timeout"] = 300.0
#: Phases that take one server longer than another.
_SPREAD = {"snapshot", "preparation", "conversion", "launch", "cleanup", "terminate", "boot"}
_OS = {"linux": "Linux version 5.10.0 (Red Hat Enterprise Linux 8.9)", "windows": "Microsoft Windows Server 2022"}

#: How often DRS hears of an agent, in seconds.
_HEARTBEAT = 20.0


def _last_beat(now: float) -> float:
    return now - now % _HEARTBEAT


@dataclass
class LastLaunch:
    """lifeCycle.lastLaunch, and the server's lastLaunchResult."""

    job_id: str
    at: float
    is_drill: bool
    status: str = "PENDING"

    @property
    def result(self) -> str:
        """lastLaunchResult of the server."""
        return {"LAUNCHED": "SUCCEEDED", "FAILED": "FAILED", "TERMINATED": "SUCCEEDED"}.get(self.status, "PENDING")


@dataclass(frozen=True)
class LaunchSettings:
    """What a launch takes from the launch configuration.

    :param launches_into: the EC2 instance that the server is launched into; None: a new one.
    """

    stopped: bool
    copy_tags: bool
    copy_private_ip: bool
    post_launch: bool
    launches_into: str | None


@dataclass
class SourceServer:
    """One source server in one account and region."""

    spec: ServerSpec
    account: str
    region: str
    added_at: float
    defaults: Durations
    rules: LaunchRules
    replication: Replication
    snapshots: SnapshotSeries
    launch_template_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    last_launch: LastLaunch | None = None
    recovery_instance_id: str | None = None
    launches: int = 0
    direction: str = "FAILOVER"
    #: The ARN of the server in the other direction. It stays as it is when that server is gone.
    reversed_arn: str | None = None
    #: The recovery instance that it replicates, since a ReverseReplication; None: the machine of the scenario.
    source: RecoveryInstance | None = None
    #: The server of another account that this one is an extension of.
    staging: SourceServer | None = None
    launch_configuration: dict[str, Any] = field(default_factory=dict)
    replication_configuration: dict[str, Any] = field(default_factory=dict)
    _properties: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """The id, `s-…`."""
        return self.spec.id

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:drs:{self.region}:{self.account}:source-server/{self.id}"

    @property
    def origin_instance(self) -> str:
        """The EC2 instance that it is, where it comes from EC2."""
        return self.spec.origin_instance or "i-" + hashlib.sha256(self.id.encode()).hexdigest()[:17]

    def duration(self, phase: str) -> float:
        """How long a phase takes: exactly as the server says, else about what the scenario or live drills say."""
        seconds: float | None = getattr(self.spec.durations, phase)
        if seconds is not None:
            return seconds
        seconds = getattr(self.defaults, phase)
        if seconds is None:
            seconds = _TYPICAL[self.spec.os].get(phase, 0.0)
        return self.spread(phase, seconds) if phase in _SPREAD else seconds

    def spread(self, phase: str, seconds: float) -> float:
        """What a phase that usually takes so many seconds takes this server: no two servers move in step."""
        digest = hashlib.sha256(f"{self.rules.seed}/{self.id}/{phase}".encode()).digest()
        share = int.from_bytes(digest[:4], "big") / 0xFFFFFFFF
        return seconds * (1 + self.rules.spread * (2 * share - 1))

    @property
    def fails_back(self) -> RecoveryInstance | None:
        """The recovery instance that this server brings back, where its direction is FAILBACK."""
        return self.source if self.direction == "FAILBACK" else None

    def point_to(self, instance: RecoveryInstance) -> None:
        """From now on it is this recovery instance that it replicates."""
        self.source = instance
        self.spec = self.spec.model_copy(update={"origin_instance": instance.id})
        self._properties = None

    def has_recovery_point(self, now: float) -> bool:
        """Whether a launch has something to start from: what is replicated now, or a snapshot."""
        if self.replication.synced(now) and self.snapshots.not_before <= now:
            return True
        consistent = self.replication.last_consistent(now)
        return any(snapshot.finished for snapshot in self.snapshots.at(now, consistent))

    def next_outcome(self) -> str:
        """How the launch that begins now will end; counts launches."""
        outcome = self.spec.outcome[min(self.launches, len(self.spec.outcome) - 1)]
        self.launches += 1
        return outcome

    def steady_until(self, now: float) -> float:
        """Until when `describe` says the same, where nothing changes but the time (epoch seconds)."""
        return min(self.replication.steady_until(now), _last_beat(now) + _HEARTBEAT)

    def describe(self, now: float) -> dict[str, Any]:
        """As DescribeSourceServers shows it."""
        silent = self.replication.silent_since(now)
        life_cycle: dict[str, Any] = {
            "addedToServiceDateTime": live_timestamp(self.added_at - 30 * 86400),
            "firstByteDateTime": live_timestamp(self.added_at - 30 * 86400 + 600),
            "elapsedReplicationDuration": "PT2H4M",
            "lastSeenByServiceDateTime": live_timestamp(_last_beat(now) if silent is None else silent - _HEARTBEAT),
        }
        if self.last_launch is not None:
            life_cycle["lastLaunch"] = {
                "initiated": {
                    "apiCallDateTime": live_timestamp(self.last_launch.at),
                    "jobID": self.last_launch.job_id,
                    "type": "DRILL" if self.last_launch.is_drill else "RECOVERY",
                },
                "status": self.last_launch.status,
            }
        shown: dict[str, Any] = {
            "sourceServerID": self.id,
            "arn": self.arn,
            "tags": dict(self.tags),
            "lastLaunchResult": self.last_launch.result if self.last_launch else "NOT_STARTED",
            "dataReplicationInfo": self.replication.describe(now, self.spec.disks),
            "lifeCycle": life_cycle,
            "sourceProperties": self._source_properties(),
            "stagingArea": self._staging_area(),
            "replicationDirection": self.direction,
            "agentVersion": "6.4.0",
        }
        if self.recovery_instance_id:
            shown["recoveryInstanceId"] = self.recovery_instance_id
        if self.reversed_arn:
            shown["reversedDirectionSourceServerArn"] = self.reversed_arn
        if self.spec.origin == "aws":
            shown["sourceCloudProperties"] = {
                "originAccountID": self.spec.origin_account or self.account,
                "originRegion": self.spec.origin_region,
                "originAvailabilityZone": f"{self.spec.origin_region}a",
            }
        return shown

    @property
    def recommended_type(self) -> str:
        """The instance type that DRS recommends, and that right-sizing writes."""
        return self.spec.recommended_type or self.spec.launch_template.instance_type

    @property
    def right_sizing(self) -> str:
        """targetInstanceTypeRightSizingMethod."""
        return str(self.launch_configuration["targetInstanceTypeRightSizingMethod"])

    @property
    def settings(self) -> LaunchSettings:
        """What its launch configuration says at this moment."""
        into = self.launch_configuration.get("launchIntoInstanceProperties") or {}
        return LaunchSettings(
            stopped=self.launch_configuration.get("launchDisposition") == "STOPPED",
            copy_tags=bool(self.launch_configuration.get("copyTags", True)),
            copy_private_ip=bool(self.launch_configuration.get("copyPrivateIp")),
            post_launch=bool(self.launch_configuration.get("postLaunchEnabled")),
            launches_into=into.get("launchIntoEC2InstanceID") or None,
        )

    @property
    def private_ip(self) -> str:
        """Its address at the source."""
        digest = hashlib.sha256(self.id.encode()).digest()
        return self.spec.private_ip or f"10.{digest[0]}.{digest[1]}.{max(4, digest[2])}"

    def _staging_area(self) -> dict[str, Any]:
        if self.staging is None:
            return {"status": "NOT_EXTENDED", "stagingAccountID": self.account}
        shown = {"stagingAccountID": self.staging.account, "stagingSourceServerArn": self.staging.arn}
        if not self.extension_failed:
            return {"status": "EXTENDED", **shown}
        return {"status": "EXTENSION_ERROR", **shown, "errorMessage": "The volumes have the default EBS encryption key"}

    @property
    def extension_failed(self) -> bool:
        """Whether another account cannot use its volumes: the default key of EBS is never shared."""
        return self.staging is not None and self.staging.spec.ebs_encryption == "DEFAULT"

    def _source_properties(self) -> dict[str, Any]:
        if self._properties is None:
            digest = hashlib.sha256(self.id.encode()).digest()
            hints: dict[str, Any] = {
                "hostname": self.spec.hostname,
                "fqdn": self.spec.fqdn or self.spec.hostname,
            }
            if self.spec.origin == "aws":
                hints["awsInstanceID"] = self.origin_instance
            self._properties = {
                "lastUpdatedDateTime": live_timestamp(self.added_at - 300),
                "recommendedInstanceType": self.recommended_type,
                "identificationHints": hints,
                "networkInterfaces": [
                    {"macAddress": f"02:{digest[3:8].hex(':')}", "ips": [self.private_ip], "isPrimary": True}
                ],
                "disks": [
                    {"deviceName": f"/dev/sd{chr(ord('a') + index)}", "bytes": size}
                    for index, size in enumerate(self.spec.disks)
                ],
                "cpus": [{"cores": 2, "modelName": "Intel(R) Xeon(R) Platinum 8175M CPU @ 2.50GHz"}],
                "ramBytes": 4 * 2**30,
                "os": {"fullString": _OS[self.spec.os]},
                "supportsNitroInstances": True,
                "architecture": "x86_64",
            }
        return self._properties
