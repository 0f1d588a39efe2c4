"""What the readiness checks may read beside what a launch reads: without it they find less."""

from __future__ import annotations

from drs_provider.plan.statements import Grant

__all__ = ["GRANTS"]

GRANTS: tuple[Grant, ...] = (
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
)
