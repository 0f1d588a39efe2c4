"""Regions and accounts where DRS was never initialised, and regions that AWS does not have."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.simulator.roles import ONE, with_role


def test_regions_are_apart(drs_simulator):
    drs_simulator.load({"accounts": [{"region": "eu-west-1", "servers": [{"id": ONE, "hostname": "eu"}]}]})
    assert boto3.client("drs", "us-west-2").describe_source_servers()["items"] == []
    assert len(boto3.client("drs", "eu-west-1").describe_source_servers()["items"]) == 1


@pytest.mark.parametrize("operation", ["describe_source_servers", "describe_jobs", "list_tags_for_resource"])
@pytest.mark.parametrize("region", ["eu-west-1", "us-nowhere-7"])
def test_drs_was_never_initialised_where_the_scenario_does_not_say_so(drs_simulator, operation, region):
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01"}]})
    drs = boto3.client("drs", region, config=Config(retries={"total_max_attempts": 1}))
    arn = f"arn:aws:drs:{region}:123456789012:source-server/{ONE}"
    request = {"resourceArn": arn} if operation == "list_tags_for_resource" else {}
    with pytest.raises(ClientError) as error:
        getattr(drs, operation)(**request)
    assert error.value.response["Error"]["Code"] == "UninitializedAccountException"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_another_account_has_not_initialised_drs_either(drs_simulator):
    drs_simulator.load({"roles": ["arn:aws:iam::222222222222:role/dr"]})
    there = with_role("arn:aws:iam::222222222222:role/dr")
    with pytest.raises(ClientError, match="UninitializedAccountException"):
        there.describe_source_servers()
    there.initialize_service()
    assert there.describe_source_servers()["items"] == []


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("ec2", "describe_instances", "AuthFailure"),
        ("ssm", "list_commands", "InvalidSignatureException"),
        ("sns", "list_topics", "SignatureDoesNotMatch"),
    ],
)
def test_a_region_that_aws_does_not_have_is_no_fault_of_the_server(drs_simulator, service, operation, expected):
    client = boto3.client(service, "us-nowhere-7", config=Config(retries={"total_max_attempts": 1}))
    with pytest.raises(ClientError) as error:
        getattr(client, operation)()
    assert error.value.response["Error"]["Code"] == expected
