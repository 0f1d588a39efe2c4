"""The launch and replication configuration templates of an account and region."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.drs.launches import ONE, THREE, TWO, refusal, server

STAGING = "222222222222"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def load_accounts(simulator: Any) -> list[str]:
    staged = [server(TWO, ebs_encryption="CUSTOM", tags={"Tier": "db"}), server(THREE)]
    simulator.load({"servers": [server(ONE)], "accounts": [{"account": STAGING, "servers": staged}]})
    return [f"arn:aws:drs:us-west-2:{STAGING}:source-server/{one}" for one in (TWO, THREE)]


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
