"""Extended source servers, configuration templates and source networks."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.launches import ONE, THREE, TWO, ends, job_of, log_items, refusal, server, start

STAGING = "222222222222"
RECOVERY = "123456789012"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def extensible(drs: Any) -> list[str]:
    return [one["arn"] for one in drs.list_extensible_source_servers(stagingAccountID=STAGING)["items"]]


def load_accounts(simulator: Any) -> list[str]:
    staged = [server(TWO, ebs_encryption="CUSTOM", tags={"Tier": "db"}), server(THREE)]
    simulator.load({"servers": [server(ONE)], "accounts": [{"account": STAGING, "servers": staged}]})
    return [f"arn:aws:drs:us-west-2:{STAGING}:source-server/{one}" for one in (TWO, THREE)]


def test_a_server_of_a_staging_account_is_extended_shown_and_launched(drs_simulator, drs):
    two, three = load_accounts(drs_simulator)
    assert drs.list_staging_accounts()["accounts"] == []
    assert extensible(drs) == [two, three]
    made = drs.create_extended_source_server(sourceServerArn=two, tags={"mine": "1"})["sourceServer"]
    assert made["stagingArea"] == {
        "status": "EXTENDED",
        "stagingAccountID": STAGING,
        "stagingSourceServerArn": two,
    }
    assert (made["tags"], made["sourceServerID"] == TWO) == ({"mine": "1"}, False)
    assert extensible(drs) == [three]
    assert drs.list_staging_accounts()["accounts"] == [{"accountID": STAGING}]
    of_staging = drs.describe_source_servers(filters={"stagingAccountIDs": [STAGING]})["items"]
    assert [one["sourceServerID"] for one in of_staging] == [made["sourceServerID"]]
    job = start(drs, made["sourceServerID"])
    drs_simulator.advance(700)
    assert ends(drs, job) == {made["sourceServerID"]: "LAUNCHED"}


def test_what_cannot_be_extended(drs_simulator, drs):
    two, three = load_accounts(drs_simulator)
    drs.create_extended_source_server(sourceServerArn=two)
    assert refusal(drs.create_extended_source_server, sourceServerArn=two) == ("ValidationException", 400)
    unknown = f"arn:aws:drs:us-west-2:{STAGING}:source-server/s-{'9' * 17}"
    assert refusal(drs.create_extended_source_server, sourceServerArn=unknown) == ("ResourceNotFoundException", 404)
    foreign = refusal(drs.list_extensible_source_servers, stagingAccountID="333333333333")
    assert foreign == ("AccessDeniedException", 403)
    broken = drs.create_extended_source_server(sourceServerArn=three)["sourceServer"]
    assert broken["stagingArea"]["status"] == "EXTENSION_ERROR", "the default key of EBS is never shared"
    chosen = [{"sourceServerID": broken["sourceServerID"]}]
    assert refusal(drs.start_recovery, sourceServers=chosen) == ("ConflictException", 409)


def test_the_launch_template_is_one_and_goes_for_new_servers_only(drs_simulator, drs):
    two, _ = load_accounts(drs_simulator)
    (template,) = drs.describe_launch_configuration_templates()["items"]
    template_id = template["launchConfigurationTemplateID"]
    assert refusal(drs.create_launch_configuration_template) == ("ServiceQuotaExceededException", 402)
    changed = drs.update_launch_configuration_template(
        launchConfigurationTemplateID=template_id, copyTags=False, launchDisposition="STOPPED"
    )["launchConfigurationTemplate"]
    assert (changed["copyTags"], changed["launchDisposition"]) == (False, "STOPPED")
    action = {
        "resourceId": template_id,
        "actionCode": "AWS-RunShellScript",
        "actionId": str(uuid.uuid4()),
        "name": "script",
        "order": 2,
        "optional": True,
        "active": True,
        "actionVersion": "$DEFAULT",
        "category": "OTHER",
        "description": "x",
    }
    drs.put_launch_action(**action)
    made = drs.create_extended_source_server(sourceServerArn=two)["sourceServer"]["sourceServerID"]
    assert drs.get_launch_configuration(sourceServerID=made)["launchDisposition"] == "STOPPED"
    assert drs.get_launch_configuration(sourceServerID=ONE)["launchDisposition"] == "STARTED"
    assert [one["name"] for one in drs.list_launch_actions(resourceId=made)["items"]] == ["script"]
    drs.delete_launch_configuration_template(launchConfigurationTemplateID=template_id)
    assert drs.describe_launch_configuration_templates()["items"] == []
    again = drs.create_launch_configuration_template(copyTags=False, tags={"a": "b"})["launchConfigurationTemplate"]
    assert drs.list_tags_for_resource(resourceArn=again["arn"])["tags"] == {"a": "b"}


def test_the_replication_template_is_updated_deleted_and_made_anew(drs_simulator, drs):
    drs_simulator.load({"servers": []})
    (template,) = drs.describe_replication_configuration_templates()["items"]
    template_id = template["replicationConfigurationTemplateID"]
    wanted = {"replicationConfigurationTemplateID": template_id, "bandwidthThrottling": 7}
    assert drs.update_replication_configuration_template(**wanted)["bandwidthThrottling"] == 7
    keys = (
        "stagingAreaSubnetId",
        "associateDefaultSecurityGroup",
        "replicationServersSecurityGroupsIDs",
        "replicationServerInstanceType",
        "useDedicatedReplicationServer",
        "defaultLargeStagingDiskType",
        "ebsEncryption",
        "bandwidthThrottling",
        "dataPlaneRouting",
        "createPublicIP",
        "stagingAreaTags",
        "pitPolicy",
    )
    settings = {key: template[key] for key in keys}
    twice = refusal(drs.create_replication_configuration_template, **settings)
    assert twice == ("ServiceQuotaExceededException", 402)
    drs.delete_replication_configuration_template(replicationConfigurationTemplateID=template_id)
    made = drs.create_replication_configuration_template(**settings)
    assert made["replicationConfigurationTemplateID"] != template_id


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
