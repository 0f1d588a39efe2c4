"""The IAM roles that one plan needs, an account at a time: policies, trust, and a CloudFormation template for each.

The grants are those that preflight simulates for the plan (:mod:`drs_provider.readiness.actions`), and what makes its
answers better. Their size is why they are two policies: a managed policy has at most 6,144 characters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from drs_provider.deploy.iam import REPORTS, render
from drs_provider.plan.statements import Grant, policy
from drs_provider.plan.targets import DEFAULT
from drs_provider.readiness.actions import needs_of, required_grants
from drs_provider.readiness.grants import GRANTS
from drs_provider.readiness.whereabouts import places_of_run

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["OWN", "RoleOfPlan", "files_of", "roles_of"]

OWN = "aws_default"
"""The connection that stands for Airflow's own role, where it names no other."""


@dataclass(frozen=True)
class RoleOfPlan:
    """The role behind one connection of a plan.

    :param connection: the Airflow connection.
    :param account: its account id, where the plan states it.
    :param places: the targets that are reached through it.
    :param grants: what it has to be allowed.
    """

    connection: str
    account: str | None
    places: tuple[NamedTarget, ...]
    grants: tuple[Grant, ...]

    @property
    def is_own(self) -> bool:
        """Whether it is Airflow's own role, which nobody assumes."""
        return self.connection == OWN

    def policies(self) -> dict[str, dict[str, Any]]:
        """The policy documents by file name: what it calls itself, and what DRS does with its permissions."""
        own = [grant for grant in self.grants if not grant.sid.startswith("Drs")]
        on_behalf = [grant for grant in self.grants if grant.sid.startswith("Drs")]
        named = {"orchestration.json": own, "drs-on-behalf.json": on_behalf}
        return {name: policy(grants) for name, grants in named.items() if grants}


def roles_of(plan: RecoveryPlan) -> list[RoleOfPlan]:
    """Return the roles that a plan needs, those of its waves first.

    :param plan: the plan, whose drills and recoveries are both asked for.
    """
    waves = [wave.name for wave in plan.waves]
    places: dict[tuple[str, str], NamedTarget] = {}
    for mode in ("drill", "recovery"):
        places |= {place.key: place for place in places_of_run(plan, mode, waves) if place.key not in places}
    roles = []
    for connection in dict.fromkeys(place.aws_conn_id for place in places.values()):
        here = tuple(place for place in places.values() if place.aws_conn_id == connection)
        roles.append(RoleOfPlan(connection, plan.account_of(here[0]), here, tuple(_grants(plan, here))))
    return roles


def _grants(plan: RecoveryPlan, places: tuple[NamedTarget, ...]) -> Iterator[Grant]:
    """Yield the grants of both modes in some targets, each once, in the order of the table."""
    needs: set[str] = set()
    others: dict[str, Grant] = {}
    for place in places:
        for mode in ("drill", "recovery"):
            needs |= needs_of(plan, mode, place=place)
            others |= {grant.sid: grant for grant in required_grants(plan, mode, place=place)}
    for grant in GRANTS:
        others.pop(grant.sid, None)
        if grant.need in needs:
            yield grant
    yield from others.values()


def files_of(plan: RecoveryPlan, external_id: str, airflow_role: str) -> dict[str, str]:
    """Return the files for every account of a plan: path -> text.

    A folder for each connection, with the policies, the trust policy and a template of the role; in ``airflow`` what
    Airflow's own role needs to assume them and to write reports.

    :param external_id: what Airflow sends when it assumes a role, and each trust policy demands.
    :param airflow_role: the ARN of Airflow's own role.
    """
    roles = roles_of(plan)
    assumed = [role for role in roles if not role.is_own]
    files: dict[str, str] = {}
    for role in roles:
        folder = "airflow" if role.is_own else role.connection
        files |= {f"{folder}/{name}": render(document) for name, document in role.policies().items()}
        if not role.is_own:
            files[f"{folder}/trust.json"] = render(_trust(airflow_role, external_id))
            files[f"{folder}/cloudformation.yaml"] = _dumped(_role_template(plan, role, external_id, airflow_role))
    own = {"reports.json": policy(REPORTS)}
    if assumed:
        own["assume-targets.json"] = policy([_assume(plan, assumed)])
    files |= {f"airflow/{name}": render(document) for name, document in own.items()}
    of_airflow = {**own, **next((role.policies() for role in roles if role.is_own), {})}
    files["airflow/cloudformation.yaml"] = _dumped(_own_template(plan, of_airflow))
    return files


def role_name(plan: RecoveryPlan) -> str:
    """Return the name of the role that a plan has in each account, under the path ``/drs-plan/``."""
    name = f"drs-plan-{plan.name}"
    # IAM allows 64 characters; two plans never have one role.
    return name if len(name) <= 64 else f"{name[:51]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def role_arn(plan: RecoveryPlan, role: RoleOfPlan) -> str:
    """Return the ARN of a role of the plan; the account is ``*`` where the plan states none."""
    return f"arn:aws:iam::{role.account or '*'}:role/drs-plan/{role_name(plan)}"


def connection_extra(plan: RecoveryPlan, role: RoleOfPlan, external_id: str) -> dict[str, Any]:
    """Return the extra of the Airflow connection that assumes a role."""
    arn = role_arn(plan, role).replace("::*:", "::ACCOUNT_ID:")
    return {"role_arn": arn, "assume_role_kwargs": {"ExternalId": external_id}}


def _assume(plan: RecoveryPlan, roles: list[RoleOfPlan]) -> Grant:
    arns = tuple(dict.fromkeys(role_arn(plan, role) for role in roles))
    reason = "The connections of the plan name these roles as role_arn."
    return Grant("AssumeTargetRoles", "target", ("sts:AssumeRole",), reason, arns)


def _trust(principal: Any, external_id: Any) -> dict[str, Any]:
    statement = {
        "Sid": "AirflowRunsRecoveryPlans",
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _role_template(plan: RecoveryPlan, role: RoleOfPlan, external_id: str, airflow_role: str) -> dict[str, Any]:
    regions = ", ".join(dict.fromkeys(place.region for place in role.places))
    names = ", ".join(place.name for place in role.places if place.name != DEFAULT)
    where = f"account {role.account}" if role.account else "the account"
    policies = _managed(role.policies(), {"Roles": [{"Ref": "Role"}]})
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"The role of the recovery plan {plan.name} in {where} behind {role.connection}"
        f"{f' ({names})' if names else ''}: {regions}. Deploy it there once; IAM has no region.",
        "Parameters": {
            "AirflowRoleArn": {"Type": "String", "Default": airflow_role, "Description": "Airflow's own role"},
            "ExternalId": {"Type": "String", "Default": external_id, "Description": "What the connection sends"},
        },
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "RoleName": role_name(plan),
                    "Path": "/drs-plan/",
                    "AssumeRolePolicyDocument": _trust({"Ref": "AirflowRoleArn"}, {"Ref": "ExternalId"}),
                },
            },
            **policies,
        },
        "Outputs": {"RoleArn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}, "Description": "role_arn of the connection"}},
    }


def _own_template(plan: RecoveryPlan, documents: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"What Airflow's own role needs for the recovery plan {plan.name}. Replace REPORTS_BUCKET "
        "by your bucket.",
        "Parameters": {"ExecutionRoleName": {"Type": "String", "Description": "The name of Airflow's own role"}},
        "Resources": _managed(documents, {"Roles": [{"Ref": "ExecutionRoleName"}]}),
    }


def _managed(documents: dict[str, dict[str, Any]], attached: dict[str, Any]) -> dict[str, Any]:
    return {
        "".join(part.title() for part in name.removesuffix(".json").split("-")) + "Policy": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {**attached, "PolicyDocument": document},
        }
        for name, document in documents.items()
    }


class _Dumper(yaml.SafeDumper):
    """No aliases: CloudFormation reads none."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _dumped(template: dict[str, Any]) -> str:
    return yaml.dump(template, Dumper=_Dumper, sort_keys=False, width=120)
