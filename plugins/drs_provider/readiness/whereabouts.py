"""Who a run is in each of its targets, and whether that is where the plan means to be.

An Airflow connection can be edited, and a role can be of any account: only STS says where a call arrives
(GetCallerIdentity). What is asked before that is known would be asked of somebody else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

from drs_provider.aws.faults import TransientError
from drs_provider.readiness.actions import scripts_of_run
from drs_provider.readiness.findings import Finding, Mode
from drs_provider.readiness.quotas import check_quotas
from drs_provider.readiness.side_by_side import Check, concurrently

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.aws.quotas import Quotas
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.quotas import JobsHere
    from drs_provider.readiness.resolution import ResolvedServer
    from drs_provider.readiness.scope import Scope

__all__ = [
    "Identity",
    "LookedAt",
    "account_mismatch",
    "identify",
    "launched_twice",
    "places_of_run",
    "quota_findings",
    "same_places",
]


@dataclass(frozen=True)
class Identity:
    """Who a run is in a target.

    :param name: the plan's name for the target.
    :param region: its AWS region.
    :param account: the account id that STS says, 12 digits; None where it could not be asked.
    :param caller: the ARN of the role or user; None where it could not be asked.
    """

    name: str
    region: str
    account: str | None = None
    caller: str | None = None

    @property
    def role(self) -> str | None:
        """The name of the role of an assumed-role session; else the ARN."""
        parts = (self.caller or "").split(":assumed-role/")
        return parts[1].split("/")[0] if len(parts) == 2 else self.caller

    def __str__(self) -> str:
        where = self.region if self.name == "default" else f"{self.name} ({self.region})"
        return f"{where}: account {self.account or 'unknown'}, as {self.role or 'unknown'}"


@dataclass(frozen=True)
class LookedAt:
    """What was looked at in one target.

    :param identity: who the run is there.
    :param quotas: the account's quotas there; None where they were not read.
    :param scope: what was looked at; None where nothing was, because it is not where the plan means to be.
    :param jobs: the jobs that the run needs there; None where they were not looked at.
    """

    identity: Identity
    quotas: Quotas | None = None
    scope: Scope | None = None
    jobs: JobsHere | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        one = self.identity
        looked = {"looked_at": self.scope.as_dict()} if self.scope else {}
        return {"name": one.name, "region": one.region, "account": one.account, "caller": one.caller, **looked}


def places_of_run(
    plan: RecoveryPlan, mode: Mode, waves: Sequence[str], *, skip_scripts: bool = False
) -> list[NamedTarget]:
    """Return the targets that a run acts in, those of its waves first, each connection and region once.

    :param waves: names of the waves that run.
    """
    chosen = [wave for wave in plan.waves if wave.name in waves]
    places = {place.key: place for place in reversed(plan.targets_of(chosen))}
    places = dict(reversed(places.items()))
    for place in plan.every_target:
        if place.key not in places and scripts_of_run(plan, mode, waves, skip_scripts=skip_scripts, place=place):
            places[place.key] = place
    return list(places.values())


def identify(
    place: NamedTarget, clients: Clients, *, stated: str | None, required: bool
) -> tuple[Identity, list[Finding], TransientError | None]:
    """Ask STS who the caller is in a target (GetCallerIdentity).

    :param place: the target.
    :param clients: its clients.
    :param stated: the account id that the plan states for it; None where it states none.
    :param required: whether it has to be known although the plan states no account.
    :returns: who it is; what blocks the target; why it could not be found out, where that passes by itself.
    """
    answer: dict[str, str] = {}

    def ask() -> list[Finding]:
        answer.update(clients.sts.get_caller_identity())
        return []

    unanswered: list[TransientError] = []
    failed = concurrently([Check(f"who the caller is in {place}", ask)], unanswered)
    identity = Identity(place.name, place.region, answer.get("Account"), answer.get("Arn"))
    if failed:
        if stated is None and not required:
            return identity, [], None
        unknown = f"It is not known which account the connection {place.aws_conn_id} leads to. {failed[0].message}"
        remedy = "Fix the connection, or allow its role to be assumed: nothing else was looked at in this target."
        return identity, [Finding.of("account-unconfirmed", unknown, remedy)], next(iter(unanswered), None)
    if stated is not None and identity.account != stated:
        return identity, [account_mismatch(place, stated, identity.account)], None
    return identity, [], None


def account_mismatch(place: NamedTarget, stated: str, account: str | None) -> Finding:
    """The finding that a connection leads to another account than the plan states.

    :param stated: the account that the plan states.
    :param account: the account that STS says.
    """
    message = f"{place}: the connection {place.aws_conn_id} leads to account {account}; the plan states {stated}."
    remedy = "Correct the role in the connection, or account in the plan. Nothing was looked at in this target."
    return Finding.of("account-mismatch", message, remedy)


def same_places(looked_at: Sequence[LookedAt]) -> list[Finding]:
    """Return a warning for each two targets that are the same account and region."""
    known = [one.identity for one in looked_at if one.identity.account]
    return [
        Finding.of(
            "targets-same",
            f"The targets {one.name} and {other.name} are the same: account {one.account}, region {one.region}.",
            "Nothing to do if that is meant: roles may differ. Otherwise correct a connection.",
        )
        for one, other in combinations(known, 2)
        if (one.account, one.region) == (other.account, other.region)
    ]


def launched_twice(
    plan: RecoveryPlan, resolved: Mapping[str, Sequence[ResolvedServer]], looked_at: Sequence[LookedAt]
) -> list[Finding]:
    """Return an error for each server that waves of two targets select which are the same account and region.

    :param resolved: wave name -> its servers.
    """
    places = {one.identity.name: (one.identity.account, one.identity.region) for one in looked_at}
    first: dict[tuple[Any, str], ResolvedServer] = {}
    findings = []
    for wave, servers in resolved.items():
        place = places.get(plan.target_of(plan.wave(wave)).name)
        for server in servers:
            other = first.setdefault((place, server.id), server)
            if place is not None and place[0] is not None and other.wave != server.wave:
                message = f"Selected by {server.selection}, and by {other.selection} of wave {other.wave} already."
                remedy = "A server can stand in one wave only, once: make the selections disjoint."
                findings.append(
                    Finding.of("server-selected-twice", message, remedy, wave=server.wave, server=server.id)
                )
    return findings


def quota_findings(plan: RecoveryPlan, looked_at: Sequence[LookedAt]) -> list[Finding]:
    """Return where the widest moment of the plan is over a quota of an account and region.

    Targets that turn out to be the same account and region share its quotas.
    """
    needed: dict[tuple[str, str], tuple[str, JobsHere]] = {}
    for one in looked_at:
        if one.jobs is None:
            continue
        identity = one.identity
        # Where the account is not known, nothing says that two targets are one.
        place = (identity.account or identity.name, identity.region)
        name, before = needed.get(place, (identity.name, None))
        needed[place] = (name, before.together(one.jobs) if before else one.jobs)
    depends_on = {wave.name: tuple(wave.depends_on) for wave in plan.waves}
    findings: list[Finding] = []
    for name, jobs in needed.values():
        found = check_quotas(depends_on, jobs.servers, jobs.quotas, jobs.active, job_seconds=jobs.job_seconds)
        for finding in found:
            target = plan.target_of(plan.wave(finding.wave)).name if finding.wave else name
            findings.append(replace(finding, target=target) if plan.several_targets else finding)
    return findings
