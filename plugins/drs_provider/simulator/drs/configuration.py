"""Launch and replication configuration of source servers, and the templates that they were made from."""

from __future__ import annotations

import hashlib
from typing import Any

from moto.ec2.models import ec2_backends

from drs_provider.simulator.drs.exceptions import Conflict, NotFound
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Request, State

__all__ = ["Configuration"]

_PIT_POLICY = [
    {"ruleID": 1, "units": "MINUTE", "interval": 10, "retentionDuration": 60, "enabled": True},
    {"ruleID": 2, "units": "HOUR", "interval": 1, "retentionDuration": 24, "enabled": True},
    {"ruleID": 3, "units": "DAY", "interval": 1, "retentionDuration": 7, "enabled": True},
]
_REPLICATION: dict[str, Any] = {
    "associateDefaultSecurityGroup": True,
    "replicationServersSecurityGroupsIDs": [],
    "replicationServerInstanceType": "t3.small",
    "useDedicatedReplicationServer": False,
    "defaultLargeStagingDiskType": "GP3",
    "ebsEncryption": "DEFAULT",
    "bandwidthThrottling": 0,
    "dataPlaneRouting": "PRIVATE_IP",
    "createPublicIP": False,
    "stagingAreaTags": {},
    "pitPolicy": _PIT_POLICY,
    "autoReplicateNewDisks": False,
    "internetProtocol": "IPV4",
}
_LAUNCH: dict[str, Any] = {
    "launchDisposition": "STARTED",
    "targetInstanceTypeRightSizingMethod": "BASIC",
    "copyPrivateIp": False,
    "copyTags": True,
    "licensing": {"osByol": False},
    "postLaunchEnabled": False,
}


class Configuration(State):
    """Get and Update of configurations."""

    def get_launch_configuration(self, request: Request) -> dict[str, Any]:
        """GetLaunchConfiguration."""
        return self._launch_configuration(self.server(request["sourceServerID"]))

    def update_launch_configuration(self, request: Request) -> dict[str, Any]:
        """UpdateLaunchConfiguration: what is absent stays; `launchIntoInstanceProperties` names an instance."""
        server = self.server(request["sourceServerID"])
        into = (request.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID")
        if into and self.ec2_instance(into) is None:
            raise NotFound("EC2Instance", into)
        changes = {name: value for name, value in request.items() if name != "sourceServerID"}
        server.launch_configuration.update(changes)
        return self._launch_configuration(server)

    def get_replication_configuration(self, request: Request) -> dict[str, Any]:
        """GetReplicationConfiguration."""
        return self._replication_configuration(self.server(request["sourceServerID"]))

    def update_replication_configuration(self, request: Request) -> dict[str, Any]:
        """UpdateReplicationConfiguration: what is absent stays."""
        server = self.server(request["sourceServerID"])
        server.replication_configuration.update(
            {name: value for name, value in request.items() if name != "sourceServerID"}
        )
        return self._replication_configuration(server)

    def describe_replication_configuration_templates(self, request: Request) -> dict[str, Any]:
        """DescribeReplicationConfigurationTemplates: the one that InitializeService makes."""
        template_id = self._identity("rct-")
        template = {
            **_REPLICATION,
            "replicationConfigurationTemplateID": template_id,
            "arn": f"arn:aws:drs:{self.region_name}:{self.account_id}:replication-configuration-template/{template_id}",
            "stagingAreaSubnetId": self._staging_subnet(),
            "tags": {},
        }
        return self._only(request, "replicationConfigurationTemplateIDs", "ReplicationTemplate", template_id, template)

    def describe_launch_configuration_templates(self, request: Request) -> dict[str, Any]:
        """DescribeLaunchConfigurationTemplates: the one of the account."""
        template_id = self._identity("lct-")
        template = {
            **_LAUNCH,
            "launchConfigurationTemplateID": template_id,
            "arn": f"arn:aws:drs:{self.region_name}:{self.account_id}:launch-configuration-template/{template_id}",
            "tags": {},
        }
        return self._only(request, "launchConfigurationTemplateIDs", "LaunchTemplate", template_id, template)

    def ec2_instance(self, instance_id: str) -> Any:
        """moto's EC2 instance of this account and region, or None."""
        for reservation in ec2_backends[self.account_id][self.region_name].reservations.values():
            for instance in reservation.instances:
                if instance.id == instance_id:
                    return instance
        return None

    def launch_target(self, server: SourceServer) -> Any:
        """The EC2 instance that a server is to be launched into, or None for a new one.

        :raises Conflict: it runs, and DRS only launches into a stopped one.
        """
        wanted = (server.launch_configuration.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID")
        if not wanted:
            return None
        instance = self.ec2_instance(wanted)
        if instance is None or instance.state != "stopped":
            state = instance.state if instance is not None else "not there"
            raise Conflict(f"Cannot launch {server.id} into {wanted}, which is {state}", resourceId=wanted)
        return instance

    def _launch_configuration(self, server: SourceServer) -> dict[str, Any]:
        return {
            **_LAUNCH,
            "sourceServerID": server.id,
            "name": server.spec.hostname,
            "ec2LaunchTemplateID": server.launch_template_id,
            **server.launch_configuration,
        }

    def _replication_configuration(self, server: SourceServer) -> dict[str, Any]:
        return {
            **_REPLICATION,
            "sourceServerID": server.id,
            "name": server.spec.hostname,
            "stagingAreaSubnetId": self._staging_subnet(),
            "replicatedDisks": [
                {
                    "deviceName": f"/dev/sd{chr(ord('a') + index)}",
                    "isBootDisk": index == 0,
                    "stagingDiskType": "AUTO",
                    "iops": 0,
                    "throughput": 0,
                    "optimizedStagingDiskType": "GP3",
                }
                for index in range(len(server.spec.disks))
            ],
            **server.replication_configuration,
        }

    def _staging_subnet(self) -> str:
        subnets = ec2_backends[self.account_id][self.region_name].subnets
        return str(next(iter(subnets[sorted(subnets)[0]])))

    def _identity(self, prefix: str) -> str:
        return prefix + hashlib.sha256(f"{self.account_id}/{self.region_name}/{prefix}".encode()).hexdigest()[:17]

    def _only(self, request: Request, filter_name: str, kind: str, template_id: str, template: Any) -> dict[str, Any]:
        for wanted in request.get(filter_name) or ():
            if wanted != template_id:
                raise NotFound(kind, wanted)
        return self.paged(request, [template], lambda item: template_id, lambda item: item)
