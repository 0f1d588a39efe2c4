"""Which regions AWS has, as botocore knows them, and what services answer to a call that is signed for another."""

from __future__ import annotations

import functools

import botocore.session

__all__ = ["UNKNOWN", "exists"]

#: Code and status of a service whose answer is not InvalidSignatureException with 403.
UNKNOWN: dict[str, tuple[str, int]] = {
    "ec2": ("AuthFailure", 401),
    "iam": ("SignatureDoesNotMatch", 403),
    "s3": ("AuthorizationHeaderMalformed", 400),
    "sns": ("SignatureDoesNotMatch", 403),
    "sts": ("SignatureDoesNotMatch", 403),
}


def exists(region: str) -> bool:
    """Whether AWS has a region, in any partition; the pseudo-regions of global services count."""
    return region in _regions() or region.endswith("-global")


@functools.cache
def _regions() -> frozenset[str]:
    session = botocore.session.get_session()
    return frozenset(
        region
        for partition in session.get_available_partitions()
        for service in ("ec2", "sts")
        for region in session.get_available_regions(service, partition_name=partition)
    )
