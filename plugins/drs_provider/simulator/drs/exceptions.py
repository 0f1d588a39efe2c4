"""The errors of DRS, with the codes and statuses of its service model."""

from __future__ import annotations

from typing import Any

from moto.core.exceptions import ServiceException

__all__ = [
    "AccessDenied",
    "Conflict",
    "DrsError",
    "InJob",
    "NotFound",
    "QuotaExceeded",
    "Uninitialized",
    "Validation",
]


class DrsError(ServiceException):
    """Any of them: `status`, and `body` in the names of the service model."""

    status = 400

    def __init__(self, message: str, **members: Any) -> None:
        super().__init__(self.code, message)
        self.body = {"message": message, **members}


class AccessDenied(DrsError):
    """403: another account that does not trust this one."""

    code = "AccessDeniedException"
    status = 403


class NotFound(DrsError):
    """404: no such server, job, instance, snapshot or plan."""

    code = "ResourceNotFoundException"
    status = 404

    def __init__(self, kind: str, resource: str) -> None:
        super().__init__(f"{kind} {resource} was not found", resourceId=resource, resourceType=kind)


class Conflict(DrsError):
    """409: it is in another job, or in a state that does not allow it."""

    code = "ConflictException"
    status = 409


class InJob(Conflict):
    """409: a server is in another job. Live, the text names neither the server nor the job."""

    def __init__(self) -> None:
        super().__init__(
            "One or more of the Source Servers included in API call are currently being processed by a Job"
        )


class QuotaExceeded(DrsError):
    """402, as DRS answers for its own quotas."""

    code = "ServiceQuotaExceededException"
    status = 402

    def __init__(self, message: str, quota_code: str) -> None:
        super().__init__(message, serviceCode="drs", quotaCode=quota_code)


class Validation(DrsError):
    """400: what was sent does not fit the service model, or makes no sense."""

    code = "ValidationException"

    def __init__(self, message: str, reason: str = "fieldValidationFailed") -> None:
        super().__init__(message, reason=reason)


class Uninitialized(DrsError):
    """400: InitializeService was never called in this account and region."""

    code = "UninitializedAccountException"

    def __init__(self) -> None:
        super().__init__("Account not initialized")
