"""IAM policies, evaluated: actions, resources and the condition operators that policies for DRS use.

moto's own evaluation takes a condition that is not met for a denial, so that it cannot judge a least-privilege policy.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any

from moto.iam.access_control import CreateAccessKeyFailure, create_access_key
from moto.iam.models import Policy, iam_backends

__all__ = ["Context", "Document", "decision", "documents_of_caller", "documents_of_principal", "missing_context"]

Context = Mapping[str, "str | list[str]"]
Document = dict[str, Any]


def decision(documents: Iterable[Document], action: str, resource: str | None, context: Context) -> str:
    """`allowed`, `explicitDeny` or `implicitDeny`, in IAM's own words.

    :param resource: an ARN; None where it is not known, which then matches whatever a statement names.
    """
    allowed = False
    for document in documents:
        statements = document.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            if _concerns(statement, action, resource) and _holds(statement.get("Condition") or {}, context):
                if statement["Effect"] == "Deny":
                    return "explicitDeny"
                allowed = True
    return "allowed" if allowed else "implicitDeny"


def missing_context(documents: Iterable[Document], action: str, resource: str, context: Context) -> list[str]:
    """The condition keys that statements about an action and a resource ask for, and that `context` does not have."""
    known = {key.lower() for key in context}
    missing: set[str] = set()
    for document in documents:
        statements = document.get("Statement", [])
        for statement in statements if isinstance(statements, list) else [statements]:
            if _concerns(statement, action, resource):
                for keys in (statement.get("Condition") or {}).values():
                    missing.update(key for key in keys if key.lower() not in known)
    return sorted(missing)


def documents_of_caller(account: str, access_key: str, headers: Any) -> list[Document] | None:
    """The policies of the user or role that signed a request; None for a key that IAM does not know: the root user."""
    try:
        key = create_access_key(account, "aws", access_key, headers)
    except CreateAccessKeyFailure:
        return None
    return [_document(policy) for policy in key.collect_policies()]


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
    return [_document(policy) for policy in policies]


def _document(policy: Any) -> Document:
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
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _holds(conditions: Mapping[str, Any], context: Context) -> bool:
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
    if name == "StringEqualsIgnoreCase":
        return value.lower() in [one.lower() for one in accepted]
    if name in ("StringLike", "ArnLike", "ArnEquals"):
        return any(_like(value, one) for one in accepted)
    if name == "Bool":
        return value.lower() in [one.lower() for one in accepted]
    return value in accepted  # StringEquals, NumericEquals
