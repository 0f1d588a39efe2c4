"""May the caller do what the plan needs: iam:SimulatePrincipalPolicy, before the first server is touched.

DRS does its EC2 work with the caller's rights, and a missing one shows as a failed server minutes into a job, often
without a reason. The simulation answers in a second. It does not see resource policies or session policies, so a
denial can be overridden and a pass is no proof.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drs_provider.aws.calls import BlockingCalls, run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.plan.statements import Grant
from drs_provider.readiness.actions import required_grants, scripts_of_run
from drs_provider.readiness.findings import Finding, Mode
from drs_provider.readiness.side_by_side import MAX_WORKERS, cause_of
from drs_provider.steps.launch.permissions import JOB, MANAGED

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Script
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.scope import Permissions

__all__ = [
    "Principal",
    "Simulation",
    "caller",
    "check_permissions",
    "not_checked",
    "role_arn",
    "simulate",
    "simulations",
]

DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation")
_ASSUMED_ROLE = re.compile(r"arn:(?P<partition>[\w-]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/.+")
# Values for the condition keys that DRS's calls carry, so that a policy bound to them is simulated as it will be used.
CONTEXT: dict[str, tuple[str, str]] = {
    "aws:CalledVia": ("stringList", "drs.amazonaws.com"),
    "aws:ViaAWSService": ("boolean", "true"),
    f"aws:RequestTag/{MANAGED}": ("string", "drs.amazonaws.com"),
    f"aws:ResourceTag/{MANAGED}": ("string", "drs.amazonaws.com"),
    f"ec2:ResourceTag/{MANAGED}": ("string", "drs.amazonaws.com"),
    "aws:ResourceTag/AWSDRS": ("string", "AllowLaunchingIntoThisInstance"),
    "ec2:ResourceTag/AWSDRS": ("string", "AllowLaunchingIntoThisInstance"),
}
# The volumes of a job have its tags, and not the tag of everything else that DRS creates.
JOB_CONTEXT: dict[str, tuple[str, str]] = {
    **{key: value for key, value in CONTEXT.items() if not key.endswith(f"ResourceTag/{MANAGED}")},
    f"aws:ResourceTag/{JOB}": ("string", "drsjob-00000000000000000"),
    f"ec2:ResourceTag/{JOB}": ("string", "drsjob-00000000000000000"),
}
KNOWN_KEYS = {key.casefold() for key in (*CONTEXT, *JOB_CONTEXT, "ec2:CreateAction", "iam:PassedToService")}
# The kinds of resource that an action is authorised on, where its grant lists more: on others a denial means nothing.
SIMULATED_ON: dict[str, tuple[str, ...]] = {
    "ec2:AttachVolume": ("instance", "volume"),
    "ec2:AuthorizeSecurityGroupEgress": ("security-group",),
    "ec2:AuthorizeSecurityGroupIngress": ("security-group",),
    "ec2:CreateLaunchTemplate": ("launch-template",),
    "ec2:CreateNetworkInterface": ("network-interface", "security-group", "subnet"),
    "ec2:CreateNetworkInterfacePermission": ("network-interface",),
    "ec2:CreateSecurityGroup": ("security-group", "vpc"),
    "ec2:CreateSnapshot": ("snapshot", "volume"),
    "ec2:CreateVolume": ("snapshot", "volume"),
    "ec2:CreateTags": ("instance", "network-interface", "snapshot", "volume"),
    "ec2:DeleteSnapshot": ("snapshot",),
    "ec2:DeleteVolume": ("volume",),
    "ec2:DetachVolume": ("instance", "volume"),
    "ec2:RevokeSecurityGroupEgress": ("security-group",),
    "ec2:RunInstances": (
        "image",
        "instance",
        "launch-template",
        "network-interface",
        "security-group",
        "subnet",
        "volume",
    ),
    "ssm:SendCommand": ("document", "instance"),
}
EXAMPLE_IDS = {
    "instance": "i-00000000000000000",
    "source-server": "s-00000000000000000",
    "job": "drsjob-00000000000000000",
    "recovery-instance": "i-00000000000000000",
}


@dataclass(frozen=True)
class Principal:
    """Whose policies are simulated.

    :param arn: the role's or user's ARN.
    :param partition: ``aws``, ``aws-cn`` or ``aws-us-gov``.
    :param account: the account's id, twelve digits.
    """

    arn: str
    partition: str
    account: str


@dataclass(frozen=True)
class Simulation:
    """One call of the simulator.

    :param arns: the resources; none means ``*``.
    :param context: the context entries.
    :param reasons: the actions, each with the reason why it is needed.
    """

    arns: tuple[str, ...]
    context: list[dict[str, Any]]
    reasons: dict[str, str]


def role_arn(caller_arn: str) -> str | None:
    """The ARN of the role behind an assumed-role session; None where the caller is not one.

    STS leaves the role's path out of a session's ARN, so for a role that has a path this is not yet its real ARN.

    :param caller_arn: ``Arn`` of GetCallerIdentity.
    """
    match = _ASSUMED_ROLE.fullmatch(caller_arn)
    return f"arn:{match['partition']}:iam::{match['account']}:role/{match['role']}" if match else None


def caller(clients: Clients) -> Principal:
    """The principal whose rights count: for an assumed-role session its role, with its path where GetRole answers."""
    identity = clients.sts.get_caller_identity()
    arn, account = str(identity["Arn"]), str(identity["Account"])
    if (role := role_arn(arn)) is not None:
        arn = role
        try:
            arn = clients.iam.get_role(RoleName=role.rsplit("/", 1)[1])["Role"]["Arn"]
        except ClientError as error:
            if error.response["Error"]["Code"] not in (*DENIED, "NoSuchEntity"):
                raise
    return Principal(arn, arn.split(":")[1], account)


def simulations(
    grants: Iterable[Grant],
    principal: Principal,
    plan: RecoveryPlan,
    mode: Mode,
    waves: Iterable[str] | None = None,
    *,
    skip_scripts: bool = False,
    place: NamedTarget | None = None,
) -> list[Simulation]:
    """The calls of the simulator that answer for these grants, as few as possible.

    :param grants: what is needed.
    :param principal: whose rights.
    :param plan: gives the region, and the names that stand for the patterns of a grant.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run, whose documents and roles are asked for; None means all.
    :param skip_scripts: whether the run leaves the scripts out.
    :param place: the target whose region and scripts are asked for; None: the plan's own, and all scripts.
    """
    scripts = scripts_of_run(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    region = (place or plan.default_target).region
    together: dict[tuple[tuple[str, ...], str], Simulation] = {}
    for grant in grants:
        context = _context(grant.condition)
        for action in grant.actions:
            arns = _examples(grant, action, principal, plan, scripts, region)
            simulation = together.setdefault((arns, json.dumps(context)), Simulation(arns, context, {}))
            simulation.reasons.setdefault(action, grant.reason)
    return list(together.values())


def simulate(clients: Clients, principal: Principal, simulation: Simulation) -> list[Finding]:
    """Make one simulation (SimulatePrincipalPolicy): a finding for each action that is denied.

    :param clients: the clients.
    :param principal: whose rights.
    :param simulation: one of :func:`simulations`.
    :raises botocore.exceptions.ClientError: if the simulation itself fails.
    """
    params: dict[str, Any] = {
        "PolicySourceArn": principal.arn,
        "ActionNames": list(simulation.reasons),
        "ContextEntries": simulation.context,
    }
    if simulation.arns:
        params["ResourceArns"] = list(simulation.arns)
    calls = BlockingCalls(clients.iam)
    results = run_blocking(calls.read_all("simulate_principal_policy", "EvaluationResults", **params))
    denials = [_worst(result) for result in results]
    return [_denied(denial, simulation, principal) for denial in denials if denial]


def not_checked(why: str) -> Finding:
    """The warning that the caller's rights are unknown.

    :param why: the reason, as a clause.
    """
    return Finding.of(
        "permissions-not-checked",
        f"The caller's IAM rights were not simulated: {why}.",
        "Allow iam:SimulatePrincipalPolicy and iam:GetRole on its own role, or compare its policy by hand.",
    )


def _worst(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The resource that an action is denied on, in the shape of the whole result; None where all is allowed."""
    for specific in result.get("ResourceSpecificResults") or ():
        if specific["EvalResourceDecision"] != "allowed":
            return {**result, **specific, "EvalDecision": specific["EvalResourceDecision"]}
    return result if result["EvalDecision"] != "allowed" else None


def _denied(result: Mapping[str, Any], simulation: Simulation, principal: Principal) -> Finding:
    action = result["EvalActionName"]
    # Keys of the published policies are given where they belong; elsewhere their absence is the truth.
    missing = [key for key in result.get("MissingContextValues") or () if key.casefold() not in KNOWN_KEYS]
    if result["EvalDecision"] == "implicitDeny" and missing:
        # The caller's policy asks for something that the simulation was not told: neither a yes nor a no.
        return not_checked(f"{action} depends on {', '.join(sorted(missing))}")
    boundary = (result.get("PermissionsBoundaryDecisionDetail") or {}).get("AllowedByPermissionsBoundary")
    organization = (result.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations")
    by = "its permissions boundary" if boundary is False else "its policies"
    by = "a policy of the organization" if organization is False else by
    explicitly = " explicitly" if result["EvalDecision"] == "explicitDeny" else ""
    message = f"{principal.arn} may not {action} on {result.get('EvalResourceName', '*')}: denied{explicitly} by {by}."
    return Finding.of("permission-denied", message, f"Needed for: {simulation.reasons[action]}")


def _context(condition: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Context entries that satisfy the grant's own condition, and AWS's managed policies for the same calls."""
    entries: dict[str, tuple[str, list[str]]] = {}
    if "ForAnyValue:StringEquals" in condition:
        carried = JOB_CONTEXT if f"aws:ResourceTag/{JOB}" in condition.get("Null", {}) else CONTEXT
        entries = {key: (kind, [value]) for key, (kind, value) in carried.items()}
    for key, value in (condition.get("StringEquals") or {}).items():
        entries[key] = ("string", [value if isinstance(value, str) else value[-1]])
    return [
        {"ContextKeyName": key, "ContextKeyType": kind, "ContextKeyValues": values}
        for key, (kind, values) in entries.items()
    ]


def _examples(
    grant: Grant, action: str, principal: Principal, plan: RecoveryPlan, scripts: Sequence[Script], region: str
) -> tuple[str, ...]:
    """Concrete ARNs for a grant's patterns: the simulator compares ARNs as text, and a pattern matches no pattern."""
    if grant.resources == ("*",):
        return ()
    if grant.need == "automation_role":
        return tuple(sorted({arn for script in scripts for arn in script.parameters.get("AutomationAssumeRole", ())}))
    if grant.need == "notify":
        return tuple(sorted({str(topic) for topic in (getattr(one, "sns", None) for one in plan.notify) if topic}))
    arns: list[str] = []
    for pattern in grant.resources:
        kind = pattern.split(":", 5)[5].split("/")[0]
        if kind not in SIMULATED_ON.get(action, (kind,)):
            continue
        if kind in ("document", "automation-definition"):
            arns += _documents(action, scripts, principal, region)
        else:
            arns.append(_example(pattern, kind, principal, region))
    return tuple(dict.fromkeys(arns))


def _documents(action: str, scripts: Iterable[Script], principal: Principal, region: str) -> list[str]:
    """The ARNs of the plan's own documents, because a careful policy names them."""
    arns = set()
    for script in scripts:
        name = script.automation or script.run_command or ""
        automation = action == "ssm:StartAutomationExecution"
        if (automation and not script.automation) or (action == "ssm:SendCommand" and script.automation):
            continue
        if name.startswith("arn:"):
            # Shared by another account, whose document it stays. On ``*`` instead, no policy on ARNs would allow it.
            runbook = f"{name.replace(':document/', ':automation-definition/')}:$DEFAULT"
            arns.add(runbook if automation else name)
            continue
        owner = "" if name.startswith(("AWS-", "AWSEC2-", "AWSSupport-", "Amazon")) else principal.account
        place = f"arn:{principal.partition}:ssm:{region}:{owner}"
        arns.add(f"{place}:automation-definition/{name}:$DEFAULT" if automation else f"{place}:document/{name}")
    return sorted(arns)


def _example(pattern: str, kind: str, principal: Principal, region: str) -> str:
    _, _, service, place, _, resource = pattern.split(":", 5)
    if resource == "role/*":
        return principal.arn
    # Images belong to AWS; their ARNs have no account.
    account = "" if kind == "image" else principal.account
    name = resource.replace("*", EXAMPLE_IDS.get(kind, "example"))
    return f"arn:{principal.partition}:{service}:{region if place == '*' else place}:{account}:{name}"


def check_permissions(
    plan: RecoveryPlan,
    clients: Clients,
    mode: Mode,
    waves: Sequence[str],
    made: Permissions,
    place: NamedTarget,
    *,
    skip_scripts: bool,
) -> list[Finding]:
    """Ask IAM whether the caller may do in a target what a run needs there.

    :param made: gets whose permissions were simulated, and how many.
    """
    principal = caller(clients)
    made.caller = principal.arn
    if principal.arn.endswith(":root"):
        return []  # The root user may do everything and cannot be simulated.
    if ":federated-user/" in principal.arn:
        return [not_checked(f"{principal.arn} is a federated user")]
    grants = required_grants(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    if not grants:
        return []
    first, *others = simulations(grants, principal, plan, mode, waves, skip_scripts=skip_scripts, place=place)
    one = partial(simulate, clients, principal)
    try:
        # The first one alone: where simulating is denied, one call is enough to know.
        findings = one(first)
        with ThreadPoolExecutor(max_workers=MAX_WORKERS, thread_name_prefix="permissions") as pool:
            findings += [finding for found in pool.map(one, others) for finding in found]
    except ClientError as error:
        if error.response["Error"]["Code"] not in (*DENIED, "NoSuchEntity"):
            raise
        return [not_checked(cause_of(error))]
    made.actions = len({action for simulation in (first, *others) for action in simulation.reasons})
    return findings
