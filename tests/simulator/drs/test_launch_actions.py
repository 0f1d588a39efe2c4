"""Post-launch actions: what is put, in which order they run, and how they fail while the launch succeeds."""

from __future__ import annotations

import uuid
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.simulator.drs.launches import ONE, change_template, ends, job_of, launched_instance, refusal, server, start

DOCUMENTS = {
    "Shop-Warm": {"kind": "Command", "duration": 30},
    "Shop-Check": {"kind": "Automation", "duration": 30},
    "Shop-Broken": {"kind": "Command", "outcome": "Failed"},
}


@pytest.fixture
def drs(drs_simulator: Any) -> Any:
    drs_simulator.freeze()
    return boto3.client("drs", "us-west-2", config=Config(retries={"total_max_attempts": 1}))


def put(drs: Any, document: str, order: int, resource: str = ONE, **more: Any) -> dict[str, Any]:
    action = {
        "resourceId": resource,
        "actionCode": document,
        "actionId": str(uuid.uuid4()),
        "name": document,
        "order": order,
        "optional": False,
        "active": True,
        "actionVersion": "$LATEST",
        "category": "OTHER",
        "description": "",
        **more,
    }
    put: dict[str, Any] = drs.put_launch_action(**action)
    return put


def runs(drs: Any, job: str) -> list[tuple[str, str]]:
    (participant,) = job_of(drs, job)["participatingServers"]
    return [(run["action"]["name"], run["status"]) for run in participant["launchActionsStatus"]["runs"]]


def load(simulator: Any, drs: Any, **more: Any) -> None:
    simulator.load({"servers": [server(ONE, **more)], "documents": DOCUMENTS})
    drs.update_launch_configuration(sourceServerID=ONE, postLaunchEnabled=True)


def test_actions_are_put_replaced_listed_in_order_and_deleted(drs_simulator, drs):
    load(drs_simulator, drs)
    second = put(drs, "Shop-Check", 20)
    first = put(drs, "Shop-Warm", 10)
    assert (first["type"], second["type"]) == ("SSM_COMMAND", "SSM_AUTOMATION")
    listed = drs.list_launch_actions(resourceId=ONE)["items"]
    assert [one["name"] for one in listed] == ["Shop-Warm", "Shop-Check"]
    put(drs, "Shop-Warm", 30, actionId=first["actionId"])
    only = drs.list_launch_actions(resourceId=ONE, filters={"actionIds": [first["actionId"]]})["items"]
    assert [one["order"] for one in only] == [30]
    drs.delete_launch_action(resourceId=ONE, actionId=first["actionId"])
    assert len(drs.list_launch_actions(resourceId=ONE)["items"]) == 1
    gone = {"resourceId": ONE, "actionId": first["actionId"]}
    assert refusal(drs.delete_launch_action, **gone) == ("ResourceNotFoundException", 404)
    assert refusal(drs.list_launch_actions, resourceId="s-" + "9" * 17) == ("ResourceNotFoundException", 404)


def test_an_action_needs_a_document_that_exists(drs_simulator, drs):
    load(drs_simulator, drs)
    with pytest.raises(drs.exceptions.ValidationException):
        put(drs, "Shop-Unknown", 10)


def test_actions_run_after_the_launch_one_after_the_other(drs_simulator, drs):
    load(drs_simulator, drs)
    put(drs, "Shop-Check", 20)
    put(drs, "Shop-Warm", 10)
    put(drs, "Shop-Warm", 30, active=False)
    job = start(drs, ONE)
    drs_simulator.advance(600)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    seen = [runs(drs, job)]
    for _ in range(12):
        drs_simulator.advance(10)
        if runs(drs, job) != seen[-1]:
            seen.append(runs(drs, job))
    assert seen[-1] == [("Shop-Warm", "SUCCEEDED"), ("Shop-Check", "SUCCEEDED")]
    assert [("Shop-Warm", "SUCCEEDED"), ("Shop-Check", "IN_PROGRESS")] in seen
    assert "ssmAgentDiscoveryDatetime" in job_of(drs, job)["participatingServers"][0]["launchActionsStatus"]


@pytest.mark.parametrize("optional", [False, True])
def test_a_failed_action_ends_the_row_unless_it_is_optional_and_the_launch_succeeded(drs_simulator, drs, optional):
    load(drs_simulator, drs)
    put(drs, "Shop-Broken", 10, optional=optional)
    put(drs, "Shop-Warm", 20)
    job = start(drs, ONE)
    drs_simulator.advance(900)
    assert ends(drs, job) == {ONE: "LAUNCHED"}
    assert runs(drs, job) == [("Shop-Broken", "FAILED"), *([("Shop-Warm", "SUCCEEDED")] if optional else [])]
    run = job_of(drs, job)["participatingServers"][0]["launchActionsStatus"]["runs"][0]
    assert run["failureReason"].startswith("Shop-Broken ended as Failed")


def test_an_agent_that_never_comes_fails_the_first_action(drs_simulator, drs):
    load(drs_simulator, drs, agent={"never": True})
    put(drs, "Shop-Warm", 10)
    job = start(drs, ONE)
    drs_simulator.advance(900)
    assert runs(drs, job) == []
    drs_simulator.advance(1200)
    assert runs(drs, job) == [("Shop-Warm", "FAILED")] and ends(drs, job) == {ONE: "LAUNCHED"}


def test_parameters_come_from_parameter_store_or_from_the_instance(drs_simulator, drs):
    load(drs_simulator, drs)
    put(drs, "Shop-Warm", 10, parameters={"level": {"type": "SSM_STORE", "value": "warm-level"}})
    job = start(drs, ONE)
    drs_simulator.advance(900)
    run = job_of(drs, job)["participatingServers"][0]["launchActionsStatus"]["runs"][0]
    assert (run["status"], "warm-level does not exist" in run["failureReason"]) == ("FAILED", True)
    ssm = boto3.client("ssm", "us-west-2")
    ssm.put_parameter(Name="warm-level", Value="9", Type="String")
    dynamic = {"type": "DYNAMIC", "value": "recoveryInstanceID"}
    put(drs, "Shop-Check", 20, parameters={"instance": dynamic})
    job = start(drs, ONE)
    drs_simulator.advance(900)
    assert runs(drs, job) == [("Shop-Warm", "SUCCEEDED"), ("Shop-Check", "SUCCEEDED")]
    (execution,) = ssm.describe_automation_executions()["AutomationExecutionMetadataList"]
    found = ssm.get_automation_execution(AutomationExecutionId=execution["AutomationExecutionId"])
    instance = launched_instance(drs, ONE)["InstanceId"]
    assert found["AutomationExecution"]["Parameters"]["instance"] == [instance]


def test_without_post_launch_enabled_nothing_runs_and_with_it_drs_adds_a_profile(drs_simulator, drs):
    load(drs_simulator, drs)
    put(drs, "Shop-Warm", 10)
    change_template(drs, ONE, IamInstanceProfile=None)
    job = start(drs, ONE)
    drs_simulator.advance(900)
    assert runs(drs, job) == [("Shop-Warm", "SUCCEEDED")]
    assert launched_instance(drs, ONE)["IamInstanceProfile"]["Arn"]
    drs.update_launch_configuration(sourceServerID=ONE, postLaunchEnabled=False)
    job = start(drs, ONE)
    drs_simulator.advance(900)
    assert (ends(drs, job), runs(drs, job)) == ({ONE: "LAUNCHED"}, [])
