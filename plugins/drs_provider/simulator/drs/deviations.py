"""Where the simulator's DRS answers otherwise than the service model says, each with the reason.

Live DRS does so too, or has to do something that the model leaves open. Everything else conforms, which a test holds.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SHAPES", "UNDECLARED_ERRORS"]

#: Shapes whose values deviate.
SHAPES: Final[dict[str, str]] = {
    "ISO8601DatetimeString": "live times end in +00:00 with microseconds; the model's pattern wants Z",
    "EbsVolumeID": "volume ids have 17 hexadecimal digits, as the model's pattern says; its greatest length does not",
    "JobLogEvent": "LAUNCH_END occurs live, with the instance's id, and is not in the model's enum",
}

#: Errors that an operation gives and its model does not declare.
UNDECLARED_ERRORS: Final[dict[str, str]] = {
    "ResourceNotFoundException": "operations that name a resource must say that it is not there, and StartRecovery, "
    "TerminateRecoveryInstances, DescribeJobLogItems and some others declare no error for it",
    "ValidationException": "every AWS service refuses what its model does not allow, declared or not",
    "AccessDeniedException": "every AWS service refuses whom IAM does not allow, declared or not",
    "ConflictException": "RetryDataReplication declares none",
}
