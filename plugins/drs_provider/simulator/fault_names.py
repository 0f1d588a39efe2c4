"""The names that a fault may use: a misspelt operation or error code would never strike, and nobody would notice.

Operations and declared errors come from botocore's service models. EC2 and S3 declare next to none of their error
codes, so that theirs are refused only where they are close to a known one.
"""

from __future__ import annotations

import difflib
import functools
from typing import Any, Final

import botocore.session

__all__ = ["SERVICES", "error_problem", "operation_problem", "service_problem"]

#: The services that a fault without `service` may be about.
SERVICES: Final = (
    "drs",
    "ssm",
    "ec2",
    "sts",
    "iam",
    "sns",
    "s3",
    "service-quotas",
    "route53",
    "route53-recovery-cluster",
    "rds",
    "cloudwatch",
    "logs",
    "events",
    "lambda",
    "secretsmanager",
    "kms",
    "elbv2",
    "autoscaling",
    "sqs",
    "dynamodb",
    "resourcegroupstaggingapi",
)
#: Errors that every service may answer, declared or not.
_COMMON: Final = frozenset(
    [
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "NotImplemented",
        "OptInRequired",
        "PriorRequestNotComplete",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ServiceQuotaExceededException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SignatureDoesNotMatch",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "UnauthorizedOperation",
        "Unavailable",
        "UnrecognizedClientException",
        "ValidationError",
        "ValidationException",
    ]
)
_EC2: Final = frozenset(
    [
        "DependencyViolation",
        "IncorrectInstanceState",
        "IncorrectState",
        "InsufficientAddressCapacity",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InstanceLimitExceeded",
        "InvalidGroup.NotFound",
        "InvalidIPAddress.InUse",
        "InvalidInstanceAttributeValue",
        "InvalidInstanceID.Malformed",
        "InvalidInstanceID.NotFound",
        "InvalidInstanceType",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.VersionNotFound",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "InvalidSubnetID.NotFound",
        "MaxSpotInstanceCountExceeded",
        "MissingParameter",
        "OperationNotPermitted",
        "PendingVerification",
        "Unsupported",
        "UnsupportedOperation",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
    ]
)
#: Services whose models leave most of their errors open.
_OPEN: Final = frozenset({"ec2", "s3"})


def service_problem(service: str) -> str | None:
    """Say what is wrong with a service's name, as botocore writes it; None where nothing is."""
    known = _session().get_available_services()
    if service in known:
        return None
    return f"no service is called {service}{_nearest(service, SERVICES) or _nearest(service, known)}"


def operation_problem(operation: str, service: str | None) -> str | None:
    """Say what is wrong with an operation's name; None where nothing is. `*` is every operation.

    :param service: the service that it must be one of; None for any of `SERVICES`.
    """
    if operation == "*" or _having(operation, service):
        return None
    known = {name for one in _among(service) for name in _operations(one)}
    where = service or "AWS"
    more = "" if service else f"; an operation of a service other than {', '.join(SERVICES)} needs `service`"
    return f"{where} has no operation {operation}{_nearest(operation, known)}{more}"


def error_problem(error: str, operation: str, service: str | None) -> str | None:
    """Say what is wrong with an error code of an operation; None where nothing is."""
    services = _among(service) if operation == "*" else _having(operation, service)
    known = _COMMON.union(*(_errors(one) for one in services))
    if error in known:
        return None
    near = _nearest(error, known, cutoff=0.9 if _OPEN.intersection(services) else 0.6)
    if _OPEN.intersection(services) and not near:
        return None
    return f"{'AWS' if operation == '*' else operation} never answers {error}{near}"


def _nearest(name: str, known: Any, cutoff: float = 0.6) -> str:
    by_lower = {one.lower(): one for one in sorted(known)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=cutoff)
    return f"; did you mean {by_lower[near[0]]}?" if near else ""


def _among(service: str | None) -> tuple[str, ...]:
    return SERVICES if service is None else (service,)


def _having(operation: str, service: str | None) -> list[str]:
    return [one for one in _among(service) if operation in _operations(one)]


@functools.cache
def _session() -> Any:
    return botocore.session.Session()


@functools.cache
def _operations(service: str) -> frozenset[str]:
    return frozenset(_session().get_service_model(service).operation_names)


@functools.cache
def _errors(service: str) -> frozenset[str]:
    shapes = _session().get_service_model(service).error_shapes
    declared = {str(name) for shape in shapes for name in (shape.error_code, shape.name)}
    return frozenset(declared | _EC2 if service == "ec2" else declared)
