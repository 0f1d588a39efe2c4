"""Every AWS action that the provider, and DRS on its behalf, needs: what the kinds of steps say, and what no step does.

The IAM policies are made of it, and preflight simulates the part of it that a plan needs.
"""

from __future__ import annotations

from drs_provider.plan.kinds import own_kinds
from drs_provider.plan.statements import Grant, ec2_arns
from drs_provider.steps.launch.permissions import MANAGED

__all__ = ["EXTENSIONS", "GRANTS", "LAUNCH_SETTINGS", "OTHERS"]

OTHERS: tuple[Grant, ...] = (
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
        ec2_arns("launch-template"),
        {"Null": {f"aws:ResourceTag/{MANAGED}": "false"}},
    ),
    Grant(
        "Notify",
        "notify",
        ("sns:Publish",),
        "Tells people about start, failure, approval wanted and end.",
        ("arn:aws:sns:*:*:*",),
    ),
)
"""What no step of a plan does."""

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
        ec2_arns("launch-template"),
        {"Null": {f"aws:ResourceTag/{MANAGED}": "false"}},
    ),
)
"""What ``drs-plan launch-settings apply`` needs: of whoever runs it, and of no run of a plan."""

EXTENSIONS: tuple[Grant, ...] = (
    Grant(
        "ReadExtensibleSourceServers",
        "extend",
        (
            "drs:DescribeSourceServers",
            "drs:GetReplicationConfiguration",
            "drs:ListExtensibleSourceServers",
            "drs:ListStagingAccounts",
        ),
        "Finds what the staging accounts replicate; DRS reads a server's replication settings with the caller's "
        "permissions.",
    ),
    Grant(
        "ExtendSourceServers",
        "extend",
        ("drs:CreateExtendedSourceServer",),
        "Extends a server into this account; IAM knows no resource of this action.",
    ),
    Grant(
        "TagExtendedSourceServers",
        "extend",
        ("drs:TagResource",),
        "Gives it the tags that it has in the staging account.",
        ("arn:aws:drs:*:*:source-server/*",),
    ),
)
"""What ``drs-plan extend`` needs: of whoever runs it, and of no run of a plan."""

GRANTS: tuple[Grant, ...] = (*(grant for kind in own_kinds() for grant in kind.grants), *OTHERS)
