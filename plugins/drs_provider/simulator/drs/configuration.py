"""Launch and replication configuration of source servers."""

from __future__ import annotations

from typing import Any

from moto.ec2.models import ec2_backends

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.configuration_templates import (
    LAUNCH_SETTINGS,
    REPLICATION_SETTINGS,
)
from drs_provider.simulator.drs.exceptions import Conflict, NotFound
from drs_provider.simulator.drs.source_servers import LaunchSettings, SourceServer
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.simulator.drs.templates import add_version, template_data

__all__ = ["Configuration"]

#: The tag by which the owner of an instance lets DRS launch into it.
_CONSENT = ("AWSDRS", "AllowLaunchingIntoThisInstance")


def _launch_into_refused(instance: Any, server: SourceServer, settings: LaunchSettings) -> str | None:
    """Why DRS does not launch a server into an EC2 instance; None where it does."""
    if instance is None:
        return "it does not exist"
    if instance.state != "stopped":
        return f"it is {instance.state}, and has to be stopped"
    tags = instance.ec2_backend.tags.get(instance.id, {})
    if tags.get(_CONSENT[0]) != _CONSENT[1]:
        return f"it has no tag {_CONSENT[0]} with the value {_CONSENT[1]}"
    if (str(instance.platform).lower() == "windows") != (server.spec.os == "windows"):
        return "it has another operating system"
    if instance.architecture != "x86_64" or instance.virtualization_type != "hvm":
        return f"it is {instance.architecture} and {instance.virtualization_type}, and has to be x86_64 and hvm"
    if settings.copy_private_ip or settings.copy_tags:
        return "copyPrivateIp and copyTags have to be off"
    return None


class Configuration(Component):
    """Get and Update of configurations."""

    def get_launch_configuration(self, request: Request) -> dict[str, Any]:
        """GetLaunchConfiguration."""
        return self._launch_configuration(self.backend.server(request["sourceServerID"]))

    def update_launch_configuration(self, request: Request) -> dict[str, Any]:
        """UpdateLaunchConfiguration: what is absent stays; `launchIntoInstanceProperties` names an instance."""
        server = self.backend.server(request["sourceServerID"])
        into = (request.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID")
        if into and self.ec2_instance(into) is None:
            raise NotFound("EC2Instance", into)
        changes = {name: value for name, value in request.items() if name != "sourceServerID"}
        server.launch_configuration.update(changes)
        # DRS writes a version of the template with every update, whatever was updated.
        data = template_data(server, runtime.require().scenario.launching.update_config_base)
        if data is not None:
            add_version(server, data, "UpdateLaunchConfiguration")
        return self._launch_configuration(server)

    def get_replication_configuration(self, request: Request) -> dict[str, Any]:
        """GetReplicationConfiguration."""
        return self._replication_configuration(self.backend.server(request["sourceServerID"]))

    def update_replication_configuration(self, request: Request) -> dict[str, Any]:
        """UpdateReplicationConfiguration: what is absent stays."""
        server = self.backend.server(request["sourceServerID"])
        server.replication_configuration.update(
            {name: value for name, value in request.items() if name != "sourceServerID"}
        )
        return self._replication_configuration(server)

    def ec2_instance(self, instance_id: str) -> Any:
        """moto's EC2 instance of this account and region, or None."""
        for reservation in ec2_backends[self.backend.account_id][self.backend.region_name].reservations.values():
            for instance in reservation.instances:
                if instance.id == instance_id:
                    return instance
        return None

    def launch_target(self, server: SourceServer, settings: LaunchSettings) -> Any:
        """The EC2 instance that a server is to be launched into, or None for a new one.

        :raises Conflict: DRS does not launch into it.
        """
        wanted = settings.launches_into
        if wanted is None:
            return None
        instance = self.ec2_instance(wanted)
        refused = _launch_into_refused(instance, server, settings)
        if refused:
            raise Conflict(f"Cannot launch into instance {wanted}: {refused}", resourceId=wanted)
        return instance

    def _launch_configuration(self, server: SourceServer) -> dict[str, Any]:
        return {
            **LAUNCH_SETTINGS,
            "sourceServerID": server.id,
            "name": server.spec.hostname,
            "ec2LaunchTemplateID": server.launch_template_id,
            **server.launch_configuration,
        }

    def _replication_configuration(self, server: SourceServer) -> dict[str, Any]:
        return {
            **REPLICATION_SETTINGS,
            "sourceServerID": server.id,
            "name": server.spec.hostname,
            "stagingAreaSubnetId": self.backend.configuration_templates.staging_subnet(),
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
            "ebsEncryption": server.spec.ebs_encryption,
            **server.replication_configuration,
        }
