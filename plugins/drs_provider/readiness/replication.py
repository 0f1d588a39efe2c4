"""Is each server's copy in AWS fit to launch from: initialised, connected, replicating, within the plan's lag.

Pure functions over items of DescribeSourceServers, shared by preflight and by the second look right before a
launch. DRS itself launches any server that has a recovery point and is not stopped or disconnected; continuous
replication and a bounded lag are the plan's policy. So in a real recovery, where the source may be gone, a person
may override them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from drs_provider.aws.drs.extensions import extension_error, staging_arn
from drs_provider.durations import format_duration
from drs_provider.readiness.extensions import DEFAULT_KEY
from drs_provider.readiness.findings import Finding, Severity
from drs_provider.readiness.resolution import ResolvedServer, replication_lag

__all__ = ["check_replication", "has_recovery_point", "source_gone"]

# Before the first synchronisation has ended there is nothing to launch from.
BEFORE_FIRST_SYNC = ("INITIATING", "INITIAL_SYNC")
# States that a healthy server passes through by itself; the lag says whether they matter.
PASSING = ("BACKLOG", "CREATING_SNAPSHOT")


def has_recovery_point(server: Mapping[str, Any]) -> bool:
    """Whether the server can have snapshots: its first synchronisation has ended and replication was not stopped.

    :param server: an item of DescribeSourceServers.
    """
    state = _replication(server).get("dataReplicationState")
    return _initialised(server) and state not in ("STOPPED", *BEFORE_FIRST_SYNC)


def source_gone(server: Mapping[str, Any]) -> bool:
    """Whether DRS does not see the server's agent any more: a snapshot on demand could not be taken.

    DRS tries for up to five minutes before it falls back to the last snapshot.

    :param server: an item of DescribeSourceServers.
    """
    replication = _replication(server)
    error = (replication.get("dataReplicationError") or {}).get("error")
    return error == "AGENT_NOT_SEEN" or replication.get("dataReplicationState") == "DISCONNECTED"


def check_replication(server: Mapping[str, Any], resolved: ResolvedServer, max_lag: timedelta | None) -> list[Finding]:
    """The findings on one server's replication: one for its state, and one for its lag if that is a matter of its own.

    :param server: its item of DescribeSourceServers.
    :param resolved: the same server, as the plan selects it.
    :param max_lag: the wave's ``max_replication_lag``; None: the lag is not bounded.
    """
    if (why := extension_error(server)) is not None:
        message = (
            f"DRS could not extend {resolved.hostname or resolved.id} from {staging_arn(server)}: {why.rstrip('.')}."
        )
        return [resolved.finding("extension-error", message, DEFAULT_KEY)]
    replication = _replication(server)
    state = replication.get("dataReplicationState")
    error = replication.get("dataReplicationError") or {}
    reason = f" ({error['error']})" if error.get("error") else ""
    name = f"{resolved.hostname or resolved.id}"

    if state == "STOPPED":
        message = f"Replication of {name} is stopped{reason}; DRS deletes the recovery points of such a server."
        return [resolved.finding("replication-stopped", message, "Start replication and wait for the first sync.")]
    if state == "DISCONNECTED":
        message = f"{name} is disconnected from DRS{reason}; DRS may refuse to launch it."
        remedy = (
            "Reinstall the agent. Where the source is gone, a real recovery may go on in spite of it, from the last "
            "recovery point."
        )
        return [resolved.finding("disconnected", message, remedy)]
    if state in BEFORE_FIRST_SYNC or not _initialised(server):
        message = f"{name} has not finished its first synchronisation (state {state or 'unknown'}){reason}."
        return [resolved.finding("not-initialised", message, "Wait until its state is CONTINUOUS.")]

    lag = replication_lag(server)
    findings: list[Finding] = []
    if state != "CONTINUOUS":
        # With the lag known to be within the plan's bound, a passing state is no reason to cancel a drill.
        harmless = state in PASSING and max_lag is not None and lag is not None and lag <= max_lag
        message = f"Replication of {name} is {state or 'in an unknown state'}, not CONTINUOUS{reason}."
        remedy = (
            "See the source server's replication events. Where the source is gone, a real recovery may go on in spite "
            "of it."
        )
        severity: Severity = "warning" if harmless else "error"
        findings.append(resolved.finding("replication-state", message, remedy, severity))
    if max_lag is not None and (lag is None or lag > max_lag):
        measured = "not reported" if lag is None else format_duration(lag)
        message = f"The lag of {name} is {measured}; max_replication_lag is {format_duration(max_lag)}."
        remedy = "Wait until it has caught up; what is behind is lost in a recovery."
        findings.append(resolved.finding("replication-lag", message, remedy))
    return findings


def _replication(server: Mapping[str, Any]) -> Mapping[str, Any]:
    return server.get("dataReplicationInfo") or {}


def _initialised(server: Mapping[str, Any]) -> bool:
    return bool((server.get("lifeCycle") or {}).get("firstByteDateTime"))
