"""Faults: errors before and after the effect, throttling, slow and held answers, dropped connections, short pages."""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

import aiobotocore.session
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from pydantic import ValidationError

from drs_provider.simulator.faults import Fault, Faults
from drs_provider.simulator.scenario_file import ScenarioError, load_scenario

ONE, TWO, THREE = (f"s-{number:017d}" for number in (1, 2, 3))
SCENARIO = {"servers": [{"id": one, "hostname": f"h{one[-1]}"} for one in (ONE, TWO, THREE)]}


def client(service: str = "drs", attempts: int = 1) -> Any:
    return boto3.client(service, "us-west-2", config=Config(retries={"total_max_attempts": attempts}))


def jobs(drs: Any) -> int:
    return len(drs.describe_jobs()["items"])


def start(drs: Any, server: str = ONE) -> Any:
    return drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": server}])


def refusal(call: Any, *args: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as error:
        call(*args)
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_an_error_before_has_no_effect(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("StartRecovery", error="InternalServerException", times=1)
    drs = client()
    assert refusal(start, drs) == ("InternalServerException", 500)
    assert jobs(drs) == 0
    start(drs)
    assert jobs(drs) == 1


def test_an_error_after_has_its_effect(drs_simulator):
    drs_simulator.load(
        {
            **SCENARIO,
            "faults": [{"operation": "StartRecovery", "error": "InternalServerException", "when": "after", "times": 1}],
        }
    )
    drs = client()
    assert refusal(start, drs) == ("InternalServerException", 500)
    assert jobs(drs) == 1
    call = next(entry for entry in drs_simulator.log if entry.get("operation") == "StartRecovery")
    assert (call["status"], call["error"]) == (500, "InternalServerException")


def test_a_retrying_client_conflicts_with_its_own_job(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("StartRecovery", error="InternalServerException", when="after", times=1)
    assert refusal(start, client(attempts=3)) == ("ConflictException", 409)


@pytest.mark.parametrize(
    ("service", "method", "operation", "error", "status"),
    [
        ("drs", "describe_jobs", "DescribeJobs", "ThrottlingException", 429),
        ("drs", "describe_jobs", "DescribeJobs", "AccessDeniedException", 403),
        ("drs", "describe_jobs", "DescribeJobs", "ExpiredTokenException", 403),
        ("drs", "describe_jobs", "DescribeJobs", "ServiceQuotaExceededException", 402),
        ("ec2", "describe_instances", "DescribeInstances", "RequestLimitExceeded", 503),
        ("sts", "get_caller_identity", "GetCallerIdentity", "ExpiredToken", 403),
        ("s3", "list_buckets", "ListBuckets", "SlowDown", 400),
        ("sns", "list_topics", "ListTopics", "InternalError", 500),
        ("iam", "list_users", "ListUsers", "AccessDenied", 403),
    ],
)
def test_every_service_speaks_its_own_errors(drs_simulator, service, method, operation, error, status):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault(operation, error=error, times=1)
    assert refusal(getattr(client(service), method)) == (error, status)
    getattr(client(service), method)()
    calls = [entry for entry in drs_simulator.log if entry.get("operation") == operation]
    assert [(one["service"], one["status"], one["error"]) for one in calls] == [
        (service, status, error),
        (service, 200, None),
    ]


def test_probability_is_repeatable_by_its_seed():
    def struck(seed: int) -> list[bool]:
        faults = Faults()
        faults.add(operation="DescribeJobs", error="ThrottlingException", probability=0.3, seed=seed)
        return [bool(faults.striking("drs", "DescribeJobs", "1", {})) for _ in range(200)]

    assert struck(1) == struck(1) != struck(2)
    assert 35 < sum(struck(1)) < 85


def test_a_fault_can_be_narrowed(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("StartRecovery", error="ThrottlingException", contains=TWO, skip=1)
    drs = client()
    start(drs, ONE)
    start(drs, TWO)  # The first matching call is skipped.
    assert refusal(start, drs, TWO) == ("ThrottlingException", 429)
    drs_simulator.clear_faults()
    start(drs, THREE)


def test_pages_are_truncated_and_nothing_is_lost(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs = client()
    drs_simulator.add_fault("DescribeSourceServers", page_size=1, times=1)
    drs_simulator.add_fault("DescribeSourceServers", page_size=0, skip=1, times=1)
    pages = list(drs.get_paginator("describe_source_servers").paginate())
    assert [len(page["items"]) for page in pages] == [1, 0, 2]
    assert [one["sourceServerID"] for page in pages for one in page["items"]] == [ONE, TWO, THREE]


def test_an_answer_can_be_slow(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("DescribeJobs", delay=0.3)
    began = time.monotonic()
    client().describe_jobs()
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dropped_connection_in_process(drs_simulator, when):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("StartRecovery", reset=True, when=when, times=1)
    drs = client()
    with pytest.raises(ConnectionClosedError):
        start(drs)
    assert jobs(drs) == (1 if when == "after" else 0)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dropped_connection_over_http(drs_simulator_server, when):
    drs_simulator_server.load(SCENARIO)
    drs_simulator_server.add_fault("StartRecovery", reset=True, when=when, times=1)
    drs = client()
    with pytest.raises(ConnectionClosedError):
        start(drs)
    assert jobs(drs) == (1 if when == "after" else 0)
    assert drs_simulator_server.faults()[0]["struck"] == 1


async def test_a_dropped_connection_for_aiobotocore(drs_simulator_server):
    drs_simulator_server.load(SCENARIO)
    drs_simulator_server.add_fault("DescribeJobs", reset=True, times=1)
    async with aiobotocore.session.get_session().create_client("drs") as drs:
        assert (await drs.describe_jobs())["items"] == [], "its own retry gets through"


def test_a_held_answer_has_its_effect_at_once(drs_simulator_server):
    """What a test of a killed worker needs: the job runs, and nobody was told."""
    simulator = drs_simulator_server
    simulator.load(SCENARIO)
    fault = simulator.add_fault("StartRecovery", hold=True, times=1)
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(start(client())), daemon=True)
    caller.start()
    give_up = time.monotonic() + 60
    while not any(entry.get("operation") == "StartRecovery" for entry in simulator.log) and time.monotonic() < give_up:
        time.sleep(0.02)
    (job,) = client().describe_jobs()["items"]
    assert answers == [], "others are served, and the caller waits"
    simulator.release(fault["id"])
    caller.join(timeout=60)
    assert [answer["job"]["jobID"] for answer in answers] == [job["jobID"]]


def test_a_hold_ends_by_itself(drs_simulator):
    drs_simulator.load(SCENARIO)
    drs_simulator.add_fault("DescribeJobs", hold=0.2, times=1)
    began = time.monotonic()
    client().describe_jobs()
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"error": "X", "reset": True},
        {"error": "X", "probability": 2},
        {"error": "X", "when": "later"},
        {"eror": "X"},
        {"stale": 0},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fields):
    with pytest.raises(ValidationError):
        Fault(operation="DescribeJobs", **fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"operation": "StartRecovry"}, "AWS has no operation StartRecovry; did you mean StartRecovery?"),
        ({"operation": "describejobs"}, "did you mean DescribeJobs?"),
        ({"operation": "SendCommand", "service": "drs"}, "drs has no operation SendCommand"),
        ({"operation": "DescribeJobs", "service": "DRS"}, "no service is called DRS; did you mean drs?"),
        (
            {"operation": "StartRecovery", "error": "ConflictExeption"},
            "StartRecovery never answers ConflictExeption; did you mean ConflictException?",
        ),
        ({"operation": "SendCommand", "error": "NoSuchHostedZone"}, "SendCommand never answers NoSuchHostedZone"),
        (
            {"operation": "StartInstances", "error": "InsufficentInstanceCapacity"},
            "did you mean InsufficientInstanceCapacity?",
        ),
        ({"operation": "StartRecovery", "stale": 5}, "StartRecovery cannot be stale"),
        ({"operation": "ListBuckets", "service": "s3", "stale": 5}, "s3 cannot be stale; only drs, ssm, ec2 can"),
        ({"operation": "*", "error": "ThrotlingException"}, "did you mean ThrottlingException?"),
    ],
)
def test_a_misspelt_fault_is_refused_with_the_nearest_name(fields, said):
    with pytest.raises(ValidationError) as refused:
        Fault(**{"reset": not fields.keys() & {"error", "stale"}, **fields})
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"operation": "StartInstances", "error": "VcpuLimitExceeded"},
        {"operation": "StartInstances", "error": "Server.SomethingThatNoModelDeclares"},
        {"operation": "ListRoutingControls", "error": "EndpointTemporarilyUnavailableException"},
        {"operation": "SendCommand", "error": "InvalidInstanceId"},
        {"operation": "DescribeClusters", "service": "ecs", "error": "ClusterNotFoundException"},
    ],
)
def test_a_fault_of_any_service_is_taken(fields):
    assert Fault(**fields).operation == fields["operation"]


def test_a_misspelt_fault_of_a_scenario_or_over_http_is_refused_by_its_line(tmp_path, drs_simulator_server):
    (tmp_path / "scenario.yaml").write_text("servers: []\nfaults:\n  - {operation: DescribJobs, reset: true}\n")
    for load in (load_scenario, drs_simulator_server.load):
        with pytest.raises((ScenarioError, RuntimeError), match=r"scenario.yaml:3: .*did you mean DescribeJobs\?"):
            load(tmp_path / "scenario.yaml")
    with pytest.raises(RuntimeError, match="did you mean DescribeJobs"):
        drs_simulator_server.add_fault("DescribJobs", reset=True)


def test_faults_that_never_struck_are_known_until_the_next_scenario(drs_simulator):
    drs_simulator.load(SCENARIO)
    struck = drs_simulator.add_fault("DescribeJobs", delay=0.001)
    waiting = drs_simulator.add_fault("DescribeJobs", delay=0.001, skip=5)
    gone = drs_simulator.add_fault("StartRecovery", error="ConflictException")
    drs_simulator.faults.clear(gone.id)
    client().describe_jobs()
    assert drs_simulator.faults.never_struck() == [waiting, gone]
    assert struck.struck == 1
    drs_simulator.load(SCENARIO)
    assert drs_simulator.faults.never_struck() == []


def test_the_log_has_the_code_of_every_genuine_error(drs_simulator):
    """What AWS refuses by itself, without any fault: REST, query, EC2 and JSON services alike."""
    drs_simulator.load({**SCENARIO, "iam": True})
    given = {
        "drs": ("describe_job_log_items", {"jobID": "drsjob-00000000000000000"}),
        "ec2": ("describe_instances", {"InstanceIds": ["i-00000000000000000"]}),
        "ssm": ("get_document", {"Name": "Nonsense"}),
        "iam": ("get_role", {"RoleName": "nobody"}),
        "s3": ("get_object", {"Bucket": "none", "Key": "none"}),
        "sns": ("publish", {"TopicArn": "arn:aws:sns:us-west-2:123456789012:none", "Message": "-"}),
        "service-quotas": ("get_service_quota", {"ServiceCode": "drs", "QuotaCode": "L-00000000"}),
        "route53": ("get_hosted_zone", {"Id": "ZNONE"}),
        "rds": ("describe_db_instances", {"DBInstanceIdentifier": "none"}),
        "secretsmanager": ("get_secret_value", {"SecretId": "none"}),
        "cloudwatch": ("get_dashboard", {"DashboardName": "none"}),
        "dynamodb": ("describe_table", {"TableName": "none"}),
    }
    for service, (method, request) in given.items():
        code, status = refusal(functools.partial(getattr(client(service), method), **request))
        logged = drs_simulator.log[-1]
        assert (logged["service"], logged["error"], logged["status"]) == (service, code, status)
    denied = [one["error"] for one in drs_simulator.log if one["error"] in (None, "None")]
    assert denied == []
