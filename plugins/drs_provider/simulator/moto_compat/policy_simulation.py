"""iam:SimulatePrincipalPolicy, which moto does not have.

Where the scenario enforces no IAM, everything is allowed, as it is for every other call. Where it does, the policies
that the principal has in moto's IAM decide; condition keys that the request does not give are reported as missing.
"""

from __future__ import annotations

from typing import Any

from moto.core.responses import ActionResult
from moto.iam.responses import IamResponse

from drs_provider.simulator import runtime
from drs_provider.simulator.policies import decision, documents_of_principal, missing_context

__all__ = ["install"]

_SEVERITY = {"allowed": 0, "implicitDeny": 1, "explicitDeny": 2}


def install() -> None:
    """Give moto's IAM the operation."""
    responses: Any = IamResponse
    responses.simulate_principal_policy = _simulate_principal_policy


def _simulate_principal_policy(response: Any) -> ActionResult:
    simulation = runtime.current()
    enforced = simulation is not None and simulation.scenario.iam
    arn = response._get_param("PolicySourceArn")
    documents = documents_of_principal(response.current_account, arn) if enforced else None
    context = {
        entry["ContextKeyName"]: [str(value) for value in entry.get("ContextKeyValues") or ()]
        for entry in response._get_param("ContextEntries") or ()
    }
    resources = response._get_param("ResourceArns") or ["*"]
    results = []
    for action in response._get_param("ActionNames"):
        decisions = {
            resource: "allowed" if documents is None else decision(documents, action, resource, context)
            for resource in resources
        }
        missing = {
            resource: [] if decided != "implicitDeny" else missing_context(documents or [], action, resource, context)
            for resource, decided in decisions.items()
        }
        worst = max(resources, key=lambda resource: _SEVERITY[decisions[resource]])
        results.append(
            {
                "EvalActionName": action,
                "EvalResourceName": worst,
                "EvalDecision": decisions[worst],
                "MissingContextValues": missing[worst],
                "ResourceSpecificResults": [
                    {
                        "EvalResourceName": resource,
                        "EvalResourceDecision": decided,
                        "MissingContextValues": missing[resource],
                    }
                    for resource, decided in decisions.items()
                ],
            }
        )
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})
