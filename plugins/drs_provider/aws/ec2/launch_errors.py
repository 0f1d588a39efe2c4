"""What EC2's errors in a job's log mean for a person: DRS passes them on raw (``eventData.rawError``).

Codes and meanings: Amazon EC2 API Reference, "Error codes".
"""

from __future__ import annotations

import re
from datetime import timedelta

__all__ = ["capacity_pause", "hint_for", "lacks_capacity"]

_CAPACITY = (
    "EC2 has no capacity of this instance type in the subnet's Availability Zone now: it is launched again after a "
    "pause. If that does not help, set another instance type or a subnet in another zone"
)
_VCPUS = (
    "the account's quota of running On-Demand vCPUs is reached in this region: ask for more in Service Quotas, or "
    "terminate instances"
)
_PERMISSION = (
    "DRS launches with the permissions of the caller of StartRecovery, and this one is missing: compare with "
    "the policies in drs_provider/deploy/iam, with permissions boundaries and with service control policies"
)

_HINTS: tuple[tuple[str, str], ...] = (
    (r"Insufficient(Instance|Host|ReservedInstance|Capacity\w*)?Capacity\b|InsufficientCapacityOnHost", _CAPACITY),
    (r"VcpuLimitExceeded|InstanceLimitExceeded|MaxSpotInstanceCountExceeded", _VCPUS),
    (
        r"VolumeLimitExceeded|MaxIOPSLimitExceeded|VolumeTypeStorageLimitExceeded|SnapshotLimitExceeded",
        "a quota of EBS is reached in this region: ask for more in Service Quotas, or delete volumes and snapshots",
    ),
    (
        r"InsufficientFreeAddressesInSubnet|PrivateIpAddressLimitExceeded|AddressLimitExceeded",
        "the subnet has no free address, or a quota of addresses is reached: use a larger subnet, or release addresses",
    ),
    (
        r"NetworkInterfaceLimitExceeded|AttachmentLimitExceeded|SecurityGroupsPerInterfaceLimitExceeded",
        "a quota of network interfaces is reached: see Service Quotas for VPC",
    ),
    (r"RequestLimitExceeded|Throttling", "EC2 throttled DRS: it is launched again after a pause"),
    (r"InvalidKMSKey|KMSKeyNot|KMS\.\w+|kms:", "the key that encrypts the volumes cannot be used: check its policy"),
    (r"UnauthorizedOperation|AccessDenied|is not authorized to perform|EncodedAuthorizationMessage", _PERMISSION),
    (r"InvalidSubnetI[dD]\w*|InvalidSubnet\b", "the subnet of the launch template does not exist: set another"),
    (
        r"InvalidGroup(Id)?\.|InvalidSecurityGroupI[dD]",
        "a security group of the launch template does not exist: set another",
    ),
    (
        r"IamInstanceProfile|InvalidInstanceProfile",
        "the launch template's instance profile does not exist: set another",
    ),
    (
        r"InvalidIPAddress|InvalidAddress|does not fall within the subnet",
        "the private IP address does not fit the subnet, or is in use",
    ),
    (
        r"Unsupported\b|InvalidInstanceType|InvalidParameterCombination.*[iI]nstance type",
        "the instance type is not offered in this zone, or does not support the image: set another instance type",
    ),
    (
        r"OptInRequired",
        "the account has no subscription to a Marketplace product of the source: subscribe, then launch again",
    ),
    (r"PendingVerification|Blocked\b", "AWS has not verified this account for the region yet: ask AWS Support"),
    (r"InvalidLaunchTemplate", "the launch template does not exist: save the server's launch settings in DRS again"),
)
_PASSING = re.compile("|".join(_HINTS[number][0] for number in (0, 1, 2, 3, 5)))
_FIRST_PAUSE = timedelta(minutes=2)
_LONGEST_PAUSE = timedelta(minutes=10)


def hint_for(error: str) -> str | None:
    """Return what an error of EC2 means and what to do about it; None where the error says it all.

    :param error: the raw error.
    """
    return next((hint for pattern, hint in _HINTS if re.search(pattern, error)), None)


def lacks_capacity(error: str) -> bool:
    """Whether an error may pass with time alone: EC2 lacks capacity, or a quota is reached.

    :param error: the raw error, or a text that holds it.
    """
    return _PASSING.search(error) is not None


def capacity_pause(attempt: int) -> timedelta:
    """Return how long after the end of its job a server is launched again that EC2 had no capacity for.

    :param attempt: which attempt failed, 1 being the first.
    """
    doubled: timedelta = _FIRST_PAUSE * 2 ** max(min(attempt, 8) - 1, 0)
    return min(doubled, _LONGEST_PAUSE)
