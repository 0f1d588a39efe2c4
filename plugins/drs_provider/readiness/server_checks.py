"""The checks of servers that preflight makes, and that are made again right before their wave is launched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drs_provider.aws.drs.questions import Drs
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.jobs import check_previous_instances
from drs_provider.readiness.optional import stalls
from drs_provider.readiness.replication import check_replication, source_gone
from drs_provider.readiness.resolution import choose_snapshot

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.plan import RecoveryPlan
    from drs_provider.readiness.findings import Mode
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = [
    "check_instances",
    "check_replications",
    "check_snapshot",
    "check_wave_sizes",
    "collecting",
    "from_listed",
]


def collecting(
    items: list[dict[str, Any]], describe: Callable[[], list[dict[str, Any]]], reached: list[bool] | None = None
) -> Callable[[], list[Finding]]:
    """Return a check that only collects: its items are used by the checks after it, its failure is a finding."""

    def collect() -> list[Finding]:
        items.extend(describe())
        if reached is not None:
            reached.append(True)
        return []

    return collect


def check_replications(
    plan: RecoveryPlan, servers: Iterable[ResolvedServer], by_id: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Look at the replication of servers, each against the lag that its wave allows."""
    max_lag = {wave.name: wave.max_replication_lag for wave in plan.waves}
    return [
        finding for server in servers for finding in check_replication(by_id[server.id], server, max_lag[server.wave])
    ]


def from_listed(
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


def check_snapshot(
    clients: Clients,
    server: ResolvedServer,
    snapshot_time: datetime | None,
    listed: bool,
    chosen: dict[str, ResolvedServer],
) -> list[Finding]:
    """Choose a server's snapshot.

    :param chosen: gets the server with the snapshot, by the server's id.
    """
    snapshots = Drs(clients).snapshots(server.id)
    chosen[server.id], findings = choose_snapshot(server, snapshots, snapshot_time, listed=listed)
    return findings


def check_instances(
    clients: Clients,
    servers: Sequence[ResolvedServer],
    jobs: Sequence[Mapping[str, Any]],
    own: RunIdentity | None,
    mode: Mode,
    replace: Collection[str],
) -> list[Finding]:
    """Look at the live recovery instances of servers, which a launch would delete."""
    live = Drs(clients).recovery_instances(server_ids=[server.id for server in servers])
    return check_previous_instances(live, jobs, servers, own, mode=mode, replace=replace)


def check_wave_sizes(plan: RecoveryPlan, resolved: Mapping[str, Sequence[ResolvedServer]]) -> list[Finding]:
    """Find the waves whose ``min_launched`` their selection cannot reach."""
    findings = []
    for wave in plan.waves:
        found = len(resolved.get(wave.name, ()))
        wanted = wave.required_launched(found)
        if found and wanted is not None and wanted > found:
            message = f"min_launched is {wave.min_launched}, but the wave selects {found} servers."
            remedy = "Lower min_launched, or correct the selection."
            findings.append(Finding.of("min-launched-unreachable", message, remedy, wave=wave.name))
    return findings
