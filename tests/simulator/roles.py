"""What tests of permissions share: statements, roles, and clients that act as a role."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ONE, TWO = "s-00000000000000001", "s-00000000000000002"
VIA_DRS = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["drs.amazonaws.com"]}}
READ = {"Effect": "Allow", "Action": "drs:Describe*", "Resource": "*"}
START = {"Effect": "Allow", "Action": "drs:StartRecovery", "Resource": "arn:aws:drs:*:*:source-server/*"}
BEHALF = {
    "Effect": "Allow",
    "Action": ["drs:CreateRecoveryInstanceForDrs", "drs:ListTagsForResource"],
    "Resource": "*",
}
TAG = {
    "Effect": "Allow",
    "Action": "drs:TagResource",
    "Resource": ["arn:aws:drs:*:*:job/*", "arn:aws:drs:*:*:source-server/*"],
    "Condition": {"ForAllValues:StringLike": {"aws:TagKeys": ["drs-provider:*"]}},
}
LAUNCH = {"Effect": "Allow", "Action": ["ec2:*"], "Resource": "*", "Condition": VIA_DRS}
PASS = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": "arn:aws:iam::*:role/service-role/AWSElasticDisasterRecovery*",
    "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
}
WHOLE = [READ, START, BEHALF, LAUNCH, PASS]
TRUST = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}


def as_role(
    *statements: dict[str, Any], service: str = "drs", name: str = "orchestrator", trust: Any = (TRUST,)
) -> Any:
    iam = boto3.client("iam", "us-west-2")
    document = json.dumps({"Version": "2012-10-17", "Statement": list(trust)})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return with_role(role, service)


def with_role(arn: str, service: str = "drs", **request: Any) -> Any:
    return with_keys(assume(arn, **request), service)


def assume(arn: str, sts: Any = None, **request: Any) -> dict[str, str]:
    sts = sts or boto3.client("sts", "us-west-2")
    keys: dict[str, str] = sts.assume_role(RoleArn=arn, RoleSessionName="session", **request)["Credentials"]
    return keys


def with_keys(given: dict[str, str], service: str) -> Any:
    return boto3.client(
        service,
        "us-west-2",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}),
    )


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return str(error.value.response["Error"]["Code"])


def start(drs: Any, **more: Any) -> dict[str, Any]:
    job: dict[str, Any] = drs.start_recovery(sourceServers=[{"sourceServerID": ONE}], **more)["job"]
    return job


def ended(simulator: Any, job: dict[str, Any]) -> str:
    simulator.advance(700)
    drs = boto3.client("drs", "us-west-2")
    shown = drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]
    assert shown["status"] == "COMPLETED"
    return str(shown["participatingServers"][0]["launchStatus"])


def iam_enforced(drs_simulator: Any) -> Any:
    """A frozen simulation with two servers, which enforces IAM."""
    drs_simulator.freeze()
    drs_simulator.load({"iam": True, "servers": [{"id": one, "hostname": one[-4:]} for one in (ONE, TWO)]})
    return drs_simulator
