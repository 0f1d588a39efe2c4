"""Does a launch usually take longer than its wave waits for it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from drs_provider.aws.typical import AT_WORST, launch_seconds_of, slowest_of
from drs_provider.durations import format_duration
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.resolution import ResolvedServer

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["check_timeouts", "launch_seconds", "system_of"]


def system_of(source: Mapping[str, Any]) -> str:
    """Return ``windows`` or ``linux``, by what the agent reported.

    :param source: a source server in the shape of DescribeSourceServers.
    """
    system = str(((source.get("sourceProperties") or {}).get("os") or {}).get("fullString") or "")
    return "windows" if "windows" in system.lower() else "linux"


def launch_seconds(source: Mapping[str, Any]) -> float:
    """Return how long the job of one source server usually takes, in seconds."""
    return launch_seconds_of(system_of(source))


def check_timeouts(
    plan: RecoveryPlan, servers: Mapping[str, Sequence[ResolvedServer]], by_id: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Return a warning for each wave that gives up before its launch usually ends, or may give up too early.

    :param plan: the plan.
    :param servers: wave name -> its servers.
    :param by_id: source servers in the shape of DescribeSourceServers, by id.
    """
    findings = []
    for wave in plan.waves:
        systems = [system_of(by_id[server.id]) for server in servers.get(wave.name, ())]
        if not systems:
            continue
        slowest = max(systems, key=launch_seconds_of)
        usual = launch_seconds_of(slowest) * slowest_of(systems.count(slowest))
        limit = wave.launch_timeout.total_seconds()
        if usual * AT_WORST <= limit:
            continue
        many = f"{systems.count(slowest)} {slowest.capitalize()} servers" if len(systems) > 1 else slowest.capitalize()
        takes = f"{many} {'take' if len(systems) > 1 else 'takes'} about {_minutes(usual)}"
        gives_up = f"the wave gives up after {format_duration(wave.launch_timeout)} (launch_timeout)"
        if usual <= limit:
            takes += f" and up to {_minutes(usual * AT_WORST)}"
        message = f"{takes}; {gives_up}."
        remedy = f"Set launch_timeout to {_minutes(usual * AT_WORST)} or more."
        findings.append(Finding.of("launch-timeout-short", message, remedy, wave=wave.name))
    return findings


def _minutes(seconds: float) -> str:
    return format_duration(timedelta(minutes=max(round(seconds / 60), 1)))
