"""The caller's rights: the published policies suffice, and each missing right is found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from drs_provider.aws.clients import Clients
from drs_provider.deploy.iam import documents
from drs_provider.readiness.actions import required_actions
from drs_provider.readiness.grants import GRANTS
from drs_provider.readiness.permissions import caller, role_arn
from drs_provider.readiness.preflight import run_preflight
from drs_provider.readiness.result import PreflightResult

if TYPE_CHECKING:
    from conftest import Room

POLICIES = documents()
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def as_role(room: Room, *policies: dict[str, Any], path: str = "/drs-plan/") -> Clients:
    """Clients of a session of a role that has these policies, in a region where SimulatePrincipalPolicy reads them.

    Other calls stay allowed: moto takes every call for one on the resource ``*``, and refuses what is granted on ARNs.
    """
    room.load()
    iam = boto3.client("iam")
    iam.create_role(RoleName="target", Path=path, AssumeRolePolicyDocument=json.dumps(TRUST))
    for number, policy in enumerate(policies):
        iam.put_role_policy(RoleName="target", PolicyName=f"p{number}", PolicyDocument=json.dumps(policy))
    role = f"arn:aws:iam::123456789012:role{path}target"
    given = boto3.client("sts").assume_role(RoleArn=role, RoleSessionName="airflow")["Credentials"]
    room.simulator.scenario.iam = True
    session = boto3.session.Session(
        given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name="us-west-2"
    )
    return Clients.from_session(session, "us-west-2")


def check(room: Room, clients: Clients) -> PreflightResult:
    return run_preflight(room.plan, clients, mode="drill")


def denied(result: PreflightResult) -> set[str]:
    return {f.message.split(" may not ")[1].split(" on ")[0] for f in result.findings if f.code == "permission-denied"}


def test_the_published_policies_suffice(room: Room) -> None:
    clients = as_role(room, POLICIES["orchestration.json"], POLICIES["drs-on-behalf.json"])
    result = check(room, clients)
    assert result.findings.findings == (), result.findings.table()
    assert room.calls("SimulatePrincipalPolicy") > 10


def test_what_drs_does_on_behalf_of_the_caller_is_checked(room: Room) -> None:
    result = check(room, as_role(room, POLICIES["orchestration.json"]))
    on_behalf = {
        action for grant in GRANTS if grant.sid.startswith("Drs") and grant.need == "launch" for action in grant.actions
    }
    # Instances that were launched into the provider stops itself; a simulation cannot tell them from DRS's own. What
    # launch templates name preflight looks up itself.
    itself = {"ec2:StopInstances", *(next(one for one in GRANTS if one.sid == "CheckLaunchTemplates").actions)}
    assert denied(result) == on_behalf - itself
    assert {finding.code for finding in result.findings} == {"permission-denied"}


def test_an_explicit_denial_is_found(room: Room) -> None:
    deny = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Deny", "Action": "drs:StartRecovery", "Resource": "*"}],
    }
    result = check(room, as_role(room, POLICIES["orchestration.json"], POLICIES["drs-on-behalf.json"], deny))
    assert denied(result) == {"drs:StartRecovery"}
    assert "explicitly" in result.findings.errors[0].message


def test_a_condition_that_cannot_be_judged_is_neither_yes_nor_no(room: Room) -> None:
    narrowed = json.loads(json.dumps(POLICIES["orchestration.json"]))
    statement = next(one for one in narrowed["Statement"] if one["Sid"] == "RunCommands")
    statement["Condition"] = {"StringEquals": {"ssm:resourceTag/Application": "shop"}}
    result = check(room, as_role(room, narrowed, POLICIES["drs-on-behalf.json"]))
    assert {finding.code for finding in result.findings} == {"permissions-not-checked"}
    assert "ssm:SendCommand depends on ssm:resourceTag/Application" in result.findings.warnings[0].message


def test_a_denial_is_one_although_other_statements_have_conditions(room: Room) -> None:
    # IAM lists the condition keys of a policy as missing; those of the published policies do not make it uncertain.
    narrowed = json.loads(json.dumps(POLICIES["orchestration.json"]))
    statement = next(one for one in narrowed["Statement"] if one["Sid"] == "StartRecovery")
    statement["Condition"] = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["drs.amazonaws.com"]}}
    result = check(room, as_role(room, narrowed, POLICIES["drs-on-behalf.json"]))
    assert denied(result) == {"drs:StartRecovery", "drs:CreateRecoveryInstanceForDrs"}


def test_a_policy_that_names_its_documents_passes(room: Room) -> None:
    narrowed = json.loads(json.dumps(POLICIES["orchestration.json"]))
    for one in narrowed["Statement"]:
        if one["Sid"] == "RunCommands":
            one["Resource"] = ["arn:aws:ssm:*:123456789012:document/Shop-Warm", "arn:aws:ec2:*:*:instance/*"]
        if one["Sid"] == "RunAutomations":
            one["Resource"] = ["arn:aws:ssm:*:123456789012:automation-definition/Shop-PromoteReplica:*"]
    result = check(room, as_role(room, narrowed, POLICIES["drs-on-behalf.json"]))
    assert result.findings.findings == (), result.findings.table()


def without(policy: str, *sids: str) -> dict[str, Any]:
    """A published policy without some of its statements."""
    document: dict[str, Any] = json.loads(json.dumps(POLICIES[policy]))
    document["Statement"] = [one for one in document["Statement"] if one["Sid"] not in sids]
    return document


def test_documents_that_another_account_shares_are_asked_for_by_their_arns(room: Room) -> None:
    shared = "arn:aws:ssm:us-west-2:210987654321:document"
    room.wave("database")["pre_launch"] = [{"name": "promote", "automation": f"{shared}/Shared-Promote"}]
    room.wave("app")["post_launch"] = [{"name": "warm", "run_command": f"{shared}/Shared-Warm"}]
    policies = POLICIES["orchestration.json"], POLICIES["drs-on-behalf.json"]
    clients = as_role(room, *policies)
    assert denied(check(room, clients)) == set()
    narrowed = without("orchestration.json", "RunAutomations")
    assert denied(check(room, as_role(room, narrowed, policies[1], path="/b/"))) == {"ssm:StartAutomationExecution"}


def test_documents_of_waves_that_are_left_out_are_not_asked_for(room: Room) -> None:
    narrowed = json.loads(json.dumps(POLICIES["orchestration.json"]))
    statement = next(one for one in narrowed["Statement"] if one["Sid"] == "RunCommands")
    statement["Resource"] = ["arn:aws:ssm:*:*:document/Shop-Warm", "arn:aws:ec2:*:*:instance/*"]
    room.scenario["documents"]["Shop-Other"] = {"kind": "Command", "duration": 1}
    room.wave("web")["post_launch"] = [{"name": "other", "run_command": "Shop-Other"}]
    clients = as_role(room, narrowed, POLICIES["drs-on-behalf.json"])
    assert denied(check(room, clients)) == {"ssm:SendCommand"}
    assert denied(run_preflight(room.plan, clients, mode="drill", waves=["database", "app"])) == set()


def test_a_run_without_scripts_needs_no_rights_for_them(room: Room) -> None:
    narrowed = without(
        "orchestration.json", "RunCommands", "RunAutomations", "WatchCommands", "WatchAutomations", "ReadDocuments"
    )
    clients = as_role(room, narrowed, POLICIES["drs-on-behalf.json"])
    assert "ssm:SendCommand" in denied(check(room, clients))
    assert denied(run_preflight(room.plan, clients, mode="drill", skip_scripts=True)) == set()


def test_the_role_behind_a_session_is_found_with_its_path(room: Room) -> None:
    principal = caller(as_role(room, POLICIES["orchestration.json"]))
    assert principal.arn == "arn:aws:iam::123456789012:role/drs-plan/target"


@pytest.mark.parametrize(
    ("session", "role"),
    [
        ("arn:aws:sts::123456789012:assumed-role/dr/me", "arn:aws:iam::123456789012:role/dr"),
        ("arn:aws-us-gov:sts::123456789012:assumed-role/dr/a@b", "arn:aws-us-gov:iam::123456789012:role/dr"),
        ("arn:aws:iam::123456789012:user/me", None),
        ("arn:aws:iam::123456789012:root", None),
    ],
)
def test_role_arn(session: str, role: str | None) -> None:
    assert role_arn(session) == role


def test_a_plan_needs_only_what_it_uses(room: Room) -> None:
    everything = required_actions(room.plan, "drill")
    assert {"drs:TerminateRecoveryInstances", "ssm:SendCommand", "ssm:StartAutomationExecution"} <= set(everything)
    assert "sns:Publish" not in everything
    assert "drs:TerminateRecoveryInstances" not in required_actions(room.plan, "recovery")
    assert "ssm:SendCommand" not in required_actions(room.plan, "drill", ["database"])
    room.wave("web")["rollback"] = [{"name": "fence", "automation": "Shop-Fence"}]
    assert "ssm:StartAutomationExecution" not in required_actions(room.plan, "drill", ["web"])
    room.plan_data["recovery"] = {"on_failure": "rollback"}
    assert "ssm:StartAutomationExecution" in required_actions(room.plan, "drill", ["web"])
    del room.wave("web")["rollback"], room.plan_data["recovery"]
    for wave in room.plan_data["waves"]:
        for key in ("pre_launch", "post_launch"):
            wave.pop(key, None)
    assert not [action for action in required_actions(room.plan, "drill") if action.startswith("ssm:")]
    room.plan_data["notify"] = [{"sns": "arn:aws:sns:us-west-2:123456789012:dr-events"}]
    assert "sns:Publish" in required_actions(room.plan, "drill")
