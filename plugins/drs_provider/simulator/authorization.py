"""What each API call is authorised on: its action, the ARNs of its resources with their tags, and what comes with it.

The actions, resources and dependent actions are those of AWS's service authorization reference; that tags on a job are
authorised on the job and on each source server was seen live.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends

from drs_provider.simulator.drs.models import drs_backends
from drs_provider.simulator.permissions import Caller
from drs_provider.simulator.policies import Context, tags_of_ec2
from drs_provider.simulator.ssm.models import ssm_backends

__all__ = ["Requirement", "denied", "requirements", "tags_of"]

#: Where IAM's names differ from the API's.
_IAM_PREFIX = {"service-quotas": "servicequotas"}
_IAM_ACTION = {
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadObject": "GetObject",
    "HeadBucket": "ListBucket",
}
#: Members of a DRS request that name one resource, and its kind.
_DRS_RESOURCES = {
    "sourceServerID": "source-server",
    "recoveryInstanceID": "recovery-instance",
    "jobID": "job",
    "sourceNetworkID": "source-network",
    "launchConfigurationTemplateID": "launch-configuration-template",
    "replicationConfigurationTemplateID": "replication-configuration-template",
}
#: What is made with tags, and so needs drs:TagResource on it.
_DRS_MADE = {
    "StartRecovery": "job",
    "StartFailbackLaunch": "job",
    "StartSourceNetworkRecovery": "job",
    "CreateExtendedSourceServer": "source-server",
    "CreateLaunchConfigurationTemplate": "launch-configuration-template",
    "CreateReplicationConfigurationTemplate": "replication-configuration-template",
    "CreateSourceNetwork": "source-network",
    "CreateRecoveryPlan": "recovery-plan",
    "StartRecoveryPlanExecution": "recovery-plan-execution",
}
#: Actions that DRS takes with the caller's permissions while it answers; what its jobs do comes later.
_DRS_DEPENDENT = {
    "CreateExtendedSourceServer": ("drs:DescribeSourceServers", "drs:GetReplicationConfiguration"),
    "ListExtensibleSourceServers": ("drs:DescribeSourceServers",),
    "ReverseReplication": ("drs:DescribeReplicationConfigurationTemplates", "drs:DescribeSourceServers"),
    "UpdateLaunchConfiguration": ("ec2:DescribeInstances",),
}
#: Parameters of EC2's query protocol that name resources, and the kind of each.
_EC2_RESOURCES = {
    "InstanceId": "instance",
    "VolumeId": "volume",
    "SnapshotId": "snapshot",
    "NetworkInterfaceId": "network-interface",
    "GroupId": "security-group",
    "SubnetId": "subnet",
    "LaunchTemplateId": "launch-template",
}
_EC2_KIND = {
    "i": "instance",
    "vol": "volume",
    "snap": "snapshot",
    "eni": "network-interface",
    "sg": "security-group",
    "subnet": "subnet",
    "lt": "launch-template",
}
_SSM_OF_EXECUTION = (
    "GetAutomationExecution",
    "StopAutomationExecution",
    "SendAutomationSignal",
    "DescribeAutomationStepExecutions",
)
_SSM_OF_DOCUMENT = ("DescribeDocument", "GetDocument", "UpdateDocument", "DeleteDocument", "CreateDocument")
_INDEXED = re.compile(r"\.\d+$")


@dataclass(frozen=True)
class Requirement:
    """One thing that a call needs.

    :param resource: an ARN, or ``*``; None where it cannot be told from the call, and any resource will do.
    :param context: condition keys of the resource and of the request.
    """

    action: str
    resource: str | None
    context: Context = field(default_factory=dict)


def denied(who: Caller, service: str, operation: str, params: Any) -> Requirement | None:
    """The first thing that a call needs and the caller may not do; None where IAM allows the call."""
    if who.is_root:
        return None
    general = _request_context(params, who.region)
    for needed in requirements(service, operation, params, who.account, who.region):
        if not who.may(needed.action, needed.resource, {**general, **needed.context}):
            return needed
    return None


def requirements(service: str, operation: str, params: Any, account: str, region: str) -> Iterator[Requirement]:
    """Everything that a call needs.

    :param service: botocore's name of the service.
    :param params: the request's parameters, as far as they can be read without the service's own parser.
    """
    params = params if isinstance(params, dict) else {}
    action = f"{_IAM_PREFIX.get(service, service)}:{_IAM_ACTION.get(operation, operation)}"
    if service == "drs":
        yield from _of_drs(operation, params, account, region)
    elif service == "ssm":
        yield from _of_ssm(operation, params, account, region)
    elif service == "ec2":
        unnamed: str | None = "*" if operation.startswith(("Describe", "Get")) else None
        arns: list[str | None] = [*_of_ec2(operation, params, account, region)]
        for arn in arns or [unnamed]:
            yield Requirement(action, arn, tags_of(arn))
    elif service == "s3":
        bucket, key = params.get("Bucket"), params.get("Key")
        yield Requirement(action, f"arn:aws:s3:::{bucket}{f'/{key}' if key else ''}" if bucket else "*")
    elif service == "iam" and params.get("RoleName"):
        yield Requirement(action, _role(account, str(params["RoleName"])))
    else:
        named = params.get("TopicArn") or params.get("RoleArn") or params.get("PolicySourceArn")
        yield Requirement(action, str(named) if named else None)


def _request_context(params: Any, region: str) -> dict[str, str | list[str]]:
    """The condition keys of a call: its region, and the tags that it sets."""
    context: dict[str, str | list[str]] = {"aws:RequestedRegion": region, "aws:SecureTransport": "true"}
    tags = params.get("tags") if isinstance(params, dict) else None
    if isinstance(tags, dict):
        context["aws:TagKeys"] = list(tags)
        context.update({f"aws:RequestTag/{key}": str(value) for key, value in tags.items()})
    keys = params.get("tagKeys") if isinstance(params, dict) else None
    if keys:
        context["aws:TagKeys"] = [keys] if isinstance(keys, str) else list(keys)
    return context


def _of_drs(operation: str, params: dict[str, Any], account: str, region: str) -> Iterator[Requirement]:
    prefix = f"arn:aws:drs:{region}:{account}"
    arns = _drs_arns(operation, params, prefix)
    for arn in arns:
        yield Requirement(f"drs:{operation}", arn, tags_of(arn))
    if params.get("tags") and operation in _DRS_MADE:
        created: Context = {"drs:CreateAction": operation}
        yield Requirement("drs:TagResource", f"{prefix}:{_DRS_MADE[operation]}/*", created)
        for arn in arns:
            if ":source-server/" in arn:
                yield Requirement("drs:TagResource", arn, {**created, **tags_of(arn)})
    for action in _DRS_DEPENDENT.get(operation, ()):
        yield Requirement(action, "*", {"aws:CalledVia": ["drs.amazonaws.com"], "aws:ViaAWSService": "true"})


def _drs_arns(operation: str, params: dict[str, Any], prefix: str) -> list[str]:
    if operation == "StartRecovery":
        named = [one.get("sourceServerID") for one in params.get("sourceServers") or () if isinstance(one, dict)]
        return [f"{prefix}:source-server/{one}" for one in named] or ["*"]
    if operation == "StartSourceNetworkRecovery":
        named = [one.get("sourceNetworkID") for one in params.get("sourceNetworks") or () if isinstance(one, dict)]
        return [f"{prefix}:source-network/{one}" for one in named] or ["*"]
    if params.get("recoveryInstanceIDs"):
        return [f"{prefix}:recovery-instance/{one}" for one in params["recoveryInstanceIDs"]]
    if operation == "ListTagsForResource":
        return ["*"]
    for name, kind in _DRS_RESOURCES.items():
        if params.get(name):
            return [f"{prefix}:{kind}/{params[name]}"]
    owner = params.get("resourceId")  # of launch actions
    if isinstance(owner, str):
        return [f"{prefix}:{'source-server' if owner.startswith('s-') else 'launch-configuration-template'}/{owner}"]
    arn = next((value for name, value in params.items() if name.endswith("Arn") and isinstance(value, str)), None)
    if arn is None or operation == "CreateExtendedSourceServer":
        return ["*"]
    # A step's ARN is below that of its plan or execution, which is what it is authorised on.
    return [arn.split("/step/")[0]]


def _of_ssm(operation: str, params: dict[str, Any], account: str, region: str) -> Iterator[Requirement]:
    action, prefix = f"ssm:{operation}", f"arn:aws:ssm:{region}:{account}"
    if operation == "SendCommand":
        yield Requirement(action, _document(params.get("DocumentName"), "document", account, region))
        for instance in _instances_of(params, account, region):
            arn = f"arn:aws:ec2:{region}:{account}:instance/{instance}"
            tags = tags_of(arn)
            of_ssm = {key.replace("aws:ResourceTag/", "ssm:resourceTag/"): value for key, value in tags.items()}
            yield Requirement(action, arn, {**tags, **of_ssm})
    elif operation in ("StartAutomationExecution", "StartChangeRequestExecution"):
        version = params.get("DocumentVersion") or "$DEFAULT"
        runbook = _document(params.get("DocumentName"), "automation-definition", account, region)
        yield Requirement(action, f"{runbook}:{version}")
        given = params.get("Parameters")
        roles = (given.get("AutomationAssumeRole") if isinstance(given, dict) else None) or []
        for role in [roles] if isinstance(roles, str) else roles:
            yield Requirement("iam:PassRole", str(role), {"iam:PassedToService": "ssm.amazonaws.com"})
        if params.get("Tags"):
            tags = {str(tag.get("Key")): str(tag.get("Value")) for tag in params["Tags"]}
            context = {"aws:TagKeys": list(tags), **{f"aws:RequestTag/{key}": tags[key] for key in tags}}
            yield Requirement("ssm:AddTagsToResource", f"{prefix}:automation-execution/*", context)
    elif operation in _SSM_OF_EXECUTION and params.get("AutomationExecutionId"):
        yield Requirement(action, f"{prefix}:automation-execution/{params['AutomationExecutionId']}")
    elif operation in _SSM_OF_DOCUMENT and params.get("Name"):
        yield Requirement(action, _document(params["Name"], "document", account, region))
    elif operation in ("GetParameter", "GetParameters"):
        for name in params.get("Names") or [params.get("Name")]:
            yield Requirement(action, f"{prefix}:parameter/{str(name).lstrip('/')}")
    else:
        yield Requirement(action, "*")


def _document(name: Any, kind: str, account: str, region: str) -> str:
    """The ARN of a document; those of AWS belong to no account."""
    text = str(name or "")
    if text.startswith("arn:"):
        return text.replace(":document/", f":{kind}/")
    return f"arn:aws:ssm:{region}:{'' if text.startswith('AWS') else account}:{kind}/{text}"


def _instances_of(params: dict[str, Any], account: str, region: str) -> list[str]:
    """The instances that a command goes to: those named, and those that its targets mean now."""
    named = [str(one) for one in params.get("InstanceIds") or ()]
    targets = [target for target in params.get("Targets") or () if isinstance(target, dict)]
    if not targets:
        return named
    return named + [node.instance_id for node in ssm_backends[account][region].fleet.matching(targets)]


def _of_ec2(operation: str, params: dict[str, Any], account: str, region: str) -> Iterator[str]:
    if operation.startswith("Describe"):
        return  # EC2 authorises listing on no resource.
    prefix = f"arn:aws:ec2:{region}:{account}:"
    if operation == "RunInstances":
        yield f"{prefix}instance/*"
    for name, value in params.items():
        stem = _INDEXED.sub("", name)
        if stem in _EC2_RESOURCES:
            yield f"{prefix}{_EC2_RESOURCES[stem]}/{value}"
        elif stem == "LaunchTemplateName":
            ids = ec2_backends[account][region].launch_template_name_to_ids
            yield f"{prefix}launch-template/{ids.get(str(value), value)}"
        elif stem == "ResourceId" and operation in ("CreateTags", "DeleteTags"):
            yield f"{prefix}{_EC2_KIND.get(str(value).partition('-')[0], '*')}/{value}"


def _role(account: str, name: str) -> str:
    role = next((role for role in iam_backends[account]["aws"].roles.values() if role.name == name), None)
    return str(role.arn) if role is not None else f"arn:aws:iam::{account}:role/{name}"


def tags_of(arn: str | None) -> dict[str, str | list[str]]:
    """The tags of a resource of DRS or EC2, as condition keys."""
    if arn is None or arn.count(":") < 5 or arn.endswith("*"):
        return {}
    _, _, service, region, account, _ = arn.split(":", 5)
    if service == "ec2":
        return tags_of_ec2(arn)
    if service == "drs":
        backend = drs_backends[account].get(region)
        of_drs = (backend.listings.tags_by_arn(arn) if backend is not None else None) or {}
        return {f"aws:ResourceTag/{key}": value for key, value in of_drs.items()}
    return {}
