"""IAM policies, evaluated: actions, resources and the condition operators that policies for DRS use.

moto's own evaluation takes a condition that is not met for a denial, so that it cannot judge a least-privilege policy.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.access_control import AssumedRoleAccessKey, CreateAccessKeyFailure, create_access_key
from moto.iam.exceptions import NotFoundException
from moto.iam.models import Policy, iam_backends
from moto.sts.models import sts_backends

__all__ = [
    "Context",
    "Document",
    "concerning",
    "conditions_hold",
    "decision",
    "document_of",
    "documents_of_caller",
    "documents_of_principal",
    "missing_context",
    "tags_of_ec2",
]

Context = Mapping[str, "str | list[str]"]
Document = dict[str, Any]


def decision(documents: Iterable[Document], action: str, resource: str | None, context: Context) -> str:
    """`allowed`, `explicitDeny` or `implicitDeny`, in IAM's own words.

    :param resource: an ARN; None where it is not known, which then matches whatever a statement names.
    """
    allowed = False
    for statement in _statements(documents):
        if _concerns(statement, action, resource) and conditions_hold(statement.get("Condition") or {}, context):
            if statement["Effect"] == "Deny":
                return "explicitDeny"
            allowed = True
    return "allowed" if allowed else "implicitDeny"


def missing_context(documents: Iterable[Document], action: str, resource: str, context: Context) -> list[str]:
    """The condition keys that statements about an action and a resource ask for, and that `context` does not have."""
    known = {key.lower() for key in context}
    missing: set[str] = set()
    for statement in _statements(documents):
        if _concerns(statement, action, resource):
            for keys in (statement.get("Condition") or {}).values():
                missing.update(key for key in keys if key.lower() not in known)
    return sorted(missing)


def concerning(documents: Iterable[Document], action: str) -> list[Document]:
    """The statements about an action, whatever resources they name, each as a document of its own."""
    return [{"Statement": [one]} for one in _statements(documents) if _concerns(one, action, None)]


def _statements(documents: Iterable[Document]) -> Iterator[Document]:
    for document in documents:
        statements = document.get("Statement", [])
        yield from statements if isinstance(statements, list) else [statements]


def documents_of_caller(account: str, access_key: str, headers: Any) -> tuple[list[Document] | None, str, str]:
    """The policies of the user or role that signed a request, its ARN, and the ARN that policies name it by.

    The policies are None for a key that IAM does not know: the root user. A role that was deleted may do nothing.
    """
    try:
        key = create_access_key(account, "aws", access_key, headers)
    except CreateAccessKeyFailure:
        return None, "", ""
    principal = key.arn
    if isinstance(key, AssumedRoleAccessKey):
        sessions = sts_backends[account]["aws"].assumed_roles
        principal = next(one.role_arn for one in sessions if one.access_key_id == access_key)
    try:
        return [document_of(policy) for policy in key.collect_policies()], key.arn, principal
    except NotFoundException:
        return [], key.arn, principal


def documents_of_principal(account: str, arn: str) -> list[Document] | None:
    """The policies of a user or role by ARN, a role's session included; None for the root user."""
    backend = iam_backends[account]["aws"]
    kind, _, path = arn.split(":", 5)[5].partition("/")
    name = path.split("/")[0] if kind == "assumed-role" else path.split("/")[-1]
    policies: list[Any] = []
    if kind in ("role", "assumed-role"):
        policies += [backend.get_role_policy(name, inline)[1] for inline in backend.list_role_policies(name)]
        policies += backend.list_attached_role_policies(name)[0]
    elif kind == "user":
        if not any(user.name == name for user in backend.users.values()):
            return None
        policies += [backend.get_user_policy(name, inline) for inline in backend.list_user_policies(name)]
        policies += backend.list_attached_user_policies(name)[0]
    else:
        return None
    return [document_of(policy) for policy in policies]


def document_of(policy: Any) -> Document:
    """A policy of moto's as data: a managed one, an inline one of a role or of a user, or a trust policy."""
    if isinstance(policy, Policy):
        text = next(version.document for version in policy.versions if version.is_default)
    elif isinstance(policy, str):
        text = policy
    else:
        text = policy["policy_document"]
    document: Document = json.loads(text)
    return document


def _concerns(statement: Document, action: str, resource: str | None) -> bool:
    if "NotAction" in statement:
        concerned = not _any_matches(statement["NotAction"], action.lower(), lower=True)
    else:
        concerned = _any_matches(statement.get("Action", []), action.lower(), lower=True)
    if not concerned or resource is None:
        return concerned
    if "NotResource" in statement:
        return not _any_matches(statement["NotResource"], resource)
    return _any_matches(statement.get("Resource", "*"), resource)


def _any_matches(patterns: Any, value: str, lower: bool = False) -> bool:
    for pattern in patterns if isinstance(patterns, list) else [patterns]:
        if _like(value, pattern.lower() if lower else pattern):
            return True
    return False


def _like(value: str, pattern: str) -> bool:
    return _pattern(pattern).match(value) is not None


@functools.lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))


def conditions_hold(conditions: Mapping[str, Any], context: Context) -> bool:
    """Whether a statement's condition block is met."""
    present = {key.lower(): value for key, value in context.items()}
    return all(
        _condition(operator, wanted, present.get(key.lower()))
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _condition(operator: str, wanted: Any, actual: str | list[str] | None) -> bool:
    accepted = [str(one) for one in (wanted if isinstance(wanted, list) else [wanted])]
    if operator == "Null":
        return accepted == [str(actual is None).lower()]
    quantifier, _, name = operator.rpartition(":")
    if name.endswith("IfExists"):
        if actual is None:
            return True
        name = name.removesuffix("IfExists")
    values = [] if actual is None else [actual] if isinstance(actual, str) else list(actual)
    negated = "Not" in name
    results = [_compare(name.replace("Not", ""), value, accepted) != negated for value in values]
    if quantifier == "ForAllValues":
        return all(results)
    if not values:
        return negated and quantifier != "ForAnyValue"
    return any(results)


def _compare(name: str, value: str, accepted: list[str]) -> bool:
    if name in ("StringEqualsIgnoreCase", "Bool"):
        return value.lower() in [one.lower() for one in accepted]
    if name in ("StringLike", "ArnLike", "ArnEquals"):
        return any(_like(value, one) for one in accepted)
    if name == "IpAddress":
        return any(ipaddress.ip_address(value) in ipaddress.ip_network(one, strict=False) for one in accepted)
    for kind, read in _ORDERED.items():
        if name.startswith(kind):
            return any(_ordered(name.removeprefix(kind), read(value), read(one)) for one in accepted)
    return value in accepted  # StringEquals, BinaryEquals


def _moment(text: str) -> float:
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


#: Operators that compare by size, and how their values are read.
_ORDERED: dict[str, Callable[[str], float]] = {"Numeric": float, "Date": _moment}


def _ordered(how: str, value: float, other: float) -> bool:
    if how.startswith("LessThan"):
        return value < other or (how.endswith("Equals") and value == other)
    if how.startswith("GreaterThan"):
        return value > other or (how.endswith("Equals") and value == other)
    return value == other


def tags_of_ec2(arn: str) -> dict[str, str | list[str]]:
    """The tags of a resource of EC2, as condition keys: those of IAM, and EC2's own."""
    _, _, _, region, account, resource = arn.split(":", 5)
    if region not in ec2_backends[account]:
        return {}
    tags = ec2_backends[account][region].tags.get(resource.partition("/")[2], {})
    found: dict[str, str | list[str]] = {f"aws:ResourceTag/{key}": str(value) for key, value in tags.items()}
    return {**found, **{key.replace("aws:", "ec2:", 1): value for key, value in found.items()}}
