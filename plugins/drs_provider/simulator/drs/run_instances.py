"""What EC2 refuses when DRS launches from a template: RunInstances with things that are gone, unknown or taken.

moto checks little of it. The codes and texts are EC2's; DRS passes them on as ``rawError`` in the job's log.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from moto.ec2.exceptions import InvalidSubnetIdError
from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.iam.models import iam_backends

from drs_provider.simulator.ec2_limits import LimitReached, refuse_above_limits
from drs_provider.simulator.moto_compat.instance_states import holder_of

__all__ = ["LaunchRefused", "instance_profile", "refuse"]

_RESERVED_FIRST = 4


class LaunchRefused(Exception):
    """EC2 refused a call that DRS made; the text is the job log's ``rawError``."""

    def __init__(self, code: str, message: str, operation: str = "RunInstances") -> None:
        super().__init__(f"An error occurred ({code}) when calling the {operation} operation: {message}")


def refuse(account: str, region: str, data: dict[str, Any], *, starts: bool) -> None:
    """Refuse to launch an instance by a template that EC2 would not launch.

    :param data: the template's data, complete as DRS needs it.
    :param starts: whether the instance is to run: a stopped one takes no capacity, and counts for no quota.
    :raises LaunchRefused: with EC2's code and text.
    """
    backend: Any = ec2_backends[account][region]
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    _refuse_type(data)
    subnet = _subnet(backend, interface)
    groups = interface.get("Groups") or data.get("SecurityGroupIds") or []
    _refuse_groups(backend, subnet, groups)
    if data.get("IamInstanceProfile"):
        instance_profile(account, data["IamInstanceProfile"])
    if interface.get("PrivateIpAddress"):
        _refuse_address(subnet, interface["PrivateIpAddress"])
    if starts and data.get("InstanceType"):
        try:
            refuse_above_limits(account, region, [data["InstanceType"]])
        except LimitReached as error:
            raise LaunchRefused(error.code, error.message) from error


def instance_profile(account: str, wanted: dict[str, Any]) -> dict[str, str]:
    """An instance profile by name or ARN, as EC2 shows it with an instance.

    :raises LaunchRefused: IAM has no such profile.
    """
    for profile in iam_backends[account]["aws"].instance_profiles.values():
        if wanted.get("Arn") == profile.arn or (wanted.get("Name") == profile.name and "Arn" not in wanted):
            return {"Arn": profile.arn, "Id": profile.id}
    member, value = ("arn", wanted["Arn"]) if wanted.get("Arn") else ("name", wanted.get("Name"))
    kind = "Invalid IAM Instance Profile " + ("ARN" if member == "arn" else "name")
    message = f"Value ({value}) for parameter iamInstanceProfile.{member} is invalid. {kind}"
    raise LaunchRefused("InvalidParameterValue", message)


def _refuse_type(data: dict[str, Any]) -> None:
    kind = data.get("InstanceType")
    if kind and kind not in INSTANCE_TYPES:
        raise LaunchRefused("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")


def _subnet(backend: Any, interface: dict[str, Any]) -> Any:
    try:
        return backend.get_subnet(interface.get("SubnetId"))
    except InvalidSubnetIdError as error:
        message = f"The subnet ID '{interface.get('SubnetId')}' does not exist"
        raise LaunchRefused("InvalidSubnetID.NotFound", message) from error


def _refuse_groups(backend: Any, subnet: Any, groups: list[str]) -> None:
    for group_id in groups:
        group = backend.get_security_group_from_id(group_id)
        if group is None:
            raise LaunchRefused("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
        if group.vpc_id != subnet.vpc_id:
            message = f"Security group {group_id} and subnet {subnet.id} belong to different networks."
            raise LaunchRefused("InvalidParameter", message)


def _refuse_address(subnet: Any, address: str) -> None:
    cidr = ipaddress.ip_network(subnet.cidr_block)
    wanted = ipaddress.ip_address(address)
    if wanted.is_loopback:
        # No VPC has it: a scenario names it so that checks over the network reach a server of this machine.
        return
    if wanted not in cidr:
        message = f"Address {address} does not fall within the subnet's address range"
        raise LaunchRefused("InvalidParameterValue", message)
    if int(wanted) - int(cidr.network_address) < _RESERVED_FIRST or wanted == cidr.broadcast_address:
        message = f"Address {address} is in subnet's reserved address range"
        raise LaunchRefused("InvalidParameterValue", message)
    if holder_of(subnet, address) is not None:
        raise LaunchRefused("InvalidIPAddress.InUse", f"Address {address} is in use.")
