"""Many clients at once, over HTTP: one job for a server, none lost, and an account of every call."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

IDS = [f"s-{number:017d}" for number in range(20)]
CLIENTS = 8


def client() -> Any:
    return boto3.session.Session().client("drs", config=Config(retries={"total_max_attempts": 1}))


def grab(drs: Any) -> list[str]:
    """Try to launch every server; return the jobs that one got."""
    won = []
    for server in IDS:
        try:
            job = drs.start_recovery(isDrill=True, sourceServers=[{"sourceServerID": server}])["job"]
        except ClientError as error:
            assert error.response["Error"]["Code"] == "ConflictException"
        else:
            won.append(job["jobID"])
        drs.describe_source_servers(maxResults=5)
    return won


def test_only_one_of_many_gets_a_server(drs_simulator_server):
    servers = [{"id": one, "hostname": f"h{number}"} for number, one in enumerate(IDS)]
    drs_simulator_server.load({"servers": servers, "quotas": {"concurrent_jobs": 100}})
    drs_simulator_server.freeze()
    clients = [client() for _ in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        won = [job for jobs in pool.map(grab, clients) for job in jobs]
    assert len(won) == len(set(won)) == len(IDS)
    drs_simulator_server.advance(600)
    drs = clients[0]
    jobs = [job for page in drs.get_paginator("describe_jobs").paginate() for job in page["items"]]
    assert {job["jobID"] for job in jobs} == set(won)
    assert {job["status"] for job in jobs} == {"COMPLETED"}
    launched = Counter(one["sourceServerID"] for job in jobs for one in job["participatingServers"])
    assert launched == Counter(IDS)
    assert len({one["ec2InstanceID"] for one in drs.describe_recovery_instances()["items"]}) == len(IDS)
    calls = Counter(entry["operation"] for entry in drs_simulator_server.log if "operation" in entry)
    assert calls["StartRecovery"] == CLIENTS * len(IDS) == calls["DescribeSourceServers"]
