"""What a launch may do in AWS, and DRS on its behalf.

DRS has no role of its own for launching: it calls EC2, and passes roles, with the permissions of whoever called
StartRecovery. Those grants are bound to calls made through DRS (``aws:CalledVia``) and to resources that DRS has
tagged as its own, where EC2 supports it.
"""

from __future__ import annotations

from typing import Any

from drs_provider.plan.statements import OWN_ROLES, SERVICE_ROLES, Grant, ec2_arns

__all__ = ["GRANTS", "JOB", "MANAGED"]

MANAGED = "AWSElasticDisasterRecoveryManaged"
JOB = "drs.amazonaws.com-job"
VIA_DRS: dict[str, Any] = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["drs.amazonaws.com"]}}
# "Null … false" means: the key is there, whatever its value.
MANAGED_RESOURCE: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:ResourceTag/{MANAGED}": "false"}}
JOB_RESOURCE: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:ResourceTag/{JOB}": "false"}}
MANAGED_REQUEST: dict[str, Any] = {**VIA_DRS, "Null": {f"aws:RequestTag/{MANAGED}": "false"}}
GRANTS: tuple[Grant, ...] = (
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
        "ReadInstances",
        "launch",
        ("ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:DescribeLaunchTemplateVersions"),
        "Waits for instances, checks their status, and reads launch templates in preflight.",
    ),
    # What DRS calls with the caller's permissions, as the dependent actions of StartRecovery list it.
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
        ec2_arns("instance"),
        MANAGED_REQUEST,
    ),
    Grant(
        "DrsRunsInstancesWith",
        "launch",
        ("ec2:RunInstances",),
        "What an instance is launched with; the last four only where a launch template names one.",
        (
            *ec2_arns("image", "launch-template", "network-interface", "security-group", "subnet", "volume"),
            *ec2_arns("capacity-reservation", "key-pair", "placement-group", "snapshot"),
        ),
        VIA_DRS,
    ),
    Grant(
        "DrsCreatesFleets",
        "launch",
        ("ec2:CreateFleet",),
        "Launch templates that leave the instance type open are launched as a fleet.",
        ec2_arns("fleet", "image", "instance", "launch-template", "subnet", "volume"),
        VIA_DRS,
    ),
    Grant(
        "DrsStartsInstances",
        "launch",
        ("ec2:StartInstances",),
        "No tag condition: an instance whose launch template has tags of its own may lack DRS's tag.",
        ec2_arns("instance"),
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
        ec2_arns("instance"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsLaunchesIntoInstances",
        "launch_into",
        ("ec2:AttachVolume", "ec2:DetachVolume", "ec2:GetConsoleOutput", "ec2:GetConsoleScreenshot"),
        "Launching into an existing instance, which has to consent by this tag.",
        ec2_arns("instance"),
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
        ec2_arns("launch-template", "network-interface", "security-group", "snapshot", "volume"),
        MANAGED_REQUEST,
    ),
    Grant(
        "DrsCreatesFromItsResources",
        "launch",
        ("ec2:CreateSnapshot", "ec2:CreateVolume", "ec2:AttachVolume", "ec2:DeleteSnapshot", "ec2:DeleteVolume"),
        "From staging volume to snapshot to the recovery instance's volume, and the tidying up.",
        ec2_arns("snapshot", "volume"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsDeletesVolumesOfJobs",
        "launch",
        ("ec2:DeleteVolume",),
        "The volumes of a job have only the job's tags, and lack the tag of everything else that DRS creates.",
        ec2_arns("volume"),
        JOB_RESOURCE,
    ),
    Grant(
        "DrsCreatesInNetworks",
        "launch",
        ("ec2:CreateNetworkInterface", "ec2:CreateSecurityGroup", "ec2:DetachVolume"),
        "The customer's own VPC, subnets, security groups and the volume that an image brought along are not tagged.",
        ec2_arns("security-group", "subnet", "volume", "vpc"),
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
        ec2_arns("network-interface", "security-group"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsChangesLaunchTemplates",
        "launch",
        ("ec2:CreateLaunchTemplateVersion", "ec2:DeleteLaunchTemplateVersions", "ec2:ModifyLaunchTemplate"),
        "DRS writes a new template version for each launch; without it jobs end with failed servers and no reason.",
        ec2_arns("launch-template"),
        MANAGED_RESOURCE,
    ),
    Grant(
        "DrsTagsAtCreation",
        "launch",
        ("ec2:CreateTags",),
        "Tags in the same call that creates, and in no other.",
        ec2_arns("instance", "launch-template", "network-interface", "security-group", "snapshot", "volume"),
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
