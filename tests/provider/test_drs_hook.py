"""The DRS hook over HTTP to the simulator: last pages, filters, quotas, connections."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from drs_provider.aws.calls import Calls
from drs_provider.aws.clients import client_config
from drs_provider.aws.drs.reads import DrsReads
from drs_provider.aws.faults import Fault, classify
from drs_provider.aws.quotas import Quotas
from drs_provider.hooks.drs import DrsHook

SERVERS = [f"s-{i:017d}" for i in range(7)]


def hook(**more: Any) -> DrsHook:
    return DrsHook(**{"aws_conn_id": None, "region_name": "us-west-2", **more})


def load(simulator: Any, speed: float = 2000, **more: Any) -> None:
    tags = [{"App": "shop", "Tier": "web"}, {"App": "shop"}, {"Tier": "web"}]
    servers = [
        {"id": one, "hostname": f"host{i}", "fqdn": f"host{i}.corp.example", "tags": tags[i % 3]}
        for i, one in enumerate(SERVERS)
    ]
    simulator.load({"servers": servers, "page_size": 2, **more}, speed=speed)


def start(server: str, **tags: str) -> str:
    return str(hook().conn.start_recovery(sourceServers=[{"sourceServerID": server}], tags=tags)["job"]["jobID"])


@pytest.fixture
def since() -> datetime:
    return datetime.now(timezone.utc) - timedelta(hours=1)


def test_source_servers_to_the_last_page_and_by_every_filter(drs_simulator_server: Any) -> None:
    load(drs_simulator_server)

    def found(*ids: Any, **filters: Any) -> list[str]:
        return sorted(server["sourceServerID"] for server in hook().source_servers(*ids, **filters))

    assert found() == SERVERS
    assert found(SERVERS[:3]) == SERVERS[:3]
    assert found([]) == []
    assert found(tags={"App": "shop", "Tier": "web"}) == [SERVERS[0], SERVERS[3], SERVERS[6]]
    assert found(hostname="HOST1") == [SERVERS[1]]
    assert found(hostname="host1.corp.example") == [SERVERS[1]]
    assert found(hostname="host") == []


def test_jobs_by_id_by_tag_and_newest_first(drs_simulator_server: Any, since: datetime) -> None:
    load(drs_simulator_server)
    jobs = [start(server, run="a" if i % 2 else "b", all="yes") for i, server in enumerate(SERVERS)]
    assert {job["jobID"] for job in hook().jobs(jobs)} == set(jobs)
    assert [job["jobID"] for job in hook().jobs_since(since)] == jobs[::-1]
    assert [job["jobID"] for job in hook().jobs_tagged({"run": "a", "all": "yes"}, since)] == jobs[5:0:-2]
    assert hook().jobs_tagged({"run": "c"}, since) == []
    assert hook().jobs_since(datetime.now(timezone.utc) + timedelta(hours=1)) == []


def test_logs_and_recovery_instances_of_a_job(drs_simulator_server: Any) -> None:
    load(drs_simulator_server)
    wanted = [{"sourceServerID": server} for server in SERVERS]
    job = hook().conn.start_recovery(sourceServers=wanted, isDrill=True)["job"]["jobID"]
    drs_simulator_server.advance(3600)
    events = [item["event"] for item in hook().job_log(job)]
    assert (events[0], events[-1]) == ("JOB_START", "JOB_END")
    assert events.count("LAUNCH_END") == 7
    instances = hook().recovery_instances(job_id=job)
    assert sorted(one["sourceServerID"] for one in instances) == SERVERS
    by_id = hook().recovery_instances(instance_ids=[one["recoveryInstanceID"] for one in instances])
    assert len(by_id) == 7
    with pytest.raises(ValueError, match="either instance_ids or server_ids"):
        hook().recovery_instances(instance_ids=[], server_ids=[])


def test_the_same_questions_without_blocking(drs_simulator_server: Any) -> None:
    load(drs_simulator_server)

    async def ask() -> list[dict[str, Any]]:
        async with await hook().get_async_conn() as client:
            return await DrsReads(Calls(client)).source_servers()

    assert len(asyncio.run(ask())) == 7


def test_quotas_are_read_and_the_defaults_stand_in(drs_simulator_server: Any) -> None:
    load(drs_simulator_server, quotas={"L-B827C881": 40, "L-D88FAC3A": 5})
    assert hook().quotas() == Quotas(servers_per_job=40, jobs=5, servers_in_jobs=500)
    load(drs_simulator_server, quotas={"L-B827C881": 999})
    assert hook().quotas().servers_per_job == 200
    drs_simulator_server.add_fault("ListServiceQuotas", error="AccessDeniedException")
    assert hook().quotas() == Quotas(100, 20, 500)


def test_questions_are_patient_with_what_passes(drs_simulator_server: Any) -> None:
    load(drs_simulator_server)
    drs_simulator_server.add_fault("DescribeSourceServers", error="InternalServerException", times=2)
    once = {"retries": {"total_max_attempts": 1}}
    assert len(hook(config=once).source_servers()) == 7


def test_clients_of_other_services_have_the_hooks_connection(
    drs_simulator_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role of the connection is assumed for EC2 and for DRS, asynchronously too."""
    from airflow.models import Connection

    role = "arn:aws:iam::210987654321:role/recovery"
    drs_simulator_server.load({"accounts": [{"account": "210987654321"}], "roles": [role]})
    other = Connection(conn_id="other", conn_type="aws", extra={"role_arn": role, "region_name": "us-west-2"})
    monkeypatch.setattr(AwsBaseHook, "get_connection", classmethod(lambda cls, conn_id: other))
    one = DrsHook(aws_conn_id="other")
    assert one.source_servers() == []
    one.client("ec2").describe_instances()

    async def ask() -> list[dict[str, Any]]:
        async with await one.get_async_conn() as client:
            return await DrsReads(Calls(client)).source_servers()

    assert asyncio.run(ask()) == []
    accounts = {
        entry["account"]
        for entry in drs_simulator_server.log
        if entry.get("operation") in ("DescribeSourceServers", "DescribeInstances")
    }
    assert accounts == {"210987654321"}


@pytest.mark.parametrize(
    ("code", "status", "fault"),
    [
        ("ThrottlingException", 429, Fault.THROTTLED),
        ("AutomationExecutionLimitExceededException", 400, Fault.THROTTLED),
        ("RequestLimitExceeded", 503, Fault.THROTTLED),
        ("InternalServerException", 500, Fault.AMBIGUOUS),
        ("ServiceUnavailable", 503, Fault.AMBIGUOUS),
        ("ConflictException", 409, Fault.CONFLICT),
        ("ServiceQuotaExceededException", 402, Fault.QUOTA),
        ("ExpiredTokenException", 403, Fault.EXPIRED),
        ("AccessDeniedException", 403, Fault.DEFINITE),
        ("ValidationException", 400, Fault.DEFINITE),
        ("SomethingNew", 418, Fault.DEFINITE),
        ("SomethingNew", 599, Fault.AMBIGUOUS),
    ],
)
def test_what_an_error_means(code: str, status: int, fault: Fault) -> None:
    from botocore.exceptions import ClientError

    response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert classify(ClientError(response, "Operation")) is fault  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        ("Signature expired: 20261125T030000Z is now earlier than 20261125T031500Z", Fault.EXPIRED),
        ("Signature not yet current: 20261125T033000Z is still later than 20261125T032000Z", Fault.EXPIRED),
        ("The request signature we calculated does not match the signature you provided.", Fault.DEFINITE),
    ],
)
def test_a_signature_that_came_too_late_is_no_refusal(message: str, fault: Fault) -> None:
    """A machine stood still between signing and sending, or its clock was put right."""
    from botocore.exceptions import ClientError

    error = {"Code": "InvalidSignatureException", "Message": message}
    response = {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}
    assert classify(ClientError(response, "Operation")) is fault  # type: ignore[arg-type]


def test_boto_does_not_say_for_each_client_where_it_found_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = [logging.getLogger(name) for name in ("botocore.credentials", "botocore.configprovider")]
    for logger, level in zip(loggers, (logging.NOTSET, logging.DEBUG), strict=True):
        monkeypatch.setattr(logger, "level", level)
    client_config(None)
    assert [logger.level for logger in loggers] == [logging.WARNING, logging.DEBUG], "one that somebody set stays"
