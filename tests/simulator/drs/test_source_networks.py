"""Source networks: protected, recovered and retired."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.drs.launches import job_of, log_items, refusal

RECOVERY = "123456789012"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def protected_network(simulator: Any, drs: Any) -> tuple[str, str]:
    origin = boto3.client("ec2", "us-east-1")
    vpc = origin.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    origin.create_subnet(VpcId=vpc, CidrBlock="10.7.1.0/24")
    made = drs.create_source_network(vpcID=vpc, originAccountID=RECOVERY, originRegion="us-east-1", tags={"a": "b"})
    network = made["sourceNetworkID"]
    assert drs.start_source_network_replication(sourceNetworkID=network)["sourceNetwork"]["replicationStatus"] == (
        "IN_PROGRESS"
    )
    simulator.advance(61)
    return network, vpc


def test_a_network_is_protected_recovered_and_retired(drs_simulator, drs):
    drs_simulator.load({"servers": []})
    network, vpc = protected_network(drs_simulator, drs)
    (shown,) = drs.describe_source_networks(filters={"originRegion": "us-east-1"})["items"]
    assert (shown["replicationStatus"], shown["sourceVpcID"], shown["tags"]) == ("PROTECTED", vpc, {"a": "b"})
    assert network in drs.export_source_network_cfn_template(sourceNetworkID=network)["s3DestinationUrl"]
    job = drs.start_source_network_recovery(sourceNetworks=[{"sourceNetworkID": network}])["job"]
    assert (job["initiatedBy"], job["participatingServers"]) == ("CREATE_NETWORK_RECOVERY", [])
    busy = refusal(drs.start_source_network_recovery, sourceNetworks=[{"sourceNetworkID": network}])
    assert busy == ("ConflictException", 409)
    drs_simulator.advance(200)
    ended = job_of(drs, job["jobID"])
    (resource,) = ended["participatingResources"]
    assert (ended["status"], resource["launchStatus"]) == ("COMPLETED", "LAUNCHED")
    assert [item["event"] for item in log_items(drs, job["jobID"])] == [
        "JOB_START",
        "DEPLOY_NETWORK_CONFIGURATION_START",
        "DEPLOY_NETWORK_CONFIGURATION_END",
        "JOB_END",
    ]
    (shown,) = drs.describe_source_networks()["items"]
    assert shown["lastRecovery"]["lastRecoveryResult"] == "SUCCESS"
    here = boto3.client("ec2", "us-west-2")
    (launched,) = here.describe_vpcs(VpcIds=[shown["launchedVpcID"]])["Vpcs"]
    assert launched["CidrBlock"] == "10.7.0.0/16"
    subnets = here.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [shown["launchedVpcID"]]}])["Subnets"]
    assert [one["CidrBlock"] for one in subnets] == ["10.7.1.0/24"]
    again = drs.start_source_network_recovery(sourceNetworks=[{"sourceNetworkID": network}])["job"]
    assert again["initiatedBy"] == "UPDATE_NETWORK_RECOVERY"
    drs_simulator.advance(200)
    drs.associate_source_network_stack(sourceNetworkID=network, cfnStackName="own-stack")
    drs_simulator.advance(20)
    (shown,) = drs.describe_source_networks()["items"]
    assert (shown["cfnStackName"], shown["lastRecovery"]["lastRecoveryResult"]) == ("own-stack", "ASSOCIATE_SUCCESS")
    assert refusal(drs.delete_source_network, sourceNetworkID=network) == ("ConflictException", 409)
    drs.stop_source_network_replication(sourceNetworkID=network)
    drs.delete_source_network(sourceNetworkID=network)
    assert drs.describe_source_networks()["items"] == []


def test_what_a_network_refuses(drs_simulator, drs):
    drs_simulator.load({"servers": []})
    nowhere = {"vpcID": "vpc-0123456789", "originAccountID": RECOVERY, "originRegion": "us-east-1"}
    assert refusal(drs.create_source_network, **nowhere) == ("ResourceNotFoundException", 404)
    network, vpc = protected_network(drs_simulator, drs)
    assert refusal(drs.create_source_network, **{**nowhere, "vpcID": vpc}) == ("ConflictException", 409)
    assert refusal(drs.start_source_network_replication, sourceNetworkID=network) == ("ConflictException", 409)
    drs.stop_source_network_replication(sourceNetworkID=network)
    assert refusal(drs.stop_source_network_replication, sourceNetworkID=network) == ("ConflictException", 409)
    stopped = refusal(drs.export_source_network_cfn_template, sourceNetworkID=network)
    assert stopped == ("ConflictException", 409)
