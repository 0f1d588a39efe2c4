"""Service Quotas for DRS: what the account may do, and what AWS allows by default."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from drs_provider.simulator.quotas import DRS_QUOTAS, quota_code, quota_values

REGION = "us-west-2"
PER_JOB = "L-B827C881"
#: AWS's documented defaults, by quota code.
DOCUMENTED = {
    "L-D88FAC3A": 20,
    PER_JOB: 100,
    "L-05AFA8C6": 500,
    "L-DD6D028C": 1,
    "L-C1D14A2B": 300,
    "L-E28BE5E0": 4000,
    "L-0588D03B": 200,
    "L-1F3FAE4D": 1,
    "L-4B0323BD": 100,
}


def client() -> Any:
    return boto3.client("service-quotas", REGION)


def value(code: str, default: bool = False) -> float:
    call = client().get_aws_default_service_quota if default else client().get_service_quota
    return float(call(ServiceCode="drs", QuotaCode=code)["Quota"]["Value"])


def refused(call: Any, **params: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**params)
    return str(caught.value.response["Error"]["Code"])


def test_the_defaults_are_those_that_aws_documents(drs_simulator):
    quotas = client().list_service_quotas(ServiceCode="drs")["Quotas"]
    assert {each["QuotaCode"]: each["Value"] for each in quotas} == DOCUMENTED
    assert {each["QuotaCode"] for each in quotas if each["Adjustable"]} == {"L-E28BE5E0", "L-4B0323BD"}
    assert quotas == sorted(quotas, key=lambda each: each["QuotaCode"])


def test_a_scenario_changes_values_by_code_or_by_short_name(drs_simulator):
    drs_simulator.load({"quotas": {"servers_per_job": 2, "L-D88FAC3A": 5}})
    assert (value(PER_JOB), value("L-D88FAC3A"), value("L-05AFA8C6")) == (2, 5, 500)
    assert (value(PER_JOB, default=True), value("L-D88FAC3A", default=True)) == (100, 20)
    listed = client().list_aws_default_service_quotas(ServiceCode="drs")["Quotas"]
    assert {each["QuotaCode"]: each["Value"] for each in listed} == DOCUMENTED


def test_drs_enforces_the_value_that_service_quotas_shows(drs_simulator):
    servers = [{"id": f"s-{number:017d}", "hostname": f"db{number}"} for number in range(3)]
    drs_simulator.load({"servers": servers, "quotas": {PER_JOB: 2}})
    drs = boto3.client("drs", REGION)
    wanted = [{"sourceServerID": server["id"]} for server in servers]
    assert refused(drs.start_recovery, sourceServers=wanted) == "ServiceQuotaExceededException"
    assert drs.start_recovery(sourceServers=wanted[: int(value(PER_JOB))])["job"]["status"] == "PENDING"


def test_another_region_has_quotas_of_its_own(drs_simulator):
    drs_simulator.load({"quotas": {PER_JOB: 2}, "accounts": [{"region": "us-east-1", "quotas": {PER_JOB: 7}}]})
    east = boto3.client("service-quotas", "us-east-1")
    assert value(PER_JOB) == 2
    assert east.get_service_quota(ServiceCode="drs", QuotaCode=PER_JOB)["Quota"]["Value"] == 7


def test_pages(drs_simulator):
    drs_simulator.load({"page_size": 4})
    pages = list(client().get_paginator("list_service_quotas").paginate(ServiceCode="drs"))
    assert [len(page["Quotas"]) for page in pages] == [4, 4, 1]
    assert {each["QuotaCode"] for page in pages for each in page["Quotas"]} == set(DOCUMENTED)
    (one,) = client().list_service_quotas(ServiceCode="drs", QuotaCode=PER_JOB)["Quotas"]
    assert one["QuotaName"] == "Max source servers in a single Job"


def test_what_is_unknown_is_refused(drs_simulator):
    quotas = client()
    unknown = "NoSuchResourceException"
    assert refused(quotas.get_service_quota, ServiceCode="drs", QuotaCode="L-00000000") == unknown
    assert refused(quotas.get_aws_default_service_quota, ServiceCode="drs", QuotaCode="L-00000000") == unknown
    assert refused(quotas.list_service_quotas, ServiceCode="nonsense") == unknown
    assert refused(quotas.list_service_quotas, ServiceCode="drs", NextToken="bm8=") == "InvalidPaginationTokenException"
    assert refused(quotas.list_service_quotas, ServiceCode="drs", MaxResults=101) == "IllegalArgumentException"


def test_faults_strike_here_too(drs_simulator):
    drs_simulator.add_fault("GetServiceQuota", error="AccessDeniedException", times=1)
    given = {"ServiceCode": "drs", "QuotaCode": PER_JOB}
    assert refused(client().get_service_quota, **given) == "AccessDeniedException"
    assert value(PER_JOB) == 100


def test_the_table_names_every_quota_once():
    names = [name for quota in DRS_QUOTAS for name in (quota.code, quota.key)]
    assert len(set(names)) == len(names)
    assert quota_code("servers_per_job") == quota_code(PER_JOB) == PER_JOB
    assert quota_code("nonsense") is None
    with pytest.raises(KeyError):
        quota_values({"nonsense": 1})
