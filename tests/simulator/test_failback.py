"""Failback, to EC2 in another region and back again, and to machines on premises."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

ONE = "s-00000000000000001"


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2")


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    return str(error.value.response["Error"]["Code"])


def recover(simulator: Any, drs: Any, server: str = ONE) -> dict[str, Any]:
    drs.start_recovery(isDrill=False, sourceServers=[{"sourceServerID": server}])
    simulator.advance(600)
    found: dict[str, Any] = drs.describe_recovery_instances(filters={"sourceServerIDs": [server]})["items"][-1]
    return found


def state(drs: Any, server: str) -> str:
    found = drs.describe_source_servers(filters={"sourceServerIDs": [server]})["items"][0]
    return str(found["dataReplicationInfo"]["dataReplicationState"])


def test_to_ec2_in_the_origin_region_and_protected_again(drs_simulator, drs):
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01", "origin_region": "us-east-1"}]})
    origin = boto3.client("drs", "us-east-1")
    instance = recover(drs_simulator, drs)
    instance_id = instance["recoveryInstanceID"]

    arn = drs.reverse_replication(recoveryInstanceID=instance_id)["reversedDirectionSourceServerArn"]
    assert arn.startswith("arn:aws:drs:us-east-1:123456789012:source-server/s-")
    assert code(drs.reverse_replication, recoveryInstanceID=instance_id) == "ConflictException"
    failback = arn.rsplit("/", 1)[1]
    (shown,) = origin.describe_source_servers()["items"]
    assert shown["replicationDirection"] == "FAILBACK"
    assert shown["sourceProperties"]["identificationHints"]["awsInstanceID"] == instance_id
    assert shown["sourceCloudProperties"]["originRegion"] == "us-west-2"
    assert shown["reversedDirectionSourceServerArn"].endswith(ONE)
    assert code(drs.terminate_recovery_instances, recoveryInstanceIDs=[instance_id]) == "ConflictException"
    assert code(origin.start_recovery, sourceServers=[{"sourceServerID": failback}]) == "ConflictException"

    seen = [state(origin, failback)]
    for seconds in (61, 600):
        drs_simulator.advance(seconds)
        seen.append(state(origin, failback))
    assert seen == ["INITIATING", "INITIAL_SYNC", "CONTINUOUS"]
    in_recovery = drs.describe_recovery_instances()["items"][0]
    assert in_recovery["dataReplicationInfo"]["dataReplicationState"] == "CONTINUOUS"
    assert in_recovery["failback"]["state"] == "FAILBACK_IN_PROGRESS"

    back = recover(drs_simulator, origin, failback)
    ec2 = boto3.client("ec2", "us-east-1")
    (reservation,) = ec2.describe_instances(InstanceIds=[back["ec2InstanceID"]])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "running"
    assert drs.describe_recovery_instances()["items"][0]["failback"]["state"] == "FAILBACK_COMPLETED"

    again = origin.reverse_replication(recoveryInstanceID=back["recoveryInstanceID"])
    assert again["reversedDirectionSourceServerArn"].endswith(ONE)
    seen = [state(drs, ONE)]
    for seconds in (61, 121):
        drs_simulator.advance(seconds)
        seen.append(state(drs, ONE))
    assert seen == ["STALLED", "RESCAN", "CONTINUOUS"]
    forward = drs.describe_source_servers(filters={"sourceServerIDs": [ONE]})["items"][0]
    assert forward["sourceProperties"]["identificationHints"]["awsInstanceID"] == back["ec2InstanceID"]

    origin.stop_replication(sourceServerID=failback)
    drs.stop_failback(recoveryInstanceID=instance_id)
    drs.terminate_recovery_instances(recoveryInstanceIDs=[instance_id])
    drs_simulator.advance(60)
    assert drs.describe_recovery_instances()["items"] == []
    assert state(origin, failback) == "STOPPED"
    assert recover(drs_simulator, drs)["failback"]["state"] == "FAILBACK_NOT_STARTED"


def test_to_a_machine_on_premises(drs_simulator, drs):
    server = {"id": ONE, "hostname": "db01", "origin": "on_premises", "failback_client": "5m"}
    drs_simulator.load({"servers": [server]})
    instance = recover(drs_simulator, drs)["recoveryInstanceID"]
    assert code(drs.reverse_replication, recoveryInstanceID=instance) == "ValidationException"
    assert code(drs.start_failback_launch, recoveryInstanceIDs=[instance]) == "ConflictException"

    def shown() -> str:
        return str(drs.describe_recovery_instances()["items"][0]["failback"]["state"])

    seen = [shown()]
    for seconds in (300, 600):
        drs_simulator.advance(seconds)
        seen.append(shown())
    assert seen == ["FAILBACK_NOT_STARTED", "FAILBACK_IN_PROGRESS", "FAILBACK_READY_FOR_LAUNCH"]
    job = drs.start_failback_launch(recoveryInstanceIDs=[instance])["job"]
    assert job["initiatedBy"] == "FAILBACK"
    drs_simulator.advance(300)
    assert shown() == "FAILBACK_COMPLETED"
    assert drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"][0]["status"] == "COMPLETED"


def test_an_origin_region_that_is_not_initialized(drs_simulator, drs):
    elsewhere = [{"region": "us-east-1", "initialized": False}]
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01"}], "accounts": elsewhere})
    instance = recover(drs_simulator, drs)["recoveryInstanceID"]
    assert code(drs.reverse_replication, recoveryInstanceID=instance) == "UninitializedAccountException"


def test_a_disconnected_instance_can_be_deleted_and_stays_in_ec2(drs_simulator, drs):
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "db01", "launched": "recovery"}]})
    instance = drs.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    assert code(drs.delete_recovery_instance, recoveryInstanceID=instance) == "ConflictException"
    drs.disconnect_recovery_instance(recoveryInstanceID=instance)
    shown = drs.describe_recovery_instances()["items"][0]["dataReplicationInfo"]
    assert shown["dataReplicationState"] == "DISCONNECTED"
    drs.delete_recovery_instance(recoveryInstanceID=instance)
    assert drs.describe_recovery_instances()["items"] == []
    found = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=[instance])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
