"""How launches go wrong, what DRS refuses, and what a new drill does to the one before."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.simulator.drs.launches import ONE, THREE, TWO, ends, events, job_of, refusal, server, start


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client(
        "drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    )


def test_a_failed_server_fails_inside_a_completed_job(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE), server(TWO, outcome="failed", error="no capacity")]})
    job = start(drs, ONE, TWO)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "LAUNCHED", TWO: "FAILED"}
    failures = [i for i in drs.describe_job_log_items(jobID=job)["items"] if i["event"] == "LAUNCH_FAILED"]
    assert [item["eventData"] for item in failures] == [{"sourceServerID": TWO, "rawError": "no capacity"}]
    shown = {one["sourceServerID"]: one for one in drs.describe_source_servers()["items"]}
    assert (shown[ONE]["lastLaunchResult"], shown[TWO]["lastLaunchResult"]) == ("SUCCEEDED", "FAILED")
    assert len(boto3.client("ec2", "us-west-2").describe_instances()["Reservations"]) == 1


@pytest.mark.parametrize(
    ("phase", "last"), [("snapshot", "SNAPSHOT_FAIL"), ("conversion", "CONVERSION_FAIL"), ("launch", "LAUNCH_FAILED")]
)
def test_a_server_fails_in_the_phase_that_the_scenario_names(drs_simulator, drs, phase, last):
    drs_simulator.load({"servers": [server(ONE, outcome="failed", fail_at=phase)]})
    job = start(drs, ONE)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert events(drs, job)[-2:] == [last, "JOB_END"]


@pytest.mark.parametrize("how", [{"outcome": "failed_silently"}, {"launch_template": {"subnet": False}}])
def test_a_silent_failure_says_nothing(drs_simulator, drs, how):
    drs_simulator.load({"servers": [server(ONE, **how)]})
    job = start(drs, ONE)
    drs_simulator.advance(2)
    assert ends(drs, job) == {ONE: "FAILED"}
    assert events(drs, job) == ["JOB_START", "SNAPSHOT_START", "SNAPSHOT_END", "JOB_END"]
    assert "rawError" not in str(drs.describe_job_log_items(jobID=job)["items"])


def test_a_repaired_launch_template_launches(drs_simulator, drs):
    drs_simulator.load(
        {"servers": [server(ONE, launch_template={"instance_profile": False, "instance_type": "m5.large"})]}
    )
    template = drs.get_launch_configuration(sourceServerID=ONE)["ec2LaunchTemplateID"]
    ec2 = boto3.client("ec2", "us-west-2")
    boto3.client("iam").create_instance_profile(InstanceProfileName="p")
    data = ec2.describe_launch_template_versions(LaunchTemplateId=template)["LaunchTemplateVersions"][0]
    repaired = {
        **data["LaunchTemplateData"],
        "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/p"},
    }
    ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData=repaired)
    ec2.modify_launch_template(LaunchTemplateId=template, DefaultVersion="2")
    job = start(drs, ONE)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    instance = ec2.describe_instances()["Reservations"][0]["Instances"][0]
    assert instance["InstanceType"] == "m5.large"


def test_a_job_that_hangs_holds_its_server(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, outcome="hangs"), server(TWO)]})
    job = start(drs, ONE, TWO)
    drs_simulator.advance(86400)
    hanging = job_of(drs, job)
    assert hanging["status"] == "STARTED"
    assert events(drs, job, ONE)[-1] == "CONVERSION_START"
    assert {one["launchStatus"] for one in hanging["participatingServers"]} == {"PENDING", "LAUNCHED"}
    assert refusal(drs.start_recovery, sourceServers=[{"sourceServerID": TWO}]) == ("ConflictException", 409)


def test_a_launch_that_takes_no_time(drs_simulator, drs):
    durations = dict.fromkeys(("snapshot", "preparation", "conversion", "launch", "boot"), 0)
    drs_simulator.load({"servers": [server(ONE, durations=durations)]})
    job = start(drs, ONE)
    drs_simulator.advance(6)
    assert ends(drs, job) == {ONE: "LAUNCHED"}


def test_outcomes_come_in_turn(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, outcome=["failed", "launched"])]})
    found = []
    for _ in range(3):
        job = start(drs, ONE)
        drs_simulator.advance(700)
        found.append(ends(drs, job)[ONE])
    assert found == ["FAILED", "LAUNCHED", "LAUNCHED"]


def test_a_new_drill_cleans_up_the_previous_one_first(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="drill")]})
    before = drs.describe_recovery_instances()["items"][0]["recoveryInstanceID"]
    job = start(drs, ONE)
    drs_simulator.advance(5)
    assert events(drs, job) == ["JOB_START", "CLEANUP_START"]
    drs_simulator.advance(700)
    assert events(drs, job)[:5] == ["JOB_START", "CLEANUP_START", "CLEANUP_END", "SNAPSHOT_START", "SNAPSHOT_END"]
    after = [one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]]
    assert len(after) == 1 and after != [before]
    old = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=[before])
    assert old["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated"


def test_terminating_takes_a_job_of_its_own(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE, launched="drill"), server(TWO, launched="recovery")]})
    ids = [one["recoveryInstanceID"] for one in drs.describe_recovery_instances()["items"]]
    job = drs.terminate_recovery_instances(recoveryInstanceIDs=ids)["job"]["jobID"]
    assert refusal(drs.terminate_recovery_instances, recoveryInstanceIDs=ids) == ("ConflictException", 409)
    drs_simulator.advance(5)
    assert job_of(drs, job)["status"] == "STARTED" and len(drs.describe_recovery_instances()["items"]) == 2
    drs_simulator.advance(60)
    ended = job_of(drs, job)
    assert (ended["status"], ended["type"], ended["participatingServers"]) == ("COMPLETED", "TERMINATE", [])
    assert drs.describe_recovery_instances()["items"] == []
    reservations = boto3.client("ec2", "us-west-2").describe_instances(InstanceIds=ids)["Reservations"]
    assert {one["State"]["Name"] for r in reservations for one in r["Instances"]} == {"terminated"}
    last = drs.describe_source_servers(filters={"sourceServerIDs": [ONE]})["items"][0]["lifeCycle"]["lastLaunch"]
    assert last["status"] == "TERMINATED"


def test_a_stopped_launch_is_a_success(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE)]})
    drs.update_launch_configuration(sourceServerID=ONE, launchDisposition="STOPPED")
    job = start(drs, ONE)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    assert drs.describe_recovery_instances()["items"][0]["ec2InstanceState"] == "STOPPED"


def test_launching_into_an_instance_needs_it_stopped(drs_simulator, drs):
    tags = {"AWSDRS": "AllowLaunchingIntoThisInstance"}
    instances = [{"id": "i-0123456789abcdef0", "name": "own", "tags": tags}]
    drs_simulator.load({"servers": [server(ONE)], "instances": instances})
    into = {"launchIntoEC2InstanceID": "i-0123456789abcdef0"}
    drs.update_launch_configuration(sourceServerID=ONE, launchIntoInstanceProperties=into, copyTags=False)
    assert refusal(drs.start_recovery, sourceServers=[{"sourceServerID": ONE}]) == ("ConflictException", 409)
    boto3.client("ec2", "us-west-2").stop_instances(InstanceIds=["i-0123456789abcdef0"])
    assert refusal(drs.start_recovery, sourceServers=[{"sourceServerID": ONE}]) == ("ConflictException", 409)
    drs_simulator.advance(31)
    job = start(drs, ONE, drill=False)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    shown = drs.describe_recovery_instances()["items"][0]
    assert (shown["ec2InstanceID"], shown["ec2InstanceState"]) == ("i-0123456789abcdef0", "RUNNING")


def test_ec2_shows_the_instance_pending_then_running_then_checked(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE), server(TWO, status_checks="impaired")]})
    ec2 = boto3.client("ec2", "us-west-2")
    start(drs, ONE, TWO)
    drs_simulator.advance(500)
    states = [one["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for one in r["Instances"]]
    assert states == ["pending", "pending"]
    assert ec2.describe_instance_status()["InstanceStatuses"] == []
    assert drs.describe_recovery_instances()["items"] == []
    drs_simulator.advance(60)
    checks = ec2.describe_instance_status()["InstanceStatuses"]
    assert {one["InstanceStatus"]["Status"] for one in checks} == {"initializing"}
    drs_simulator.advance(120)
    by_server = {one["sourceServerID"]: one["ec2InstanceID"] for one in drs.describe_recovery_instances()["items"]}
    checks = {
        one["InstanceId"]: one["InstanceStatus"]["Status"] for one in ec2.describe_instance_status()["InstanceStatuses"]
    }
    assert checks == {by_server[ONE]: "ok", by_server[TWO]: "impaired"}


def test_the_quotas_are_strict(drs_simulator, drs):
    ids = [f"s-{number:017d}" for number in range(8)]
    quotas = {"servers_per_job": 3, "concurrent_jobs": 2, "servers_in_jobs": 4}
    drs_simulator.load({"servers": [server(one) for one in ids], "quotas": quotas})

    def error(*chosen: str) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            start(drs, *chosen)
        response = caught.value.response
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 402
        assert response["Error"]["Code"] == "ServiceQuotaExceededException"
        return response

    assert error(*ids[:4])["quotaCode"] == "L-B827C881"
    start(drs, *ids[:3])
    assert error(*ids[3:5])["quotaCode"] == "L-05AFA8C6"
    start(drs, ids[3])
    assert error(ids[4])["quotaCode"] == "L-D88FAC3A"
    drs_simulator.advance(600)
    start(drs, *ids[4:7])


def test_the_model_is_enforced(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE)]})
    many = [{"sourceServerID": f"s-{number:017d}"} for number in range(201)]
    for request in (
        {"sourceServers": many},
        {"sourceServers": [{"sourceServerID": "s-not-an-id"}]},
        {"sourceServers": [{"sourceServerID": ONE}, {"sourceServerID": ONE}]},
        {},
    ):
        assert refusal(drs.start_recovery, **request) == ("ValidationException", 400), request
    assert refusal(drs.describe_jobs, nextToken="made up") == ("ValidationException", 400)
    assert refusal(drs.describe_jobs, filters={"fromDate": "2026-01-01T00:00:00+00:00"}) == ("ValidationException", 400)
    unknown = [{"sourceServerID": TWO}]
    assert refusal(drs.start_recovery, sourceServers=unknown) == ("ResourceNotFoundException", 404)
    assert drs.describe_jobs()["items"] == []


def test_an_account_that_is_not_initialized(drs_simulator, drs):
    drs_simulator.load({"initialized": False, "servers": [server(ONE)]})
    assert refusal(drs.describe_source_servers) == ("UninitializedAccountException", 400)
    drs.initialize_service()
    assert len(drs.describe_source_servers()["items"]) == 1


def test_everything_is_paginated_newest_jobs_first(drs_simulator, drs):
    ids = [f"s-{number:017d}" for number in range(7)]
    drs_simulator.load({"servers": [server(one) for one in ids], "page_size": 2})
    jobs = []
    for one in ids:
        jobs.append(start(drs, one, tags={"wave": one}))
        drs_simulator.advance(1)
    pages = list(drs.get_paginator("describe_jobs").paginate())
    assert [len(page["items"]) for page in pages] == [2, 2, 2, 1]
    assert [job["jobID"] for page in pages for job in page["items"]] == jobs[::-1]
    assert [job["tags"]["wave"] for page in pages for job in page["items"]] == ids[::-1]
    drs_simulator.advance(600)
    for operation, request in (
        ("describe_source_servers", {}),
        ("describe_recovery_instances", {}),
        ("describe_job_log_items", {"jobID": jobs[0]}),
        ("describe_recovery_snapshots", {"sourceServerID": ids[0]}),
    ):
        pages = list(drs.get_paginator(operation).paginate(**request))
        assert len(pages) > 1 and max(len(page["items"]) for page in pages) == 2, operation
        items = [str(item) for page in pages for item in page["items"]]
        assert len(set(items)) == len(items)


def test_a_page_is_not_shifted_by_a_job_that_starts_meanwhile(drs_simulator, drs):
    drs_simulator.load({"servers": [server(one) for one in (ONE, TWO, THREE)]})
    first, second = start(drs, ONE), start(drs, TWO)
    page = drs.describe_jobs(maxResults=1)
    start(drs, THREE)
    rest = drs.describe_jobs(maxResults=5, nextToken=page["nextToken"])["items"]
    assert [page["items"][0]["jobID"], *(job["jobID"] for job in rest)] == [second, first]


def test_jobs_are_filtered_by_time(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE), server(TWO)]})
    start(drs, ONE)
    drs_simulator.advance(100)
    second = start(drs, TWO)
    since = job_of(drs, second)["creationDateTime"].replace("+00:00", "Z")
    assert [job["jobID"] for job in drs.describe_jobs(filters={"fromDate": since})["items"]] == [second]


def test_a_job_can_be_made_to_name_its_instances(drs_simulator, drs):
    drs_simulator.load({"servers": [server(ONE)], "job_recovery_instance_ids": True})
    job = start(drs, ONE)
    drs_simulator.advance(600)
    named = job_of(drs, job)["participatingServers"][0]["recoveryInstanceID"]
    assert named == drs.describe_recovery_instances()["items"][0]["recoveryInstanceID"]


def test_an_instance_has_the_address_of_its_source_where_the_launch_configuration_says_so(
    drs: Any, drs_simulator: Any
) -> None:
    drs_simulator.load(
        {
            "servers": [
                server(ONE, private_ip="172.31.9.8", copy_private_ip=True),
                server(TWO, private_ip="172.31.9.9"),
            ]
        }
    )
    assert drs.get_launch_configuration(sourceServerID=ONE)["copyPrivateIp"] is True
    start(drs, ONE, TWO)
    drs_simulator.advance(1200)
    ec2 = boto3.client("ec2", "us-west-2")
    found = {
        instance["sourceServerID"]: ec2.describe_instances(InstanceIds=[instance["ec2InstanceID"]])["Reservations"][0]
        for instance in drs.describe_recovery_instances()["items"]
    }
    assert found[ONE]["Instances"][0]["PrivateIpAddress"] == "172.31.9.8"
    assert found[TWO]["Instances"][0]["PrivateIpAddress"] != "172.31.9.9"
