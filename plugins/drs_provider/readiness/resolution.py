"""Which source servers a wave means, now: selections by id, name and tags against DescribeSourceServers.

Preflight resolves every wave of the run, and the launch of a wave resolves it again, because a server may have been
tagged, added or removed since. The order is that of the plan, and by id within a selection by tags, so that two
resolutions of the same servers give the same jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from drs_provider.aws.drs.extensions import staging_arn
from drs_provider.aws.drs.reads import hostname_of, matches_hostname, matches_name, matches_tags
from drs_provider.durations import parse_iso8601
from drs_provider.readiness.findings import Finding, Severity
from drs_provider.readiness.near_misses import near_miss
from drs_provider.timestamps import parse_timestamp

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, ServerSelector

__all__ = ["ResolvedServer", "choose_snapshot", "matches", "replication_lag", "resolve"]


@dataclass(frozen=True)
class ResolvedServer:
    """One source server of a wave.

    :param id: the source server's id, ``s-…``.
    :param wave: the wave that launches it.
    :param hostname: its hostname, where the agent reported one.
    :param tags: its tags in DRS.
    :param critical: whether its failure fails the wave.
    :param snapshot: the recovery snapshot to launch from, ``pit-…``; None: a new one is taken when the launch starts.
    :param selection: the selection that found it, as a person would write it.
    :param snapshot_time: when that snapshot was taken, ISO 8601; None where it is to be taken, or not looked up.
    :param lag_seconds: its lag when it was resolved; None where DRS does not tell.
    """

    id: str
    wave: str
    hostname: str | None
    tags: Mapping[str, str]
    critical: bool
    snapshot: str | None
    selection: str
    snapshot_time: str | None = None
    lag_seconds: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """The server as JSON-serialisable data, for XCom and reports."""
        return asdict(self)

    def finding(self, code: str, message: str, remedy: str, severity: Severity | None = None) -> Finding:
        """A finding on this server, with the code's own severity unless another is given."""
        return Finding.of(code, message, remedy, wave=self.wave, server=self.id, severity=severity)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ResolvedServer:
        """The inverse of :meth:`as_dict`."""
        return cls(**data)


def resolve(
    plan: RecoveryPlan, waves: Iterable[str], servers: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, list[ResolvedServer]], list[Finding]]:
    """Match the waves' selections against source servers.

    :param plan: the plan.
    :param waves: names of the waves to resolve.
    :param servers: items of DescribeSourceServers, all pages.
    :return: the servers of each wave, and findings for selections that match nothing, a hostname that several
        servers have, and servers that are selected twice (they stay in the first wave that selects them).
    """
    wanted = set(waves)
    known = sorted(servers, key=lambda server: str(server["sourceServerID"]))
    resolved: dict[str, list[ResolvedServer]] = {}
    findings: list[Finding] = []
    taken: dict[str, ResolvedServer] = {}
    for wave in plan.waves:
        if wave.name not in wanted:
            continue
        resolved[wave.name] = []
        for selector in plan.selectors(wave):
            found_here = [server for server in known if matches(selector, server)]
            text = selector.text
            staging = plan.target_of(wave).target.staging_accounts
            findings += _match_findings(selector, found_here, wave.name, known, staging)
            for server in found_here:
                found = _resolved(server, selector, wave.name, text)
                other = taken.setdefault(found.id, found)
                if other is found:
                    resolved[wave.name].append(found)
                else:
                    findings.append(_twice(found, other))
    return resolved, findings


def replication_lag(server: Mapping[str, Any]) -> timedelta | None:
    """The lag of a source server, or None where it is absent or not readable: unknown is not zero.

    :param server: an item of DescribeSourceServers.
    """
    try:
        return parse_iso8601(server["dataReplicationInfo"]["lagDuration"])
    except (KeyError, TypeError, ValueError):
        return None


def choose_snapshot(
    server: ResolvedServer,
    snapshots: Sequence[Mapping[str, Any]],
    snapshot_time: datetime | None,
    *,
    listed: bool = False,
) -> tuple[ResolvedServer, list[Finding]]:
    """Decide which snapshot a server is launched from.

    :param server: the server; its ``snapshot`` is the one that the plan names, if any, and wins over the time.
    :param snapshots: its completed snapshots, newest first.
    :param snapshot_time: the run's parameter: the last snapshot at or before it; None: a new one at launch.
    :param listed: whether the newest listed snapshot stands in for a new one, which could not be taken in time.
    :return: the server with its snapshot, and findings where there is none to launch from.
    """
    times = [(parse_timestamp(snapshot["timestamp"]), snapshot["snapshotID"]) for snapshot in snapshots]
    if server.snapshot is not None:
        for moment, snapshot_id in times:
            if snapshot_id == server.snapshot:
                return replace(server, snapshot_time=moment.isoformat()), []
        message = f"{server.snapshot} is not among the server's {len(times)} completed recovery snapshots."
        remedy = "Snapshots expire: name one that exists, or remove `snapshot` to launch from the latest."
        return server, [server.finding("snapshot-not-found", message, remedy)]
    if snapshot_time is not None:
        for moment, snapshot_id in times:
            if moment <= snapshot_time:
                return replace(server, snapshot=snapshot_id, snapshot_time=moment.isoformat()), []
        oldest = f"the oldest is of {times[-1][0].isoformat()}" if times else "it has none at all"
        message = f"No completed snapshot at or before {snapshot_time.isoformat()}: {oldest}."
        remedy = "Choose a later snapshot_time, or leave the wave out of this run."
        return server, [server.finding("no-snapshot-before", message, remedy)]
    if not times:
        message = "The server has no completed recovery snapshot."
        return server, [server.finding("no-snapshot", message, "Wait until DRS has taken the first one.")]
    if listed:
        moment, snapshot_id = times[0]
        return replace(server, snapshot=snapshot_id, snapshot_time=moment.isoformat()), []
    return server, []


def matches(selector: ServerSelector, server: Mapping[str, Any]) -> bool:
    """Whether a selection with its group expanded means a source server (an item of DescribeSourceServers)."""
    if selector.id is not None:
        return bool(server["sourceServerID"] == selector.id)
    if selector.instance is not None:
        return bool(_hints(server).get("awsInstanceID") == selector.instance)
    if selector.name is not None:
        return matches_name(server, selector.name)
    if selector.hostname is not None:
        return matches_hostname(server, selector.hostname)
    return matches_tags(server, selector.tags or {})


def _resolved(server: Mapping[str, Any], selector: ServerSelector, wave: str, text: str) -> ResolvedServer:
    return ResolvedServer(
        id=server["sourceServerID"],
        wave=wave,
        hostname=hostname_of(server),
        tags=dict(server.get("tags") or {}),
        critical=selector.critical,
        snapshot=selector.snapshot,
        selection=text,
        lag_seconds=_lag_seconds(server),
    )


def _lag_seconds(server: Mapping[str, Any]) -> float | None:
    lag = replication_lag(server)
    return None if lag is None else lag.total_seconds()


def _hints(server: Mapping[str, Any]) -> Mapping[str, Any]:
    return (server.get("sourceProperties") or {}).get("identificationHints") or {}


def _match_findings(
    selector: ServerSelector,
    matches: Sequence[Mapping[str, Any]],
    wave: str,
    known: Sequence[Mapping[str, Any]],
    staging: Sequence[str],
) -> list[Finding]:
    text, by_tags = selector.text, selector.tags is not None
    if not matches:
        code = "selection-empty" if by_tags else "server-not-found"
        near = near_miss(selector, known)
        message = f"No source server matches {text}, among {len(known)} in this account and region{near or '.'}"
        remedy = "Correct the plan or the server's tags; check the plan's region and connection."
        if staging:
            remedy += f" A server that {' or '.join(staging)} replicates is extended by `drs-plan extend`."
        if selector.critical:
            return [Finding.of(code, message, remedy, wave=wave, server=text)]
        remedy = f"The selection is optional: the wave goes on without it. {remedy}"
        return [Finding.of(code, message, remedy, wave=wave, server=text, severity="warning")]
    if len(matches) > 1 and not by_tags:
        ids = ", ".join(_id_and_origin(server) for server in matches)
        message = f"{text} matches {len(matches)} source servers ({ids}); expected exactly one."
        return [Finding.of("hostname-ambiguous", message, "Select by id instead.", wave=wave, server=text)]
    return []


def _id_and_origin(server: Mapping[str, Any]) -> str:
    """Return a server's id, with the account that replicates it where that is another one."""
    arn = staging_arn(server)
    return f"{server['sourceServerID']}{f' extended from account {arn.split(chr(58))[4]}' if arn else ''}"


def _twice(found: ResolvedServer, other: ResolvedServer) -> Finding:
    place = "this wave" if found.wave == other.wave else f"wave {other.wave}"
    message = f"Selected by {found.selection}, and by {other.selection} of {place} already."
    remedy = "A server can stand in one wave only, once: make the selections disjoint."
    return Finding.of("server-selected-twice", message, remedy, wave=found.wave, server=found.id)
