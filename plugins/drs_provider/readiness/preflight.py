"""Is this plan ready to run, now? Every check, all findings at once.

First the source servers are described and the waves resolved, since every other check is about those servers; then
the rest runs concurrently. A check that cannot be made is a finding, never a pass: what is not known to be good is
not good.

No Airflow here: a task wraps :func:`run_preflight`, the launch of a wave :func:`recheck_wave`, and ``drs-plan
check`` is the same from a terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.questions import Drs
from drs_provider.aws.faults import TransientError
from drs_provider.aws.launch_settings import Resources
from drs_provider.aws.quotas import Quotas
from drs_provider.plan.kinds import load
from drs_provider.readiness import jobs as job_checks
from drs_provider.readiness.actions import checks_of_run, required_grants
from drs_provider.readiness.documents import documents_of
from drs_provider.readiness.findings import CODES, Finding, FindingsReport, Mode
from drs_provider.readiness.launch_configuration import check_launch_configuration, needs_agent, needs_running
from drs_provider.readiness.launch_drift import wanted_launches
from drs_provider.readiness.notifiers import check_notifiers
from drs_provider.readiness.optional import LeftOut, missing_selections, stalls, without_optional
from drs_provider.readiness.permissions import DENIED, caller, not_checked, simulate, simulations
from drs_provider.readiness.quotas import account_quotas, check_quotas
from drs_provider.readiness.replication import check_replication, has_recovery_point, source_gone
from drs_provider.readiness.resolution import (
    ResolvedServer,
    choose_snapshot,
    resolve,
)
from drs_provider.readiness.scope import Permissions, Scope
from drs_provider.readiness.script_secrets import Lookup, check_secrets
from drs_provider.readiness.side_by_side import MAX_WORKERS, Check, Look, cause_of, concurrently
from drs_provider.readiness.template_fit import NamedResources
from drs_provider.readiness.timeouts import check_timeouts, launch_seconds
from drs_provider.readiness.whereabouts import (
    Identity,
    LookedAt,
    identify,
    launched_twice,
    places_of_run,
    same_places,
)

if TYPE_CHECKING:
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

Connect = Callable[["NamedTarget"], Clients]
"""Makes the clients of a target."""

__all__ = ["Connect", "PreflightResult", "recheck_wave", "run_preflight"]

# How many targets are looked at side by side; each has threads of its own.
MOST_TARGETS = 4
# How far back a wave's second look searches for jobs that hold its servers; preflight looks at all that DRS keeps.
RECENT_JOBS = timedelta(days=3)


@dataclass(frozen=True)
class PreflightResult:
    """What preflight found.

    :param findings: the report; ``findings.blocking(overrides)`` decides.
    :param resolved: wave name -> its servers in launch order, each with the snapshot to launch from.
    :param quotas: the account's quotas; None where they were not looked at.
    :param jobs: the jobs that were read, newest first; None where that failed.
    :param left_out: what the waves select and do not launch: optional servers, and selections that match none.
    :param seen: whether the source servers could be read: where not, nothing is known of any.
    :param unanswered: why a check could not be made, where that passes by itself; its finding is ``check-failed``.
    :param scope: what was looked at; None for the look before one wave's launch, and where there are several targets.
    :param targets: what was looked at in each target of the run; empty for the look before one wave's launch.
    """

    findings: FindingsReport
    resolved: dict[str, list[ResolvedServer]]
    quotas: Quotas | None = None
    jobs: list[dict[str, Any]] | None = None
    unanswered: TransientError | None = None
    left_out: tuple[LeftOut, ...] = ()
    seen: bool = True
    scope: Scope | None = None
    targets: tuple[LookedAt, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-serialisable data, for XCom and for ``drs-plan check --format json``."""
        waves = {wave: [server.as_dict() for server in servers] for wave, servers in self.resolved.items()}
        left_out = [one.as_dict() for one in self.left_out]
        scope: dict[str, Any] = {"looked_at": self.scope.as_dict()} if self.scope else {}
        if self.targets:
            scope["targets"] = [one.as_dict() for one in self.targets]
        return {**self.findings.as_dict(), **scope, "servers_read": self.seen, "waves": waves, "left_out": left_out}


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
    found = {name: servers for result in results for name, servers in result.resolved.items()}
    resolved = {wave.name: found[wave.name] for wave in plan.waves if wave.name in found}
    if len(places) > 1:
        findings += same_places(looked_at)
        findings += launched_twice(plan, resolved, looked_at)
    only = results[0] if len(results) == 1 else None
    return PreflightResult(
        FindingsReport(mode, _ordered(plan, findings)),
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
    look = Check("source servers", _into(described, Drs(clients).source_servers))
    findings = concurrently([look], unanswered)
    resolved: dict[str, list[ResolvedServer]] = {name: [] for name in chosen}
    seen = not findings
    if seen:
        resolved, findings = resolve(plan, chosen, described)
    missing = missing_selections(findings)
    by_id = {server["sourceServerID"]: server for server in described}
    servers = [server for name in chosen for server in resolved[name]]
    findings += _check_replication(plan, servers, by_id)

    snapshots: dict[str, ResolvedServer] = {}
    listed = _from_listed(mode, servers, by_id, findings)
    checks = [
        Check(
            f"snapshots of {server.id}",
            partial(_check_snapshot, clients, server, snapshot_time, server.id in listed, snapshots),
        )
        for server in servers
        if has_recovery_point(by_id[server.id])
    ]
    quotas: list[Quotas] = []
    usual = max((launch_seconds(by_id[server.id]) for server in servers), default=0.0)
    check_jobs = partial(_check_jobs, plan, clients, resolved, own, quotas, mode, replace, usual)
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
    check = partial(_check_permissions, plan, clients, mode, everything, permissions, place, skip_scripts=skip_scripts)
    # IAM is in another region, which may be what has failed.
    checks.append(Check("permissions", check, not_checked if mode == "recovery" else None))
    findings += concurrently(checks, unanswered)
    findings += _check_addresses(resources)

    max_lag = {wave.name: wave.max_replication_lag for wave in plan.waves}
    everyone = [snapshots.get(server.id, server) for name in chosen for server in resolved[name]]
    kept, findings, left_out = without_optional(everyone, findings, max_lag)
    resolved = {name: [server for server in kept if server.wave == name] for name in chosen}
    findings += _check_wave_sizes(plan, resolved)
    scope = Scope.of(servers, len(checks) + 1, permissions)
    return PreflightResult(
        FindingsReport(mode, _ordered(plan, findings)),
        resolved,
        quotas=quotas[0] if quotas else None,
        unanswered=next(iter(unanswered), None),
        left_out=(*missing, *left_out),
        seen=seen,
        scope=scope,
        targets=(LookedAt(identity, quotas[0] if quotas else None, scope),),
    )


def recheck_wave(
    plan: RecoveryPlan,
    wave: str,
    clients: Clients,
    *,
    mode: Mode,
    waves: Collection[str] | None = None,
    snapshot_time: datetime | None = None,
    own: RunIdentity | None = None,
    replace: Collection[str] = (),
    jobs_since: datetime | None = None,
) -> PreflightResult:
    """Right before a wave's launch: resolve it again, and look again at what changes by itself.

    That is state, lag, other jobs, and live instances that the launch would delete: DescribeSourceServers, DescribeJobs
    and DescribeRecoveryInstances; with a snapshot to choose, DescribeRecoverySnapshots for each server that needs one.

    :param plan: the plan.
    :param wave: the wave's name.
    :param clients: clients of the target account, in the plan's region.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that this run launches, to notice a server that two of them select; None: all.
    :param snapshot_time: as in :func:`run_preflight`.
    :param own: as in :func:`run_preflight`.
    :param replace: as in :func:`run_preflight`.
    :param jobs_since: list jobs at least since then, so that the launch need not list them again.
    :return: findings and servers of this wave only, and the jobs.
    """
    place = plan.target_of(plan.wave(wave)).key
    here = [one.name for one in plan.waves if plan.target_of(one).key == place]
    chosen = [name for name in here if not waves or name in waves or name == wave]
    selectors = {name: plan.selectors(plan.wave(name)) for name in chosen}
    by_id_alone = all(selector.id is not None for found in selectors.values() for selector in found)
    # Where ids alone select, the plan file cannot name a server twice, and the other waves need no look.
    only = [str(selector.id) for selector in selectors[wave]] if by_id_alone else None
    described: list[dict[str, Any]] = []
    known: list[dict[str, Any]] = []
    recent = datetime.now(timezone.utc) - RECENT_JOBS
    since = min(recent, jobs_since or recent)
    reached: list[bool] = []
    jobs_read: list[bool] = []
    unanswered: list[TransientError] = []
    findings = concurrently(
        [
            Check("source servers", _into(described, partial(Drs(clients).source_servers, only), reached)),
            Check("jobs", _into(known, partial(Drs(clients).jobs_since, since), jobs_read)),
        ],
        unanswered,
    )
    resolved, found = resolve(plan, chosen, described)
    servers = resolved[wave]
    if reached:
        findings += [finding for finding in found if finding.wave == wave]
    missing = missing_selections(findings)
    by_id = {server["sourceServerID"]: server for server in described}
    findings += _check_replication(plan, servers, by_id)
    findings += job_checks.check_busy(job_checks.active_jobs(known, own), servers)
    snapshots: dict[str, ResolvedServer] = {}
    listed = _from_listed(mode, servers, by_id, findings)
    findings += concurrently(
        [
            Check("recovery instances", partial(_check_instances, clients, servers, known, own, mode, replace)),
            *(
                Check(
                    f"snapshots of {server.id}",
                    partial(_check_snapshot, clients, server, snapshot_time, server.id in listed, snapshots),
                )
                for server in servers
                if snapshot_time is not None or server.snapshot is not None or server.id in listed
            ),
        ],
        unanswered,
    )
    everyone = [snapshots.get(server.id, server) for server in servers]
    max_lag = {one.name: one.max_replication_lag for one in plan.waves}
    final, findings, left_out = without_optional(everyone, findings, max_lag)
    if reached:
        findings += _check_wave_sizes(plan, {wave: final})
    newest_first = sorted(known, key=lambda job: str(job.get("creationDateTime", "")), reverse=True)
    report = FindingsReport(mode, _ordered(plan, findings))
    return PreflightResult(
        report,
        {wave: final},
        jobs=newest_first if jobs_read else None,
        unanswered=next(iter(unanswered), None),
        left_out=(*missing, *left_out),
    )


def _into(
    items: list[dict[str, Any]], describe: Callable[[], list[dict[str, Any]]], reached: list[bool] | None = None
) -> Callable[[], list[Finding]]:
    """A check that only collects: its items are used by the checks after it, its failure is a finding."""

    def collect() -> list[Finding]:
        items.extend(describe())
        if reached is not None:
            reached.append(True)
        return []

    return collect


def _check_wave_sizes(plan: RecoveryPlan, resolved: Mapping[str, Sequence[ResolvedServer]]) -> list[Finding]:
    findings = []
    for wave in plan.waves:
        found = len(resolved.get(wave.name, ()))
        wanted = wave.required_launched(found)
        if found and wanted is not None and wanted > found:
            message = f"min_launched is {wave.min_launched}, but the wave selects {found} servers."
            remedy = "Lower min_launched, or correct the selection."
            findings.append(Finding.of("min-launched-unreachable", message, remedy, wave=wave.name))
    return findings


def _check_addresses(resources: NamedResources) -> list[Finding]:
    """The subnets that are too small for everything that this run launches into them."""
    findings = []
    for subnet, free, needed in resources.too_small():
        addresses = f"{free} free address{'' if free == 1 else 'es'}"
        message = f"The subnet {subnet} has {addresses}, and this run launches {needed} into it."
        remedy = "Launch some servers into another subnet, or free addresses."
        findings.append(Finding.of("subnet-too-small", message, remedy))
    return findings


def _check_replication(
    plan: RecoveryPlan, servers: Iterable[ResolvedServer], by_id: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    max_lag = {wave.name: wave.max_replication_lag for wave in plan.waves}
    return [
        finding for server in servers for finding in check_replication(by_id[server.id], server, max_lag[server.wave])
    ]


def _from_listed(
    mode: Mode, servers: Iterable[ResolvedServer], by_id: Mapping[str, Mapping[str, Any]], findings: Iterable[Finding]
) -> set[str]:
    """Return the ids of the servers to launch from a listed snapshot, although the newest data is asked for.

    A drill launches a required server as the plan says; in a recovery nobody waits for a source that is gone.
    """
    stalled = stalls(findings)
    return {
        server.id
        for server in servers
        if (mode == "recovery" and source_gone(by_id[server.id])) or (not server.critical and server.id in stalled)
    }


def _check_snapshot(
    clients: Clients,
    server: ResolvedServer,
    snapshot_time: datetime | None,
    listed: bool,
    chosen: dict[str, ResolvedServer],
) -> list[Finding]:
    snapshots = Drs(clients).snapshots(server.id)
    chosen[server.id], findings = choose_snapshot(server, snapshots, snapshot_time, listed=listed)
    return findings


def _check_jobs(
    plan: RecoveryPlan,
    clients: Clients,
    resolved: Mapping[str, Sequence[ResolvedServer]],
    own: RunIdentity | None,
    found_quotas: list[Quotas],
    mode: Mode,
    replace: Collection[str],
    job_seconds: float,
) -> list[Finding]:
    servers = [server for found in resolved.values() for server in found]
    known = Drs(clients).jobs_since(None)
    active = job_checks.active_jobs(known, own)
    findings = job_checks.check_busy(active, servers)
    findings += _check_instances(clients, servers, known, own, mode, replace)
    quotas, assumed = account_quotas(clients)
    if not assumed:
        found_quotas.append(quotas)
    depends_on = {wave.name: tuple(wave.depends_on) for wave in plan.waves}
    sizes = {name: len(found) for name, found in resolved.items()}
    return findings + assumed + check_quotas(depends_on, sizes, quotas, active, job_seconds=job_seconds)


def _check_instances(
    clients: Clients,
    servers: Sequence[ResolvedServer],
    jobs: Sequence[Mapping[str, Any]],
    own: RunIdentity | None,
    mode: Mode,
    replace: Collection[str],
) -> list[Finding]:
    live = Drs(clients).recovery_instances(server_ids=[server.id for server in servers])
    return job_checks.check_previous_instances(live, jobs, servers, own, mode=mode, replace=replace)


def _check_permissions(
    plan: RecoveryPlan,
    clients: Clients,
    mode: Mode,
    waves: Sequence[str],
    made: Permissions,
    place: NamedTarget,
    *,
    skip_scripts: bool,
) -> list[Finding]:
    principal = caller(clients)
    made.caller = principal.arn
    if principal.arn.endswith(":root"):
        return []  # The root user may do everything and cannot be simulated.
    if ":federated-user/" in principal.arn:
        return [not_checked(f"{principal.arn} is a federated user")]
    grants = required_grants(plan, mode, waves, skip_scripts=skip_scripts, place=place)
    if not grants:
        return []
    first, *others = simulations(grants, principal, plan, mode, waves, skip_scripts=skip_scripts, place=place)
    one = partial(simulate, clients, principal)
    try:
        # The first one alone: where simulating is denied, one call is enough to know.
        findings = one(first)
        with ThreadPoolExecutor(max_workers=MAX_WORKERS, thread_name_prefix="permissions") as pool:
            findings += [finding for found in pool.map(one, others) for finding in found]
    except ClientError as error:
        if error.response["Error"]["Code"] not in (*DENIED, "NoSuchEntity"):
            raise
        return [not_checked(cause_of(error))]
    made.actions = len({action for simulation in (first, *others) for action in simulation.reasons})
    return findings


def _ordered(plan: RecoveryPlan, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first; then by wave in the order of the plan, by code as documented, by server. Without repetitions."""
    waves: dict[str | None, int] = {wave.name: i for i, wave in enumerate(plan.waves, start=1)}
    codes = {code: i for i, code in enumerate(CODES)}
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(
            unique,
            key=lambda f: (f.severity != "error", waves.get(f.wave, 0), codes[f.code], f.server or "", f.message),
        )
    )
