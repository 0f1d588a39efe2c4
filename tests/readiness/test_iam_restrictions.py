"""The policies that only deny, and the trust between accounts: what they let through and what they do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.models import Connection
from airflow.providers.amazon.aws.utils.connection_wrapper import AwsConnectionWrapper

from drs_provider.deploy.iam import RESTRICTIONS, documents
from drs_provider.simulator.policies import decision

ALL = [*documents()["orchestration.json"]["Statement"], *documents()["drs-on-behalf.json"]["Statement"]]
SOURCE = "arn:aws:drs:us-west-2:123456789012:source-server/s-1a2b3c4d5e6f70001"
JOB = "arn:aws:drs:us-west-2:123456789012:job/drsjob-1a2b3c4d5e6f70001"
INSTANCE = "arn:aws:ec2:us-west-2:123456789012:instance/i-0aaaaaaaaaaaaaaa1"


def allowed(name: str, action: str, resource: str, context: dict[str, Any]) -> bool:
    whole = {"Version": "2012-10-17", "Statement": ALL}
    assert decision([whole], action, resource, context) == "allowed", "without the restriction it is allowed"
    return decision([whole, documents()[name]], action, resource, context) == "allowed"


@pytest.mark.parametrize(("mode", "may"), [("drill", True), ("recovery", False), (None, False)])
def test_drills_only(mode: str | None, may: bool) -> None:
    context = {"aws:RequestTag/drs-provider:mode": mode} if mode else {}
    assert allowed("drills-only.json", "drs:StartRecovery", SOURCE, context) is may
    assert allowed("drills-only.json", "drs:DescribeJobs", "*", {})


@pytest.mark.parametrize(
    ("tags", "may"), [({"Application": "APPLICATION"}, True), ({"Application": "x"}, False), ({}, False)]
)
def test_commands_by_tag(tags: dict[str, str], may: bool) -> None:
    context = {f"ssm:resourceTag/{key}": value for key, value in tags.items()}
    assert allowed("run-commands-by-tag.json", "ssm:SendCommand", INSTANCE, context) is may
    document = "arn:aws:ssm:us-west-2::document/AWS-RunShellScript"
    assert allowed("run-commands-by-tag.json", "ssm:SendCommand", document, {})


def test_tags_of_a_job_are_set_at_its_creation_only_and_source_servers_are_left_alone() -> None:
    name = "tag-jobs-at-creation.json"
    assert allowed(name, "drs:TagResource", JOB, {"drs:CreateAction": "StartRecovery"})
    assert not allowed(name, "drs:TagResource", JOB, {})
    assert allowed(name, "drs:TagResource", SOURCE, {})


def test_restrictions_only_deny() -> None:
    assert {statement["Effect"] for statement in RESTRICTIONS.values()} == {"Deny"}


def test_the_documented_connection_sends_the_external_id_that_the_trust_policy_demands() -> None:
    """As README and plans/cross-account.yaml write it; ``external_id`` alone is not sent by the provider."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    extra = next(
        line.strip().strip("`. ").rstrip("`") for line in readme.splitlines() if '"assume_role_kwargs"' in line
    )
    connection = Connection(conn_id="other", conn_type="aws", extra=json.loads(extra))
    wrapped = AwsConnectionWrapper(connection)
    (statement,) = documents()["target-trust.json"]["Statement"]
    demanded = statement["Condition"]["StringEquals"]["sts:ExternalId"]
    assert wrapped.assume_role_kwargs == {"ExternalId": demanded}
    assert wrapped.role_arn is not None
    (assume,) = documents()["assume-target.json"]["Statement"]
    trusted = {"Version": "2012-10-17", "Statement": [assume]}
    assert decision([trusted], "sts:AssumeRole", wrapped.role_arn, {}) == "allowed"
