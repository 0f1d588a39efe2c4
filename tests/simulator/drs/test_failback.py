"""Failback to EC2: what DRS shows of it, instances that are lost on the way, other accounts and other zones."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, Client, refusal

CONFLICT = "ConflictException"


def load(simulator: Any, origin: dict[str, Any] | None = None, **server: Any) -> Client:
    forward = {"id": B1, "hostname": "db01", "origin_region": ORIGIN, "origin_instance": A1, **server}
    simulator.load({"servers": [forward], "accounts": [{"region": ORIGIN, **(origin or {})}]})
    simulator.freeze()
    return Client(simulator.advance)


def code(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**request)
    return str(error.value.response["Error"]["Code"])


def test_a_fresh_instance_of_an_aws_origin_is_not_ready(drs_simulator: Any) -> None:
    client = load(drs_simulator, launched="recovery")
    (launched_before,) = client.recovery.describe_recovery_instances()["items"]
    client.recover()
    for instance in (launched_before, client.instance(client.recovery, client.b2)):
        assert instance["dataReplicationInfo"] == {"dataReplicationState": "NOT_STARTED"}
        assert instance["failback"]["state"] == "FAILBACK_NOT_READY_FOR_LAUNCH"


def test_the_server_that_comes_to_be_in_the_origin_region(drs_simulator: Any) -> None:
    client = load(drs_simulator, launched="recovery", launch_disposition="STOPPED", copy_private_ip=True)
    client.b2 = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    assert client.state(client.recovery, client.b2) == "NOT_STARTED"
    answer = client.recovery.reverse_replication(recoveryInstanceID=client.b2)
    (a2,) = client.origin.describe_source_servers()["items"]
    assert answer["reversedDirectionSourceServerArn"] == a2["arn"]
    assert a2["replicationDirection"] == "FAILBACK"
    assert a2["sourceProperties"]["identificationHints"]["awsInstanceID"] == client.b2
    assert a2["sourceCloudProperties"]["originRegion"] == "us-west-2"
    assert a2["reversedDirectionSourceServerArn"].endswith(B1)
    assert a2["dataReplicationInfo"]["dataReplicationState"] == "INITIATING"
    configuration = client.origin.get_launch_configuration(sourceServerID=a2["sourceServerID"])
    assert (configuration["launchDisposition"], configuration["copyPrivateIp"]) == ("STARTED", False)
    b2 = client.instance(client.recovery, client.b2)
    assert b2["dataReplicationInfo"]["dataReplicationState"] == "INITIATING"
    assert b2["failback"]["state"] == "FAILBACK_IN_PROGRESS"
    assert code(client.recovery.reverse_replication, recoveryInstanceID=client.b2) == CONFLICT


def test_the_first_copy_shows_how_far_it_is(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("sync")
    seen = []
    for seconds in (30, 180, 300):
        client.advance(seconds)
        info = client.server(client.origin, client.a2)["dataReplicationInfo"]
        (disk,) = info["replicatedDisks"]
        seen.append((round(disk["replicatedStorageBytes"] / disk["totalStorageBytes"], 2), "etaDateTime" in info))
    assert seen == [(0.0, False), (0.25, True), (0.75, True)]
    client.sync()
    assert "etaDateTime" not in client.server(client.origin, client.a2)["dataReplicationInfo"]


def test_the_instance_shows_the_replication_of_the_server(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("sync")
    client.advance(61)
    assert client.state(client.recovery, client.b2) == "INITIAL_SYNC"
    client.advance(600)
    info = client.instance(client.recovery, client.b2)["dataReplicationInfo"]
    assert info["dataReplicationState"] == "CONTINUOUS" and info["lagDuration"] != "P0D"
    (disk,) = info["replicatedDisks"]
    assert 0 < disk["rescannedStorageBytes"] < disk["totalStorageBytes"], "CONTINUOUS, and not whole yet"
    client.sync()
    assert client.instance(client.recovery, client.b2)["dataReplicationInfo"]["lagDuration"] == "P0D"
    client.repair_template()
    client.launch_back()
    assert client.instance(client.recovery, client.b2)["failback"]["state"] == "FAILBACK_COMPLETED"


def test_the_origins_quota_counts_the_server(drs_simulator: Any) -> None:
    servers = [{"id": "s-00000000000000002", "hostname": "other"}]
    client = load(drs_simulator, {"servers": servers, "quotas": {"replicating_servers": 1}}, launched="recovery")
    b2 = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    assert code(client.recovery.reverse_replication, recoveryInstanceID=b2) == "ServiceQuotaExceededException"
    assert client.state(client.recovery, b2) == "NOT_STARTED"
    client.origin.stop_replication(sourceServerID="s-00000000000000002")
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=b2) is None


def test_an_origin_region_that_is_not_initialized(drs_simulator: Any) -> None:
    client = load(drs_simulator, {"initialized": False}, launched="recovery")
    b2 = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    assert code(client.recovery.reverse_replication, recoveryInstanceID=b2) == "UninitializedAccountException"


def test_replication_that_was_stopped_is_reversed_again_with_the_same_server(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("stop_failback")
    client.stop_failback()
    a2 = client.a2
    client.reverse()
    assert client.a2 == a2 and client.replication(client.origin, a2)[0] == "INITIATING"


def test_a_source_that_dies_does_not_replicate_for_ever(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("launch_back")
    ec2 = boto3.client("ec2", "us-west-2")
    ec2.stop_instances(InstanceIds=[client.b2])
    a2 = client.server(client.origin, client.a2)["dataReplicationInfo"]
    assert a2["dataReplicationState"] == "STALLED"
    assert a2["dataReplicationError"] == {"error": "AGENT_NOT_SEEN"}
    assert client.state(client.recovery, client.b2) == "STALLED"
    client.advance(300)
    assert client.replication(client.origin, client.a2)[1] == "PT5M"
    ec2.start_instances(InstanceIds=[client.b2])
    client.advance(61)
    assert client.replication(client.origin, client.a2)[0] == "RESCAN"
    client.sync()
    ec2.terminate_instances(InstanceIds=[client.b2])
    assert client.replication(client.origin, client.a2)[0] == "STALLED"
    client.advance(86400)
    assert client.replication(client.origin, client.a2)[0] == "STALLED"


def test_a_first_sync_that_broke_off_begins_anew(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("sync")
    client.advance(120)
    ec2 = boto3.client("ec2", "us-west-2")
    ec2.stop_instances(InstanceIds=[client.b2])
    client.advance(3600)
    assert client.replication(client.origin, client.a2)[0] == "STALLED"
    assert refusal(client.origin.start_recovery, sourceServers=[{"sourceServerID": client.a2}]) == CONFLICT
    ec2.start_instances(InstanceIds=[client.b2])
    client.advance(61)
    assert client.replication(client.origin, client.a2)[0] == "INITIATING"
    client.sync()


def test_production_that_is_lost_after_a_failback_shows_at_its_server(drs_simulator: Any) -> None:
    client = load(drs_simulator)
    client.cycle()
    boto3.client("ec2", ORIGIN).terminate_instances(InstanceIds=[client.a3])
    assert client.replication(client.recovery, B1)[0] == "STALLED"
    client.recover()


def test_b2_that_is_disconnected_leaves_a2_without_an_agent(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("launch_back")
    client.recovery.disconnect_recovery_instance(recoveryInstanceID=client.b2)
    assert client.state(client.recovery, client.b2) == "DISCONNECTED"
    assert client.replication(client.origin, client.a2)[0] == "STALLED"
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) == CONFLICT
    assert refusal(client.recovery.terminate_recovery_instances, recoveryInstanceIDs=[client.b2]) == CONFLICT
    client.stop_replication()
    assert refusal(client.recovery.terminate_recovery_instances, recoveryInstanceIDs=[client.b2]) is None


def test_launched_into_the_stopped_original_it_keeps_its_id(drs_simulator: Any) -> None:
    tags = {"AWSDRS": "AllowLaunchingIntoThisInstance"}
    original = {"id": A1, "name": "db01", "state": "stopped", "tags": tags}
    client = load(drs_simulator, {"instances": [original]}).until("repair_template")
    client.origin.update_launch_configuration(
        sourceServerID=client.a2,
        copyTags=False,
        copyPrivateIp=False,
        targetInstanceTypeRightSizingMethod="NONE",
        launchIntoInstanceProperties={"launchIntoEC2InstanceID": A1},
    )
    client.launch_back()
    assert client.a3 == A1, "no template is needed, and the id stays"
    client.advance(90)
    assert client.hint(client.recovery, B1) == A1, "the hint matches before anything happened"
    assert client.state(client.origin, A1) == "NOT_STARTED" and client.whole(client.recovery, B1)
    client.protect_again()
    assert client.state(client.origin, A1) == "INITIATING" and not client.whole(client.recovery, B1)
    client.wait_protected()
    for step in client.ORDER[client.ORDER.index("stop_replication") :]:
        getattr(client, step)()
    assert client.whole(client.recovery, B1)


def test_what_is_launched_into_the_original_of_a_second_cycle_does_not_replicate_by_itself(drs_simulator: Any) -> None:
    tags = {"AWSDRS": "AllowLaunchingIntoThisInstance"}
    client = load(drs_simulator, {"instances": [{"id": A1, "state": "stopped", "tags": tags}]})
    into = {"launchIntoInstanceProperties": {"launchIntoEC2InstanceID": A1}, "copyTags": False, "copyPrivateIp": False}
    for cycle in (1, 2):
        client.until("repair_template")
        client.origin.update_launch_configuration(sourceServerID=client.a2, **into)
        if cycle == 2:
            boto3.client("ec2", ORIGIN).stop_instances(InstanceIds=[A1])
            client.advance(31)
            assert client.replication(client.recovery, B1)[0] == "STALLED"
        client.launch_back()
        client.advance(120)
        assert client.replication(client.recovery, B1)[0] == ("CONTINUOUS" if cycle == 1 else "STALLED")
        for step in client.ORDER[client.ORDER.index("protect_again") :]:
            getattr(client, step)()


def test_from_another_zone_the_same_server_protects_the_instance(drs_simulator: Any) -> None:
    client = load(drs_simulator, origin_region="us-west-2").until("reverse")
    client.advance(60)
    answer = client.recovery.reverse_replication(recoveryInstanceID=client.b2)
    (b1,) = client.recovery.describe_source_servers()["items"]
    assert answer["reversedDirectionSourceServerArn"] == b1["arn"], "there is no second server"
    assert b1["replicationDirection"] == "FAILOVER"
    assert client.hint(client.recovery, B1) == client.b2
    assert client.replication(client.recovery, B1)[0] == "STALLED"
    assert client.state(client.recovery, client.b2) == "INITIATING"
    assert refusal(client.recovery.terminate_recovery_instances, recoveryInstanceIDs=[client.b2]) == CONFLICT
    assert refusal(client.recovery.disconnect_recovery_instance, recoveryInstanceID=client.b2) == CONFLICT
    client.wait(lambda: client.whole(client.recovery, B1))
    client.recovery.delete_recovery_instance(recoveryInstanceID=client.b2)
    assert client.recovery.describe_recovery_instances()["items"] == []
    assert client.hint(client.recovery, B1) == client.b2


def test_from_another_account_the_server_comes_to_be_there(drs_simulator: Any) -> None:
    account = "222222222222"
    client = load(drs_simulator, {"account": account}, launched="recovery", origin_account=account)
    b2 = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    arn = client.recovery.reverse_replication(recoveryInstanceID=b2)["reversedDirectionSourceServerArn"]
    assert arn.startswith(f"arn:aws:drs:{ORIGIN}:{account}:source-server/s-")


def test_a_drill_that_is_protected_takes_the_protection_of_production(drs_simulator: Any) -> None:
    client = load(drs_simulator).until("launch_back")
    client.origin.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": client.a2}])
    client.advance(700)
    client.a3 = client.origin.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    client.protect_again()
    assert client.hint(client.recovery, B1) == client.a3 != A1


def test_a_disconnected_instance_can_be_deleted_and_stays_in_ec2(drs_simulator: Any) -> None:
    client = load(drs_simulator, launched="recovery")
    instance = client.recovery.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    assert code(client.recovery.delete_recovery_instance, recoveryInstanceID=instance) == CONFLICT
    client.recovery.disconnect_recovery_instance(recoveryInstanceID=instance)
    assert client.state(client.recovery, instance) == "DISCONNECTED"
    before = client.server(client.recovery, B1)["lifeCycle"]["lastLaunch"]["status"]
    client.recovery.delete_recovery_instance(recoveryInstanceID=instance)
    assert client.recovery.describe_recovery_instances()["items"] == []
    assert client.server(client.recovery, B1)["lifeCycle"]["lastLaunch"]["status"] == before == "LAUNCHED"
    found = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=[instance])
    assert found["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
