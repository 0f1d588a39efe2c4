"""What a server is launched with now: its DRS launch configuration and its launch template's default version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients

__all__ = ["LaunchState", "NoTemplateError", "Settings", "as_request", "default_version", "mixed", "read"]

Item = Mapping[str, Any]

DRS_TAGS = ("AWSElasticDisasterRecovery", "aws:")
"""How the keys of tags begin that DRS and AWS set themselves."""


class NoTemplateError(Exception):
    """A server has no EC2 launch template, or it was deleted.

    :param template_id: the id that DRS names; empty where it names none.
    """

    def __init__(self, template_id: str) -> None:
        super().__init__(
            f"its EC2 launch template {template_id} does not exist" if template_id else "it has no EC2 launch template"
        )
        self.template_id = template_id


@dataclass(frozen=True)
class Settings:
    """A server's launch settings as AWS has them; None where it says nothing of a key.

    ``volume_type``, ``iops`` and ``throughput`` are of every disk: a text that lists them where disks differ.
    """

    instance_type: str | None
    right_sizing: str | None
    subnet: str | None
    security_groups: tuple[str, ...] | None
    instance_profile: str | None
    private_ip: str | None
    copy_private_ip: bool | None
    public_ip: bool | None
    copy_tags: bool | None
    tags: Mapping[str, str] | None
    start: bool | None
    byol: bool | None
    recovery_mode: str | None
    volume_type: str | None
    iops: int | str | None
    throughput: int | str | None
    metadata_tokens: str | None
    tenancy: str | None
    launch_into: str | None
    post_launch_actions: bool | None


@dataclass(frozen=True)
class LaunchState:
    """A server's launch settings at one moment.

    :param server: the source server's id.
    :param configuration: the answer of GetLaunchConfiguration.
    :param template_id: the EC2 launch template's id.
    :param version: the number of the template's default version.
    :param data: that version's data, without what EC2 takes in no request.
    """

    server: str
    configuration: Item
    template_id: str
    version: int
    data: Item

    @property
    def settings(self) -> Settings:
        """The state, key by key."""
        drs, data = self.configuration, self.data
        interface = primary_interface(data) or {}
        groups = interface.get("Groups") or data.get("SecurityGroupIds") or data.get("SecurityGroups")
        profile = data.get("IamInstanceProfile") or {}
        disposition = drs.get("launchDisposition")
        actions = drs.get("postLaunchEnabled")
        return Settings(
            instance_type=data.get("InstanceType"),
            right_sizing=_lower(drs.get("targetInstanceTypeRightSizingMethod")),
            subnet=interface.get("SubnetId"),
            security_groups=tuple(groups) if groups else None,
            instance_profile=profile.get("Name") or profile.get("Arn"),
            private_ip=primary_address(interface),
            copy_private_ip=drs.get("copyPrivateIp"),
            public_ip=interface.get("AssociatePublicIpAddress"),
            copy_tags=drs.get("copyTags"),
            tags=_tags(data) or None,
            start=None if disposition is None else disposition == "STARTED",
            byol=(drs.get("licensing") or {}).get("osByol"),
            recovery_mode=_lower(drs.get("recoveryMode")),
            volume_type=mixed(data, "VolumeType"),
            iops=mixed(data, "Iops"),
            throughput=mixed(data, "Throughput"),
            metadata_tokens=(data.get("MetadataOptions") or {}).get("HttpTokens"),
            tenancy=(data.get("Placement") or {}).get("Tenancy"),
            launch_into=(drs.get("launchIntoInstanceProperties") or {}).get("launchIntoEC2InstanceID") or None,
            post_launch_actions=actions,
        )


def primary_interface(data: Item) -> Any:
    """The first network interface of a template's data: the one with device index 0; None where there is none."""
    interfaces = data.get("NetworkInterfaces") or []
    return next((one for one in interfaces if one.get("DeviceIndex", 0) == 0), interfaces[0] if interfaces else None)


def primary_address(interface: Item) -> str | None:
    """The private IPv4 address of an interface; None where EC2 chooses."""
    listed: Any = next((one for one in interface.get("PrivateIpAddresses") or () if one.get("Primary")), {})
    address: str | None = interface.get("PrivateIpAddress") or listed.get("PrivateIpAddress")
    return address


def disks(data: Item) -> list[Any]:
    """The ``Ebs`` part of each disk of a template's data."""
    return [device["Ebs"] for device in data.get("BlockDeviceMappings") or () if device.get("Ebs")]


def mixed(data: Item, key: str) -> Any:
    """A property of every disk; where the disks differ, a text such as ``gp3, io1, none``."""
    values = list(dict.fromkeys(disk.get(key) for disk in disks(data)))
    if len(values) < 2:
        return values[0] if values else None
    return ", ".join("none" if value is None else str(value) for value in values)


def _tags(data: Item) -> dict[str, str]:
    specifications = data.get("TagSpecifications") or ()
    tags = [tag for one in specifications if one.get("ResourceType") == "instance" for tag in one.get("Tags") or ()]
    return {tag["Key"]: tag["Value"] for tag in tags if not tag["Key"].startswith(DRS_TAGS)}


def _lower(word: str | None) -> str | None:
    return word.lower() if word else None


def read(clients: Clients, server: str) -> LaunchState:
    """Read a server's launch settings (GetLaunchConfiguration, DescribeLaunchTemplateVersions).

    :param clients: clients of the account and region.
    :param server: the source server's id.
    :raises NoTemplateError: there is no launch template.
    :raises botocore.exceptions.ClientError: a call failed.
    """
    answer = clients.drs.get_launch_configuration(sourceServerID=server)
    configuration = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    template = configuration.get("ec2LaunchTemplateID") or ""
    version, data = default_version(clients, template)
    return LaunchState(server, configuration, template, version, data)


def default_version(clients: Clients, template_id: str, version: str = "$Default") -> tuple[int, dict[str, Any]]:
    """Read a version of a launch template: its number, and its data in the form of a request.

    :raises NoTemplateError: there is no such template.
    """
    if not template_id:
        raise NoTemplateError("")
    try:
        answer = clients.ec2.describe_launch_template_versions(LaunchTemplateId=template_id, Versions=[version])
    except ClientError as error:
        if error.response["Error"]["Code"].startswith("InvalidLaunchTemplateId"):
            raise NoTemplateError(template_id) from error
        raise
    found = answer.get("LaunchTemplateVersions") or []
    if not found:
        raise NoTemplateError(template_id)
    return int(found[0]["VersionNumber"]), as_request(clients, found[0].get("LaunchTemplateData") or {})


def as_request(clients: Clients, data: Item) -> dict[str, Any]:
    """A template's data without what EC2 only answers, such as ``MetadataOptions.State``, and takes in no request."""
    shape = clients.ec2.meta.service_model.shape_for("RequestLaunchTemplateData")
    stripped: dict[str, Any] = _stripped(data, shape)
    return stripped


def _stripped(value: Any, shape: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = shape.members
        return {key: _stripped(inner, members[key]) for key, inner in value.items() if key in members}
    if shape.type_name == "list" and isinstance(value, (list, tuple)):
        return [_stripped(inner, shape.member) for inner in value]
    return value
