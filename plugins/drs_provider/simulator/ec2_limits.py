"""EC2's limits: how many instances of a type there is capacity for, and how many vCPUs the account may run.

Both hold where an instance starts, whether it is launched or was stopped: a stopped instance holds no capacity and
counts for no quota.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from moto.ec2.models import ec2_backends
from moto.ec2.models.instance_types import INSTANCE_TYPES

from drs_provider.simulator import runtime

__all__ = ["LimitReached", "refuse_above_limits"]

_RUNNING = ("pending", "running")


class LimitReached(Exception):
    """More is wanted than there is: EC2's `code` and `message`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refuse_above_limits(account: str, region: str, starting: Iterable[str]) -> None:
    """Refuse to start instances beyond what the scenario's `ec2` allows; all of them or none.

    :param starting: the instance types, one for each instance.
    :raises LimitReached: InsufficientInstanceCapacity, or VcpuLimitExceeded.
    """
    simulation = runtime.current()
    if simulation is None:
        return
    limits = simulation.scenario.ec2
    if limits.vcpus is None and not limits.capacity:
        return
    running = Counter(
        str(instance.instance_type)
        for reservation in ec2_backends[account][region].reservations.values()
        for instance in reservation.instances
        if instance.state in _RUNNING
    )
    wanted = Counter(starting)
    for kind, number in wanted.items():
        if kind in limits.capacity and running[kind] + number > limits.capacity[kind]:
            raise LimitReached(
                "InsufficientInstanceCapacity",
                f"We currently do not have sufficient {kind} capacity in the Availability Zone you requested. "
                "Our system will be working on provisioning additional capacity.",
            )
    if limits.vcpus is not None and sum(_vcpus(kind) * n for kind, n in (running + wanted).items()) > limits.vcpus:
        raise LimitReached(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {limits.vcpus} allows for the "
            "instance bucket that the specified instance type belongs to.",
        )


def _vcpus(kind: str) -> int:
    known = INSTANCE_TYPES.get(kind) or {}
    return int((known.get("VCpuInfo") or {}).get("DefaultVCpus") or 1)
