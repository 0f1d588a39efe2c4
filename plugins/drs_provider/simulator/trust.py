"""Whether a role may be assumed: it must exist, and its trust policy must allow the caller, with the ExternalId sent.

This holds whether or not a scenario enforces IAM: a role that does not exist is no way into another account.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.iam.models import Role, iam_backends

from drs_provider.simulator.permissions import Caller
from drs_provider.simulator.policies import conditions_hold, document_of

__all__ = ["ASSUMING", "may_assume", "needs_no_policy"]

#: Operations that assume a role; the last two come from an identity provider, which the simulator does not ask.
ASSUMING = ("AssumeRole", "AssumeRoleWithWebIdentity", "AssumeRoleWithSAML")


def may_assume(who: Caller, operation: str, params: dict[str, Any]) -> bool:
    """Whether the role that a request names lets the caller in."""
    role = _role(str(params.get("RoleArn", "")))
    if role is None:
        return False
    if operation != "AssumeRole":
        return True
    context = {
        "aws:PrincipalArn": who.principal,
        "aws:PrincipalAccount": _account(who.principal),
        "sts:RoleSessionName": str(params.get("RoleSessionName", "")),
    }
    if params.get("ExternalId"):
        context["sts:ExternalId"] = str(params["ExternalId"])
    decisions = [
        str(statement.get("Effect"))
        for statement in _statements(role)
        if _names(statement, who) and conditions_hold(statement.get("Condition") or {}, context)
    ]
    return "Deny" not in decisions and "Allow" in decisions


def needs_no_policy(who: Caller, role_arn: str) -> bool:
    """Whether the trust policy alone lets the caller in: it names a user or role of the role's own account."""
    role = _role(role_arn)
    if role is None or _account(role_arn) != _account(who.principal):
        return False
    return any(
        statement.get("Effect") == "Allow" and {who.arn, who.principal} & set(_principals(statement))
        for statement in _statements(role)
    )


def _role(arn: str) -> Role | None:
    if arn.count(":") < 5:
        return None
    backend = iam_backends[_account(arn)]["aws"]
    return next((role for role in backend.roles.values() if role.arn == arn), None)


def _statements(role: Role) -> Iterator[dict[str, Any]]:
    statements = document_of(role.assume_role_policy_document).get("Statement", [])
    for statement in statements if isinstance(statements, list) else [statements]:
        actions = statement.get("Action", [])
        named = [actions] if isinstance(actions, str) else actions
        if {"sts:assumerole", "sts:*", "*"} & {action.lower() for action in named}:
            yield statement


def _names(statement: dict[str, Any], who: Caller) -> bool:
    """Whether a statement is about the caller. Credentials that IAM does not know are anybody of their account."""
    account = _account(who.principal)
    for principal in _principals(statement):
        if principal in ("*", account, f"arn:aws:iam::{account}:root", who.arn, who.principal):
            return True
        if who.is_root and _account(principal) == account:
            return True
    return False


def _principals(statement: dict[str, Any]) -> list[str]:
    principal = statement.get("Principal", {})
    named = principal if isinstance(principal, str) else principal.get("AWS", [])
    return [named] if isinstance(named, str) else list(named)


def _account(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else arn
