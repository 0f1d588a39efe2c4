"""The DRS quotas of the account against this plan's widest moment.

Quotas differ between accounts and change, so they are read from Service Quotas at run time; AWS's published numbers
stand in where that is not possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from drs_provider.readiness.clients import Clients
from drs_provider.readiness.concurrency import widest_moment
from drs_provider.readiness.findings import Finding

__all__ = ["Quotas", "check_quotas", "read_quotas"]


@dataclass(frozen=True)
class Quotas:
    """The quotas that bound a plan; the defaults are those that AWS publishes.

    :param servers_per_job: source servers in one job.
    :param jobs: jobs in progress at a time.
    :param servers_in_jobs: source servers in all jobs in progress.
    """

    servers_per_job: int = 100
    jobs: int = 20
    servers_in_jobs: int = 500


# Quota codes of the service code "drs".
CODES = {"L-B827C881": "servers_per_job", "L-D88FAC3A": "jobs", "L-05AFA8C6": "servers_in_jobs"}

API_SERVERS_PER_JOB = 200
"""What one call of StartRecovery takes, however high the quota is (botocore's service model)."""


def read_quotas(clients: Clients) -> tuple[Quotas, list[Finding]]:
    """The account's DRS quotas (ListServiceQuotas), or the published defaults with a warning that says so.

    :raises botocore.exceptions.BotoCoreError: never; an error of the call becomes the warning.
    """
    values: dict[str, int] = {}
    params: dict[str, Any] = {"ServiceCode": "drs"}
    try:
        while True:
            page = clients.service_quotas.list_service_quotas(**params)
            for quota in page.get("Quotas", ()):
                if quota.get("QuotaCode") in CODES and quota.get("Value") is not None:
                    values[CODES[quota["QuotaCode"]]] = int(quota["Value"])
            if not page.get("NextToken"):
                break
            params["NextToken"] = page["NextToken"]
    except (BotoCoreError, ClientError) as error:
        return Quotas(), [_assumed(f"Service Quotas could not be read ({error})")]
    if "servers_per_job" in values:
        values["servers_per_job"] = min(values["servers_per_job"], API_SERVERS_PER_JOB)
    quotas = Quotas(**values)
    missing = [field.name for field in fields(Quotas) if field.name not in values]
    if not missing:
        return quotas, []
    names = ", ".join(name.replace("_", " ") for name in missing)
    return quotas, [_assumed(f"Service Quotas has no value for {names}", missing)]


def check_quotas(
    depends_on: Mapping[str, Collection[str]],
    servers: Mapping[str, int],
    quotas: Quotas,
    active: Iterable[Mapping[str, Any]] = (),
) -> list[Finding]:
    """Findings where the widest moment of the plan, alone or on top of others' active jobs, is over a quota.

    :param depends_on: wave name -> names of the waves it depends on, for all waves of the plan.
    :param servers: wave name -> number of servers, for the waves that run.
    :param quotas: the account's quotas.
    :param active: jobs of others that have not ended.
    """
    findings = []
    jobs = {name: -(-count // quotas.servers_per_job) for name, count in servers.items() if count}
    for name, count in servers.items():
        if count > quotas.servers_per_job:
            message = (
                f"{count} servers; one job takes {quotas.servers_per_job}, so the wave launches {jobs[name]} jobs."
            )
            remedy = "Nothing to do unless the servers have to be of one job."
            findings.append(Finding.of("quota-servers-per-job", message, remedy, wave=name))
    others = list(active)
    held = sum(len(job.get("participatingServers") or ()) for job in others)
    for code, what, weights, present, quota in (
        ("quota-jobs", "jobs", jobs, len(others), quotas.jobs),
        ("quota-servers-in-jobs", "servers in jobs", servers, held, quotas.servers_in_jobs),
    ):
        weight, waves = widest_moment(depends_on, weights)
        together = f"Waves {', '.join(waves)} can run together: {weight} {what}"
        if weight > quota:
            remedy = "Let one of them depend on another, or launch a subset of the waves."
            findings.append(Finding.of(code, f"{together}; the quota is {quota}.", remedy))
        elif weight and weight + present > quota:
            message = f"{together}, {present} of others now; the quota is {quota}."
            remedy = "Nothing to do unless time is short: a launch waits until the jobs of others leave it room."
            findings.append(Finding.of("quota-shared", message, remedy))
    return findings


def _assumed(why: str, names: Collection[str] | None = None) -> Finding:
    """The warning that published numbers were taken: for these quotas, for all by default."""
    assumed = [field for field in fields(Quotas) if names is None or field.name in names]
    numbers = ", ".join(f"{field.name.replace('_', ' ')} {field.default}" for field in assumed)
    return Finding.of(
        "quotas-not-read", f"{why}; assumed: {numbers}.", "Allow servicequotas:ListServiceQuotas to the caller."
    )
