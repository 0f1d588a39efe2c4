"""The leaves of a launch template that a setting names: each is changed, and nothing beside it.

Lists (network interfaces, disks, tags) are replaced whole by EC2: they are taken as they are, one leaf in them is
changed, and they are sent whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drs_provider.aws.launch_settings.state import disks, primary_address, primary_interface

__all__ = ["EC2_KEYS", "ObstacleError", "disk_obstacles", "write_leaf"]

PROVISIONED = ("gp3", "io1", "io2")
LEAST_GP3 = 3000
"""The baseline IOPS of a gp3 volume, and the least that it can be given (EBS user guide)."""

Data = dict[str, Any]


class ObstacleError(Exception):
    """A setting that a template cannot have as it is; the text says why and what to do."""


def _instance_type(data: Data, wanted: Any) -> None:
    if data.get("InstanceRequirements"):
        raise ObstacleError(
            "the template leaves the instance type open (InstanceRequirements), which is left alone: "
            "choose a type in the EC2 console first, or remove instance_type from the plan"
        )
    data["InstanceType"] = wanted if isinstance(wanted, str) else wanted[0]


def _interface(data: Data, key: str) -> Data:
    interface: Data | None = primary_interface(data)
    if interface is None:
        if data.get("SecurityGroupIds") or data.get("SecurityGroups"):
            raise ObstacleError(
                f"the template has security groups and no network interface, which cannot be turned into one that "
                f"has {key}: give it a network interface in the EC2 console"
            )
        interface = {"DeviceIndex": 0}
        data.setdefault("NetworkInterfaces", []).append(interface)
    if interface.get("NetworkInterfaceId"):
        raise ObstacleError(
            f"the template names an existing network interface ({interface['NetworkInterfaceId']}), whose {key} is "
            "its own"
        )
    return interface


def _subnet(data: Data, wanted: Any) -> None:
    _interface(data, "subnet")["SubnetId"] = wanted


def _security_groups(data: Data, wanted: Any) -> None:
    if primary_interface(data) is None and data.get("SecurityGroupIds"):
        if set(data["SecurityGroupIds"]) != set(wanted):
            data["SecurityGroupIds"] = list(wanted)
        return
    interface = _interface(data, "security_groups")
    if set(interface.get("Groups") or ()) != set(wanted):
        interface["Groups"] = list(wanted)


def _instance_profile(data: Data, wanted: Any) -> None:
    now = data.get("IamInstanceProfile") or {}
    arn, name = now.get("Arn"), now.get("Name")
    if wanted.startswith("arn:"):
        if arn != wanted:
            data["IamInstanceProfile"] = {"Arn": wanted}
    elif wanted != (name or str(arn or "").rpartition("/")[2]):
        data["IamInstanceProfile"] = {"Name": wanted}


def _private_ip(data: Data, wanted: Any) -> None:
    interface = _interface(data, "private_ip")
    if primary_address(interface) == wanted:
        return
    primary = next((one for one in interface.get("PrivateIpAddresses") or () if one.get("Primary")), None)
    if primary is not None and "PrivateIpAddress" not in interface:
        primary["PrivateIpAddress"] = wanted
    else:
        interface["PrivateIpAddress"] = wanted


def _public_ip(data: Data, wanted: Any) -> None:
    interface = _interface(data, "public_ip")
    if wanted and len(data["NetworkInterfaces"]) > 1:
        raise ObstacleError("EC2 gives no public address to an instance with several network interfaces")
    interface["AssociatePublicIpAddress"] = wanted


def _tags(data: Data, wanted: Mapping[str, str]) -> None:
    specifications = data.setdefault("TagSpecifications", [])
    for kind in ("instance", "volume"):
        one = next((each for each in specifications if each.get("ResourceType") == kind), None)
        if one is None:
            one = {"ResourceType": kind, "Tags": []}
            specifications.append(one)
        tags = one.setdefault("Tags", [])
        for key, value in sorted(wanted.items()):
            tag = next((each for each in tags if each.get("Key") == key), None)
            if tag is None:
                tags.append({"Key": key, "Value": value})
            else:
                tag["Value"] = value


def _every_disk(data: Data, key: str) -> list[Data]:
    found = disks(data)
    if not found:
        raise ObstacleError(f"the template lists no disks, so there is nowhere to write {key}: DRS lists them itself")
    return found


def _volume_type(data: Data, wanted: Any) -> None:
    for disk in _every_disk(data, "volume_type"):
        if disk.get("VolumeType") == wanted:
            continue
        disk["VolumeType"] = wanted
        # EC2 refuses a volume with what its type cannot have.
        if wanted not in PROVISIONED:
            disk.pop("Iops", None)
        if wanted != "gp3":
            disk.pop("Throughput", None)


def _iops(data: Data, wanted: Any) -> None:
    for disk in _every_disk(data, "iops"):
        if disk.get("VolumeType", "gp3") not in PROVISIONED:
            raise ObstacleError(f"a disk is {disk['VolumeType']}, which has no iops: give volume_type too")
        disk["Iops"] = wanted


def _throughput(data: Data, wanted: Any) -> None:
    for disk in _every_disk(data, "throughput"):
        if disk.get("VolumeType", "gp3") != "gp3":
            raise ObstacleError(f"a disk is {disk['VolumeType']}, which has no throughput: give volume_type: gp3 too")
        disk["Throughput"] = wanted


def _metadata_tokens(data: Data, wanted: Any) -> None:
    data.setdefault("MetadataOptions", {})["HttpTokens"] = wanted


def _tenancy(data: Data, wanted: Any) -> None:
    placement = data.setdefault("Placement", {})
    host = placement.get("HostId") or placement.get("HostResourceGroupArn")
    if host and wanted != "host":
        raise ObstacleError(f"the template names a Dedicated Host ({host}), which needs tenancy: host")
    placement["Tenancy"] = wanted


_WRITERS: dict[str, Callable[[Data, Any], None]] = {
    "instance_type": _instance_type,
    "subnet": _subnet,
    "security_groups": _security_groups,
    "instance_profile": _instance_profile,
    "private_ip": _private_ip,
    "public_ip": _public_ip,
    "tags": _tags,
    # The type before what it has.
    "volume_type": _volume_type,
    "iops": _iops,
    "throughput": _throughput,
    "metadata_tokens": _metadata_tokens,
    "tenancy": _tenancy,
}

EC2_KEYS = tuple(_WRITERS)
"""The settings that stand in the EC2 launch template, in the order in which they are written."""


def write_leaf(data: Data, key: str, wanted: Any) -> None:
    """Write a setting into a template's data, in place; what has the value already stays as it is.

    :param data: the data of a launch template version, the caller's own copy.
    :param key: one of :data:`EC2_KEYS`.
    :raises ObstacleError: the template cannot have it as it is.
    """
    _WRITERS[key](data, wanted)


def disk_obstacles(data: Data) -> list[str]:
    """What EC2 would refuse the disks of a template for, once all is written."""
    found = []
    for disk in disks(data):
        kind, iops = disk.get("VolumeType"), disk.get("Iops")
        if kind in ("io1", "io2") and not iops:
            found.append(f"{kind} volumes need iops: give iops too")
        if kind == "gp3" and iops and iops < LEAST_GP3:
            found.append(f"a disk keeps {iops} iops, and gp3 volumes have at least {LEAST_GP3}: give iops too")
    return list(dict.fromkeys(found))
