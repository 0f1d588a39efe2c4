"""What the end of a drill, and a rollback, may do in AWS."""

from __future__ import annotations

from drs_provider.plan.statements import Grant, ec2_arns

__all__ = ["GRANTS"]

GRANTS: tuple[Grant, ...] = (
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
        ec2_arns("instance"),
        {"StringEquals": {"aws:ResourceTag/AWSDRS": "AllowLaunchingIntoThisInstance"}},
    ),
    Grant(
        "ReleaseInstancesLaunchedInto",
        "launch_into",
        ("drs:DisconnectRecoveryInstance", "drs:DeleteRecoveryInstance"),
        "Has DRS forget such an instance, which would delete it at the next launch of its server; EC2 keeps it.",
        ("arn:aws:drs:*:*:recovery-instance/*",),
    ),
)
