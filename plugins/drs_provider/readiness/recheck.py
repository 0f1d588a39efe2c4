"""Is a wave still ready, right before its launch? What changes by itself is looked at again."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from drs_provider.aws.drs.questions import Drs
from drs_provider.readiness.findings import FindingsReport, Mode
from drs_provider.readiness.jobs import active_jobs, check_busy
from drs_provider.readiness.optional import missing_selections, without_optional
from drs_provider.readiness.resolution import resolve
from drs_provider.readiness.result import PreflightResult, ordered
from drs_provider.readiness.server_checks import (
    check_instances,
    check_replications,
    check_snapshot,
    check_wave_sizes,
    collecting,
    from_listed,
)
from drs_provider.readiness.side_by_side import Check, concurrently

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.aws.faults import TransientError
    from drs_provider.plan import RecoveryPlan
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = ["recheck_wave"]

# How far back it searches for jobs that hold the wave's servers; preflight looks at all that DRS keeps.
RECENT_JOBS = timedelta(days=3)


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
    :param snapshot_time: as in :func:`~drs_provider.readiness.preflight.run_preflight`.
    :param own: as in :func:`~drs_provider.readiness.preflight.run_preflight`.
    :param replace: as in :func:`~drs_provider.readiness.preflight.run_preflight`.
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
            Check("source servers", collecting(described, partial(Drs(clients).source_servers, only), reached)),
            Check("jobs", collecting(known, partial(Drs(clients).jobs_since, since), jobs_read)),
        ],
        unanswered,
    )
    resolved, found = resolve(plan, chosen, described)
    servers = resolved[wave]
    if reached:
        findings += [finding for finding in found if finding.wave == wave]
    missing = missing_selections(findings)
    by_id = {server["sourceServerID"]: server for server in described}
    findings += check_replications(plan, servers, by_id)
    findings += check_busy(active_jobs(known, own), servers)
    snapshots: dict[str, ResolvedServer] = {}
    listed = from_listed(mode, servers, by_id, findings)
    findings += concurrently(
        [
            Check("recovery instances", partial(check_instances, clients, servers, known, own, mode, replace)),
            *(
                Check(
                    f"snapshots of {server.id}",
                    partial(check_snapshot, clients, server, snapshot_time, server.id in listed, snapshots),
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
        findings += check_wave_sizes(plan, {wave: final})
    newest_first = sorted(known, key=lambda job: str(job.get("creationDateTime", "")), reverse=True)
    report = FindingsReport(mode, ordered(plan, findings))
    return PreflightResult(
        report,
        {wave: final},
        jobs=newest_first if jobs_read else None,
        unanswered=next(iter(unanswered), None),
        left_out=(*missing, *left_out),
    )
