"""Every AWS action that the provider, and DRS on its behalf, needs: one table, from which the IAM policies are made.

Preflight simulates the actions that a plan needs from the same table, so the policy and the check cannot disagree.
DRS has no role of its own for launching: it calls EC2, and passes roles, with the rights of whoever called
StartRecovery. Those grants are bound to calls made through DRS (``aws:CalledVia``) and to resources that DRS has
tagged as its own, where EC2 supports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GRANTS", "LAUNCH_SETTINGS", "Grant", "policy"]

MANAGED = "AWSElasticDisasterRecoveryManaged"
JOB = "drs.amazonaws.com-job"
VIA_DRS: dict[str, Any] = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["drs.amazonaws.com"]}}
# "Null … false" means: the key is there, whatever its value.
MANAGED_RESOURCE: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:ResourceTag/{MANAGED}": "false"}}
JOB_RESOURCE: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:ResourceTag/{JOB}": "false"}}
MANAGED_REQUEST: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:RequestTag/{MANAGED}": "false"}}
SERVICE_ROLES = "arn:aws:iam::*:role/service-role/AWSElasticDisasterRecovery"
OWN_ROLES = "arn:aws:iam::*:role/drs-plan/*"


@dataclass(frozen=True)
class Grant:
    """One statement of the policy.

    :param sid: its Sid.
    :param need: what it is needed for; :mod:`~drs_provider.readiness.actions` tells which needs a plan has.
    :param actions: IAM actions.
    :param resources: ARN patterns.
    :param condition: an IAM condition block.
    :param reason: why, for the reader of the policy.
    :param optional: whether the provider does without it, with less to tell.
    """

    sid: str
    need: str
    actions: tuple[str, ...]
    reason: str
    resources: tuple[str, ...] = ("*",)
    condition: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    def statement(self) -> dict[str, Any]:
        """The grant as an IAM policy statement."""
        resource: Any = list(self.resources) if len(self.resources) > 1 else self.resources[0]
        base = {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions), "Resource": resource}
        return {**base, "Condition": dict(self.condition)} if self.condition else base


def _ec2(*kinds: str) -> tuple[str, ...]:
    return tuple(f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds)


GRANTS: tuple[Grant, ...] = (
    # What the provider calls itself.
    Grant(
        "ReadRecoveryState",
        "launch",
        (
            "drs:DescribeJobLogItems",
            "drs:DescribeJobs",
            "drs:DescribeRecoveryInstances",
            "drs:DescribeRecoverySnapshots",
            "drs:DescribeReplicationConfigurationTemplates",
            "drs:DescribeSourceServers",
            "drs:GetLaunchConfiguration",
            "drs:ListTagsForResource",
        ),
        "Preflight, waiting and the report, and what DRS reads itself when it launches or reverses replication.",
    ),
    Grant(
        "StartRecovery",
        "launch",
        ("drs:StartRecovery", "drs:CreateRecoveryInstanceForDrs"),
        "Starts the launch jobs; DRS registers the recovery instances with the caller's rights.",
        ("arn:aws:drs:*:*:source-server/*",),
    ),
    Grant(
        "TagRecoveryJobs",
        "launch",
        ("drs:TagResource",),
        "The tags on a job make a launch happen exactly once and tell whose instances are whose.",
        ("arn:aws:drs:*:*:job/*", "arn:aws:drs:*:*:recovery-instance/*", "arn:aws:drs:*:*:source-server/*"),
    ),
    Grant(
        "TerminateRecoveryInstances",
        "terminate",
        ("drs:TerminateRecoveryInstances",),
        "Ends what a drill launched, and what a rollback unwinds.",
        ("arn:aws:drs:*:*:recovery-instance/*",),
    ),
    Grant(
        "StopInstancesLaunchedInto",
        "launch_into",
        ("ec2:StopInstances",),
        "Stops an instance that existed before it was launched into, at the end of a drill; only with that tag.",
        _ec2("instance"),
        {"StringEquals": {"aws:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"}},
    ),
    Grant(
        "ReleaseInstancesLaunchedInto",
        "launch_into",
        ("drs:DisconnectRecoveryInstance", "drs:DeleteRecoveryInstance"),
        "Has DRS forget such an instance, which would delete it at the next launch of its server; EC2 keeps it.",
        ("arn:aws:drs:*:*:recovery-instance/*",),
    ),
    Grant(
        "ReadInstances",
        "launch",
        ("ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeLaunchTemplateVersions"),
        "Waits for instances, checks their status, and reads launch templates in preflight.",
    ),
    Grant(
        "CheckLaunchTemplates",
        "launch",
        (
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "iam:GetInstanceProfile",
        ),
        "Preflight looks up what launch templates name; without it a template that cannot launch is not found.",
        optional=True,
    ),
    Grant(
        "ReadQuotas",
        "launch",
        ("servicequotas:ListServiceQuotas",),
        "The account's own quotas; without it AWS's published defaults are assumed.",
        optional=True,
    ),
    Grant(
        "SimulateOwnRights",
        "launch",
        ("iam:GetRole", "iam:SimulatePrincipalPolicy"),
        "Preflight asks IAM whether this role may do what the plan needs; without it that stays unchecked.",
        ("arn:aws:iam::*:role/*",),
        optional=True,
    ),
    # Operators that plans do not use, for hand-written DAGs.
    Grant(
        "FailBack",
        "failback",
        (
            "drs:DisconnectRecoveryInstance",
            "drs:GetFailbackReplicationConfiguration",
            "drs:ReverseReplication",
            "drs:StartFailbackLaunch",
            "drs:StopFailback",
            "drs:UpdateFailbackReplicationConfiguration",
        ),
        "The failback operators, at both ends, beside the statements of orchestration.json; plans do not need them.",
        ("arn:aws:drs:*:*:recovery-instance/*",),
    ),
    Grant(
        "ManageSourceServers",
        "failback",
        (
            "drs:DeleteSourceServer",
            "drs:DisconnectSourceServer",
            "drs:RetryDataReplication",
            "drs:StartReplication",
            "drs:StopReplication",
            "drs:UpdateLaunchConfiguration",
        ),
        "Tidying up after a failback, and the operator that changes launch settings.",
        ("arn:aws:drs:*:*:source-server/*",),
    ),
    Grant(
        "CompleteLaunchTemplates",
        "failback",
        ("ec2:CreateLaunchTemplateVersion", "ec2:ModifyLaunchTemplate"),
        "ReverseReplication makes launch templates without subnet, security group and profile; only those of DRS.",
        _ec2("launch-template"),
        {"Null": {f"aws:ResourceTag/{MANAGED}": "false"}},
    ),
    # Scripts.
    Grant(
        "ReadDocuments",
        "scripts",
        ("ssm:DescribeDocument",),
        "Preflight looks at every document that a script names.",
        ("arn:aws:ssm:*:*:document/*",),
    ),
    Grant(
        "RunCommands",
        "run_command",
        ("ssm:SendCommand",),
        "Runs Command documents. Name your documents and tag your instances here to narrow it.",
        ("arn:aws:ssm:*:*:document/*", "arn:aws:ec2:*:*:instance/*", "arn:aws:ssm:*:*:managed-instance/*"),
    ),
    Grant(
        "WatchCommands",
        "run_command",
        (
            "ssm:CancelCommand",
            "ssm:DescribeInstanceInformation",
            "ssm:GetCommandInvocation",
            "ssm:ListCommandInvocations",
            "ssm:ListCommands",
        ),
        "Waits for commands and for the agent, collects exit codes, and finds a command that an earlier try sent.",
    ),
    Grant(
        "RunAutomations",
        "automation",
        ("ssm:StartAutomationExecution",),
        "Runs Automation runbooks.",
        ("arn:aws:ssm:*:*:automation-definition/*",),
    ),
    Grant(
        "WatchAutomations",
        "automation",
        (
            "ssm:DescribeAutomationExecutions",
            "ssm:DescribeAutomationStepExecutions",
            "ssm:GetAutomationExecution",
            "ssm:StopAutomationExecution",
        ),
        "Waits for runbooks, collects their outputs, and finds one that an earlier try started.",
    ),
    Grant(
        "PassAutomationRoles",
        "automation_role",
        ("iam:PassRole",),
        "Roles that runbooks run with (AutomationAssumeRole), kept under the path /drs-plan/.",
        (OWN_ROLES,),
        {"StringEquals": {"iam:PassedToService": "ssm.amazonaws.com"}},
    ),
    Grant(
        "Notify",
        "notify",
        ("sns:Publish",),
        "Tells people about start, failure, approval wanted and end.",
        ("arn:aws:sns:*:*:*",),
    ),
    # What DRS calls with the caller's rights, as the dependent actions of StartRecovery list it.
    Grant(
        "DrsReadsEc2",
        "launch",
        (
            "ec2:DescribeAccountAttributes",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeImages",
            "ec2:DescribeInstanceAttribute",
            "ec2:DescribeInstanceTypeOfferings",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeLaunchTemplates",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSnapshots",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:GetEbsDefaultKmsKeyId",
            "ec2:GetEbsEncryptionByDefault",
            "ec2:GetInstanceTypesFromInstanceRequirements",
        ),
        "DRS looks at networks, images and volumes before it launches.",
        condition=VIA_DRS,
    ),
    Grant(
        "DrsRunsInstances",
        "launch",
        ("ec2:RunInstances",),
        "The conversion server and the recovery instance, both tagged by DRS.",
        _ec2("instance"),
        MANAGED_REQUEST,
    ),
    Grant(
        "DrsRunsInstancesWith",
        "launch",
        ("ec2:RunInstances",),
        "What an instance is launched with; the last four only where a launch template names one.",
        (
            *_ec2("image", "launch-template", "network-interface", "security-group", "subnet", "volume"),
            *_ec2("capacity-reservation", "key-pair", "placement-group", "snapshot"),
        ),
        VIA_DRS,
    ),
    Grant(
        "DrsCreatesFleets",
        "launch",
        ("ec2:CreateFleet",),
        "Launch templates that leave the instance type open are launched as a fleet.",
        _ec2("fleet", "image", "instance", "launch-template", "subnet", "volume"),
        VIA_DRS,
    ),
    Grant(
        "DrsStartsInstances",
        "launch",
        ("ec2:StartInstances",),
        "No tag condition: an instance whose launch template has tags of its own may lack DRS's tag.",
        _ec2("instance"),
        VIA_DRS,
    ),
    Grant(
        "DrsChangesItsInstances",
        "launch",
        (
            "ec2:AssociateIamInstanceProfile",
            "ec2:AttachVolume",
            "ec2:DetachVolume",
            "ec2:GetConsoleOutput",
            "ec2:GetConsoleScreenshot",
            "ec2:ModifyInstanceAttribute",
            "ec2:StopInstances",
            "ec2:TerminateInstances",
        ),
        "Swaps the disks, ends the conversion server, and ends the instance of an earlier drill.",
        _ec2("instance"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsLaunchesIntoInstances",
        "launch_into",
        ("ec2:AttachVolume", "ec2:DetachVolume", "ec2:GetConsoleOutput", "ec2:GetConsoleScreenshot"),
        "Launching into an existing instance, which has to consent by this tag.",
        _ec2("instance"),
        {**VIA_DRS, "StringEquals": {"aws:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"}},
    ),
    Grant(
        "DrsCreatesItsResources",
        "launch",
        (
            "ec2:CreateLaunchTemplate",
            "ec2:CreateNetworkInterface",
            "ec2:CreateSecurityGroup",
            "ec2:CreateSnapshot",
            "ec2:CreateVolume",
        ),
        "Snapshots, volumes, interfaces, the conversion security group and launch templates, tagged at creation.",
        _ec2("launch-template", "network-interface", "security-group", "snapshot", "volume"),
        MANAGED_REQUEST,
    ),
    Grant(
        "DrsCreatesFromItsResources",
        "launch",
        ("ec2:CreateSnapshot", "ec2:CreateVolume", "ec2:AttachVolume", "ec2:DeleteSnapshot", "ec2:DeleteVolume"),
        "From staging volume to snapshot to the recovery instance's volume, and the tidying up.",
        _ec2("snapshot", "volume"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsDeletesVolumesOfJobs",
        "launch",
        ("ec2:DeleteVolume",),
        "The volumes of a job have only the job's tags, and lack the tag of everything else that DRS creates.",
        _ec2("volume"),
        JOB_RESOURCE,
    ),
    Grant(
        "DrsCreatesInNetworks",
        "launch",
        ("ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup", "ec2:DetachVolume"),
        "The customer's own VPC, subnets, security groups and the volume that an image brought along are not tagged.",
        _ec2("security-group", "subnet", "volume", "vpc"),
        VIA_DRS,
    ),
    Grant(
        "DrsChangesItsNetworkResources",
        "launch",
        (
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateNetworkInterfacePermission",
            "ec2:RevokeSecurityGroupEgress",
        ),
        "The conversion servers' own security group and interfaces.",
        _ec2("network-interface", "security-group"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsChangesLaunchTemplates",
        "launch",
        ("ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"),
        "DRS writes a new template version for each launch; without it jobs end with failed servers and no reason.",
        _ec2("launch-template"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsTagsAtCreation",
        "launch",
        ("ec2:CreateTags",),
        "Tags in the same call that creates, and in no other.",
        _ec2("instance", "launch-template", "network-interface", "security-group", "snapshot", "volume"),
        {
            **VIA_DRS,
            "StringEquals": {
                "ec2:CreateAction": [
                    "CreateFleet",
                    "CreateLaunchTemplate",
                    "CreateNetworkInterface",
                    "CreateSecurityGroup",
                    "CreateSnapshot",
                    "CreateVolume",
                    "RunInstances",
                ]
            },
        },
    ),
    Grant(
        "DrsPassesRoles",
        "launch",
        ("iam:PassRole",),
        "The roles of the conversion server and of recovery instances.",
        tuple(f"{SERVICE_ROLES}{name}" for name in ("ConversionServerRole", "RecoveryInstanceRole")),
        {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    Grant(
        "DrsPassesInstanceProfiles",
        "instance_profile",
        ("iam:PassRole",),
        "Roles of instance profiles in launch templates, kept under the path /drs-plan/, and of launch actions.",
        (OWN_ROLES, f"{SERVICE_ROLES}RecoveryInstanceWithLaunchActionsRole"),
        {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
)

LAUNCH_SETTINGS: tuple[Grant, ...] = (
    Grant(
        "ReadLaunchSettings",
        "launch_settings",
        (
            "drs:DescribeJobs",
            "drs:DescribeSourceServers",
            "drs:GetLaunchConfiguration",
            "ec2:DescribeInstances",
            "ec2:DescribeLaunchTemplateVersions",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
        ),
        "Compares the launch settings of servers with those of a plan; UpdateLaunchConfiguration looks at instances.",
    ),
    Grant(
        "UpdateLaunchConfigurations",
        "launch_settings",
        ("drs:UpdateLaunchConfiguration",),
        "Applies the settings that stand in DRS; DRS then writes the template with the caller's permissions.",
        ("arn:aws:drs:*:*:source-server/*",),
    ),
    Grant(
        "WriteLaunchTemplates",
        "launch_settings",
        ("ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"),
        "Applies the settings that stand in the EC2 launch template, of templates that DRS manages only.",
        _ec2("launch-template"),
        {"Null": {f"aws:ResourceTag/{MANAGED}": "false"}},
    ),
)
"""What ``drs-plan launch-settings apply`` needs: of whoever runs it, and of no run of a plan."""


def policy(grants: Iterable[Grant]) -> dict[str, Any]:
    """An IAM policy document of these grants.

    :param grants: the grants, in order.
    """
    return {"Version": "2012-10-17", "Statement": [grant.statement() for grant in grants]}
