"""Is this plan ready to run, now? Every check, all findings at once.

First the source servers are described and the waves resolved, since every other check is about those servers; then
the rest runs concurrently. A check that cannot be made is a finding, never a pass: what is not known to be good is
not good.

No Airflow here: a task wraps :func:`run_preflight`, and ``drs-plan check`` is the same from a terminal. What is looked
at again right before the launch of a wave is in :mod:`~drs_provider.readiness.recheck`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace as replace_fields
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.questions import Drs
from drs_provider.aws.faults import TransientError
from drs_provider.aws.launch_settings import Resources
from drs_provider.plan.kinds import load
from drs_provider.readiness import jobs as job_checks
from drs_provider.readiness.actions import checks_of_run
from drs_provider.readiness.documents import documents_of
from drs_provider.readiness.findings import Finding, FindingsReport, Mode
from drs_provider.readiness.launch_configuration import check_launch_configuration, needs_agent, needs_running
from drs_provider.readiness.launch_drift import wanted_launches
from drs_provider.readiness.notifiers import check_notifiers
from drs_provider.readiness.optional import missing_selections, without_optional
from drs_provider.readiness.permissions import check_permissions, not_checked
from drs_provider.readiness.quotas import JobsHere, account_quotas
from drs_provider.readiness.replication import has_recovery_point
from drs_provider.readiness.resolution import ResolvedServer, resolve
from drs_provider.readiness.result import PreflightResult, ordered
from drs_provider.readiness.scope import Permissions, Scope
from drs_provider.readiness.script_secrets import Lookup, check_secrets
from drs_provider.readiness.server_checks import (
    check_instances,
    check_replications,
    check_snapshot,
    check_wave_sizes,
    collecting,
    from_listed,
)
from drs_provider.readiness.side_by_side import Check, Look, concurrently
from drs_provider.readiness.template_fit import NamedResources
from drs_provider.readiness.timeouts import check_timeouts, launch_seconds
from drs_provider.readiness.whereabouts import (
    Identity,
    LookedAt,
    identify,
    launched_twice,
    places_of_run,
    quota_findings,
    same_places,
)

if TYPE_CHECKING:
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

Connect = Callable[["NamedTarget"], Clients]
"""Makes the clients of a target."""

__all__ = ["Connect", "run_preflight"]

# How many targets are looked at side by side; each has threads of its own.
MOST_TARGETS = 4


def run_preflight(
    plan: RecoveryPlan,
    clients: Clients | Connect,
    *,
    mode: Mode,
    waves: Collection[str] | None = None,
    snapshot_time: datetime | None = None,
    own: RunIdentity | None = None,
    replace: Collection[str] = (),
    skip_scripts: bool = False,
    lookup: Lookup | None = None,
    known: Iterable[Finding] = (),
) -> PreflightResult:
    """Make every check and return all findings. It changes nothing in AWS, and raises nothing that AWS answers.

    :param plan: the plan.
    :param clients: clients of the plan's target; where it has several, what makes those of each.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run; None or empty means all.
    :param snapshot_time: recover each server to its last completed snapshot at or before it; None means the latest.
    :param own: the run, whose own jobs do not count as others'; None: every job is another's.
    :param replace: ids of live instances that a launch may replace.
    :param skip_scripts: whether this run leaves the scripts out.
    :param lookup: looks up what scripts take from Airflow connections; None where there is no Airflow to ask.
    :param known: what the caller has found already.
    """
    everything = [wave.name for wave in plan.waves if not waves or wave.name in waves]
    connect = clients if callable(clients) else lambda _: clients
    places = places_of_run(plan, mode, everything, skip_scripts=skip_scripts)
    made = {place.key: connect(place) for place in places}
    findings = list(known)
    if not skip_scripts:
        # Not with the others, which run in threads: Airflow's connections are asked for in the task's own.
        for uses in documents_of(plan, mode, everything).values():
            findings += check_secrets(uses, lookup)
    if paths := [channel.notifier for channel in plan.notify if channel.notifier]:
        findings += concurrently([Check("notifiers", partial(check_notifiers, paths))], [])

    def look(place: NamedTarget) -> PreflightResult:
        chosen = [name for name in everything if plan.target_of(plan.wave(name)).key == place.key]
        identity, wrong, unanswered = identify(
            place, made[place.key], stated=plan.account_of(place), required=plan.several_targets
        )
        if wrong:
            # As somebody else, or elsewhere: nothing more is asked there.
            return PreflightResult(
                FindingsReport(mode, tuple(wrong)),
                {name: [] for name in chosen},
                unanswered=unanswered,
                seen=False,
                targets=(LookedAt(identity),),
            )
        return _look_at_target(
            plan,
            made[place.key],
            place,
            chosen,
            everything,
            identity,
            mode=mode,
            snapshot_time=snapshot_time,
            own=own,
            replace=replace,
            skip_scripts=skip_scripts,
        )

    if len(places) == 1:
        results = [look(places[0])]
    else:
        # One that does not answer costs its own patience, and not that of the others.
        with ThreadPoolExecutor(max_workers=min(MOST_TARGETS, len(places)), thread_name_prefix="targets") as pool:
            results = list(pool.map(look, places))
    return _together(plan, mode, findings, places, results)


def _together(
    plan: RecoveryPlan,
    mode: Mode,
    findings: list[Finding],
    places: Sequence[NamedTarget],
    results: Sequence[PreflightResult],
) -> PreflightResult:
    """Put what was found in each target together; where the plan has several, each finding names its target."""
    for place, result in zip(places, results, strict=True):
        findings += [replace_fields(one, target=place.name) if plan.several_targets else one for one in result.findings]
    looked_at = tuple(one for result in results for one in result.targets)
    findings += quota_findings(plan, looked_at)
    found = {name: servers for result in results for name, servers in result.resolved.items()}
    resolved = {wave.name: found[wave.name] for wave in plan.waves if wave.name in found}
    if len(places) > 1:
        findings += same_places(looked_at)
        findings += launched_twice(plan, resolved, looked_at)
    only = results[0] if len(results) == 1 else None
    return PreflightResult(
        FindingsReport(mode, ordered(plan, findings)),
        resolved,
        quotas=only.quotas if only else None,
        unanswered=next((result.unanswered for result in results if result.unanswered), None),
        left_out=tuple(one for result in results for one in result.left_out),
        seen=all(result.seen for result in results),
        scope=only.scope if only else None,
        targets=looked_at,
    )


def _look_at_target(
    plan: RecoveryPlan,
    clients: Clients,
    place: NamedTarget,
    chosen: Sequence[str],
    everything: Sequence[str],
    identity: Identity,
    *,
    mode: Mode,
    snapshot_time: datetime | None,
    own: RunIdentity | None,
    replace: Collection[str],
    skip_scripts: bool,
) -> PreflightResult:
    """Make every check in one target.

    :param chosen: names of the waves that are launched there.
    :param everything: names of all waves of the run, whose scripts may run there.
    """
    described: list[dict[str, Any]] = []
    unanswered: list[TransientError] = []
    look = Check("source servers", collecting(described, Drs(clients).source_servers))
    findings = concurrently([look], unanswered)
    resolved: dict[str, list[ResolvedServer]] = {name: [] for name in chosen}
    seen = not findings
    if seen:
        resolved, findings = resolve(plan, chosen, described)
    missing = missing_selections(findings)
    by_id = {server["sourceServerID"]: server for server in described}
    servers = [server for name in chosen for server in resolved[name]]
    findings += check_replications(plan, servers, by_id)

    snapshots: dict[str, ResolvedServer] = {}
    listed = from_listed(mode, servers, by_id, findings)
    checks = [
        Check(
            f"snapshots of {server.id}",
            partial(check_snapshot, clients, server, snapshot_time, server.id in listed, snapshots),
        )
        for server in servers
        if has_recovery_point(by_id[server.id])
    ]
    in_jobs: list[JobsHere] = []
    usual = max((launch_seconds(by_id[server.id]) for server in servers), default=0.0)
    check_jobs = partial(_check_jobs, clients, resolved, own, in_jobs, mode, replace, usual)
    checks.append(Check("jobs and quotas", check_jobs))
    findings += check_timeouts(plan, resolved, by_id)
    resources, tagged = NamedResources(clients), Resources(clients)
    wanted = wanted_launches(plan, chosen, described)
    for wave in plan.waves:
        agent = needs_agent(wave, mode, scripts=not skip_scripts)
        running = needs_running(wave, mode, scripts=not skip_scripts)
        checks += [
            Check(
                f"launch configuration of {server.id}",
                partial(
                    check_launch_configuration,
                    clients,
                    server,
                    agent=agent,
                    running=running,
                    resources=resources,
                    source=by_id[server.id],
                    wanted=wanted.get(server.id),
                    tagged=tagged,
                    terminates=mode == "drill" and plan.drill.terminate != "never",
                ),
            )
            for server in resolved.get(wave.name, ())
        ]
    for path in checks_of_run(plan, mode, everything, skip_scripts=skip_scripts, place=place):
        checks += load(path)(Look(plan, clients, mode, everything, place))
    permissions = Permissions()
    check = partial(check_permissions, plan, clients, mode, everything, permissions, place, skip_scripts=skip_scripts)
    # IAM is in another region, which may be what has failed.
    checks.append(Check("permissions", check, not_checked if mode == "recovery" else None))
    findings += concurrently(checks, unanswered)
    findings += _check_addresses(resources)

    max_lag = {wave.name: wave.max_replication_lag for wave in plan.waves}
    everyone = [snapshots.get(server.id, server) for name in chosen for server in resolved[name]]
    kept, findings, left_out = without_optional(everyone, findings, max_lag)
    resolved = {name: [server for server in kept if server.wave == name] for name in chosen}
    findings += check_wave_sizes(plan, resolved)
    scope = Scope.of(servers, len(checks) + 1, permissions)
    return PreflightResult(
        FindingsReport(mode, ordered(plan, findings)),
        resolved,
        quotas=in_jobs[0].read if in_jobs else None,
        unanswered=next(iter(unanswered), None),
        left_out=(*missing, *left_out),
        seen=seen,
        scope=scope,
        targets=(LookedAt(identity, in_jobs[0].read if in_jobs else None, scope, in_jobs[0] if in_jobs else None),),
    )


def _check_addresses(resources: NamedResources) -> list[Finding]:
    """The subnets that are too small for everything that this run launches into them."""
    findings = []
    for subnet, free, needed in resources.too_small():
        addresses = f"{free} free address{'' if free == 1 else 'es'}"
        message = f"The subnet {subnet} has {addresses}, and this run launches {needed} into it."
        remedy = "Launch some servers into another subnet, or free addresses."
        findings.append(Finding.of("subnet-too-small", message, remedy))
    return findings


def _check_jobs(
    clients: Clients,
    resolved: Mapping[str, Sequence[ResolvedServer]],
    own: RunIdentity | None,
    in_jobs: list[JobsHere],
    mode: Mode,
    replace: Collection[str],
    job_seconds: float,
) -> list[Finding]:
    servers = [server for found in resolved.values() for server in found]
    known = Drs(clients).jobs_since(None)
    active = job_checks.active_jobs(known, own)
    findings = job_checks.check_busy(active, servers)
    findings += check_instances(clients, servers, known, own, mode, replace)
    quotas, assumed = account_quotas(clients)
    sizes = {name: len(found) for name, found in resolved.items()}
    in_jobs.append(JobsHere(quotas, not assumed, sizes, tuple(active), job_seconds))
    return findings + assumed
