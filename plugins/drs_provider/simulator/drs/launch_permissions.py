"""What DRS does in EC2 and IAM with the permissions of whoever started a job, and how a missing one shows.

The actions are the dependent actions of StartRecovery and TerminateRecoveryInstances in AWS's service authorization
reference. A missing one was seen live as LAUNCH_FAILED with the error of EC2 as `rawError`, after the conversion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from drs_provider.simulator.drs.templates import launch_resources, launched_as_fleet, role_of_profile
from drs_provider.simulator.permissions import Caller, explain
from drs_provider.simulator.policies import Context, tags_of_ec2

if TYPE_CHECKING:
    from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
    from drs_provider.simulator.drs.source_servers import SourceServer

__all__ = ["LaunchPermissions"]

_DRS_TAG = "AWSElasticDisasterRecoveryManaged"
_VIA_DRS: Final[dict[str, str | list[str]]] = {
    "aws:CalledVia": ["drs.amazonaws.com"],
    "aws:CalledViaFirst": "drs.amazonaws.com",
    "aws:CalledViaLast": "drs.amazonaws.com",
    "aws:ViaAWSService": "true",
}
_JOB_TAGS = ("drs.amazonaws.com-job", "drs.amazonaws.com-source-server")


def _resource(**tags: str) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {f"aws:ResourceTag/{key}": value for key, value in tags.items()}
    return {**found, **{key.replace("aws:", "ec2:", 1): value for key, value in found.items()}}


#: Whose a resource is: DRS tags what it creates, its own has that tag already, and the volumes of a job have only the
#: tags of the job; the customer's own have none.
_WHOSE: Final[dict[str, dict[str, str | list[str]]]] = {
    "new": {f"aws:RequestTag/{_DRS_TAG}": "drs.amazonaws.com", "aws:TagKeys": [_DRS_TAG]},
    "own": _resource(**{_DRS_TAG: "drs.amazonaws.com"}),
    "job": _resource(**dict.fromkeys(_JOB_TAGS, "x")),
    "other": {},
    "consenting": _resource(AWSDRS="AllowLaunchingIntoThisInstance"),
}
_SERVICE_ROLE = "arn:aws:iam::{account}:role/service-role/AWSElasticDisasterRecovery"
_READS = (
    "DescribeAccountAttributes",
    "DescribeAvailabilityZones",
    "DescribeImages",
    "DescribeInstanceAttribute",
    "DescribeInstanceStatus",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeLaunchTemplateVersions",
    "DescribeLaunchTemplates",
    "DescribeSecurityGroups",
    "DescribeSnapshots",
    "DescribeSubnets",
    "DescribeVolumes",
)
#: (action, resource, whose it is), in the order in which a launch comes to them.
_TO_LAUNCH: Final = (
    ("drs:ListTagsForResource", "*", "other"),
    ("drs:DescribeReplicationConfigurationTemplates", "*", "other"),
    *((f"ec2:{name}", "*", "other") for name in _READS),
    ("ec2:CreateSecurityGroup", "security-group/*", "new"),
    ("ec2:AuthorizeSecurityGroupIngress", "security-group/*", "own"),
    ("ec2:AuthorizeSecurityGroupEgress", "security-group/*", "own"),
    ("ec2:RevokeSecurityGroupEgress", "security-group/*", "own"),
    ("ec2:CreateSnapshot", "volume/*", "own"),
    ("ec2:CreateSnapshot", "snapshot/*", "new"),
    ("ec2:CreateVolume", "volume/*", "new"),
    ("ec2:CreateNetworkInterface", "{subnet}", "other"),
    ("ec2:RunInstances", "instance/*", "new"),
    ("ec2:RunInstances", "{image}", "other"),
    ("ec2:RunInstances", "{subnet}", "other"),
    ("ec2:RunInstances", "security-group/*", "own"),
    ("ec2:RunInstances", "{group}", "other"),
    ("ec2:RunInstances", "volume/*", "new"),
    ("ec2:CreateTags", "instance/*", "new"),
    ("ec2:CreateTags", "volume/*", "new"),
    ("ec2:CreateTags", "snapshot/*", "new"),
    ("iam:PassRole", _SERVICE_ROLE + "ConversionServerRole", "other"),
    ("ec2:StopInstances", "instance/*", "own"),
    ("ec2:AttachVolume", "instance/*", "own"),
    ("ec2:AttachVolume", "volume/*", "own"),
    ("ec2:DetachVolume", "instance/*", "own"),
    ("ec2:DetachVolume", "volume/*", "own"),
    ("ec2:TerminateInstances", "instance/*", "own"),
    ("ec2:DeleteSnapshot", "snapshot/*", "own"),
    ("ec2:CreateLaunchTemplateVersion", "{template}", "own"),
    ("ec2:ModifyLaunchTemplate", "{template}", "own"),
    ("ec2:DeleteLaunchTemplateVersions", "{template}", "own"),
    ("ec2:ModifyInstanceAttribute", "instance/*", "own"),
    ("ec2:StartInstances", "instance/*", "own"),
    ("ec2:DeleteVolume", "volume/*", "job"),
    ("drs:CreateRecoveryInstanceForDrs", "{server}", "other"),
)
#: The same for what some launches take besides.
_AS_FLEET: Final = (("ec2:CreateFleet", "fleet/*", "new"), ("ec2:CreateFleet", "instance/*", "new"))
_INTO: Final = (("ec2:DetachVolume", "instance/*", "consenting"), ("ec2:AttachVolume", "instance/*", "consenting"))
_TO_TERMINATE: Final = (
    ("drs:DescribeSourceServers", "*", "other"),
    ("ec2:DescribeInstances", "*", "other"),
    ("ec2:DescribeVolumes", "*", "other"),
    ("ec2:TerminateInstances", "{instance}", "tagged"),
    ("ec2:DeleteVolume", "volume/*", "job"),
)


class LaunchPermissions:
    """The permissions that a job has: those of whoever started it.

    :param who: the caller; None where the scenario enforces no IAM.
    """

    def __init__(self, who: Caller | None) -> None:
        self.who = who
        self._known: dict[tuple[str, str, str], bool] = {}

    def to_launch(self, server: SourceServer) -> str | None:
        """The error of the first action that a launch of a server needs and the caller may not take; None: none."""
        needed = [*_TO_LAUNCH]
        if launched_as_fleet(server):
            needed += _AS_FLEET
        if server.settings.launches_into:
            needed += _INTO
        role = role_of_profile(server)
        if role is not None:
            needed.append(("iam:PassRole", role, "other"))
        names = {**launch_resources(server), "server": server.arn}
        return self._first_error(needed, names)

    def to_terminate(self, instance: RecoveryInstance) -> str | None:
        """The error of the first action that the end of a recovery instance needs and the caller may not take."""
        return self._first_error(_TO_TERMINATE, {"instance": f"instance/{instance.id}"})

    def _first_error(self, needed: Sequence[tuple[str, str, str]], names: dict[str, str]) -> str | None:
        if self.who is None or self.who.is_root:
            return None
        for action, pattern, whose in needed:
            arn = self._arn(action, pattern, names)
            key = (action, arn, whose)
            if key not in self._known:
                self._known[key] = self.who.may(action, arn, _context(action, arn, whose))
            if not self._known[key]:
                return _error(self.who, action, arn)
        return None

    def _arn(self, action: str, pattern: str, names: dict[str, str]) -> str:
        who = self.who
        resource = pattern.format(**names, account=who.account if who else "")
        if resource == "*" or resource.startswith("arn:") or who is None:
            return resource
        # Those of AWS's own images belong to no account.
        owner = "" if resource.startswith("image/") else who.account
        return f"arn:aws:ec2:{who.region}:{owner}:{resource}"


def _context(action: str, arn: str, whose: str) -> Context:
    context = dict(_VIA_DRS)
    context.update(tags_of_ec2(arn) if whose == "tagged" else _WHOSE[whose])
    if action == "ec2:CreateTags":
        created = {"instance": "RunInstances", "volume": "CreateVolume", "snapshot": "CreateSnapshot"}
        context["ec2:CreateAction"] = created[arn.rsplit(":", 1)[1].partition("/")[0]]
    if action == "iam:PassRole":
        context["iam:PassedToService"] = "ec2.amazonaws.com"
    return context


def _error(who: Caller, action: str, arn: str) -> str:
    service, name = action.split(":")
    why = explain(who, action, arn)
    if service == "drs":
        return f"An error occurred (AccessDeniedException) when calling the {name} operation: {why}"
    operation = "RunInstances" if service == "iam" else name
    return (
        f"An error occurred (UnauthorizedOperation) when calling the {operation} operation: "
        f"You are not authorized to perform this operation. {why}"
    )
