"""What stands in a runbook, made from the plan, the account, and the times that are to be expected."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drs_provider.durations import duration_text
from drs_provider.estimate.forecast import Forecast
from drs_provider.plan import LoadedPlan, RecoveryPlan
from drs_provider.plan.graph import levels
from drs_provider.plan.health import HealthCheck
from drs_provider.plan.steps import Step, steps_of
from drs_provider.plan.targets import DEFAULT, NamedTarget
from drs_provider.plan.waves import Wave
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.runbook.aws_commands import (
    PLACEHOLDER,
    check_commands,
    launch_commands,
    script_commands,
    variable,
    wait_commands,
)

__all__ = ["Chapter", "Part", "Runbook", "RunbookPlace", "ServerLine", "make_runbook"]


@dataclass(frozen=True)
class RunbookPlace:
    """An account and region of the plan, as they were when the runbook was made.

    :param target: the plan's name for it, its region and connection.
    :param account: the account id, 12 digits; None where nobody had to ask.
    :param servers: items of DescribeSourceServers, for the addresses of the servers.
    :param servers_per_job: the account's quota.
    """

    target: NamedTarget
    account: str | None
    servers: Sequence[Mapping[str, Any]]
    servers_per_job: int

    def __str__(self) -> str:
        account = f"account {self.account}, " if self.account else ""
        named = "" if self.target.name == DEFAULT else f" (target {self.target.name})"
        return f"{account}region {self.target.region}{named}"


@dataclass(frozen=True)
class Part:
    """One thing to do.

    :param title: such as ``Launch the servers``.
    :param text: what to do, to expect, and to do otherwise.
    :param commands: for a shell, in order.
    """

    title: str
    text: tuple[str, ...]
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerLine:
    """A server of a wave: host name, DRS id, the source's addresses, and what it is called in EC2."""

    hostname: str
    id: str
    addresses: str
    source: str
    critical: bool


@dataclass(frozen=True)
class Chapter:
    """A wave.

    :param where: its account and region; empty where the plan has one target.
    :param after: the waves that must be up first.
    :param start: the same as a sentence.
    :param starts: when it usually starts, after the beginning.
    :param ends: when it is usually up.
    """

    name: str
    description: str
    where: str
    after: tuple[str, ...]
    start: str
    starts: str
    ends: str
    servers: tuple[ServerLine, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Runbook:
    """The document.

    :param facts: label and value, for the first page.
    :param contacts: name, role and phone of whom to call.
    :param before: what to do before the first wave.
    :param remarks: what could not be found out when the runbook was made.
    """

    plan: str
    description: str
    made: datetime
    plan_hash: str
    facts: tuple[tuple[str, str], ...]
    contacts: tuple[tuple[str, str, str], ...]
    before: tuple[Part, ...]
    chapters: tuple[Chapter, ...]
    remarks: tuple[str, ...]


def make_runbook(
    loaded: LoadedPlan,
    resolved: Mapping[str, Sequence[ResolvedServer]],
    places: Sequence[RunbookPlace],
    *,
    made: datetime,
    forecast: Forecast | None,
    remarks: Sequence[str] = (),
) -> Runbook:
    """Make the runbook of a real recovery.

    :param loaded: the plan with its hash.
    :param resolved: the servers of each wave.
    :param places: the accounts and regions that the waves, and scripts of a recovery, act in; that of the first wave
        first.
    :param made: now.
    :param forecast: when each wave is to be expected; None where that cannot be said.
    :param remarks: what could not be found out.
    """
    plan = loaded.plan
    where = _Where(plan, places)
    return Runbook(
        plan=plan.name,
        description=plan.description,
        made=made,
        plan_hash=loaded.hash,
        facts=tuple(_facts(plan, where, forecast)),
        contacts=tuple((one.name, one.role, one.phone) for one in plan.contacts),
        before=_before(where, resolved),
        chapters=tuple(
            _chapter(where, plan.wave(name), resolved.get(name, ()), forecast)
            for level in levels(plan)
            for name in level
        ),
        remarks=tuple(remarks),
    )


@dataclass(frozen=True)
class _Where:
    """The accounts and regions of a plan, and how a shell gets from one to another."""

    plan: RecoveryPlan
    places: Sequence[RunbookPlace]

    def of(self, target: NamedTarget) -> RunbookPlace:
        return next(place for place in self.places if place.target.key == target.key)

    @property
    def several(self) -> bool:
        return len(self.places) > 1

    @property
    def profiles(self) -> list[str]:
        """The names of the profiles that a person needs; none where one set of credentials is enough."""
        connections = list(dict.fromkeys(place.target.aws_conn_id for place in self.places))
        return connections if len(connections) > 1 else []

    def use(self, place: RunbookPlace) -> list[str]:
        """Return the commands after which a shell acts in an account and region."""
        region = place.target.region
        profile = f" AWS_PROFILE={shlex.quote(place.target.aws_conn_id)}" if self.profiles else ""
        commands = [f"export AWS_REGION={region} AWS_DEFAULT_REGION={region}{profile} AWS_PAGER="]
        if place.account is None:
            return [*commands, "aws sts get-caller-identity"]
        account = '"$(aws sts get-caller-identity --query Account --output text)"'
        right, wrong = f"account {place.account}: go on", f"THIS IS NOT ACCOUNT {place.account}: STOP"
        return [*commands, f"[ {account} = {place.account} ] && echo '{right}' || echo '{wrong}'"]


def _facts(plan: RecoveryPlan, where: _Where, forecast: Forecast | None) -> list[tuple[str, str]]:
    approval = plan.recovery.approval
    launched_in = [where.of(target) for target in plan.targets_of(plan.waves)]
    facts = [
        ("Recovers into", "; ".join(map(str, launched_in)) if where.several else launched_in[0].target.region),
        ("Owner", plan.owner),
        ("RTO", duration_text(plan.objectives.rto.total_seconds()) if plan.objectives.rto else "none set"),
        ("RPO", duration_text(plan.objectives.rpo.total_seconds()) if plan.objectives.rpo else "none set"),
    ]
    if forecast is not None:
        facts.append(("Usually takes", f"{duration_text(forecast.rto.typical)} with the plan's DAG; by hand, longer"))
    if approval is not None:
        who = ", ".join(approval.approvers) or "anyone who may run the plan"
        facts.append(("Approved by", f"{who}{f' ({approval.count} of them)' if approval.count > 1 else ''}"))
    return facts


def _before(where: _Where, resolved: Mapping[str, Sequence[ResolvedServer]]) -> tuple[Part, ...]:
    plan = where.plan
    shell = "Open one bash shell and keep it open: later commands use what earlier ones printed."
    if not where.several:
        parts = [Part("Use the recovery account and region", (shell,), tuple(where.use(where.places[0])))]
    else:
        accounts = "; ".join(f"{place.target.aws_conn_id} for {place}" for place in where.places)
        profiles = (
            f"Have a profile of the AWS CLI for each account (aws configure list-profiles): {accounts}."
            if where.profiles
            else f"One set of credentials is used in each region: {'; '.join(map(str, where.places))}."
        )
        moves = "Each wave begins with the command that moves the shell to its account and region: do not leave it out."
        parts = [Part("Prepare a shell for every account and region", (shell, profiles, moves))]
    for target in plan.targets_of(plan.waves):
        place = where.of(target)
        here = [wave.name for wave in plan.waves if plan.target_of(wave).key == target.key]
        servers = [server.id for name in here for server in resolved.get(name, ())]
        there = f" in {place}" if where.several else ""
        parts += [
            Part(
                f"Look for jobs in progress{there}",
                ("A server in an active job cannot be launched (ConflictException). Wait until these have ended.",),
                (
                    *(where.use(place) if where.several else ()),
                    "aws drs describe-jobs --query \"items[?status!='COMPLETED'].[jobID,type,status,initiatedBy]\" "
                    "--output table",
                ),
            ),
            Part(
                f"Look for instances of an earlier recovery{there}",
                (
                    "A launch deletes the server's previous recovery instance. Stop here if one of these is not a "
                    "drill (isDrill False) and holds data that you need.",
                ),
                (
                    f"aws drs describe-recovery-instances --filters sourceServerIDs={','.join(servers)} "
                    "--query 'items[].[sourceServerID,ec2InstanceID,isDrill,ec2InstanceState]' --output table",
                )
                if servers
                else (),
            ),
        ]
    return tuple(parts)


def _chapter(where: _Where, wave: Wave, servers: Sequence[ResolvedServer], forecast: Forecast | None) -> Chapter:
    known = {one.name: one.times for one in forecast.waves} if forecast else {}
    times = known.get(wave.name)
    place = where.of(where.plan.target_of(wave))
    items = {str(item["sourceServerID"]): item for item in place.servers}
    ids = [server.id for server in servers]
    found = (_part(where, wave, step, ids) for step in steps_of(wave) if step.takes_part("recovery"))
    parts = [part for part in found if part is not None]
    if where.several:
        parts.insert(0, Part(f"Use {place}", ("Stop if it is another account.",), tuple(where.use(place))))
    return Chapter(
        name=wave.name,
        description=wave.description,
        where=str(place) if where.several else "",
        after=wave.depends_on,
        start=_start(wave.depends_on),
        starts=duration_text(times.started) if times else "",
        ends=duration_text(times.ended) if times else "",
        servers=tuple(_line(server, items.get(server.id, {})) for server in servers),
        parts=tuple(parts),
    )


def _start(after: Sequence[str]) -> str:
    return f"Start when {' and '.join(after)} {'are' if len(after) > 1 else 'is'} up." if after else "Start at once."


def _line(server: ResolvedServer, item: Mapping[str, Any]) -> ServerLine:
    properties = item.get("sourceProperties") or {}
    addresses = [ip for each in properties.get("networkInterfaces") or () for ip in each.get("ips") or ()]
    hints = properties.get("identificationHints") or {}
    return ServerLine(
        hostname=server.hostname or "",
        id=server.id,
        addresses=", ".join(map(str, addresses)),
        source=str(hints.get("awsInstanceID") or hints.get("vmWareUuid") or ""),
        critical=server.critical,
    )


def _part(where: _Where, wave: Wave, step: Step, ids: Sequence[str]) -> Part | None:
    """Return how a step is done by hand."""
    home = where.of(where.plan.target_of(wave))
    size = home.servers_per_job
    if step.kind == "approve":
        approval = wave.approval
        who = ", ".join(approval.approvers) if approval and approval.approvers else "the person in charge"
        asked = f" They are asked: {approval.message}" if approval and approval.message else ""
        return Part("Get the approval", (f"Ask {who}, and write down who said yes and when.{asked}",))
    if step.kind in ("launch", "wait_for_launch") and not ids:
        return Part("Launch the servers", ("No server was found for this wave.",)) if step.kind == "launch" else None
    if step.kind == "launch":
        text = (
            "Each command prints a job id. An answer that does not come is no proof that nothing was started: look at "
            "the jobs before you repeat it.",
        )
        return Part("Launch the servers", text, tuple(launch_commands(wave.name, ids, size)))
    if step.kind == "wait_for_launch":
        return Part("Wait until they are up", _how_launched(wave, len(ids)), tuple(wait_commands(wave.name, ids, size)))
    if step.kind == "settle":
        seconds = int(wave.settle.total_seconds())
        return Part("Let them settle", (f"Wait {duration_text(seconds)}.",), (f"sleep {seconds}",))
    if step.kind == "health" and step.check is not None:
        limit = duration_text(step.limit.total_seconds())
        text = (f"{_expected(step.check)} Repeat until it does. The plan gives up after {limit}.",)
        return Part(f"Check: {step.title}", text, tuple(check_commands(wave.name, step.check)))
    if step.kind == "script" and step.script is not None:
        commands = script_commands(wave.name, step.script.in_mode("recovery"))
        limit = duration_text(step.limit.total_seconds())
        expected = f"It must end with Success within {limit}."
        if step.script.on_failure == "continue":
            expected = "A failure does not stop the wave."
        if any(PLACEHOLDER in command for command in commands):
            expected += f" Put the value itself in place of {PLACEHOLDER}: Airflow keeps it in a connection."
        place = where.of(where.plan.target_of(wave, step.script))
        if place is not home:
            expected = f"It runs in {place}. {expected}"
            commands = [*where.use(place), *commands, *where.use(home)]
        return Part(f"Run the script {step.title}", (expected,), tuple(commands))
    return Part(
        f"Do what the step {step.name} does", ("This document knows no commands for it: its own page says how.",)
    )


def _expected(check: HealthCheck) -> str:
    if check.type == "instance_status":
        return "It must print passed."
    if check.type == "ssm_online":
        return "It must list every instance as Online."
    if check.via == "ssm":
        return "It must list every instance with Success."
    return f"It must print {check.expect} for each." if check.type == "http" else "Each connection must succeed."


def _how_launched(wave: Wave, total: int) -> tuple[str, ...]:
    needed = wave.required_launched(total)
    enough = f"At least {needed} of {total} must say LAUNCHED." if needed is not None else "Each must say LAUNCHED."
    return (
        f"{enough} The plan waits {duration_text(wave.launch_timeout.total_seconds())}.",
        "For one that says FAILED, read why in the job's log (aws drs describe-job-log-items --job-id "
        f"${variable('job', wave.name)}), and launch that server alone again.",
    )
