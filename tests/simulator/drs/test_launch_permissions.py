"""What DRS may do in EC2 and IAM in the name of whoever started a job, and how a missing permission shows."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from tests.simulator.roles import (
    BEHALF,
    LAUNCH,
    ONE,
    PASS,
    READ,
    START,
    TWO,
    VIA_DRS,
    WHOLE,
    as_role,
    ended,
    iam_enforced,
    start,
)


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    return iam_enforced(drs_simulator)


#: What a launch needs of the caller besides: IAM action, and what the error of EC2 names.
NEEDED = [
    "drs:CreateRecoveryInstanceForDrs",
    "drs:ListTagsForResource",
    "drs:DescribeReplicationConfigurationTemplates",
    "ec2:AttachVolume",
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateNetworkInterface",
    "ec2:CreateSecurityGroup",
    "ec2:CreateSnapshot",
    "ec2:CreateTags",
    "ec2:CreateVolume",
    "ec2:DeleteLaunchTemplateVersions",
    "ec2:DeleteSnapshot",
    "ec2:DeleteVolume",
    "ec2:DescribeInstances",
    "ec2:DescribeSubnets",
    "ec2:DetachVolume",
    "ec2:ModifyInstanceAttribute",
    "ec2:ModifyLaunchTemplate",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RunInstances",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:TerminateInstances",
    "iam:PassRole",
]


@pytest.mark.parametrize("action", NEEDED)
def test_a_missing_permission_shows_after_the_conversion_with_the_error_of_ec2(simulator, action):
    job = start(as_role(*WHOLE, {"Effect": "Deny", "Action": action, "Resource": "*"}))
    simulator.advance(60)
    assert list(log_of(job)) == ["JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "CONVERSION_START"]
    assert ended(simulator, job) == "FAILED"
    log = log_of(job)
    assert list(log)[4:] == ["CONVERSION_END", "LAUNCH_START", "LAUNCH_FAILED", "JOB_END"]
    error = log["LAUNCH_FAILED"]["rawError"]
    assert f"is not authorized to perform: {action} " in error
    assert ("UnauthorizedOperation" in error) == (not action.startswith("drs:"))
    assert boto3.client("ec2", "us-west-2").describe_instances()["Reservations"] == []


def test_volumes_of_a_job_lack_the_tag_of_what_drs_manages(simulator):
    managed = {**VIA_DRS, "Null": {"aws:ResourceTag/AWSElasticDisasterRecoveryManaged": "false"}}
    others = {**LAUNCH, "NotAction": "ec2:DeleteVolume"}
    del others["Action"]
    bound = {**LAUNCH, "Action": "ec2:DeleteVolume", "Condition": managed}
    job = start(as_role(READ, START, BEHALF, PASS, others, bound))
    assert ended(simulator, job) == "FAILED"
    assert "ec2:DeleteVolume on resource: arn:aws:ec2:" in log_of(job)["LAUNCH_FAILED"]["rawError"]
    of_job = {**bound, "Condition": {**VIA_DRS, "Null": {"aws:ResourceTag/drs.amazonaws.com-job": "false"}}}
    allowed = as_role(READ, START, BEHALF, PASS, others, of_job, name="allowed")
    assert ended(simulator, start(allowed)) == "LAUNCHED"


def test_an_incomplete_template_still_fails_in_silence(simulator):
    bare = {"id": ONE, "hostname": "0001", "launch_template": {"subnet": False}}
    simulator.load({"iam": True, "servers": [bare]})
    job = start(as_role(*WHOLE))
    assert ended(simulator, job) == "FAILED"
    assert list(log_of(job)) == ["JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "JOB_END"]


@pytest.mark.parametrize("action", ["ec2:CreateVolume", "ec2:TerminateInstances", "ec2:DeleteVolume"])
def test_the_previous_drill_outlives_a_launch_that_is_not_allowed(simulator, action):
    simulator.load({"iam": True, "servers": [{"id": ONE, "hostname": "0001", "launched": "drill"}]})
    job = start(as_role(*WHOLE, {"Effect": "Deny", "Action": action, "Resource": "*"}))
    assert ended(simulator, job) == "FAILED"
    assert "CLEANUP_END" not in log_of(job)
    (instance,) = boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
    assert instance["ec2InstanceState"] == "RUNNING"


@pytest.mark.parametrize("action", ["ec2:TerminateInstances", "ec2:DeleteVolume"])
def test_terminating_takes_what_ec2_asks_of_the_caller(simulator, action):
    simulator.load({"iam": True, "servers": [{"id": ONE, "hostname": "0001", "launched": "drill"}]})
    root = boto3.client("drs", "us-west-2")
    ids = [one["recoveryInstanceID"] for one in root.describe_recovery_instances()["items"]]
    terminate = {"Effect": "Allow", "Action": "drs:TerminateRecoveryInstances", "Resource": "*"}
    lacking = as_role(READ, terminate, LAUNCH, {"Effect": "Deny", "Action": action, "Resource": "*"})
    job = lacking.terminate_recovery_instances(recoveryInstanceIDs=ids)["job"]
    simulator.advance(300)
    log = log_of(job)
    assert list(log) == ["JOB_START", "CLEANUP_START", "CLEANUP_FAIL", "JOB_END"]
    assert f"not authorized to perform: {action} on resource: arn:aws:ec2:" in log["CLEANUP_FAIL"]["rawError"]
    (left,) = root.describe_recovery_instances()["items"]
    assert left["ec2InstanceState"] == "RUNNING"
    allowed = as_role(READ, terminate, LAUNCH, name="allowed")
    job = allowed.terminate_recovery_instances(recoveryInstanceIDs=ids)["job"]
    simulator.advance(300)
    assert list(log_of(job)) == ["JOB_START", "CLEANUP_START", "CLEANUP_END", "JOB_END"]
    assert root.describe_recovery_instances()["items"] == []


def test_one_server_may_lack_what_another_has(simulator):
    ec2 = boto3.client("ec2", "us-west-2")
    (template,) = ec2.describe_launch_templates(LaunchTemplateNames=[f"{TWO}-launch-template"])["LaunchTemplates"]
    arn = f"arn:aws:ec2:us-west-2:123456789012:launch-template/{template['LaunchTemplateId']}"
    deny = {"Effect": "Deny", "Action": "ec2:ModifyLaunchTemplate", "Resource": arn}
    both = [{"sourceServerID": ONE}, {"sourceServerID": TWO}]
    job = as_role(*WHOLE, deny).start_recovery(sourceServers=both)["job"]
    simulator.advance(700)
    (shown,) = boto3.client("drs", "us-west-2").describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"]
    statuses = {one["sourceServerID"]: one["launchStatus"] for one in shown["participatingServers"]}
    assert statuses == {ONE: "LAUNCHED", TWO: "FAILED"}


def test_a_native_plan_launches_with_the_permissions_of_whoever_started_it(simulator):
    root = boto3.client("drs", "us-west-2")
    plan = root.create_recovery_plan(name="native")["recoveryPlan"]["recoveryPlanArn"]
    server = f"arn:aws:drs:us-west-2:123456789012:source-server/{ONE}"
    step = {"serverStepConfiguration": {"servers": [{"serverArn": server}]}}
    root.create_recovery_plan_step(recoveryPlanArn=plan, stepName="one", configuration=step)
    execute = {"Effect": "Allow", "Action": "drs:StartRecoveryPlanExecution", "Resource": plan}
    as_role(READ, execute).start_recovery_plan_execution(recoveryPlanArn=plan, mode="DRILL")
    simulator.advance(900)
    (job,) = root.describe_jobs()["items"]
    assert [one["launchStatus"] for one in job["participatingServers"]] == ["FAILED"]


FLEET = {"InstanceRequirements": {"VCpuCount": {"Min": 2}, "MemoryMiB": {"Min": 4096}}}
PROFILE = {"IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/drs-plan/web"}}


@pytest.mark.parametrize(
    ("template", "lacking"),
    [
        (FLEET, {"Effect": "Deny", "Action": "ec2:CreateFleet", "Resource": "*"}),
        (PROFILE, {"Effect": "Deny", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/drs-plan/*"}),
    ],
)
def test_what_a_launch_template_asks_for_takes_the_callers_rights_too(simulator, template, lacking):
    ec2 = boto3.client("ec2", "us-west-2")
    boto3.client("iam").create_instance_profile(InstanceProfileName="web", Path="/drs-plan/")
    (before,) = ec2.describe_launch_templates(LaunchTemplateNames=[f"{ONE}-launch-template"])["LaunchTemplates"]
    id_ = before["LaunchTemplateId"]
    shown = ec2.describe_launch_template_versions(LaunchTemplateId=id_)["LaunchTemplateVersions"][0]
    data = {**shown["LaunchTemplateData"], **template}
    version = ec2.create_launch_template_version(LaunchTemplateId=id_, LaunchTemplateData=data)
    number = str(version["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=id_, DefaultVersion=number)
    whole = {**PASS, "Resource": "arn:aws:iam::*:role/*"}
    allowed = as_role(READ, START, BEHALF, LAUNCH, whole)
    assert ended(simulator, start(allowed)) == "LAUNCHED"
    denied = as_role(READ, START, BEHALF, LAUNCH, whole, lacking, name="lacking")
    assert ended(simulator, start(denied)) == "FAILED"


def test_launching_into_an_instance_takes_a_right_of_its_own(simulator):
    ec2, drs = boto3.client("ec2", "us-west-2"), boto3.client("drs", "us-west-2")
    instance = ec2.run_instances(ImageId="ami-1e749f67", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.create_tags(Resources=[instance], Tags=[{"Key": "AWSDRS", "Value": "AllowLaunchingIntoThisInstance"}])
    ec2.stop_instances(InstanceIds=[instance])
    simulator.advance(31)
    into = {"launchIntoEC2InstanceID": instance}
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into, copyTags=False)
    managed = {**VIA_DRS, "Null": {"aws:ResourceTag/AWSDRS": "true"}}
    denied = as_role(READ, START, BEHALF, {**LAUNCH, "Condition": managed}, PASS)
    assert ended(simulator, start(denied)) == "FAILED"
    allowed = as_role(*WHOLE, name="allowed")
    assert ended(simulator, start(allowed)) == "LAUNCHED"


def log_of(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    items = boto3.client("drs", "us-west-2").describe_job_log_items(jobID=job["jobID"])["items"]
    return {item["event"]: item.get("eventData", {}) for item in items}
