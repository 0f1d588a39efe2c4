"""A whole failback by a client that knows nothing of this package, twice; and its steps in the wrong order."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from drs_provider.durations import parse_seconds
from tests.simulator.drs.failback_steps import A1, B1, ORIGIN, Client, refusal

CONFLICT, NOT_FOUND = "ConflictException", "ResourceNotFoundException"


def scenario(**server: Any) -> dict[str, Any]:
    forward = {"id": B1, "hostname": "db01", "origin_region": ORIGIN, "origin_instance": A1, **server}
    return {"servers": [forward], "accounts": [{"region": ORIGIN}]}


@pytest.fixture
def client(drs_simulator: Any) -> Client:
    drs_simulator.load(scenario())
    drs_simulator.freeze()
    return Client(drs_simulator.advance)


def running(instance_id: str) -> bool:
    found = boto3.client("ec2", ORIGIN).describe_instances(InstanceIds=[instance_id])["Reservations"]
    return bool(found[0]["Instances"][0]["State"]["Name"] == "running")


def test_two_cycles_end_where_they_began(client: Client) -> None:
    production, reversed_arns = [], []
    for _ in range(2):
        before = client.server(client.recovery, B1).get("reversedDirectionSourceServerArn")
        client.cycle()
        assert client.whole(client.recovery, B1)
        assert client.hint(client.recovery, B1) == client.a3
        assert client.recovery.describe_recovery_instances()["items"] == []
        assert client.origin.describe_recovery_instances()["items"] == []
        assert client.origin.describe_source_servers()["items"] == []
        assert running(client.a3), "only the record of A3 is deleted"
        production.append(client.a3)
        stale = client.server(client.recovery, B1)["reversedDirectionSourceServerArn"]
        assert stale.endswith(client.a2) and stale != before, "B1 names the A2 that is gone until the next reverse"
        reversed_arns.append(stale)
    assert len(set(production)) == len(set(reversed_arns)) == 2


def test_between_two_cycles_a_reversed_arn_proves_nothing(client: Client) -> None:
    client.cycle()
    client.recover()
    stale = client.server(client.recovery, B1)["reversedDirectionSourceServerArn"]
    assert client.origin.describe_source_servers()["items"] == []
    assert client.state(client.recovery, client.b2) == "NOT_STARTED"
    client.reverse()
    assert client.server(client.recovery, B1)["reversedDirectionSourceServerArn"] != stale
    assert client.server(client.origin, client.a2)["reversedDirectionSourceServerArn"].endswith(B1), "from birth"


def test_a_failback_over_http_at_speed(drs_simulator_server: Any) -> None:
    drs_simulator_server.load(scenario(), speed=60)
    drs_simulator_server.freeze()
    client = Client(lambda seconds: drs_simulator_server.advance(seconds / 60))
    client.cycle()
    assert client.whole(client.recovery, B1) and running(client.a3)


# Each wrong order of two neighbouring steps: the later one is tried before the one that has to precede it.


def test_nothing_is_reversed_before_it_is_recovered(client: Client) -> None:
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=A1) == NOT_FOUND


@pytest.mark.parametrize("seconds", [60, 600])
def test_nothing_is_reversed_before_its_agent_has_initialised(drs_simulator: Any, seconds: int) -> None:
    drs_simulator.load(scenario(durations={"initialisation": seconds}))
    drs_simulator.freeze()
    client = Client(drs_simulator.advance)
    client.recover()
    launched = next(one["t"] for one in drs_simulator.log if one.get("event") == "LAUNCH_END")
    drs_simulator.advance(launched + seconds - 1 - drs_simulator.clock.now())
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) == CONFLICT
    assert client.origin.describe_source_servers()["items"] == []
    drs_simulator.advance(1)
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) is None


def test_a_stopped_instance_is_not_reversed(client: Client, drs_simulator: Any) -> None:
    client.until("reverse")
    ec2 = boto3.client("ec2", "us-west-2")
    ec2.stop_instances(InstanceIds=[client.b2])
    drs_simulator.advance(600)
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) == CONFLICT
    ec2.start_instances(InstanceIds=[client.b2])
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) == CONFLICT
    drs_simulator.advance(60)
    assert refusal(client.recovery.reverse_replication, recoveryInstanceID=client.b2) is None


def test_nothing_is_launched_back_before_it_has_a_recovery_point(client: Client, drs_simulator: Any) -> None:
    client.until("sync")
    seen = []
    for seconds in (0, 60, 599):
        drs_simulator.advance(seconds)
        seen.append(client.replication(client.origin, client.a2)[0])
        assert refusal(client.origin.start_recovery, sourceServers=[{"sourceServerID": client.a2}]) == CONFLICT
    assert seen == ["INITIATING", "INITIAL_SYNC", "INITIAL_SYNC"]


def test_a_launch_with_the_template_that_drs_made_fails_in_silence(client: Client) -> None:
    client.until("repair_template")
    template = client.origin.get_launch_configuration(sourceServerID=client.a2)["ec2LaunchTemplateID"]
    version = client.origin_ec2.describe_launch_template_versions(LaunchTemplateId=template, Versions=["$Default"])
    data = version["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    (interface,) = data.get("NetworkInterfaces") or [{}]
    assert "SubnetId" not in interface and not interface.get("Groups") and "IamInstanceProfile" not in data
    assert client.launch(client.origin, client.a2) == ("FAILED", "")
    client.repair_template()
    assert client.launch(client.origin, client.a2)[0] == "LAUNCHED"


def test_the_way_back_is_no_failback_launch(client: Client) -> None:
    client.until("launch_back")
    assert refusal(client.recovery.start_failback_launch, recoveryInstanceIDs=[client.b2]) == CONFLICT
    assert refusal(client.recovery.start_recovery, sourceServers=[{"sourceServerID": client.a2}]) == NOT_FOUND


def test_nothing_is_protected_again_before_its_agent_has_initialised(client: Client, drs_simulator: Any) -> None:
    client.until("launch_back")
    assert refusal(client.origin.reverse_replication, recoveryInstanceID=A1) == NOT_FOUND
    client.origin.start_recovery(sourceServers=[{"sourceServerID": client.a2}])
    instances: list[Any] = []
    while not instances:
        drs_simulator.advance(1)
        instances = client.origin.describe_recovery_instances()["items"]
    client.a3 = instances[0]["recoveryInstanceID"]
    for _ in range(58):
        assert refusal(client.origin.reverse_replication, recoveryInstanceID=client.a3) == CONFLICT
        drs_simulator.advance(1)
    assert client.state(client.origin, client.a3) == "NOT_STARTED"
    drs_simulator.advance(2)
    assert refusal(client.origin.reverse_replication, recoveryInstanceID=client.a3) is None


def test_b1_is_continuous_before_it_is_whole(client: Client, drs_simulator: Any) -> None:
    client.until("wait_protected")
    seen = []
    for seconds in (0, 61, 540, 60, 150, 150):
        drs_simulator.advance(seconds)
        seen.append(client.replication(client.recovery, B1))
    assert [state for state, _, _ in seen] == ["STALLED", "RESCAN", "RESCAN", "CONTINUOUS", "CONTINUOUS", "CONTINUOUS"]
    assert [rescanned for _, _, rescanned in seen] == [False] * 5 + [True]
    lags = [parse_seconds(lag) for _, lag, _ in seen]
    assert 650 < lags[3] <= 660 and 320 < lags[4] < 340 and lags[5] == 0
    assert client.hint(client.recovery, B1) == client.a3


def test_b1_leaves_continuous_no_later_than_a3_leaves_not_started(client: Client) -> None:
    client.until("protect_again")
    client.advance(90)
    assert client.state(client.origin, client.a3) == "NOT_STARTED"
    assert client.whole(client.recovery, B1), "it still protects A1"
    client.protect_again()
    assert client.state(client.origin, client.a3) == "INITIATING"
    assert client.replication(client.recovery, B1)[0] == "STALLED"
    client.advance(61)
    assert client.state(client.origin, client.a3) == client.replication(client.recovery, B1)[0] == "RESCAN"


@pytest.mark.parametrize("step", ["sync", "launch_back", "protect_again", "stop_replication"])
def test_b2_is_not_terminated_before_a2_is_stopped(client: Client, step: str) -> None:
    client.until(step)
    terminate = {"recoveryInstanceIDs": [client.b2]}
    assert refusal(client.recovery.terminate_recovery_instances, **terminate) == CONFLICT
    client.stop_failback()
    assert client.instance(client.recovery, client.b2)["failback"]["state"] == "FAILBACK_NOT_STARTED"
    assert refusal(client.recovery.terminate_recovery_instances, **terminate) == CONFLICT, "StopFailback is not enough"
    client.stop_replication()
    assert refusal(client.recovery.terminate_recovery_instances, **terminate) is None


def test_a2_that_replicates_again_holds_b2_again(client: Client) -> None:
    client.until("stop_failback")
    client.origin.start_replication(sourceServerID=client.a2)
    terminate = {"recoveryInstanceIDs": [client.b2]}
    assert refusal(client.recovery.terminate_recovery_instances, **terminate) == CONFLICT


def test_the_failback_of_what_is_terminated_is_not_stopped(client: Client) -> None:
    client.until("stop_failback")
    client.terminate()
    assert refusal(client.recovery.stop_failback, recoveryInstanceID=client.b2) == NOT_FOUND


def test_the_record_of_a3_is_deleted_only_when_it_is_protected(client: Client) -> None:
    client.until("protect_again")
    delete = client.origin.delete_recovery_instance
    assert refusal(delete, recoveryInstanceID=client.a3) == CONFLICT
    client.protect_again()
    assert refusal(client.origin.disconnect_recovery_instance, recoveryInstanceID=client.a3) == CONFLICT
    assert refusal(client.origin.terminate_recovery_instances, recoveryInstanceIDs=[client.a3]) == CONFLICT
    assert refusal(delete, recoveryInstanceID=client.a3) is None
    assert running(client.a3)
    (name,) = [one for one in client.origin.describe_source_servers()["items"] if "recoveryInstanceId" in one] or [None]
    assert name is None


def test_the_record_of_b2_is_not_deleted_unless_it_is_disconnected(client: Client) -> None:
    client.until("terminate")
    assert refusal(client.recovery.delete_recovery_instance, recoveryInstanceID=client.b2) == CONFLICT


def test_a_server_with_a_recovery_instance_is_not_disconnected(client: Client) -> None:
    client.until("delete_recovery_instance")
    assert refusal(client.origin.disconnect_source_server, sourceServerID=client.a2) == CONFLICT
    client.delete_recovery_instance()
    assert refusal(client.origin.disconnect_source_server, sourceServerID=client.a2) is None


def test_b1_is_not_disconnected_while_b2_is_there_even_if_ec2_has_terminated_it(client: Client) -> None:
    client.recover()
    boto3.client("ec2", "us-west-2").terminate_instances(InstanceIds=[client.b2])
    assert refusal(client.recovery.disconnect_source_server, sourceServerID=B1) == CONFLICT


def test_a2_is_not_deleted_before_it_is_disconnected(client: Client) -> None:
    client.until("disconnect")
    assert refusal(client.origin.delete_source_server, sourceServerID=client.a2) == CONFLICT


def test_b1_stopped_loses_every_point_in_time(client: Client) -> None:
    client.until("stop_replication")
    assert client.recovery.describe_recovery_snapshots(sourceServerID=B1)["items"]
    client.recovery.stop_replication(sourceServerID=B1)
    assert client.recovery.describe_recovery_snapshots(sourceServerID=B1)["items"] == []
    assert refusal(client.recovery.start_recovery, sourceServers=[{"sourceServerID": B1}]) == CONFLICT


def test_another_launch_of_a2_deletes_production(client: Client) -> None:
    """A launch deletes the server's previous instance, which after a failback is A3, and B1 protects nothing more."""
    client.until("stop_replication")
    assert client.whole(client.recovery, B1)
    status, again = client.launch(client.origin, client.a2)
    assert status == "LAUNCHED" and again != client.a3
    (group,) = client.origin_ec2.describe_instances(InstanceIds=[client.a3])["Reservations"]
    assert group["Instances"][0]["State"]["Name"] == "terminated"
    assert client.replication(client.recovery, B1)[0] == "STALLED"
