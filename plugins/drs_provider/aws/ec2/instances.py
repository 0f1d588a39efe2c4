"""What EC2 says of instances: their state, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from drs_provider.aws.calls import Calls, chunks

__all__ = ["Ec2Instance", "describe_instances"]


class Ec2Instance(NamedTuple):
    """An instance as DescribeInstances shows it; a terminated one has lost its subnet and its addresses.

    :param state: EC2's word, such as ``running``.
    """

    state: str
    instance_type: str | None = None
    subnet_id: str | None = None
    availability_zone: str | None = None
    private_ip: str | None = None
    public_ip: str | None = None


async def describe_instances(calls: Calls, instance_ids: Sequence[str]) -> dict[str, Ec2Instance]:
    """
    Return the instances that EC2 still lists, by id (DescribeInstances).

    Asked by filter: by id, one instance that is gone already would fail the whole call.
    """
    found: dict[str, Ec2Instance] = {}
    for some in chunks(instance_ids, 200):
        filters = [{"Name": "instance-id", "Values": some}]
        for reservation in await calls.read_all("describe_instances", "Reservations", Filters=filters):
            for instance in reservation.get("Instances") or ():
                found[str(instance["InstanceId"])] = _instance(instance)
    return found


def _instance(item: dict[str, Any]) -> Ec2Instance:
    return Ec2Instance(
        state=str(item["State"]["Name"]),
        instance_type=item.get("InstanceType") or None,
        subnet_id=item.get("SubnetId") or None,
        availability_zone=(item.get("Placement") or {}).get("AvailabilityZone") or None,
        private_ip=item.get("PrivateIpAddress") or None,
        public_ip=item.get("PublicIpAddress") or None,
    )
