"""IAM where a scenario enforces it: roles by their policies, other accounts by assumed roles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from moto.core.utils import get_service_model

from drs_provider.simulator.authorization import requirements
from drs_provider.simulator.drs.responses import supported_operations
from drs_provider.simulator.policies import decision
from drs_provider.simulator.scenario_file import ScenarioError

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


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    drs_simulator.load({"iam": True, "servers": [{"id": one, "hostname": one[-4:]} for one in (ONE, TWO)]})
    return drs_simulator


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


def log_of(job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    items = boto3.client("drs", "us-west-2").describe_job_log_items(jobID=job["jobID"])["items"]
    return {item["event"]: item.get("eventData", {}) for item in items}


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


def test_every_service_denies_in_its_own_words(simulator):
    as_role(READ)
    role = "arn:aws:iam::123456789012:role/orchestrator"
    assert code(with_role(role, "ec2").describe_instances) == "UnauthorizedOperation"
    assert code(with_role(role, "ssm").list_commands) == "AccessDeniedException"
    assert code(with_role(role, "s3").list_buckets) == "AccessDenied"
    assert with_role(role, "sts").get_caller_identity()["Arn"].endswith("assumed-role/orchestrator/session")


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


def test_regions_are_apart(drs_simulator):
    drs_simulator.load({"accounts": [{"region": "eu-west-1", "servers": [{"id": ONE, "hostname": "eu"}]}]})
    assert boto3.client("drs", "us-west-2").describe_source_servers()["items"] == []
    assert len(boto3.client("drs", "eu-west-1").describe_source_servers()["items"]) == 1


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
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into)
    managed = {**VIA_DRS, "Null": {"aws:ResourceTag/AWSDRS": "true"}}
    denied = as_role(READ, START, BEHALF, {**LAUNCH, "Condition": managed}, PASS)
    assert ended(simulator, start(denied)) == "FAILED"
    allowed = as_role(*WHOLE, name="allowed")
    assert ended(simulator, start(allowed)) == "LAUNCHED"


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


def test_a_policy_of_the_scenario_is_one_of_iam(drs_simulator):
    role = {"arn": "arn:aws:iam::222222222222:role/dr", "policies": [{"Statement": {"Effect": "Maybe"}}]}
    with pytest.raises(ScenarioError, match=r"roles\[0\]\.policies\[0\]: not an IAM policy document"):
        drs_simulator.load({"roles": [role]})


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
    for operation in supported_operations():
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
