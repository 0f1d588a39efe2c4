"""The DRS quotas of the account against this plan's widest moment.

Quotas differ between accounts and change, so they are read from Service Quotas at run time; AWS's published numbers
stand in where that is not possible.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from drs_provider.aws.calls import BlockingCalls, run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.aws.quotas import Quotas, read_quotas
from drs_provider.durations import format_duration
from drs_provider.readiness.concurrency import widest_moment
from drs_provider.readiness.findings import Finding

__all__ = ["JobsHere", "account_quotas", "check_quotas"]


@dataclass(frozen=True)
class JobsHere:
    """What jobs a run needs in a target, and what is in the way of them.

    :param quotas: the account's quotas, or AWS's published defaults.
    :param known: whether Service Quotas said so.
    :param servers: wave name -> number of servers, for the waves that are launched there.
    :param active: jobs of others that have not ended.
    :param job_seconds: how long a job usually takes.
    """

    quotas: Quotas
    known: bool
    servers: Mapping[str, int]
    active: tuple[Mapping[str, Any], ...]
    job_seconds: float

    @property
    def read(self) -> Quotas | None:
        """The quotas where Service Quotas said so."""
        return self.quotas if self.known else None

    def together(self, other: JobsHere) -> JobsHere:
        """Return both, where two targets are the same account and region: they share quotas and other jobs."""
        first, second = (self, other) if self.known else (other, self)
        return JobsHere(
            first.quotas,
            first.known,
            {**self.servers, **other.servers},
            first.active,
            max(first.job_seconds, second.job_seconds),
        )


def account_quotas(clients: Clients) -> tuple[Quotas, list[Finding]]:
    """The account's DRS quotas, with a warning that names those that had to be assumed.

    :param clients: clients of the account and region.
    """
    answer = run_blocking(read_quotas(BlockingCalls(clients.service_quotas)))
    if not answer.assumed:
        return answer.quotas, []
    assumed = [field for field in fields(Quotas) if field.name in answer.assumed]
    why = (
        f"Service Quotas could not be read ({answer.error})"
        if answer.error
        else f"Service Quotas has no value for {', '.join(field.name.replace('_', ' ') for field in assumed)}"
    )
    numbers = ", ".join(f"{field.name.replace('_', ' ')} {field.default}" for field in assumed)
    remedy = "Allow servicequotas:ListServiceQuotas to the caller."
    return answer.quotas, [Finding.of("quotas-not-read", f"{why}; assumed: {numbers}.", remedy)]


def check_quotas(
    depends_on: Mapping[str, Collection[str]],
    servers: Mapping[str, int],
    quotas: Quotas,
    active: Iterable[Mapping[str, Any]] = (),
    *,
    job_seconds: float = 0.0,
) -> list[Finding]:
    """Findings where the widest moment of the plan, alone or on top of others' active jobs, is over a quota.

    None of them is an error: a launch waits for its turn.

    :param depends_on: wave name -> names of the waves it depends on, for all waves of the plan.
    :param servers: wave name -> number of servers, for the waves that run.
    :param quotas: the account's quotas.
    :param active: jobs of others that have not ended.
    :param job_seconds: how long a job usually takes.
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
            waiting = weight - quota
            wait = f"{waiting} {'launches wait' if what == 'jobs' else 'servers wait'} until others have ended"
            if waiting == 1:
                wait = wait.replace("launches wait", "launch waits").replace("servers wait", "server waits")
            rounds = -(-weight // max(quota, 1)) - 1
            usual = f", about {format_duration(timedelta(minutes=max(round(rounds * job_seconds / 60), 1)))}"
            remedy = (
                "Nothing to do unless that is too long: then let waves depend on each other, or ask for a larger quota."
            )
            message = f"{together}; the quota is {quota}, so {wait}{usual if job_seconds else ''}."
            findings.append(Finding.of(code, message, remedy))
        elif weight and weight + present > quota:
            message = f"{together}, {present} of others now; the quota is {quota}."
            remedy = "Nothing to do unless time is short: a launch waits until the jobs of others leave it room."
            findings.append(Finding.of("quota-shared", message, remedy))
    return findings
