"""IAM where a scenario enforces it: roles by their policies, other accounts by assumed roles."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from drs_provider.simulator.policies import decision

ONE, TWO = "s-00000000000000001", "s-00000000000000002"
VIA_DRS = {"ForAnyValue:StringEquals": {"aws:CalledVia": ["drs.amazonaws.com"]}}
READ = {"Effect": "Allow", "Action": "drs:Describe*", "Resource": "*"}
START = {"Effect": "Allow", "Action": "drs:StartRecovery", "Resource": "arn:aws:drs:*:*:source-server/*"}
TAG = {
    "Effect": "Allow",
    "Action": "drs:TagResource",
    "Resource": "arn:aws:drs:*:*:job/*",
    "Condition": {"ForAllValues:StringLike": {"aws:TagKeys": ["drs-provider:*"]}},
}
LAUNCH = {"Effect": "Allow", "Action": ["ec2:*"], "Resource": "*", "Condition": VIA_DRS}
PASS = {
    "Effect": "Allow",
    "Action": "iam:PassRole",
    "Resource": "arn:aws:iam::*:role/service-role/AWSElasticDisasterRecovery*",
    "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
}


@pytest.fixture
def simulator(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    drs_simulator.load({"iam": True, "servers": [{"id": one, "hostname": one[-4:]} for one in (ONE, TWO)]})
    return drs_simulator


def as_role(*statements: dict[str, Any], service: str = "drs", name: str = "orchestrator") -> Any:
    iam = boto3.client("iam", "us-west-2")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return with_role(role, service)


def with_role(arn: str, service: str = "drs") -> Any:
    given = boto3.client("sts", "us-west-2").assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"]
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
    tagger = as_role(READ, START, TAG, LAUNCH, PASS, name="tagger")
    other = {**request, "tags": {**tags, "other": "y"}}
    assert code(tagger.start_recovery, **other) == "AccessDeniedException"
    assert ended(simulator, start(tagger, tags=tags)) == "LAUNCHED"


@pytest.mark.parametrize("lacking", [LAUNCH, PASS])
def test_drs_fails_in_silence_with_the_rights_of_the_caller(simulator, lacking):
    rights = [one for one in (READ, START, LAUNCH, PASS) if one is not lacking]
    job = start(as_role(*rights))
    assert ended(simulator, job) == "FAILED"
    log = boto3.client("drs", "us-west-2").describe_job_log_items(jobID=job["jobID"])["items"]
    assert [item["event"] for item in log] == ["JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "JOB_END"]


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
PROFILE = {"IamInstanceProfile": {"Name": "drs-plan/web"}}


@pytest.mark.parametrize(
    ("template", "lacking"),
    [
        (FLEET, {"Effect": "Deny", "Action": "ec2:CreateFleet", "Resource": "*"}),
        (PROFILE, {"Effect": "Deny", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/drs-plan/*"}),
    ],
)
def test_what_a_launch_template_asks_for_takes_the_callers_rights_too(simulator, template, lacking):
    ec2 = boto3.client("ec2", "us-west-2")
    (before,) = ec2.describe_launch_templates(LaunchTemplateNames=[f"{ONE}-launch-template"])["LaunchTemplates"]
    id_ = before["LaunchTemplateId"]
    shown = ec2.describe_launch_template_versions(LaunchTemplateId=id_)["LaunchTemplateVersions"][0]
    data = {**shown["LaunchTemplateData"], **template}
    version = ec2.create_launch_template_version(LaunchTemplateId=id_, LaunchTemplateData=data)
    number = str(version["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=id_, DefaultVersion=number)
    whole = {**PASS, "Resource": "arn:aws:iam::*:role/*"}
    allowed = as_role(READ, START, LAUNCH, whole)
    assert ended(simulator, start(allowed)) == "LAUNCHED"
    denied = as_role(READ, START, LAUNCH, whole, lacking, name="lacking")
    assert ended(simulator, start(denied)) == "FAILED"


def test_launching_into_an_instance_takes_a_right_of_its_own(simulator):
    ec2, drs = boto3.client("ec2", "us-west-2"), boto3.client("drs", "us-west-2")
    instance = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance])
    into = {"launchIntoEC2InstanceID": instance}
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into)
    managed = {**VIA_DRS, "Null": {"aws:ResourceTag/AWSDRS": "true"}}
    denied = as_role(READ, START, {**LAUNCH, "Condition": managed}, PASS)
    assert ended(simulator, start(denied)) == "FAILED"
    allowed = as_role(READ, START, LAUNCH, PASS, name="allowed")
    assert ended(simulator, start(allowed)) == "LAUNCHED"
