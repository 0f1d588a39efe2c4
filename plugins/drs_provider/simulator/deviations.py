"""Where the simulator answers otherwise than botocore's service models say, each with the reason.

AWS itself answers so, or has to do something that its model leaves open. Everything else conforms, which a test holds.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SHAPES", "UNDECLARED_ERRORS"]

#: Shapes whose values deviate, by service and name.
SHAPES: Final[dict[str, str]] = {
    "drs.ISO8601DatetimeString": "live times end in +00:00 with microseconds; the model's pattern wants Z",
    "drs.EbsVolumeID": "volume ids have 17 hexadecimal digits, as the model's pattern says; its length does not",
    "drs.JobLogEvent": "LAUNCH_END occurs live, with the instance's id, and is not in the model's enum",
    "ssm.StringDateTime": "the times of GetCommandInvocation are empty until there is something to say, and its "
    "elapsed time is a duration (PT5.000S), which the model's pattern for times refuses",
}

#: Errors that operations give although their model does not declare them, by service and code.
UNDECLARED_ERRORS: Final[dict[str, str]] = {
    "drs.ResourceNotFoundException": "operations that name a resource must say that it is not there, and "
    "StartRecovery, TerminateRecoveryInstances, DescribeJobLogItems and some others declare no error for it",
    "drs.ValidationException": "every AWS service refuses what its model does not allow, declared or not",
    "drs.AccessDeniedException": "every AWS service refuses whom IAM does not allow, declared or not",
    "ssm.ValidationException": "every AWS service refuses what its model does not allow, declared or not",
    "ssm.ThrottlingException": "every AWS service throttles, declared or not",
}
