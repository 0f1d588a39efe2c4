"""The fault `stale`: lists and describes that lag behind, each as the state was so many seconds ago."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from drs_provider.simulator.faults import Fault

REGION = "us-west-2"
ONE, TWO = (f"s-{number:017d}" for number in (1, 2))
SCENARIO = {"servers": [{"id": one, "hostname": f"h{one[-1]}"} for one in (ONE, TWO)]}


def start(drs: Any, *servers: str) -> str:
    asked = [{"sourceServerID": one} for one in servers]
    return str(drs.start_recovery(isDrill=True, sourceServers=asked)["job"]["jobID"])


def test_a_new_job_is_not_listed_over_http_until_the_lag_is_over(drs_simulator_server):
    """What a retry that trusts an empty list runs into."""
    simulator = drs_simulator_server
    simulator.load({**SCENARIO, "faults": [{"operation": "DescribeJobs", "stale": 30}]})
    simulator.freeze()
    drs = boto3.client("drs", REGION)
    simulator.advance(100)
    job = start(drs, ONE)
    simulator.advance(29)
    assert drs.describe_jobs()["items"] == []
    assert drs.describe_jobs(filters={"jobIDs": [job]})["items"] == []
    with pytest.raises(drs.exceptions.ConflictException):
        start(drs, ONE)
    simulator.advance(2)
    (listed,) = drs.describe_jobs()["items"]
    assert (listed["jobID"], listed["status"]) == (job, "STARTED")
    simulator.advance(600)
    fresh = drs.describe_job_log_items(jobID=job)["items"]
    assert fresh[-1]["event"] == "JOB_END", "what the fault does not name does not lag"
    simulator.clear_faults()
    assert drs.describe_jobs()["items"][0]["status"] == "COMPLETED"
    stale = [entry.get("stale") for entry in simulator.log if entry.get("operation") == "DescribeJobs"]
    assert stale == [30.0, 30.0, 30.0, None], "the log says which answers were stale"


def test_every_service_lags_as_one_and_catches_up(drs_simulator):
    """Jobs, instances and agents are those of one moment, whatever was asked meanwhile."""
    fault = {"operation": "*", "stale": 60, "contains": "axResults"}
    drs_simulator.load({**SCENARIO, "faults": [fault]})
    drs_simulator.freeze()
    drs, ec2, ssm = (boto3.client(name, REGION) for name in ("drs", "ec2", "ssm"))
    start(drs, ONE, TWO)

    def seen(stale: bool) -> tuple[list[str], int, int, int]:
        small, large = ({"maxResults": 50}, {"MaxResults": 50}) if stale else ({}, {})
        jobs = drs.describe_jobs(**small)["items"]
        statuses = [one["launchStatus"] for each in jobs for one in each["participatingServers"]]
        shown = [one for each in ec2.describe_instances(**large)["Reservations"] for one in each["Instances"]]
        recovered = drs.describe_recovery_instances(**small)["items"]
        known = ssm.describe_instance_information(**large)["InstanceInformationList"]
        return statuses, len(shown), len(recovered), len(known)

    late, fresh = [], []
    for _ in range(75):
        drs_simulator.advance(10)
        late.append(seen(stale=True))
        fresh.append(seen(stale=False))
    assert fresh[-1] == (["LAUNCHED", "LAUNCHED"], 2, 2, 2)
    assert late[0] == ([], 0, 0, 0) != fresh[0]
    for number in range(6, 75):
        # Changes that lie close together are seen as one, a twentieth of the lag early at the most.
        assert late[number] in (fresh[number - 6], fresh[number - 5]), number


def test_what_is_gone_is_still_seen_and_nothing_that_is_stale_can_be_changed(drs_simulator):
    drs_simulator.load({"servers": [{"id": ONE, "hostname": "h1", "launched": "drill"}]})
    drs_simulator.freeze()
    drs, ec2 = boto3.client("drs", REGION), boto3.client("ec2", REGION)
    (instance,) = drs.describe_recovery_instances()["items"]
    drs_simulator.add_fault("DescribeInstances", stale="2m")
    drs_simulator.add_fault("DescribeRecoveryInstances", stale=20)
    drs_simulator.advance(1)
    drs.terminate_recovery_instances(recoveryInstanceIDs=[instance["recoveryInstanceID"]])
    drs_simulator.advance(60)

    def states() -> list[str]:
        shown = ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return [one["InstanceId"] for each in shown["Reservations"] for one in each["Instances"]]

    assert states() == [instance["ec2InstanceID"]], "running, says EC2, two minutes late"
    assert drs.describe_recovery_instances()["items"] == []
    with pytest.raises(drs.exceptions.ResourceNotFoundException):
        drs.terminate_recovery_instances(recoveryInstanceIDs=[instance["recoveryInstanceID"]])
    ec2.create_tags(Resources=[instance["ec2InstanceID"]], Tags=[{"Key": "seen", "Value": "now"}])
    drs_simulator.advance(121)
    assert states() == []


def test_tags_that_were_just_written_are_not_seen(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    drs = boto3.client("drs", REGION)
    fault = drs_simulator.add_fault("ListTagsForResource", stale=10)
    drs_simulator.advance(60)
    arn = drs.describe_source_servers()["items"][0]["arn"]
    for number in range(3):
        drs.tag_resource(resourceArn=arn, tags={"step": str(number)})
        drs_simulator.advance(4)
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"step": "0"}
    drs_simulator.advance(4)
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"step": "1"}
    drs_simulator.faults.clear(fault.id)
    assert drs.list_tags_for_resource(resourceArn=arn)["tags"] == {"step": "2"}


def test_nothing_lags_further_back_than_the_fault(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.freeze()
    drs = boto3.client("drs", REGION)
    job = start(drs, ONE)
    drs_simulator.advance(1)
    drs_simulator.add_fault(Fault(operation="DescribeJobs", stale=3600))
    drs_simulator.advance(600)
    (shown,) = drs.describe_jobs(filters={"jobIDs": [job]})["items"]
    assert shown["status"] == "STARTED"


def test_the_first_execution_of_a_region_is_not_seen_either(drs_simulator):
    """Nothing of SSM was there before it, which would have to be remembered."""
    drs_simulator.load({"documents": {"Shop-Failover": {"kind": "Automation", "duration": 30}}})
    drs_simulator.freeze()
    ssm = boto3.client("ssm", REGION)
    drs_simulator.add_fault("GetAutomationExecution", stale=60)
    drs_simulator.advance(10)
    execution = ssm.start_automation_execution(DocumentName="Shop-Failover")["AutomationExecutionId"]
    drs_simulator.advance(50)
    with pytest.raises(ssm.exceptions.AutomationExecutionNotFoundException):
        ssm.get_automation_execution(AutomationExecutionId=execution)
    drs_simulator.advance(20)
    shown = ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]
    assert shown["AutomationExecutionStatus"] == "InProgress"
