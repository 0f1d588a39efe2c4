"""IAM policy documents for the roles that recovery plans run with, made from what each kind of step may do.

Two set-ups. In one account, Airflow's execution role gets ``orchestration.json``, ``drs-on-behalf.json`` and
``reports.json``. With a target account, a role there gets the first two, and ``target-trust.json`` as its trust
policy; the execution role gets ``assume-target.json`` and ``reports.json``, and the Airflow connection sends the
external id. Where volumes are encrypted with a customer-managed key, the role that launches gets
``customer-keys.json`` too, and ``failback.json`` where DAGs use the failback operators. ``launch-settings.json`` and
``extend.json`` are for the person or the pipeline that runs ``drs-plan launch-settings apply`` or ``drs-plan extend``;
runs of plans do without.

Four more only deny, and can be attached beside the others: ``drills-only.json``, ``keep-forward-servers.json``,
``run-commands-by-tag.json`` and ``tag-jobs-at-creation.json``. Replace names in capitals and the account 111122223333.

``python -m drs_provider.deploy.iam`` writes the files again after a change of one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drs_provider.plan.statements import Grant, policy
from drs_provider.readiness.grants import EXTENSIONS, GRANTS, LAUNCH_SETTINGS

__all__ = ["FOLDER", "documents", "render"]

FOLDER = Path(__file__).parent

REPORTS = (
    Grant(
        "ListReports",
        "reports",
        ("s3:ListBucket",),
        "Reports of earlier drills, for the trend.",
        ("arn:aws:s3:::REPORTS_BUCKET",),
    ),
    Grant(
        "WriteReports",
        "reports",
        ("s3:GetObject", "s3:PutObject"),
        "The evidence of a run; nothing here deletes it.",
        ("arn:aws:s3:::REPORTS_BUCKET/*",),
    ),
)
ASSUME = (
    Grant(
        "AssumeTargetRoles",
        "target",
        ("sts:AssumeRole",),
        "The aws connection of a plan names such a role as role_arn.",
        ("arn:aws:iam::*:role/drs-plan/*",),
    ),
)
KEYS = (
    Grant(
        "UseKeysThroughEc2",
        "keys",
        (
            "kms:Decrypt",
            "kms:DescribeKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
        "EC2 creates volumes from encrypted snapshots with the caller's rights on the key.",
        ("arn:aws:kms:*:111122223333:key/KEY_ID",),
        {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}},
    ),
    Grant(
        "GrantKeysToEc2",
        "keys",
        ("kms:CreateGrant",),
        "EC2 keeps a grant for as long as the volume is attached.",
        ("arn:aws:kms:*:111122223333:key/KEY_ID",),
        {
            "StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"},
            "Bool": {"kms:GrantIsForAWSResource": "true"},
        },
    ),
)
RESTRICTIONS: dict[str, dict[str, Any]] = {
    # StartRecovery has no condition key for isDrill. What IAM sees is the tag that this package puts on its jobs.
    "drills-only.json": {
        "Sid": "OnlyDrillsOfRecoveryPlans",
        "Effect": "Deny",
        "Action": "drs:StartRecovery",
        "Resource": "arn:aws:drs:*:*:source-server/*",
        "Condition": {"StringNotEquals": {"aws:RequestTag/drs-provider:mode": "drill"}},
    },
    # IAM knows no direction of a source server. Those in the recovery region protect production: StopReplication
    # deletes every point in time that they can recover.
    "keep-forward-servers.json": {
        "Sid": "KeepForwardServers",
        "Effect": "Deny",
        "Action": ["drs:DeleteSourceServer", "drs:DisconnectSourceServer", "drs:StopReplication"],
        "Resource": "arn:aws:drs:RECOVERY_REGION:*:source-server/*",
    },
    # Recovery instances have the tag where copyTags or the launch template gives it to them.
    "run-commands-by-tag.json": {
        "Sid": "RunCommandsOnTaggedInstancesOnly",
        "Effect": "Deny",
        "Action": "ssm:SendCommand",
        "Resource": ["arn:aws:ec2:*:*:instance/*", "arn:aws:ssm:*:*:managed-instance/*"],
        "Condition": {"StringNotEquals": {"ssm:resourceTag/Application": "APPLICATION"}},
    },
    # For jobs only: TagResource is checked on source servers and recovery instances as well, and whether AWS sends this
    # key there is not known.
    "tag-jobs-at-creation.json": {
        "Sid": "TagJobsOnlyWhenTheyAreCreated",
        "Effect": "Deny",
        "Action": "drs:TagResource",
        "Resource": "arn:aws:drs:*:*:job/*",
        "Condition": {"StringNotEquals": {"drs:CreateAction": ["StartRecovery", "StartFailbackLaunch"]}},
    },
}
"""Statements that only deny, by the name of their file."""

TRUST: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "AirflowRunsRecoveryPlans",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::111122223333:role/AIRFLOW_EXECUTION_ROLE"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "EXTERNAL_ID"}},
        }
    ],
}


def documents() -> dict[str, dict[str, Any]]:
    """Every policy document: file name -> document."""
    failback = [grant for grant in GRANTS if grant.need == "failback"]
    own = [grant for grant in GRANTS if not grant.sid.startswith("Drs") and grant not in failback]
    on_behalf = [grant for grant in GRANTS if grant.sid.startswith("Drs")]
    return {
        "orchestration.json": policy(own),
        "drs-on-behalf.json": policy(on_behalf),
        "failback.json": policy(failback),
        "launch-settings.json": policy(LAUNCH_SETTINGS),
        "extend.json": policy(EXTENSIONS),
        "target-trust.json": TRUST,
        "assume-target.json": policy(ASSUME),
        "reports.json": policy(REPORTS),
        "customer-keys.json": policy(KEYS),
        **{name: {"Version": "2012-10-17", "Statement": [statement]} for name, statement in RESTRICTIONS.items()},
    }


def render(document: dict[str, Any]) -> str:
    """A policy document as the text of its file."""
    return json.dumps(document, indent=2) + "\n"
