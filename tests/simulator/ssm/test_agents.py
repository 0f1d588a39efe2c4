"""SSM agents: when an instance is known to SSM, and what SendCommand says of one that is not."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

REGION = "us-west-2"
LINUX, WINDOWS = "ami-760aaa0f", "ami-03cf127a"
SERVERS = [
    {"id": "s-1a2b3c4d5e6f70001", "hostname": "db01"},
    {"id": "s-1a2b3c4d5e6f70002", "hostname": "db02", "os": "windows"},
    {"id": "s-1a2b3c4d5e6f70003", "hostname": "app01", "agent": {"never": True}},
    {"id": "s-1a2b3c4d5e6f70004", "hostname": "app02", "agent": {"online_after": 10, "lost_after": "1m"}},
]


@pytest.fixture
def ssm(drs_simulator):
    drs_simulator.load({"servers": SERVERS})
    drs_simulator.freeze()
    return boto3.client("ssm", REGION)


def launch(image: str = LINUX, server: str | None = None, **tags: str) -> str:
    if server:
        tags["AWSElasticDisasterRecoverySourceServerID"] = server
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    more: dict[str, Any] = {"TagSpecifications": [{"ResourceType": "instance", "Tags": given}]} if given else {}
    answer = boto3.client("ec2", REGION).run_instances(ImageId=image, MinCount=1, MaxCount=1, **more)
    return str(answer["Instances"][0]["InstanceId"])


def known(ssm) -> dict[str, str]:
    return {
        each["InstanceId"]: each["PingStatus"]
        for each in ssm.describe_instance_information()["InstanceInformationList"]
    }


def send(ssm, *instance_ids: str, document: str = "AWS-RunShellScript", **more: Any) -> dict[str, Any]:
    answer = ssm.send_command(
        InstanceIds=list(instance_ids), DocumentName=document, Parameters={"commands": ["true"]}, **more
    )
    return dict(answer["Command"])


def code_of(caught: pytest.ExceptionInfo[ClientError]) -> str:
    return str(caught.value.response["Error"]["Code"])


def test_linux_agents_come_online_after_30_seconds_and_windows_after_90(ssm, drs_simulator):
    linux, windows = launch(LINUX), launch(WINDOWS)
    drs_simulator.advance(29)
    assert known(ssm) == {}
    drs_simulator.advance(2)
    assert known(ssm) == {linux: "Online"}
    drs_simulator.advance(58)
    assert known(ssm) == {linux: "Online"}
    drs_simulator.advance(2)
    assert known(ssm) == {linux: "Online", windows: "Online"}


def test_a_server_decides_over_its_os_and_its_agent(ssm, drs_simulator):
    instances = [launch(LINUX, server["id"]) for server in SERVERS]
    drs_simulator.advance(20)
    assert known(ssm) == {instances[3]: "Online"}
    drs_simulator.advance(75)
    assert known(ssm) == {instances[0]: "Online", instances[1]: "Online", instances[3]: "Online"}
    drs_simulator.advance(300)
    assert known(ssm) == {instances[0]: "Online", instances[1]: "Online", instances[3]: "ConnectionLost"}
    information = {each["InstanceId"]: each for each in ssm.describe_instance_information()["InstanceInformationList"]}
    assert information[instances[1]]["PlatformType"] == "Windows"
    assert information[instances[1]]["ComputerName"] == "db02"


def test_a_recovery_instance_of_drs_is_known_by_its_server(ssm, drs_simulator):
    drs = boto3.client("drs", REGION)
    drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": SERVERS[3]["id"]}])
    drs_simulator.advance(600)
    (instance,) = drs.describe_recovery_instances()["items"]
    (node,) = ssm.describe_instance_information()["InstanceInformationList"]
    assert (node["InstanceId"], node["ComputerName"]) == (instance["ec2InstanceID"], "app02")


def test_the_speed_shortens_the_delay(drs_simulator):
    drs_simulator.clock.speed = 10.0
    drs_simulator.freeze()
    ssm = boto3.client("ssm", REGION)
    instance = launch()
    drs_simulator.advance(2.9)
    assert known(ssm) == {}
    drs_simulator.advance(0.2)
    assert known(ssm) == {instance: "Online"}


def test_commands_to_an_unknown_or_early_instance_are_refused(ssm, drs_simulator):
    early = launch()
    for instance in (early, "i-00000000000000000"):
        with pytest.raises(ClientError) as caught:
            send(ssm, instance)
        assert code_of(caught) == "InvalidInstanceId"
        assert f"[[{instance}]] not in a valid state" in caught.value.response["Error"]["Message"]
    drs_simulator.advance(31)
    assert send(ssm, early)["Status"] == "Pending"


def test_stopped_and_terminated_instances_take_no_commands(ssm, drs_simulator):
    ec2 = boto3.client("ec2", REGION)
    instance = launch()
    drs_simulator.advance(31)
    assert known(ssm) == {instance: "Online"}
    ec2.stop_instances(InstanceIds=[instance])
    assert known(ssm) == {instance: "Online"}, "SSM does not know yet"
    with pytest.raises(ClientError) as caught:
        send(ssm, instance)
    assert code_of(caught) == "InvalidInstanceId"
    drs_simulator.advance(301)
    assert known(ssm) == {instance: "ConnectionLost"}
    ec2.start_instances(InstanceIds=[instance])
    assert known(ssm) == {}, "the agent starts anew"
    drs_simulator.advance(31)
    assert known(ssm) == {instance: "Online"}
    ec2.terminate_instances(InstanceIds=[instance])
    assert known(ssm) == {instance: "Online"}
    drs_simulator.advance(301)
    assert known(ssm) == {instance: "ConnectionLost"}
    with pytest.raises(ClientError) as caught:
        send(ssm, instance)
    assert code_of(caught) == "InvalidInstanceId"


def test_a_command_to_a_lost_agent_is_delayed_and_times_out(ssm, drs_simulator):
    instance = launch(LINUX, SERVERS[3]["id"])
    drs_simulator.advance(70)
    command = send(ssm, instance, TimeoutSeconds=60)
    drs_simulator.advance(10)
    found = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
    assert (found["Status"], found["StatusDetails"], found["ResponseCode"]) == ("Delayed", "Delayed", -1)
    drs_simulator.advance(60)
    found = ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)
    assert (found["Status"], found["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    (listed,) = ssm.list_commands()["Commands"]
    assert (listed["Status"], listed["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")
    assert listed["DeliveryTimedOutCount"] == 1


def test_filters_of_describe_instance_information(ssm, drs_simulator):
    one = launch(LINUX, SERVERS[3]["id"], Tier="db")
    two = launch(WINDOWS, Tier="app")
    drs_simulator.advance(361)

    def ids(**filters: list[str]) -> set[str]:
        answer = ssm.describe_instance_information(
            Filters=[{"Key": key, "Values": values} for key, values in filters.items()]
        )
        return {each["InstanceId"] for each in answer["InstanceInformationList"]}

    assert ids(InstanceIds=[one, "i-00000000000000000"]) == {one}
    assert ids(PingStatus=["ConnectionLost"]) == {one}
    assert ids(PingStatus=["Online"]) == {two}
    assert ids(PlatformTypes=["Windows"]) == {two}
    assert ids(InstanceIds=[one], PingStatus=["Online"]) == set()
    assert ids(**{"tag:Tier": ["app"]}) == {two}
    assert ids(**{"tag-key": ["Tier"]}) == {one, two}
    for filters, code in (
        ([{"Key": "Nonsense", "Values": ["x"]}], "InvalidFilterKey"),
        ([{"Key": "PingStatus", "Values": ["online"]}], "InvalidInstanceInformationFilterValue"),
        ([{"Key": "tag:Tier", "Values": ["db"]}, {"Key": "InstanceIds", "Values": [one]}], "InvalidFilterKey"),
    ):
        with pytest.raises(ClientError) as caught:
            ssm.describe_instance_information(Filters=filters)
        assert code_of(caught) == code


def test_pages_of_describe_instance_information(drs_simulator):
    drs_simulator.load({"page_size": 2})
    drs_simulator.freeze()
    ssm = boto3.client("ssm", REGION)
    instances = sorted(launch() for _ in range(5))
    drs_simulator.advance(31)
    pages = list(ssm.get_paginator("describe_instance_information").paginate(MaxResults=50))
    assert [len(page["InstanceInformationList"]) for page in pages] == [2, 2, 1]
    assert [each["InstanceId"] for page in pages for each in page["InstanceInformationList"]] == instances
    with pytest.raises(ClientError) as caught:
        ssm.describe_instance_information(NextToken="nonsense")
    assert code_of(caught) == "InvalidNextToken"


def test_without_a_simulation_moto_answers_as_it_always_did(drs_simulator):
    from drs_provider.simulator.runtime import current
    from drs_provider.simulator.simulation import activate, deactivate

    simulation = current()
    deactivate()
    try:
        ssm = boto3.client("ssm", REGION)
        assert send(ssm, launch())["Status"] == "Success"
    finally:
        activate(simulation)
