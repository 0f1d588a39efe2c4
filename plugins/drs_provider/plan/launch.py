"""How a server is launched: the launch settings that a plan can give at defaults, group, wave and server."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from drs_provider.plan import launch_rules, rules
from drs_provider.plan.scalars import PATTERNS, PlanModel, Tags, checked

__all__ = ["LAUNCH_KEYS", "LaunchSettings", "TaggedResource", "settings_over"]

INSTANCE_TYPE = r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$"
SUBNET_ID = r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})$"
GROUP_ID = r"^sg-([0-9a-f]{8}|[0-9a-f]{17})$"
TARGET_ID = r"^i-([0-9a-f]{8}|[0-9a-f]{17})$"
PROFILE = r"^(arn:aws[a-z-]*:iam::[0-9]{12}:instance-profile/([!-~]+/)?)?[A-Za-z0-9+=,.@_-]+$"

PATTERNS |= {
    INSTANCE_TYPE: "an EC2 instance type such as r6i.4xlarge",
    SUBNET_ID: "a subnet id, subnet- and 17 hexadecimal digits, or {tags: …}",
    GROUP_ID: "a security group id, sg- and 17 hexadecimal digits, or {tags: …}",
    TARGET_ID: "an EC2 instance id: i- and 17 hexadecimal digits, or 8 in old ones",
    PROFILE: "the name or the ARN of an instance profile",
}


class TaggedResource(PlanModel):
    """A subnet, or security groups, by their tags; all the tags must match."""

    tags: Tags = Field(description="Tags of a subnet or a security group; all must match.")


def _kind(value: Any) -> str:
    return "<tags>" if isinstance(value, (dict, TaggedResource)) else "<id>"


def _alone(value: Any) -> Any:
    return (value,) if isinstance(value, (str, dict, TaggedResource)) else value


def _address(value: str) -> None:
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError("is not an IPv4 address such as 10.0.1.15") from None
    if address.is_unspecified or address.is_multicast or address.is_link_local:
        raise ValueError("is an address that no subnet has")


InstanceType = Annotated[str, Field(pattern=INSTANCE_TYPE, max_length=64)]
InstanceTypes = Annotated[
    Annotated[tuple[InstanceType, ...], Field(strict=False, min_length=1, max_length=10)], BeforeValidator(_alone)
]
Subnet = Annotated[
    Annotated[Annotated[str, Field(pattern=SUBNET_ID)], Tag("<id>")] | Annotated[TaggedResource, Tag("<tags>")],
    Discriminator(_kind),
]
SecurityGroup = Annotated[
    Annotated[Annotated[str, Field(pattern=GROUP_ID)], Tag("<id>")] | Annotated[TaggedResource, Tag("<tags>")],
    Discriminator(_kind),
]
SecurityGroups = Annotated[
    Annotated[tuple[SecurityGroup, ...], Field(strict=False, min_length=1, max_length=16)], BeforeValidator(_alone)
]


class LaunchSettings(PlanModel):
    """How servers are launched. Of each key the most exact place wins: server, group, wave, defaults."""

    instance_type: InstanceTypes | None = Field(
        None, description="One EC2 instance type, or a list that is tried in order when there is no capacity."
    )
    right_sizing: Literal["none", "basic", "in_aws"] | None = Field(
        None, description="Whether DRS chooses the instance type: with basic or in_aws it overwrites instance_type."
    )
    subnet: Subnet | None = Field(None, description="The subnet of the first network interface: its id, or its tags.")
    security_groups: SecurityGroups | None = Field(
        None, description="The security groups of the first network interface, each by its id or by tags."
    )
    instance_profile: Annotated[str, Field(pattern=PROFILE, max_length=800)] | None = Field(
        None, description="The name or the ARN of the instance profile."
    )
    private_ip: Annotated[str, checked("address", _address)] | None = Field(
        None, description="The private IPv4 address; for one server only. Excludes copy_private_ip."
    )
    copy_private_ip: bool | None = Field(
        None, description="true: DRS copies the source's private address into the template. Excludes private_ip."
    )
    public_ip: bool | None = Field(
        None, description="Whether the first network interface gets a public IPv4 address; absent: as the subnet says."
    )
    copy_tags: bool | None = Field(None, description="Whether the source server's tags are copied to its instance.")
    tags: Tags | None = Field(
        None, description="Tags of the launched instance and its volumes, beside those that the template has."
    )
    start: bool | None = Field(None, description="false: the instance is launched stopped. DRS's own default: true.")
    byol: bool | None = Field(
        None, description="true: the operating system's own licence is used. On Windows it needs tenancy: host."
    )
    recovery_mode: Literal["fast", "optimal"] | None = Field(
        None, description="fast: the instance is up sooner; optimal: DRS prepares the disks first."
    )
    volume_type: Literal["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"] | None = Field(
        None, description="The EBS volume type of every disk."
    )
    iops: int | None = Field(
        None, ge=100, le=256_000, description="The provisioned IOPS of every disk; only gp3, io1 and io2 have them."
    )
    throughput: int | None = Field(
        None, ge=125, le=2000, description="The throughput of every disk in MiB/s; only gp3 has it."
    )
    metadata_tokens: Literal["required", "optional"] | None = Field(
        None, description="required: the instance metadata service answers IMDSv2 only."
    )
    tenancy: Literal["default", "dedicated", "host"] | None = Field(
        None, description="default: shared hardware; dedicated: hardware of the account's own; host: Dedicated Hosts."
    )
    launch_into: Annotated[str, Field(pattern=TARGET_ID)] | None = Field(
        None,
        description="The id of an EC2 instance that the server is launched into; for one server only. Its disks are "
        "replaced. Needs copy_tags and copy_private_ip off.",
    )
    post_launch_actions: Literal[False, "reported", "required"] | None = Field(
        None,
        description="DRS's post-launch actions: false: off; reported: run and reported; required: their failure fails "
        "the server.",
    )

    @model_validator(mode="after")
    def _rules(self) -> LaunchSettings:
        rules.enforce(launch_rules.of_launch(self))
        return self

    @property
    def given(self) -> dict[str, Any]:
        """The keys that have a value, in the order of this class."""
        return {key: value for key in LAUNCH_KEYS if (value := getattr(self, key)) is not None}


LAUNCH_KEYS = tuple(LaunchSettings.model_fields)


def settings_over(*places: LaunchSettings) -> LaunchSettings:
    """The settings of a server: of each key the value of the first place that has one.

    :param places: the most exact first.
    """
    merged: dict[str, Any] = {}
    for place in reversed(places):
        merged |= place.given
    # Each place holds every rule of a single place; what contradicts over several is a rule of the plan.
    return LaunchSettings.model_construct(**merged)
