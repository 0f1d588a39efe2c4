"""What a caller may do, where a scenario enforces IAM: the call itself, and what AWS does with the caller's rights.

Credentials that IAM does not know, such as `testing`, are the account's root user and may do everything: a test makes
its roles with them, and then calls as a role.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterable
from typing import Any

from drs_provider.simulator.policies import Context, Document, decision, documents_of_caller

__all__ = ["Caller", "caller", "dependent", "request_context", "resources"]

_DRS_TAG = "AWSElasticDisasterRecoveryManaged"
_VIA_DRS: dict[str, str | list[str]] = {
    "aws:CalledVia": ["drs.amazonaws.com"],
    "aws:ViaAWSService": "true",
    "ec2:CreateAction": "RunInstances",
    "iam:PassedToService": "ec2.amazonaws.com",
}
#: What DRS creates bears its tag in the request, and what it created before bears the tag already.
_TAGGED = {
    "new": {f"aws:RequestTag/{_DRS_TAG}": "drs.amazonaws.com"},
    "own": {f"aws:ResourceTag/{_DRS_TAG}": "drs.amazonaws.com", f"ec2:ResourceTag/{_DRS_TAG}": "drs.amazonaws.com"},
    "other": {},
    "consenting": {"aws:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"},
}
_EC2 = "arn:aws:ec2:{region}:{account}:"
_SERVICE_ROLE = "arn:aws:iam::{account}:role/service-role/AWSElasticDisasterRecovery"
#: What DRS does with the rights of whoever starts a recovery: (action, resource, whose it is). Not all of what AWS's
#: documents list, but something of each kind: networks, volumes, instances, tags, launch templates, roles.
_TO_LAUNCH = (
    ("ec2:DescribeSubnets", "*", "other"),
    ("ec2:CreateNetworkInterface", _EC2 + "subnet/*", "other"),
    ("ec2:CreateSecurityGroup", _EC2 + "security-group/*", "new"),
    ("ec2:AuthorizeSecurityGroupEgress", _EC2 + "security-group/*", "own"),
    ("ec2:CreateSnapshot", _EC2 + "volume/*", "own"),
    ("ec2:CreateSnapshot", _EC2 + "snapshot/*", "new"),
    ("ec2:CreateVolume", _EC2 + "volume/*", "new"),
    ("ec2:CreateLaunchTemplateVersion", _EC2 + "launch-template/*", "own"),
    ("ec2:RunInstances", _EC2 + "instance/*", "new"),
    ("ec2:RunInstances", _EC2 + "subnet/*", "other"),
    ("ec2:CreateTags", _EC2 + "instance/*", "new"),
    ("ec2:StopInstances", _EC2 + "instance/*", "own"),
    ("ec2:AttachVolume", _EC2 + "instance/*", "own"),
    ("ec2:AttachVolume", _EC2 + "volume/*", "own"),
    ("ec2:StartInstances", _EC2 + "instance/*", "other"),
    ("iam:PassRole", _SERVICE_ROLE + "ConversionServerRole", "other"),
)
#: The same for what some launches take besides.
_TO_LAUNCH_BY = {
    "fleet": (("ec2:CreateFleet", _EC2 + "fleet/*", "new"), ("ec2:CreateFleet", _EC2 + "instance/*", "new")),
    "launch into": (
        ("ec2:DetachVolume", _EC2 + "instance/*", "consenting"),
        ("ec2:AttachVolume", _EC2 + "instance/*", "consenting"),
    ),
}
_DRS_RESOURCES = {
    "sourceServerID": "source-server",
    "recoveryInstanceID": "recovery-instance",
    "jobID": "job",
}


class Caller:
    """Whoever signed a call.

    :param documents: the policies; None for the root user.
    """

    def __init__(self, account: str, region: str, documents: list[Document] | None) -> None:
        self.account = account
        self.region = region
        self.documents = documents

    @classmethod
    def of(cls, account: str, region: str, access_key: str, headers: Any) -> Caller:
        """The caller of a request."""
        return cls(account, region, documents_of_caller(account, access_key, headers))

    def may(self, action: str, resource: str | None, context: Context) -> bool:
        """Whether the policies allow an action on a resource."""
        return self.documents is None or decision(self.documents, action, resource, context) == "allowed"

    def may_launch(self, ways: Iterable[str] = (), roles: Iterable[str] = ()) -> bool:
        """Whether DRS, with the caller's rights, can launch; where it cannot, it says nothing.

        :param ways: what is special about the launch: ``fleet``, ``launch into``.
        :param roles: ARNs of the roles that the instances get.
        """
        wanted = [*_TO_LAUNCH, *(one for way in ways for one in _TO_LAUNCH_BY[way])]
        wanted += [("iam:PassRole", role, "other") for role in roles]
        return all(
            self.may(action, resource.format(region=self.region, account=self.account), {**_VIA_DRS, **_TAGGED[whose]})
            for action, resource, whose in wanted
        )


#: The caller of the call that is being served, where the scenario enforces IAM.
caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)


def request_context(params: Any, region: str) -> dict[str, str | list[str]]:
    """The condition keys of a call: its region, and the tags that it sets."""
    context: dict[str, str | list[str]] = {"aws:RequestedRegion": region}
    tags = params.get("tags") if isinstance(params, dict) else None
    if isinstance(tags, dict):
        context["aws:TagKeys"] = list(tags)
        context.update({f"aws:RequestTag/{key}": str(value) for key, value in tags.items()})
    return context


def dependent(service: str, operation: str, params: Any) -> list[tuple[str, str, Context]]:
    """What a call takes besides its own action: (action, resource, context)."""
    if service == "drs" and operation == "ReverseReplication":
        return [("drs:DescribeReplicationConfigurationTemplates", "*", {})]
    if service == "ssm" and operation == "StartAutomationExecution":
        roles = (params.get("Parameters") or {}).get("AutomationAssumeRole") or []
        return [("iam:PassRole", str(role), {"iam:PassedToService": "ssm.amazonaws.com"}) for role in roles]
    return []


def resources(service: str, operation: str, params: Any, account: str, region: str) -> list[str | None]:
    """The ARNs that a call is authorised on; None where they cannot be told from the call alone."""
    if not isinstance(params, dict):
        return [None]
    if service == "drs":
        return _of_drs(operation, params, account, region)
    if service == "ssm" and operation in ("SendCommand", "StartAutomationExecution"):
        name = str(params.get("DocumentName", ""))
        kind = "document" if operation == "SendCommand" else "automation-definition"
        owner = "" if name.startswith("AWS") else account
        document = name if name.startswith("arn:") else f"arn:aws:ssm:{region}:{owner}:{kind}/{name}"
        instances = params.get("InstanceIds") or []
        return [document, *(f"arn:aws:ec2:{region}:{account}:instance/{one}" for one in instances)]
    named = params.get("TopicArn") or params.get("RoleArn")
    if named:
        return [str(named)]
    if service == "s3" and params.get("Bucket"):
        key = f"/{params['Key']}" if params.get("Key") else ""
        return [f"arn:aws:s3:::{params['Bucket']}{key}"]
    return [None]


def _of_drs(operation: str, params: dict[str, Any], account: str, region: str) -> list[str | None]:
    prefix = f"arn:aws:drs:{region}:{account}"
    if operation == "StartRecovery":
        return [f"{prefix}:source-server/{one.get('sourceServerID')}" for one in params.get("sourceServers") or []]
    if params.get("recoveryInstanceIDs"):
        return [f"{prefix}:recovery-instance/{one}" for one in params["recoveryInstanceIDs"]]
    for name, kind in _DRS_RESOURCES.items():
        if params.get(name):
            return [f"{prefix}:{kind}/{params[name]}"]
    for name, value in params.items():
        if name.endswith("Arn") and isinstance(value, str):
            return [value]
    return ["*"]
