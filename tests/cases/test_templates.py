"""Launch templates after a year of unattended changes, and an address outside of the subnet."""

from __future__ import annotations

import ipaddress
from typing import Any

import boto3
import pytest
import yaml
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.cases.world import FOUR, ONE, REGION, THREE, TWO, Case, of


def _rotten(case: Case) -> None:
    exec(compile((case.folder / "hook.py").read_text(), "hook.py", "exec"), {})
    case.simulation.events.clear()


ROT = {
    ONE: ("launch-template-incomplete", "Version 3, the latest, has a network and is not the default"),
    TWO: ("launch-template-broken", "the subnet subnet-"),
    THREE: ("launch-template-broken", "the security group sg-"),
    FOUR: ("launch-template-broken", "the instance type z9x.mega does not exist"),
    "s-00000000000000005": ("launch-template-broken", "the instance profile profile-that-was-deleted does not exist"),
    "s-00000000000000006": ("launch-template-incomplete", "does not exist"),
    "s-00000000000000007": ("launch-template-broken", "is of vpc-"),
}


@of("template-rot")
def test_check_finds_each_template_that_cannot_launch_and_a_drill_is_refused(case: Case) -> None:
    _rotten(case)
    code, answer = case.check()
    assert code == 1
    errors = [one for one in answer["findings"] if one["severity"] == "error"]
    assert {one["server"]: one["code"] for one in errors} == {server: code for server, (code, _) in ROT.items()}
    assert len(errors) == len(ROT)
    for finding in errors:
        assert ROT[finding["server"]][1] in finding["message"]
    # What many servers name is looked up once.
    looked_up = [one["operation"] for one in case.simulation.log if one.get("operation") == "GetInstanceProfile"]
    assert len(looked_up) <= 2
    assert case.run().state == "failed"
    assert case.launched == []


@of("template-rot")
def test_templates_that_nothing_happened_to_have_no_finding(case: Case) -> None:
    code, answer = case.check()
    assert code == 0
    assert [one["code"] for one in answer["findings"]] == []


@of("template-rot")
def test_a_type_that_the_subnets_zone_does_not_offer_is_found(case: Case) -> None:
    ec2, drs = boto3.client("ec2", REGION), boto3.client("drs", REGION)
    template = drs.get_launch_configuration(sourceServerID=ONE)["ec2LaunchTemplateID"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    subnet = ec2.describe_subnets(SubnetIds=[data["NetworkInterfaces"][0]["SubnetId"]])["Subnets"][0]
    offered: dict[str, set[str]] = {}
    for page in ec2.get_paginator("describe_instance_type_offerings").paginate(LocationType="availability-zone"):
        for one in page["InstanceTypeOfferings"]:
            offered.setdefault(one["InstanceType"], set()).add(one["Location"])
    data["InstanceType"] = min(name for name, zones in offered.items() if subnet["AvailabilityZone"] not in zones)
    made = ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=data)
    number = str(made["LaunchTemplateVersion"]["VersionNumber"])
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion=number)
    code, answer = case.check()
    assert code == 1
    (finding,) = answer["findings"]
    assert f"is not offered in {subnet['AvailabilityZone']}" in finding["message"]


@of("template-rot")
def test_a_caller_who_may_not_look_templates_up_is_warned_once_a_server(case: Case) -> None:
    original = BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: Any) -> Any:
        if operation in ("DescribeSubnets", "GetInstanceProfile"):
            code = {"DescribeSubnets": "UnauthorizedOperation", "GetInstanceProfile": "AccessDenied"}[operation]
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)
        return original(client, operation, parameters)

    case.monkeypatch.setattr(BaseClient, "_make_api_call", call)
    code, answer = case.check()
    assert code == 0
    assert {(one["code"], one["severity"]) for one in answer["findings"]} == {
        ("launch-template-not-checked", "warning")
    }


@of("copy-private-ip")
def test_an_address_outside_of_the_subnet_is_found(case: Case) -> None:
    code, answer = case.check()
    assert code == 1
    (finding,) = [one for one in answer["findings"] if one["severity"] == "error"]
    assert finding["code"] == "launch-template-broken"
    assert "the address 192.168.77.10 is outside of the subnet subnet-" in finding["message"]
    assert "copyPrivateIp" in finding["message"]


@of("copy-private-ip")
def test_the_simulator_fails_such_a_launch_as_aws_does(case: Case) -> None:
    drs = boto3.client("drs", REGION)
    job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": ONE}])["job"]["jobID"]
    case.simulation.advance(3600)
    (item,) = drs.describe_jobs(filters={"jobIDs": [job]})["items"]
    assert item["participatingServers"][0]["launchStatus"] == "FAILED"
    errors = [one.get("eventData", {}).get("rawError", "") for one in drs.describe_job_log_items(jobID=job)["items"]]
    assert any("does not fall within the subnet" in error for error in errors)


@of("copy-private-ip")
@pytest.mark.parametrize(
    ("host", "words"), [(3, "is one that EC2 reserves"), (77, "is in use by i-"), (78, None)], ids=str
)
def test_reserved_and_taken_addresses_are_found_too(case: Case, host: int, words: str | None) -> None:
    ec2 = boto3.client("ec2", REGION)
    drs = boto3.client("drs", REGION)
    template = drs.get_launch_configuration(sourceServerID=ONE)["ec2LaunchTemplateID"]
    version = ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    subnet = data["NetworkInterfaces"][0]["SubnetId"]
    network = ipaddress.ip_network(ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["CidrBlock"])
    scenario = yaml.safe_load((case.folder / "scenario.yaml").read_text())
    scenario["servers"][0]["private_ip"] = str(network[host])
    case.simulation.load(scenario, speed=60)
    subnet = boto3.client("ec2", REGION).describe_subnets(Filters=[{"Name": "cidr-block", "Values": [str(network)]}])
    ec2.run_instances(
        ImageId="ami-1e749f67",
        MinCount=1,
        MaxCount=1,
        SubnetId=subnet["Subnets"][0]["SubnetId"],
        PrivateIpAddress=str(network[77]),
    )
    code, answer = case.check()
    assert code == (1 if words else 0)
    messages = [one["message"] for one in answer["findings"] if one["code"] == "launch-template-broken"]
    assert len(messages) == bool(words)
    assert words is None or words in messages[0]
