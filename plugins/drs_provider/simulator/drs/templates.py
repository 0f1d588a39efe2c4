"""The EC2 launch templates of source servers: what DRS writes into them, and when.

A template is made with its server. DRS adds a version, and makes it the default one, with UpdateLaunchConfiguration,
inside every launch, and on its own: right-sizing overwrites the instance type within 90 minutes, and copyPrivateIp the
address within an hour. What a caller changed is in that version, or is lost, by the version that DRS copies.
"""

from __future__ import annotations

import copy
import json
from typing import Any, Final, Literal

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from drs_provider.simulator.drs.source_servers import SourceServer

__all__ = [
    "ADDRESS_EVERY",
    "IMAGES",
    "RIGHT_SIZING_EVERY",
    "Base",
    "add_version",
    "complete_data",
    "copy_address",
    "create_launch_template",
    "lacking",
    "launch_resources",
    "launched_as_fleet",
    "recovery_profile",
    "right_size",
    "role_of_profile",
    "template_data",
]

Base = Literal["default", "latest"]

RIGHT_SIZING_EVERY: Final = 5400.0
"""Seconds until DRS has overwritten the instance type, at the latest."""
ADDRESS_EVERY: Final = 3600.0
"""Seconds until DRS has overwritten the private address, at the latest."""

IMAGES: Final = {"linux": "ami-1e749f67", "windows": "ami-56ec3e2f"}
#: The instance profile that DRS makes with an account, and its role.
_PROFILE = "AWSElasticDisasterRecoveryRecoveryInstanceRole"
_EC2_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_RIGHT_SIZED = ("BASIC", "IN_AWS")


def create_launch_template(server: SourceServer) -> str:
    """Make the EC2 launch template of a server, as complete as its scenario says; returns its id."""
    backend = ec2_backends[server.account][server.region]
    wanted = server.spec.launch_template
    data = complete_data(server)
    (interface,) = data["NetworkInterfaces"]
    if not wanted.subnet:
        del interface["SubnetId"]
    if not wanted.security_group:
        del interface["Groups"]
    if server.spec.copy_private_ip:
        interface["PrivateIpAddress"] = server.private_ip
    if not wanted.instance_profile:
        del data["IamInstanceProfile"]
    name = f"{server.id}-launch-template"
    return str(backend.create_launch_template(name, "", data, {"launch-template": _tags(server)}).id)


def complete_data(server: SourceServer) -> dict[str, Any]:
    """The data of a template that lacks nothing, in the default VPC and with the profile that DRS makes."""
    backend = ec2_backends[server.account][server.region]
    group: Any = backend.get_security_group_from_name("default")
    tags = [{"Key": key, "Value": value} for key, value in _tags(server).items()]
    return {
        "InstanceType": server.spec.launch_template.instance_type,
        "ImageId": IMAGES[server.spec.os],
        "NetworkInterfaces": [
            {"DeviceIndex": 0, "SubnetId": _default_subnet(backend, server.region).id, "Groups": [group.id]}
        ],
        "BlockDeviceMappings": _disks(server),
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags} for kind in ("instance", "volume")],
        "IamInstanceProfile": {"Arn": recovery_profile(server.account)},
    }


def template_data(server: SourceServer, base: Base = "default") -> dict[str, Any] | None:
    """A copy of what a version of the template says; None where somebody deleted the template."""
    template = _template(server)
    if template is None:
        return None
    version = template.default_version() if base == "default" else template.latest_version()
    return copy.deepcopy(dict(version.data))


def add_version(server: SourceServer, data: dict[str, Any], description: str) -> None:
    """Add a version to the template and make it the default, as DRS does with each of its own."""
    template = _template(server)
    if template is not None:
        template.default_version_number = template.create_version(copy.deepcopy(data), description).number


def right_size(server: SourceServer) -> None:
    """Overwrite the instance type, where right-sizing is on and it is another one than the recommended."""
    data = template_data(server)
    if data is None or server.right_sizing not in _RIGHT_SIZED:
        return
    if data.get("InstanceType") != server.recommended_type:
        add_version(server, {**data, "InstanceType": server.recommended_type}, "Right-sizing")


def copy_address(server: SourceServer) -> None:
    """Write the source's private address, where it is to be copied; switching that off takes nothing out."""
    data = template_data(server)
    if data is None or not server.launch_configuration.get("copyPrivateIp"):
        return
    interfaces = data.get("NetworkInterfaces") or [{"DeviceIndex": 0}]
    if interfaces[0].get("PrivateIpAddress") != server.private_ip:
        first = {**interfaces[0], "PrivateIpAddress": server.private_ip}
        add_version(server, {**data, "NetworkInterfaces": [first, *interfaces[1:]]}, "Copy of the private address")


def lacking(data: dict[str, Any] | None) -> list[str]:
    """What a version of a template lacks, and a launch needs."""
    data = data or {}
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    needed = {
        "subnet": interface.get("SubnetId"),
        "security group": interface.get("Groups") or interface.get("SecurityGroupId") or data.get("SecurityGroupIds"),
        "instance profile": data.get("IamInstanceProfile"),
    }
    return [name for name, value in needed.items() if not value]


def launched_as_fleet(server: SourceServer) -> bool:
    """Whether the template leaves the instance type open: DRS then launches a fleet of one."""
    return bool((template_data(server) or {}).get("InstanceRequirements"))


def role_of_profile(server: SourceServer) -> str | None:
    """Return the ARN of the role in the template's instance profile; its namesake where IAM has no such profile."""
    profile = (template_data(server) or {}).get("IamInstanceProfile") or {}
    known = iam_backends[server.account]["aws"].instance_profiles.get(str(profile.get("Name")))
    if known is not None and known.roles:
        return str(known.roles[0].arn)
    if profile.get("Name"):
        return f"arn:aws:iam::{server.account}:role/{profile['Name']}"
    return str(profile["Arn"]).replace(":instance-profile/", ":role/") if profile.get("Arn") else None


def launch_resources(server: SourceServer) -> dict[str, str]:
    """What a launch names in EC2, as the last parts of ARNs: its template, subnet, security group and image."""
    data = template_data(server) or {}
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    groups = [*(interface.get("Groups") or ()), *(data.get("SecurityGroupIds") or ())]
    return {
        "template": f"launch-template/{server.launch_template_id}",
        "subnet": f"subnet/{interface.get('SubnetId') or '*'}",
        "group": f"security-group/{groups[0] if groups else '*'}",
        "image": f"image/{data.get('ImageId') or IMAGES[server.spec.os]}",
    }


def _default_subnet(backend: Any, region: str) -> Any:
    """The subnet of moto's default VPC in the first zone."""
    zones = [zone for zone in sorted(backend.subnets) if zone.startswith(region)]
    return next(iter(backend.subnets[zones[0]].values()))


def _template(server: SourceServer) -> Any:
    return ec2_backends[server.account][server.region].launch_templates.get(server.launch_template_id)


def recovery_profile(account: str) -> str:
    """The ARN of the instance profile that DRS makes with an account, with its role; made where it is not there."""
    iam = iam_backends[account]["aws"]
    if _PROFILE not in iam.instance_profiles:
        path = "/service-role/"
        if _PROFILE not in {role.name for role in iam.roles.values()}:
            iam.create_role(_PROFILE, json.dumps(_EC2_TRUST), path, None, "", [], None)
        iam.create_instance_profile(_PROFILE, path, [_PROFILE])
    return str(iam.instance_profiles[_PROFILE].arn)


def _tags(server: SourceServer) -> dict[str, str]:
    return {
        "AWSElasticDisasterRecoveryManaged": "drs.amazonaws.com",
        "AWSElasticDisasterRecoverySourceServerID": server.id,
    }


def _disks(server: SourceServer) -> list[dict[str, Any]]:
    return [
        {
            "DeviceName": f"/dev/sd{chr(ord('a') + index)}",
            "Ebs": {"VolumeSize": max(1, size // 2**30), "VolumeType": "gp3", "DeleteOnTermination": True},
        }
        for index, size in enumerate(server.spec.disks)
    ]
