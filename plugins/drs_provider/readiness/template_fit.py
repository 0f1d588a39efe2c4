"""Can EC2 launch what a launch template names: does each thing exist, and do they fit each other.

A template that nobody touches rots: a subnet is deleted, a profile is renamed, a group turns out to be of another VPC.
DRS says so five to ten minutes into a launch, or not at all.
"""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from drs_provider.aws.clients import Clients

__all__ = ["NamedResources", "address_of", "unfit"]

_RESERVED_FIRST = 4
"""EC2 keeps the first four addresses of a subnet, and the last one."""
_SERVER_TAG = "AWSElasticDisasterRecoverySourceServerID"

Item = Mapping[str, Any]


class NamedResources:
    """What launch templates name, looked up once each, however many servers name it.

    :param clients: clients of the account and region.

    ``unread`` says of which lookups the caller may not make.
    """

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._found: dict[tuple[str, str], Any] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._guard = threading.Lock()
        self.unread: dict[str, str] = {}
        self._needed: Counter[str] = Counter()

    def subnet(self, subnet_id: str) -> Item | None:
        """Return a subnet (DescribeSubnets), None where there is none."""
        return self._one(
            "DescribeSubnets", subnet_id, lambda name: self._clients.ec2.describe_subnets(Filters=name), "subnet-id"
        )

    def count(self, subnets: Iterable[str], *, has_instance: bool) -> None:
        """Note the interfaces of a server, each in its subnet.

        :param has_instance: whether a previous instance of the server gives its addresses back first.
        """
        if not has_instance:
            with self._guard:
                self._needed.update(subnets)

    def too_small(self) -> list[tuple[str, int, int]]:
        """Return the subnets with fewer free addresses than are launched into them: id, free, needed.

        Of subnets that were looked up already: what cannot be looked up is reported where it was tried.
        """
        short = []
        for subnet_id, needed in sorted(self._needed.items()):
            found = self._found.get(("DescribeSubnets", subnet_id)) or []
            free = found[0].get("AvailableIpAddressCount") if found else None
            # A subnet without any is reported at each server.
            if free and free < needed:
                short.append((subnet_id, int(free), needed))
        return short

    def group(self, group_id: str) -> Item | None:
        """Return a security group (DescribeSecurityGroups), None where there is none."""
        return self._one(
            "DescribeSecurityGroups",
            group_id,
            lambda name: self._clients.ec2.describe_security_groups(Filters=name),
            "group-id",
        )

    def zones_with(self, instance_type: str) -> set[str]:
        """Return the Availability Zones that offer an instance type (DescribeInstanceTypeOfferings)."""

        def look() -> set[str]:
            answer = self._clients.ec2.describe_instance_type_offerings(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
            )
            return {str(one["Location"]) for one in answer.get("InstanceTypeOfferings") or ()}

        found: set[str] = self._look("DescribeInstanceTypeOfferings", instance_type, look)
        return found

    def profile_exists(self, name: str) -> bool:
        """Whether there is an instance profile (GetInstanceProfile)."""

        def look() -> bool:
            try:
                self._clients.iam.get_instance_profile(InstanceProfileName=name)
            except ClientError as error:
                if error.response["Error"]["Code"] == "NoSuchEntity":
                    return False
                raise
            return True

        try:
            return bool(self._look("GetInstanceProfile", name, look))
        except (BotoCoreError, ClientError) as error:
            # IAM is in another region, which may be what has failed: a launch needs nothing of it.
            raise NotReadError("GetInstanceProfile", str(error)) from error

    def holder_of(self, address: str, subnet_id: str, server: str) -> str | None:
        """Return what holds an address of a subnet, but for an earlier instance of the same source server.

        :param server: the source server: DRS deletes its previous instance before it launches another.
        """
        where = [
            {"Name": "subnet-id", "Values": [subnet_id]},
            {"Name": "addresses.private-ip-address", "Values": [address]},
        ]
        found = self._look(
            "DescribeNetworkInterfaces",
            f"{subnet_id} {address}",
            lambda: self._clients.ec2.describe_network_interfaces(Filters=where).get("NetworkInterfaces") or [],
        )
        for interface in found:
            instance = (interface.get("Attachment") or {}).get("InstanceId")
            if not instance or self._source_server_of(instance) != server:
                return str(instance or interface.get("NetworkInterfaceId"))
        return None

    def _source_server_of(self, instance: str) -> str | None:
        where = [{"Name": "instance-id", "Values": [instance]}]
        answer = self._look("DescribeInstances", instance, lambda: self._clients.ec2.describe_instances(Filters=where))
        items = [one for group in answer.get("Reservations") or () for one in group.get("Instances") or ()]
        tags = {tag["Key"]: tag["Value"] for one in items for tag in one.get("Tags") or ()}
        return tags.get(_SERVER_TAG)

    def _one(self, operation: str, name: str, call: Callable[[Any], Item], by: str) -> Item | None:
        key = {"DescribeSubnets": "Subnets", "DescribeSecurityGroups": "SecurityGroups"}[operation]
        found = self._look(operation, name, lambda: call([{"Name": by, "Values": [name]}]).get(key) or [])
        return found[0] if found else None

    def _look(self, operation: str, name: str, look: Callable[[], Any]) -> Any:
        """Look once. Of an operation that is denied nothing more is asked."""
        with self._guard:
            lock = self._locks.setdefault((operation, name), threading.Lock())
        with lock:
            if operation in self.unread:
                raise NotReadError(operation, self.unread[operation])
            if (operation, name) not in self._found:
                try:
                    self._found[operation, name] = look()
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code not in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
                        raise
                    self.unread[operation] = code
                    raise NotReadError(operation, code) from error
            return self._found[operation, name]


class NotReadError(Exception):
    """Something could not be looked up, and nothing is known of it.

    :param operation: the operation of AWS.
    :param why: what AWS said.
    """

    def __init__(self, operation: str, why: str) -> None:
        super().__init__(f"{operation} answered {why}")


def address_of(template: Item, configuration: Item, source: Item) -> str | None:
    """Return the private address that a server is launched with; None where EC2 chooses.

    :param template: the data of the launch template's default version.
    :param configuration: the answer of GetLaunchConfiguration: with ``copyPrivateIp`` DRS writes the source's address
        into the template, within an hour.
    :param source: the server in the shape of DescribeSourceServers.
    """
    if configuration.get("copyPrivateIp"):
        interfaces = (source.get("sourceProperties") or {}).get("networkInterfaces") or ()
        primary = next((one for one in interfaces if one.get("isPrimary")), None)
        addresses = [one for one in (primary or {}).get("ips") or () if ":" not in str(one)]
        if addresses:
            return str(addresses[0])
    for interface in template.get("NetworkInterfaces") or ():
        if interface.get("PrivateIpAddress"):
            return str(interface["PrivateIpAddress"])
    return None


def unfit(resources: NamedResources, template: Item, address: str | None, server: str) -> tuple[list[str], list[str]]:
    """Return what EC2 would refuse a launch from a template for, and what could not be looked up.

    :param template: the data of the launch template's default version.
    :param address: the private address, see :func:`address_of`.
    :param server: the source server's id.
    :returns: two lists of clauses, such as ``the subnet subnet-1 does not exist``.
    :raises botocore.exceptions.ClientError: if a call fails, except where it is denied.
    """
    wrong: list[str] = []
    unread: list[str] = []

    def attempt(check: Callable[[], list[str]]) -> None:
        try:
            wrong.extend(check())
        except NotReadError as error:
            unread.append(str(error))

    subnets: list[Item] = []
    for interface in template.get("NetworkInterfaces") or ():
        if interface.get("SubnetId"):
            attempt(lambda one=str(interface["SubnetId"]): _subnet(resources, one, subnets))  # type: ignore[misc]
    subnet = subnets[0] if subnets else None
    attempt(lambda: _groups(resources, template, subnet))
    if template.get("InstanceType"):
        attempt(lambda: _instance_type(resources, str(template["InstanceType"]), subnet))
    attempt(lambda: _profile(resources, template.get("IamInstanceProfile") or {}))
    if address and subnet:
        attempt(lambda: _address(resources, address, subnet, server))
    return wrong, list(dict.fromkeys(unread))


def _subnet(resources: NamedResources, subnet_id: str, found: list[Item]) -> list[str]:
    subnet = resources.subnet(subnet_id)
    if subnet is None:
        return [f"the subnet {subnet_id} does not exist"]
    found.append(subnet)
    if subnet.get("State") not in (None, "available"):
        return [f"the subnet {subnet_id} is {subnet['State']}"]
    if subnet.get("AvailableIpAddressCount") == 0:
        return [f"the subnet {subnet_id} has no free address"]
    return []


def _groups(resources: NamedResources, template: Item, subnet: Item | None) -> list[str]:
    ids = [str(one) for interface in template.get("NetworkInterfaces") or () for one in interface.get("Groups") or ()]
    ids += [str(one) for one in template.get("SecurityGroupIds") or ()]
    wrong = []
    for group_id in dict.fromkeys(ids):
        group = resources.group(group_id)
        if group is None:
            wrong.append(f"the security group {group_id} does not exist")
        elif subnet is not None and group.get("VpcId") != subnet.get("VpcId"):
            wrong.append(
                f"the security group {group_id} is of {group.get('VpcId')}, the subnet {subnet['SubnetId']} of "
                f"{subnet.get('VpcId')}"
            )
    return wrong


def _instance_type(resources: NamedResources, instance_type: str, subnet: Item | None) -> list[str]:
    zones = resources.zones_with(instance_type)
    if not zones:
        return [f"the instance type {instance_type} does not exist in this region"]
    zone = (subnet or {}).get("AvailabilityZone")
    if zone and zone not in zones:
        return [f"the instance type {instance_type} is not offered in {zone}, where the subnet is"]
    return []


def _profile(resources: NamedResources, profile: Item) -> list[str]:
    name = str(profile.get("Name") or str(profile.get("Arn") or "").rpartition("/")[2])
    if name and not resources.profile_exists(name):
        return [f"the instance profile {name} does not exist"]
    return []


def _address(resources: NamedResources, address: str, subnet: Item, server: str) -> list[str]:
    wanted, network = ipaddress.ip_address(address), ipaddress.ip_network(str(subnet["CidrBlock"]))
    named = f"the address {address}"
    if wanted.is_loopback:
        # No VPC has one: a rehearsal's scenario names it so that checks reach a server of this machine.
        return []
    if wanted not in network:
        return [f"{named} is outside of the subnet {subnet['SubnetId']}, {network}"]
    if int(wanted) - int(network.network_address) < _RESERVED_FIRST or wanted == network.broadcast_address:
        return [f"{named} is one that EC2 reserves in the subnet {subnet['SubnetId']}, {network}"]
    holder = resources.holder_of(address, str(subnet["SubnetId"]), server)
    return [f"{named} is in use by {holder}"] if holder else []
