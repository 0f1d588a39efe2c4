"""EC2 around launches: states between, termination protection, capacity and quotas, instances to launch into."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.simulator.drs.launches import (
    ONE,
    THREE,
    TWO,
    change_template,
    ends,
    events,
    job_of,
    launched_instance,
    raw_errors,
    refusal,
    server,
    start,
)

STANDBY = "i-0123456789abcdef0"
CONSENT = {"AWSDRS": "AllowLaunchingIntoThisInstance"}
INTO = {"launchIntoEC2InstanceID": STANDBY}


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture
def ec2() -> Any:
    return boto3.client("ec2", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def state(ec2: Any, instance_id: str) -> str:
    found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def seen_by_drs(drs: Any) -> set[str]:
    return {one["ec2InstanceState"] for one in drs.describe_recovery_instances()["items"]}


def test_the_states_between_last_and_drs_shows_them(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE, launched="drill")]})
    instance = launched_instance(drs, ONE)["InstanceId"]
    assert seen_by_drs(drs) == {"RUNNING"}
    ec2.stop_instances(InstanceIds=[instance])
    assert (state(ec2, instance), seen_by_drs(drs)) == ("stopping", {"STOPPING"})
    drs_simulator.advance(31)
    assert seen_by_drs(drs) == {"STOPPED"}
    ec2.start_instances(InstanceIds=[instance])
    assert (state(ec2, instance), seen_by_drs(drs)) == ("pending", {"PENDING"})
    drs_simulator.advance(11)
    assert seen_by_drs(drs) == {"RUNNING"}
    ec2.terminate_instances(InstanceIds=[instance])
    assert (state(ec2, instance), seen_by_drs(drs)) == ("shutting-down", {"SHUTTING-DOWN"})
    drs_simulator.advance(31)
    assert (state(ec2, instance), seen_by_drs(drs)) == ("terminated", {"TERMINATED"})


def test_an_instance_on_its_way_elsewhere_is_not_started_or_stopped(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE, launched="drill")]})
    instance = launched_instance(drs, ONE)["InstanceId"]
    ec2.stop_instances(InstanceIds=[instance])
    assert refusal(ec2.start_instances, InstanceIds=[instance]) == ("IncorrectInstanceState", 400)
    drs_simulator.advance(31)
    ec2.start_instances(InstanceIds=[instance])
    assert refusal(ec2.stop_instances, InstanceIds=[instance]) == ("IncorrectInstanceState", 400)
    ec2.terminate_instances(InstanceIds=[instance])
    assert refusal(ec2.start_instances, InstanceIds=[instance]) == ("IncorrectInstanceState", 400)
    drs_simulator.advance(60)
    assert state(ec2, instance) == "terminated", "what was under way before has no say any more"


def test_a_terminate_job_shows_shutting_down_first(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE, launched="drill")]})
    instance = launched_instance(drs, ONE)["InstanceId"]
    drs.terminate_recovery_instances(recoveryInstanceIDs=[instance])
    drs_simulator.advance(5)
    assert (state(ec2, instance), seen_by_drs(drs)) == ("shutting-down", {"SHUTTING-DOWN"})
    drs_simulator.advance(60)
    assert (state(ec2, instance), seen_by_drs(drs)) == ("terminated", set())


def test_termination_protection_keeps_an_instance_and_the_job_completes(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE), server(TWO)]})
    change_template(drs, ONE, DisableApiTermination=True)
    start(drs, ONE, TWO)
    drs_simulator.advance(700)
    ids = {one["sourceServerID"]: one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]}
    assert refusal(ec2.terminate_instances, InstanceIds=[ids[ONE]]) == ("OperationNotPermitted", 400)
    job = drs.terminate_recovery_instances(recoveryInstanceIDs=list(ids.values()))["job"]["jobID"]
    drs_simulator.advance(60)
    assert job_of(drs, job)["status"] == "COMPLETED"
    assert events(drs, job, ONE) == ["CLEANUP_START", "CLEANUP_FAIL"]
    assert events(drs, job, TWO) == ["CLEANUP_START", "CLEANUP_END"]
    assert "(OperationNotPermitted) when calling the TerminateInstances operation" in raw_errors(drs, job)[0]
    assert (state(ec2, ids[ONE]), state(ec2, ids[TWO])) == ("running", "terminated")
    assert [one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]] == [ids[ONE]]
    ec2.modify_instance_attribute(InstanceId=ids[ONE], DisableApiTermination={"Value": False})
    drs.terminate_recovery_instances(recoveryInstanceIDs=[ids[ONE]])
    drs_simulator.advance(60)
    assert state(ec2, ids[ONE]) == "terminated"


def test_a_protected_previous_instance_fails_the_next_launch(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE, launched="drill")]})
    instance = launched_instance(drs, ONE)["InstanceId"]
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": True})
    job = start(drs, ONE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert events(drs, job)[:4] == ["JOB_START", "CLEANUP_START", "CLEANUP_FAIL", "SNAPSHOT_START"]
    assert "(OperationNotPermitted)" in raw_errors(drs, job)[-1]
    assert state(ec2, instance) == "running"


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"capacity": {"c5.large": 1}}, "InsufficientInstanceCapacity"), ({"vcpus": 3}, "VcpuLimitExceeded")],
)
def test_limits_hold_at_the_start_and_not_for_stopped_instances(drs_simulator, drs, ec2, limits, code):
    stopped = {"launch_disposition": "STOPPED"}
    drs_simulator.load({"servers": [server(ONE, **stopped), server(TWO, **stopped), server(THREE)], "ec2": limits})
    job = start(drs, ONE, TWO)
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "LAUNCHED", TWO: "LAUNCHED"}
    one, two = (launched_instance(drs, each)["InstanceId"] for each in (ONE, TWO))
    assert refusal(ec2.start_instances, InstanceIds=[one, two])[0] == code
    assert (state(ec2, one), state(ec2, two)) == ("stopped", "stopped"), "a whole call is refused"
    ec2.start_instances(InstanceIds=[one])
    assert refusal(ec2.start_instances, InstanceIds=[two])[0] == code
    job = start(drs, THREE)
    drs_simulator.advance(700)
    assert ends(drs, job) == {THREE: "FAILED"} and f"({code})" in raw_errors(drs, job)[0]
    ec2.stop_instances(InstanceIds=[one])
    ec2.start_instances(InstanceIds=[two])


@pytest.mark.parametrize(
    ("instance", "why"),
    [
        ({}, "no tag AWSDRS"),
        ({"tags": CONSENT, "os": "windows"}, "another operating system"),
        ({"tags": CONSENT}, "copyTags have to be off"),
    ],
)
def test_drs_launches_only_into_an_instance_that_suits(drs_simulator, drs, ec2, instance, why):
    drs_simulator.load({"servers": [server(ONE)], "instances": [{"id": STANDBY, **instance}]})
    ec2.stop_instances(InstanceIds=[STANDBY])
    drs_simulator.advance(31)
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=INTO)
    with pytest.raises(ClientError, match=why) as caught:
        start(drs, ONE)
    assert caught.value.response["Error"]["Code"] == "ConflictException"


def test_a_target_that_is_started_during_the_job_fails_the_launch(drs_simulator, drs, ec2):
    drs_simulator.load({"servers": [server(ONE)], "instances": [{"id": STANDBY, "tags": CONSENT}]})
    ec2.stop_instances(InstanceIds=[STANDBY])
    drs_simulator.advance(31)
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=INTO, copyTags=False)
    job = start(drs, ONE)
    drs_simulator.advance(60)
    ec2.start_instances(InstanceIds=[STANDBY])
    drs_simulator.advance(700)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert "running" in raw_errors(drs, job)[0] and drs.describe_recovery_instances()["items"] == []


@pytest.mark.parametrize("deletes", [False, True])
def test_whether_the_next_launch_deletes_what_was_launched_into_is_the_scenario_s(drs_simulator, drs, ec2, deletes):
    rules = {"deletes_launched_into": deletes}
    scenario = {"servers": [server(ONE)], "instances": [{"id": STANDBY, "tags": CONSENT}], "launching": rules}
    drs_simulator.load(scenario)
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=INTO, copyTags=False)
    found = []
    for _ in range(2):
        ec2.stop_instances(InstanceIds=[STANDBY])
        drs_simulator.advance(31)
        job = start(drs, ONE)
        drs_simulator.advance(700)
        found.append((ends(drs, job)[ONE], state(ec2, STANDBY)))
    assert found == [("LAUNCHED", "running"), ("FAILED", "terminated") if deletes else ("LAUNCHED", "running")]
