"""What an AWS error means to the one who made the call: wait, look, take new credentials, or give up.

Duck-typed on purpose: the same rules serve botocore, aiobotocore and the network errors below them, and nothing of
them is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = [
    "TRANSIENT",
    "ActionFailed",
    "Fault",
    "TransientError",
    "classify",
    "error_code",
    "error_text",
    "transient_cause",
]


class Fault(str, Enum):
    """The kinds of failure that need different answers."""

    THROTTLED = "throttled"
    """Refused for its rate; nothing was done. Slow down and ask again."""
    AMBIGUOUS = "ambiguous"
    """A 5xx, a time-out or a broken connection: the call may have been carried out. Look before asking again."""
    CONFLICT = "conflict"
    """409: the resource is in use, perhaps through one's own earlier call."""
    QUOTA = "quota"
    """402: a service quota is reached."""
    EXPIRED = "expired"
    """Credentials or signature have expired, or cannot be obtained at the moment: ask again with a new client."""
    DEFINITE = "definite"
    """Will not get better by asking again: validation, access denied, not found."""


#: The failures that pass by themselves.
TRANSIENT = frozenset({Fault.THROTTLED, Fault.AMBIGUOUS, Fault.EXPIRED})

_THROTTLING = frozenset(
    {
        "AutomationExecutionLimitExceededException",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_EXPIRED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "RequestExpired",
        "UnrecognizedClientException",
    }
)
# What signed requests are told whose time is over: a machine stood still, or its clock was put right meanwhile.
_SIGNED_AT_ANOTHER_TIME = ("signature expired", "signature not yet current")
_EXPIRED_BY_NAME = frozenset(
    {"CredentialRetrievalError", "NoCredentialsError", "TokenRetrievalError", "UnauthorizedSSOTokenError"}
)
# Raised by botocore before anything is sent, or never cured by another try.
_DEFINITE_BY_NAME = frozenset(
    {
        "DataNotFoundError",
        "InvalidRegionError",
        "NoRegionError",
        "OperationNotPageableError",
        "ParamValidationError",
        "ProfileNotFound",
        "UnknownServiceError",
    }
)
_DEFINITE_CODES = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidSignatureException",
        "OptInRequired",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "UnauthorizedOperation",
        "UninitializedAccountException",
        "ValidationException",
    }
)


def error_code(error: BaseException) -> str:
    """Return the AWS error code of an exception, or the name of its class where it has none."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else type(error).__name__


def error_text(error: BaseException) -> str:
    """Return ``Code: message``, the way errors are shown in logs and in failures."""
    response = getattr(error, "response", None)
    message = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    text = str(message or error).strip()
    return f"{error_code(error)}: {text}" if text else error_code(error)


def classify(error: BaseException) -> Fault:
    """
    Return what kind of failure an exception of an AWS call is.

    An exception that is not known here counts as :attr:`Fault.AMBIGUOUS`: to look again is harmless, to give up or to
    repeat the call blindly is not.
    """
    code = error_code(error)
    response = getattr(error, "response", None)
    status = 0
    if isinstance(response, dict):
        status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    if code in _THROTTLING or status == 429:
        return Fault.THROTTLED
    if code in _EXPIRED or type(error).__name__ in _EXPIRED_BY_NAME:
        return Fault.EXPIRED
    if code == "InvalidSignatureException" and any(text in str(error).lower() for text in _SIGNED_AT_ANOTHER_TIME):
        return Fault.EXPIRED
    if code in _DEFINITE_CODES or type(error).__name__ in _DEFINITE_BY_NAME:
        return Fault.DEFINITE
    if code == "ConflictException" or status == 409:
        return Fault.CONFLICT
    if code == "ServiceQuotaExceededException" or status == 402:
        return Fault.QUOTA
    if 400 <= status < 500:
        return Fault.DEFINITE
    return Fault.AMBIGUOUS


class ActionFailed(Exception):
    """What AWS was asked to do was not done, and another try would not change that; the message is for a person."""


class TransientError(Exception):
    """
    AWS did not answer, for a cause that passes by itself.

    :param operation: The API operation that was called, None where the connection failed before it is known.
    :param reason: What AWS or the network said.
    :param fault: The kind of failure, one of :data:`TRANSIENT`.
    """

    def __init__(self, operation: str | None, reason: str, fault: Fault = Fault.AMBIGUOUS) -> None:
        super().__init__(f"{operation or 'AWS'}: {reason}")
        self.operation = operation
        self.reason = reason
        self.fault = fault

    def as_dict(self) -> dict[str, str | None]:
        """Return it as a trigger's event carries it."""
        return {"operation": self.operation, "reason": self.reason, "fault": self.fault.value}

    @classmethod
    def of_dict(cls, data: Mapping[str, Any]) -> TransientError:
        """Return what :meth:`as_dict` gave."""
        return cls(data.get("operation"), str(data.get("reason") or ""), Fault(data.get("fault") or Fault.AMBIGUOUS))


def transient_cause(error: BaseException | None) -> TransientError | None:
    """
    Return the transient failure of an AWS call behind an exception, None where it is of another kind.

    What the exception was raised from counts too. Only errors of botocore, and what was made of them, are of an AWS
    call: a full disk passes as well, but asking AWS tells nothing of it.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, TransientError):
            return error
        if any(cls.__module__.partition(".")[0] in ("botocore", "aiobotocore") for cls in type(error).__mro__):
            fault = classify(error)
            if fault not in TRANSIENT:
                return None
            return TransientError(getattr(error, "operation_name", None), error_text(error), fault)
        error = error.__cause__
    return None
