"""iam:SimulatePrincipalPolicy, which moto does not have.

Where the scenario enforces no IAM, everything is allowed, as it is for every other call. Where it does, the
policies that the principal has in moto's IAM are evaluated: explicit denials win; resources and actions match with
wildcards; conditions are compared with the context entries of the request, and keys that the request does not give
are reported as missing.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from drs_provider.simulator import simulation as simulations

__all__ = ["install"]


def install() -> None:
    """Give moto's IAM the operation."""
    responses: Any = IamResponse
    responses.simulate_principal_policy = _simulate_principal_policy


def _simulate_principal_policy(response: Any) -> ActionResult:
    simulation = simulations.current()
    enforced = simulation is not None and simulation.scenario.iam
    statements = _statements(response.backend, response._get_param("PolicySourceArn")) if enforced else [_EVERYTHING]
    context = {
        entry["ContextKeyName"]: [str(value) for value in entry.get("ContextKeyValues") or ()]
        for entry in response._get_param("ContextEntries") or ()
    }
    resources = response._get_param("ResourceArns") or ["*"]
    results = []
    for action in response._get_param("ActionNames"):
        decisions = [_decide(statements, action, resource, context) for resource in resources]
        worst = max(decisions, key=lambda decision: _SEVERITY[decision[0]])
        results.append(
            {
                "EvalActionName": action,
                "EvalResourceName": resources[decisions.index(worst)],
                "EvalDecision": worst[0],
                "MissingContextValues": worst[1],
                "ResourceSpecificResults": [
                    {"EvalResourceName": resource, "EvalResourceDecision": decision, "MissingContextValues": missing}
                    for resource, (decision, missing) in zip(resources, decisions, strict=True)
                ],
            }
        )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})


_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_SEVERITY = {"allowed": 0, "implicitDeny": 1, "explicitDeny": 2}


def _statements(backend: Any, arn: str) -> list[Mapping[str, Any]]:
    """The statements of the principal's inline and attached policies."""
    principal = backend.get_role_by_arn(arn) if ":role/" in arn else backend.get_user(arn.rsplit("/", 1)[-1])
    inline: Any = principal.policies
    documents = [*inline.values()] if isinstance(inline, dict) else [one["policy_document"] for one in inline]
    documents += [policy.document for policy in principal.managed_policies.values()]
    found: list[Mapping[str, Any]] = []
    for document in documents:
        listed = json.loads(document)["Statement"]
        found += listed if isinstance(listed, list) else [listed]
    return found


def _decide(
    statements: Iterable[Mapping[str, Any]], action: str, resource: str, context: Mapping[str, list[str]]
) -> tuple[str, list[str]]:
    decision, missing = "implicitDeny", set()
    for statement in statements:
        if not (
            _matches(statement.get("Action"), action.lower(), lower=True)
            and _matches(statement.get("Resource"), resource)
        ):
            continue
        unknown = {key for keys in (statement.get("Condition") or {}).values() for key in keys} - set(context)
        if not _holds(statement.get("Condition") or {}, context):
            missing |= unknown
        elif statement["Effect"] == "Deny":
            return "explicitDeny", []
        else:
            decision = "allowed"
    return decision, [] if decision == "allowed" else sorted(missing)


def _matches(patterns: Any, value: str, *, lower: bool = False) -> bool:
    listed = [patterns] if isinstance(patterns, str) else patterns or ()
    return any(fnmatch.fnmatchcase(value, pattern.lower() if lower else pattern) for pattern in listed)


def _holds(condition: Mapping[str, Mapping[str, Any]], context: Mapping[str, list[str]]) -> bool:
    for operator, keys in condition.items():
        name = operator.removeprefix("ForAnyValue:").removeprefix("ForAllValues:")
        for key, expected in keys.items():
            wanted = [str(one) for one in ([expected] if isinstance(expected, (str, bool)) else expected)]
            given = context.get(key)
            if name == "Null":
                holds = (given is None) == (wanted[0].lower() == "true")
            elif name in ("StringEquals", "ArnEquals", "Bool"):
                holds = any(one.lower() == other.lower() for one in given or () for other in wanted)
            elif name in ("StringLike", "ArnLike"):
                holds = any(fnmatch.fnmatchcase(one, other) for one in given or () for other in wanted)
            else:
                holds = False
            if not holds:
                return False
    return True
