"""Roles that are assumed: they exist, and their trust policies let the caller in."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.simulator.roles import (
    ONE,
    READ,
    TRUST,
    TWO,
    WHOLE,
    as_role,
    assume,
    code,
    iam_enforced,
    with_keys,
    with_role,
)


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    return iam_enforced(drs_simulator)


def test_another_account_is_reached_by_a_role(drs_simulator):
    drs_simulator.freeze()
    drs_simulator.load(
        {
            "account": "111111111111",
            "servers": [{"id": ONE, "hostname": "here"}],
            "accounts": [{"account": "222222222222", "servers": [{"id": TWO, "hostname": "there"}]}],
            "roles": ["arn:aws:iam::222222222222:role/dr"],
        }
    )
    assert boto3.client("sts", "us-west-2").get_caller_identity()["Account"] == "111111111111"
    here, there = boto3.client("drs", "us-west-2"), with_role("arn:aws:iam::222222222222:role/dr")
    names = [
        [one["sourceProperties"]["identificationHints"]["hostname"] for one in drs.describe_source_servers()["items"]]
        for drs in (here, there)
    ]
    assert names == [["here"], ["there"]]
    job = there.start_recovery(sourceServers=[{"sourceServerID": TWO}])["job"]
    assert job["arn"].split(":")[4] == "222222222222"
    drs_simulator.advance(600)
    assert here.describe_jobs()["items"] == [] and here.describe_recovery_instances()["items"] == []
    assert len(there.describe_recovery_instances()["items"]) == 1
    assert boto3.client("ec2", "us-west-2").describe_instances()["Reservations"] == []
    ec2 = with_role("arn:aws:iam::222222222222:role/dr", "ec2")
    assert len(ec2.describe_instances()["Reservations"]) == 1
    accounts = {entry["account"] for entry in drs_simulator.log if entry.get("job") == job["jobID"]}
    assert accounts == {"222222222222"}


def test_a_role_that_does_not_exist_cannot_be_assumed(drs_simulator):
    drs_simulator.load({"accounts": [{"account": "222222222222"}], "roles": ["arn:aws:iam::222222222222:role/dr"]})
    assert with_role("arn:aws:iam::222222222222:role/dr").describe_source_servers()["items"] == []
    for arn in (
        "arn:aws:iam::222222222222:role/other",
        "arn:aws:iam::333333333333:role/dr",
        "arn:aws:iam::222222222222:dr",
    ):
        assert code(boto3.client("sts").assume_role, RoleArn=arn, RoleSessionName="session") == "AccessDenied"
    denied = [entry for entry in drs_simulator.log if entry.get("status") == 403]
    assert [entry["operation"] for entry in denied] == ["AssumeRole"] * 3


@pytest.mark.parametrize("enforced", [True, False])
def test_a_trust_policy_may_ask_for_an_external_id(drs_simulator, enforced):
    role = {
        "arn": "arn:aws:iam::222222222222:role/drs-plan/dr",
        "external_id": "secret",
        "policies": [{"Statement": READ}],
    }
    drs_simulator.load({"iam": enforced, "accounts": [{"account": "222222222222"}], "roles": [role]})
    request = {"RoleArn": role["arn"], "RoleSessionName": "session"}
    assert code(boto3.client("sts").assume_role, **request) == "AccessDenied"
    assert code(boto3.client("sts").assume_role, **request, ExternalId="other") == "AccessDenied"
    assert with_role(role["arn"], ExternalId="secret").describe_source_servers()["items"] == []


def test_a_trust_policy_says_who_may_assume_the_role(simulator):
    hop = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "arn:aws:iam::123456789012:role/b"}
    as_role(hop, name="a")
    as_role(name="c")
    first, third = (assume(f"arn:aws:iam::123456789012:role/{name}") for name in "ac")
    only_a = {**TRUST, "Principal": {"AWS": "arn:aws:iam::123456789012:role/a"}}
    as_role(READ, name="b", trust=[only_a])
    b = "arn:aws:iam::123456789012:role/b"
    assert with_keys(assume(b, with_keys(first, "sts")), "drs").describe_jobs()["items"] == []
    request = {"RoleArn": b, "RoleSessionName": "session"}
    assert code(with_keys(third, "sts").assume_role, **request) == "AccessDenied"


def test_nobody_may_assume_a_role_that_trusts_nobody(simulator):
    with pytest.raises(ClientError) as error:
        as_role(*WHOLE, trust=[])
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_a_role_that_is_deleted_may_do_nothing_more(simulator):
    drs = as_role(READ)
    iam = boto3.client("iam", "us-west-2")
    iam.delete_role_policy(RoleName="orchestrator", PolicyName="p")
    iam.delete_role(RoleName="orchestrator")
    assert code(drs.describe_jobs) == "AccessDeniedException"
