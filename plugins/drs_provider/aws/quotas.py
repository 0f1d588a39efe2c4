"""The DRS quotas of an account and region, as Service Quotas has them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from drs_provider.aws.calls import Calls
from drs_provider.aws.faults import error_text

__all__ = ["API_SERVERS_PER_JOB", "QuotaAnswer", "Quotas", "read_quotas"]

API_SERVERS_PER_JOB = 200
"""What StartRecovery takes at most, whatever the quota is (botocore service model)."""

# Quota codes of the service code "drs".
_CODES = {"L-B827C881": "servers_per_job", "L-D88FAC3A": "jobs", "L-05AFA8C6": "servers_in_jobs"}


@dataclass(frozen=True)
class Quotas:
    """The quotas that bound a launch; the defaults are those that AWS documents.

    :param servers_per_job: source servers in one job.
    :param jobs: jobs in progress at a time.
    :param servers_in_jobs: source servers in all jobs in progress.
    """

    servers_per_job: int = 100
    jobs: int = 20
    servers_in_jobs: int = 500


@dataclass(frozen=True)
class QuotaAnswer:
    """What Service Quotas said.

    :param quotas: the quotas, with AWS's documented defaults for those that it does not name.
    :param assumed: the names of the fields that are defaults.
    :param error: why Service Quotas did not answer; empty where it did.
    """

    quotas: Quotas
    assumed: tuple[str, ...] = ()
    error: str = ""


async def read_quotas(calls: Calls) -> QuotaAnswer:
    """Return the account's DRS quotas (ListServiceQuotas). An error of the call is not raised: the answer carries it.

    :param calls: calls of the service ``service-quotas``.
    """
    names = tuple(field.name for field in fields(Quotas))
    values: dict[str, int] = {}
    try:
        for quota in await calls.read_all("list_service_quotas", "Quotas", ServiceCode="drs"):
            name = _CODES.get(quota.get("QuotaCode", ""))
            if name and quota.get("Value"):
                values[name] = int(quota["Value"])
    except Exception as error:
        return QuotaAnswer(Quotas(), names, error_text(error))
    if "servers_per_job" in values:
        values["servers_per_job"] = min(values["servers_per_job"], API_SERVERS_PER_JOB)
    return QuotaAnswer(Quotas(**values), tuple(name for name in names if name not in values))
