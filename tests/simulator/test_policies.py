"""IAM policies: what a statement allows, what a simulation of them says, and what is none."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from drs_provider.simulator.policies import decision
from drs_provider.simulator.scenario_file import ScenarioError
from tests.simulator.roles import ONE, PASS, READ, START, as_role, iam_enforced


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    return iam_enforced(drs_simulator)


ALLOW = {"Effect": "Allow", "Action": "drs:Start*", "Resource": "*"}


@pytest.mark.parametrize(
    ("statement", "context", "expected"),
    [
        (ALLOW, {}, "allowed"),
        ({**ALLOW, "Action": ["DRS:startrecovery"]}, {}, "allowed"),
        ({"Effect": "Allow", "NotAction": "drs:StartRecovery", "Resource": "*"}, {}, "implicitDeny"),
        ({**ALLOW, "Effect": "Deny"}, {}, "explicitDeny"),
        ({**ALLOW, "Resource": "arn:aws:drs:*:*:job/*"}, {}, "implicitDeny"),
        ({**ALLOW, "Condition": {"StringEquals": {"aws:RequestedRegion": "us-west-2"}}}, {}, "implicitDeny"),
        ({**ALLOW, "Condition": {"StringEqualsIfExists": {"aws:RequestedRegion": "us-west-2"}}}, {}, "allowed"),
        (
            {**ALLOW, "Condition": {"StringEquals": {"AWS:requestedregion": ["a", "b"]}}},
            {"aws:RequestedRegion": "b"},
            "allowed",
        ),
        ({**ALLOW, "Condition": {"StringNotEquals": {"k": "a"}}}, {"k": "b"}, "allowed"),
        ({**ALLOW, "Condition": {"StringNotEquals": {"k": "a"}}}, {"k": "a"}, "implicitDeny"),
        ({**ALLOW, "Condition": {"StringLike": {"k": "a*"}}}, {"k": "abc"}, "allowed"),
        ({**ALLOW, "Condition": {"Null": {"k": "false"}}}, {"k": "x"}, "allowed"),
        ({**ALLOW, "Condition": {"Null": {"k": "false"}}}, {}, "implicitDeny"),
        ({**ALLOW, "Condition": {"Bool": {"aws:ViaAWSService": "true"}}}, {"aws:ViaAWSService": "true"}, "allowed"),
        ({**ALLOW, "Condition": {"ForAllValues:StringEquals": {"k": ["a"]}}}, {"k": ["a", "b"]}, "implicitDeny"),
        ({**ALLOW, "Condition": {"ForAnyValue:StringEquals": {"k": ["a"]}}}, {"k": ["a", "b"]}, "allowed"),
        ({**ALLOW, "Condition": {"ForAnyValue:StringEquals": {"k": ["a"]}}}, {}, "implicitDeny"),
        ({**ALLOW, "Condition": {"ForAllValues:StringEquals": {"k": ["a"]}}}, {}, "allowed"),
    ],
)
def test_statements(statement, context, expected):
    arn = f"arn:aws:drs:us-west-2:123456789012:source-server/{ONE}"
    assert decision([{"Statement": statement}], "drs:StartRecovery", arn, context) == expected


def test_a_denial_beats_an_allowance():
    deny = {"Effect": "Deny", "Action": "*", "Resource": "*"}
    assert decision([{"Statement": [ALLOW, deny]}], "drs:StartRecovery", None, {}) == "explicitDeny"


def test_simulating_a_principal_s_policy_says_the_same(simulator):
    as_role(READ, START, PASS)
    iam = boto3.client("iam", "us-west-2")
    answer = iam.simulate_principal_policy(
        PolicySourceArn="arn:aws:iam::123456789012:role/orchestrator",
        ActionNames=["drs:DescribeJobs", "drs:StartRecovery", "drs:TagResource", "iam:PassRole"],
        ResourceArns=[f"arn:aws:drs:us-west-2:123456789012:source-server/{ONE}"],
    )
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}
    assert decisions == {
        "drs:DescribeJobs": "allowed",
        "drs:StartRecovery": "allowed",
        "drs:TagResource": "implicitDeny",
        "iam:PassRole": "implicitDeny",
    }


def test_a_policy_of_the_scenario_is_one_of_iam(drs_simulator):
    role = {"arn": "arn:aws:iam::222222222222:role/dr", "policies": [{"Statement": {"Effect": "Maybe"}}]}
    with pytest.raises(ScenarioError, match=r"roles\[0\]\.policies\[0\]: not an IAM policy document"):
        drs_simulator.load({"roles": [role]})
