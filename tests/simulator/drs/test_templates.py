"""What EC2 refuses of a launch template, what DRS writes into it, and from which version an instance comes."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.drs.launches import (
    ONE,
    TWO,
    change_template,
    ends,
    events,
    launched_instance,
    raw_errors,
    refusal,
    server,
    start,
    template_data,
)


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def ec2() -> Any:
    return boto3.client("ec2", "us-west-2")


def interface(drs: Any, **changes: Any) -> dict[str, Any]:
    (first,) = template_data(drs, ONE)[1]["NetworkInterfaces"]
    return {"NetworkInterfaces": [{**first, **changes}]}


def deleted_subnet(drs: Any, ec2: Any) -> dict[str, Any]:
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24")["Subnet"]["SubnetId"]
    ec2.delete_subnet(SubnetId=subnet)
    return interface(drs, SubnetId=subnet)


def deleted_group(drs: Any, ec2: Any) -> dict[str, Any]:
    group = ec2.create_security_group(GroupName="gone", Description="x")["GroupId"]
    ec2.delete_security_group(GroupId=group)
    return interface(drs, Groups=[group])


def group_of_another_vpc(drs: Any, ec2: Any) -> dict[str, Any]:
    vpc = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
    return interface(drs, Groups=[ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc)["GroupId"]])


def unknown_type(drs: Any, ec2: Any) -> dict[str, Any]:
    return {"InstanceType": "z9x.mega"}


def deleted_profile(drs: Any, ec2: Any) -> dict[str, Any]:
    return {"IamInstanceProfile": {"Name": "profile-that-was-deleted"}}


@pytest.mark.parametrize(
    ("rot", "code"),
    [
        (deleted_subnet, "InvalidSubnetID.NotFound"),
        (deleted_group, "InvalidGroup.NotFound"),
        (group_of_another_vpc, "InvalidParameter"),
        (unknown_type, "InvalidParameterValue"),
        (deleted_profile, "InvalidParameterValue"),
    ],
)
def test_a_template_that_rotted_fails_the_launch_as_ec2_says(drs_simulator, drs, ec2, rot, code):
    drs_simulator.load({"servers": [server(ONE), server(TWO)]})
    change_template(drs, ONE, **rot(drs, ec2))
    job = start(drs, ONE, TWO)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED", TWO: "LAUNCHED"}
    assert events(drs, job, ONE)[-2:] == ["LAUNCH_START", "LAUNCH_FAILED"], "minutes in, after the conversion"
    (error,) = raw_errors(drs, job)
    assert error.startswith(f"An error occurred ({code}) when calling the RunInstances operation: ")
    assert [one["sourceServerID"] for one in drs.describe_recovery_instances()["items"]] == [TWO]


@pytest.mark.parametrize("rot", ["no network in the default version", "no template"])
def test_an_incomplete_template_fails_in_silence(drs_simulator, drs, ec2, rot):
    drs_simulator.load({"servers": [server(ONE)]})
    template, good = template_data(drs, ONE)
    if rot == "no template":
        ec2.delete_launch_template(LaunchTemplateId=template)
    else:
        change_template(drs, ONE, NetworkInterfaces=None)
        change_template(drs, ONE, default=False, **good)  # The latest version is whole, and not the default.
    job = start(drs, ONE)
    drs_simulator.advance(2)
    assert ends(drs, job) == {ONE: "FAILED"} and raw_errors(drs, job) == []
    assert events(drs, job) == ["JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "JOB_END"]


def test_a_template_that_is_deleted_during_the_job_fails_the_launch(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE)]})
    job = start(drs, ONE)
    drs_simulator.advance(60)
    ec2.delete_launch_template(LaunchTemplateId=template_data(drs, ONE)[0])
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert "InvalidLaunchTemplateId.NotFound" in raw_errors(drs, job)[0]


def test_a_copied_address_outside_of_the_subnet_fails_the_launch(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, private_ip="192.168.77.10", copy_private_ip=True)]})
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert "Address 192.168.77.10 does not fall within the subnet's address range" in raw_errors(drs, job)[0]


def test_loopback_addresses_are_copied_so_that_checks_reach_this_machine(drs_simulator, drs):
    copies = {"private_ip": "127.0.0.1", "copy_private_ip": True}
    drs_simulator.load({"servers": [server(ONE, **copies), server(TWO, **copies)]})
    job = start(drs, ONE, TWO)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "LAUNCHED", TWO: "LAUNCHED"}


def test_a_copied_address_that_is_taken_fails_the_launch(drs_simulator, drs):
    copies = {"private_ip": "172.31.9.8", "copy_private_ip": True}
    drs_simulator.load({"servers": [server(ONE, **copies), server(TWO, **copies)]})
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    job = start(drs, TWO)
    drs_simulator.advance(700)
    assert ends(drs, job) == {TWO: "FAILED"}
    assert "(InvalidIPAddress.InUse)" in raw_errors(drs, job)[0]
    job = start(drs, ONE)
    drs_simulator.advance(800)
    assert ends(drs, job) == {ONE: "LAUNCHED"}, "the previous instance gives its address back"


def test_an_instance_is_what_the_template_says(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE)]})
    vpc = ec2.create_vpc(CidrBlock="10.66.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.66.1.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="other", Description="x", VpcId=vpc)["GroupId"]
    change_template(drs, ONE, **interface(drs, SubnetId=subnet, Groups=[group]), InstanceType="m5.xlarge")
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    instance = launched_instance(drs, ONE)
    assert (instance["VpcId"], instance["SubnetId"], instance["InstanceType"]) == (vpc, subnet, "m5.xlarge")
    assert [one["GroupId"] for one in instance["SecurityGroups"]] == [group]
    assert instance["IamInstanceProfile"]["Arn"].endswith("/AWSElasticDisasterRecoveryRecoveryInstanceRole")


@pytest.mark.parametrize(
    ("read", "launched"), [("job_start", "c5.large"), ("launch_start", "m5.large")], ids=["at its start", "later"]
)
def test_when_a_job_reads_the_template(drs_simulator, drs, read, launched):
    """The launch configuration is read at the same moment."""
    drs_simulator.load({"servers": [server(ONE, right_sizing="NONE")], "launching": {"template_read": read}})
    start(drs, ONE)
    drs_simulator.advance(60)
    drs.update_launch_configuration(sourceServerID=ONE, launchDisposition="STOPPED")
    change_template(drs, ONE, InstanceType="m5.large")
    drs_simulator.advance(700)
    instance = launched_instance(drs, ONE)
    assert instance["InstanceType"] == launched
    assert instance["State"]["Name"] == ("running" if read == "job_start" else "stopped")


def test_a_version_has_of_its_source_what_it_does_not_name(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE)]})
    template, before = template_data(drs, ONE)
    wanted = {"LaunchTemplateId": template, "LaunchTemplateData": {"InstanceType": "m5.large"}}
    for source, lost in ((None, True), ("$Default", False), ("1", False), ("$Latest", False)):
        more = {"SourceVersion": source} if source else {}
        data = ec2.create_launch_template_version(**wanted, **more)["LaunchTemplateVersion"]["LaunchTemplateData"]
        assert data == ({} if lost else before) | {"InstanceType": "m5.large"}
    assert template_data(drs, ONE, "$Latest")[1] == before | {"InstanceType": "m5.large"}
    assert refusal(ec2.create_launch_template_version, **wanted, SourceVersion="77")[1] == 400


@pytest.mark.parametrize(("base", "launched"), [("default", "c5.large"), ("latest", "m5.large")])
def test_a_job_writes_a_version_of_its_own_and_makes_it_the_default(drs_simulator, drs, base, launched):
    drs_simulator.load({"servers": [server(ONE, right_sizing="NONE")], "launching": {"job_version_from": base}})
    change_template(drs, ONE, default=False, InstanceType="m5.large")  # somebody's draft
    start(drs, ONE)
    drs_simulator.advance(700)
    assert launched_instance(drs, ONE)["InstanceType"] == launched
    template, data = template_data(drs, ONE)
    found = boto3.client("ec2", "us-west-2").describe_launch_templates(LaunchTemplateIds=[template])
    assert found["LaunchTemplates"][0]["DefaultVersionNumber"] == 3
    assert data["InstanceType"] == launched
    assert data["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"].startswith("snap-")


def test_a_template_that_is_incomplete_when_it_is_read_late_fails_aloud(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE)], "launching": {"template_read": "launch_start"}})
    change_template(drs, ONE, NetworkInterfaces=None)
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED"} and "no subnet" in raw_errors(drs, job)[0]


@pytest.mark.parametrize(("base", "kept"), [("default", "c5.large"), ("latest", "m5.large")])
def test_an_update_of_the_launch_configuration_adds_a_default_version(drs_simulator, drs, base, kept):
    drs_simulator.load({"servers": [server(ONE)], "launching": {"update_config_base": base}})
    change_template(drs, ONE, default=False, InstanceType="m5.large")
    drs.update_launch_configuration(sourceServerID=ONE, copyTags=False)
    template, data = template_data(drs, ONE)
    found = boto3.client("ec2", "us-west-2").describe_launch_templates(LaunchTemplateIds=[template])
    assert (found["LaunchTemplates"][0]["DefaultVersionNumber"], data["InstanceType"]) == (3, kept)


@pytest.mark.parametrize(("method", "after"), [("BASIC", "r5.large"), ("IN_AWS", "r5.large"), ("NONE", "c5.large")])
def test_right_sizing_overwrites_the_type_within_90_minutes(drs_simulator, drs, method, after):
    drs_simulator.load({"servers": [server(ONE, right_sizing="NONE", recommended_type="r5.large")]})
    (shown,) = drs.describe_source_servers()["items"]
    assert shown["sourceProperties"]["recommendedInstanceType"] == "r5.large"
    drs.update_launch_configuration(sourceServerID=ONE, targetInstanceTypeRightSizingMethod=method)
    drs_simulator.advance(60)
    assert template_data(drs, ONE)[1]["InstanceType"] == "c5.large"
    drs_simulator.advance(5400)
    assert template_data(drs, ONE)[1]["InstanceType"] == after


def test_a_private_address_is_copied_within_an_hour_and_stays_when_that_is_switched_off(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, private_ip="172.31.9.8")]})

    def address() -> Any:
        return template_data(drs, ONE)[1]["NetworkInterfaces"][0].get("PrivateIpAddress")

    drs.update_launch_configuration(sourceServerID=ONE, copyPrivateIp=True)
    assert address() is None
    drs_simulator.advance(3601)
    assert address() == "172.31.9.8"
    drs.update_launch_configuration(sourceServerID=ONE, copyPrivateIp=False)
    drs_simulator.advance(7200)
    assert address() == "172.31.9.8"
    start(drs, ONE)
    drs_simulator.advance(700)
    assert launched_instance(drs, ONE)["PrivateIpAddress"] == "172.31.9.8"


def test_versions_are_deleted_but_for_the_default_and_their_numbers_stay_taken(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE)]})
    draft = change_template(drs, ONE, default=False, InstanceType="t3.nano")
    template, _ = template_data(drs, ONE)
    answer = ec2.delete_launch_template_versions(LaunchTemplateId=template, Versions=["1", draft, "9"])
    assert [one["VersionNumber"] for one in answer["SuccessfullyDeletedLaunchTemplateVersions"]] == [2]
    refused = {
        one["VersionNumber"]: one["ResponseError"]["Code"]
        for one in answer["UnsuccessfullyDeletedLaunchTemplateVersions"]
    }
    assert refused == {1: "unexpectedError", 9: "launchTemplateVersionDoesNotExist"}
    assert template_data(drs, ONE, "$Latest")[1]["InstanceType"] == "c5.large"
    code, _ = refusal(ec2.describe_launch_template_versions, LaunchTemplateId=template, Versions=[draft])
    assert code == "InvalidLaunchTemplateId.VersionNotFound"
    assert change_template(drs, ONE) == "3"
    listed = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"]
    assert sorted(one["VersionNumber"] for one in listed) == [1, 3]
