"""Calls where a scenario enforces IAM: the caller's policies, the resources and their tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.utils import get_service_model

from drs_provider.simulator.authorization import requirements
from drs_provider.simulator.drs.responses import operations
from tests.simulator.roles import (
    ONE,
    READ,
    START,
    TAG,
    TWO,
    WHOLE,
    as_role,
    code,
    ended,
    iam_enforced,
    start,
    with_role,
)


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    return iam_enforced(drs_simulator)


def test_a_role_does_what_its_policy_allows_and_no_more(simulator):
    drs = as_role(READ)
    assert len(drs.describe_source_servers()["items"]) == 2
    request = {"sourceServers": [{"sourceServerID": ONE}]}
    assert code(drs.start_recovery, **request) == "AccessDeniedException"
    assert boto3.client("drs", "us-west-2").describe_jobs()["items"] == []
    denied = [entry for entry in simulator.log if entry.get("error") == "AccessDeniedException"]
    assert [entry["operation"] for entry in denied] == ["StartRecovery"]


def test_the_root_user_may_do_everything(simulator):
    assert start(boto3.client("drs", "us-west-2"))["status"] == "PENDING"


def test_resources_are_told_apart(simulator):
    only_one = {**START, "Resource": f"arn:aws:drs:us-west-2:123456789012:source-server/{ONE}"}
    drs = as_role(READ, only_one)
    both = [{"sourceServerID": ONE}, {"sourceServerID": TWO}]
    assert code(drs.start_recovery, sourceServers=both) == "AccessDeniedException"
    start(drs)


def test_tags_on_a_job_need_the_right_to_tag(simulator):
    tags = {"drs-provider:launch": "x"}
    request = {"sourceServers": [{"sourceServerID": ONE}], "tags": tags}
    assert code(as_role(READ, START).start_recovery, **request) == "AccessDeniedException"
    tagger = as_role(*WHOLE, TAG, name="tagger")
    other = {**request, "tags": {**tags, "other": "y"}}
    assert code(tagger.start_recovery, **other) == "AccessDeniedException"
    assert ended(simulator, start(tagger, tags=tags)) == "LAUNCHED"


@pytest.mark.parametrize("kind", ["job", "source-server"])
def test_tags_on_a_job_are_authorised_on_the_job_and_on_each_server(simulator, kind):
    tag = {**TAG, "Resource": f"arn:aws:drs:*:*:{kind}/*"}
    request = {"sourceServers": [{"sourceServerID": ONE}], "tags": {"drs-provider:launch": "x"}}
    assert code(as_role(*WHOLE, tag).start_recovery, **request) == "AccessDeniedException"
    (denied,) = [entry for entry in simulator.log if entry.get("status") == 403]
    assert denied["operation"] == "StartRecovery"
    assert boto3.client("drs", "us-west-2").describe_jobs()["items"] == []


def test_tags_at_creation_are_told_from_those_set_later(simulator):
    creation = {"StringNotEquals": {"drs:CreateAction": "StartRecovery"}}
    deny = {"Effect": "Deny", "Action": "drs:TagResource", "Resource": "arn:aws:drs:*:*:job/*", "Condition": creation}
    drs = as_role(*WHOLE, TAG, deny)
    tags = {"drs-provider:launch": "x"}
    job = start(drs, tags=tags)
    assert code(drs.tag_resource, resourceArn=job["arn"], tags=tags) == "AccessDeniedException"


def test_every_service_denies_in_its_own_words(simulator):
    as_role(READ)
    role = "arn:aws:iam::123456789012:role/orchestrator"
    assert code(with_role(role, "ec2").describe_instances) == "UnauthorizedOperation"
    assert code(with_role(role, "ssm").list_commands) == "AccessDeniedException"
    assert code(with_role(role, "s3").list_buckets) == "AccessDenied"
    assert with_role(role, "sts").get_caller_identity()["Arn"].endswith("assumed-role/orchestrator/session")


SEND = {"Effect": "Allow", "Action": "ssm:SendCommand"}
DOCUMENTS = {**SEND, "Resource": "arn:aws:ssm:us-west-2:*:document/*"}


@pytest.mark.parametrize("target", ["id", "tag"])
def test_commands_go_only_to_instances_that_the_policy_names_by_tag(simulator, target):
    instances = [{"name": tier, "tags": {"Tier": tier}} for tier in ("web", "db")]
    simulator.load({"iam": True, "instances": instances})
    condition = {"StringEquals": {"ssm:resourceTag/Tier": "web"}}
    web = {**SEND, "Resource": "arn:aws:ec2:*:*:instance/*", "Condition": condition}
    ssm = as_role(DOCUMENTS, web, service="ssm")
    found = boto3.client("ec2", "us-west-2").describe_instances()["Reservations"]
    ids = {one["Tags"][0]["Value"]: one["InstanceId"] for group in found for one in group["Instances"]}
    for tier in ("web", "db"):
        where = {"InstanceIds": [ids[tier]]} if target == "id" else {"Targets": [{"Key": "tag:Tier", "Values": [tier]}]}
        request = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}, **where}
        if tier == "web":
            ssm.send_command(**request)
        else:
            assert code(ssm.send_command, **request) == "AccessDeniedException"


def test_runbooks_are_authorised_with_their_version(simulator):
    simulator.load({"iam": True, "documents": {"Shop-Promote": {"kind": "Automation"}}})
    start = {"Effect": "Allow", "Action": "ssm:StartAutomationExecution"}
    runbook = "arn:aws:ssm:us-west-2:123456789012:automation-definition/Shop-Promote"
    bare = as_role({**start, "Resource": runbook}, service="ssm")
    assert code(bare.start_automation_execution, DocumentName="Shop-Promote") == "AccessDeniedException"
    whole = as_role({**start, "Resource": f"{runbook}:*"}, service="ssm", name="whole")
    whole.start_automation_execution(DocumentName="Shop-Promote")
    tags = [{"Key": "a", "Value": "b"}]
    assert code(whole.start_automation_execution, DocumentName="Shop-Promote", Tags=tags) == "AccessDeniedException"


def test_instances_are_started_by_their_tags(simulator):
    simulator.load({"iam": True, "servers": [{"id": ONE, "hostname": "a", "launched": "drill"}], "instances": [{}]})
    managed = {"Null": {"aws:ResourceTag/AWSElasticDisasterRecoveryManaged": "false"}}
    ec2 = as_role(
        {"Effect": "Allow", "Action": "ec2:StartInstances", "Resource": "*", "Condition": managed}, service="ec2"
    )
    root = boto3.client("ec2", "us-west-2")
    all_ = [one for group in root.describe_instances()["Reservations"] for one in group["Instances"]]
    of_drs = {one["InstanceId"]: bool(one.get("Tags")) for one in all_}
    for instance, allowed in of_drs.items():
        if allowed:
            ec2.start_instances(InstanceIds=[instance])
        else:
            assert code(ec2.start_instances, InstanceIds=[instance]) == "UnauthorizedOperation"
    assert sorted(of_drs.values()) == [False, True]


def test_source_servers_are_told_apart_by_their_tags(simulator):
    servers = [{"id": one, "hostname": one[-4:], "tags": {"Application": app}} for one, app in ((ONE, "a"), (TWO, "b"))]
    simulator.load({"iam": True, "servers": servers})
    only_a = {**START, "Condition": {"StringEquals": {"aws:ResourceTag/Application": "a"}}}
    drs = as_role(READ, only_a)
    assert code(drs.start_recovery, sourceServers=[{"sourceServerID": TWO}]) == "AccessDeniedException"
    start(drs)


def test_the_resources_are_those_of_aws(simulator):
    """Kinds of resource that each DRS operation is authorised on, against AWS's own list."""
    import cfnlint

    table = json.loads((Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json").read_text())["drs"]
    named = {
        "sourceServerID": ONE,
        "recoveryInstanceID": "i-1",
        "recoveryInstanceIDs": ["i-1"],
        "jobID": "drsjob-1",
        "sourceServers": [{"sourceServerID": ONE}],
        "sourceNetworkID": "sn-1",
        "sourceNetworks": [{"sourceNetworkID": "sn-1"}],
        "launchConfigurationTemplateID": "lct-1",
        "replicationConfigurationTemplateID": "rct-1",
        "resourceId": ONE,
    }
    kinds = {"recoveryPlan": "recovery-plan/rp-1", "recoveryPlanExecution": "recovery-plan-execution/rpe-1"}
    for operation in operations():
        shape = get_service_model("drs").operation_model(operation).input_shape
        params = {name: named[name] for name in shape.members if name in named} if shape else {}
        for name in shape.members if shape else ():
            stem = name.removesuffix("Arn").removesuffix("Step")
            if name.endswith("Arn") and stem in kinds:
                params[name] = f"arn:aws:drs:us-west-2:123456789012:{kinds[stem]}" + (
                    "/step/1" if "Step" in name else ""
                )
        (first, *_) = requirements("drs", operation, params, "123456789012", "us-west-2")
        expected = table["Actions"][operation.lower()].get("Resources")
        if operation in ("TagResource", "UntagResource"):
            continue  # On whatever they name.
        found = first.resource.split(":", 5)[5].split("/")[0] if first.resource != "*" else None
        wanted = {one.removesuffix("Resource").lower() for one in expected or ()}
        assert (found.replace("-", "") in wanted) if found else not wanted, (operation, found, wanted)
