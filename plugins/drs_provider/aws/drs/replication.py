"""Whether source servers replicate well enough to be recovered, from the items of DescribeSourceServers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from drs_provider.durations import format_duration, parse_iso8601

__all__ = ["not_ready", "replication_of"]

Item = Mapping[str, Any]


def replication_of(servers: Mapping[str, Item]) -> dict[str, dict[str, Any]]:
    """Return ``{id: {"state", "lag_seconds"}}``; the lag is None where DRS does not tell."""
    found = {}
    for server_id, server in servers.items():
        info = server.get("dataReplicationInfo") or {}
        lag = info.get("lagDuration")
        seconds = parse_iso8601(lag).total_seconds() if lag else None
        found[server_id] = {"state": info.get("dataReplicationState"), "lag_seconds": seconds}
    return found


def not_ready(
    server_ids: Iterable[str], servers: Mapping[str, Item], states: Iterable[str], max_lag: float | None
) -> list[str]:
    """
    Return what is wrong, a sentence for each server that is not ready.

    :param server_ids: Who should be.
    :param servers: What DRS says, by id.
    :param states: Acceptable values of ``dataReplicationState``.
    :param max_lag: The longest acceptable lag in seconds; None accepts any. A lag that DRS does not tell is too long.
    """
    accepted = set(states)
    problems = []
    known = replication_of(servers)
    for server_id in server_ids:
        if server_id not in known:
            problems.append(f"{server_id} is not a source server here")
            continue
        state, lag = known[server_id]["state"], known[server_id]["lag_seconds"]
        error = ((servers[server_id].get("dataReplicationInfo") or {}).get("dataReplicationError") or {}).get("error")
        if state not in accepted:
            problems.append(f"{server_id} is {state}{f' ({error})' if error else ''}")
        elif max_lag is not None and (lag is None or lag > max_lag):
            problems.append(f"{server_id} lags {'unknown' if lag is None else format_duration(timedelta(seconds=lag))}")
    return problems
