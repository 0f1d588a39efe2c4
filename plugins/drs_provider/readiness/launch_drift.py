"""Do servers have the launch settings that the plan gives them: what differs, for preflight and for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.reads import hostname_of
from drs_provider.aws.launch_settings import (
    Comparison,
    LaunchState,
    NoTemplateError,
    Resources,
    UnresolvedError,
    compare,
    read,
)
from drs_provider.readiness.findings import Finding
from drs_provider.readiness.resolution import ResolvedServer, matches

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["Looked", "WantedLaunch", "drift", "look", "shown", "wanted_launches"]

AT_A_TIME = 10
DENIED = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


@dataclass(frozen=True)
class WantedLaunch:
    """The launch settings that a plan gives a server.

    :param server: the source server's id.
    :param name: its hostname, or its id.
    :param wave: the wave that launches it.
    :param place: the indexes, in the plan, of its wave and of the entry in the wave's ``servers``.
    :param settings: the settings as plain values; a subnet or a group by its tags is ``{"tags": {…}}``.
    :param windows: whether it runs Windows.
    """

    server: str
    name: str
    wave: str
    place: tuple[int, int]
    settings: Mapping[str, Any]
    windows: bool


@dataclass(frozen=True)
class Looked:
    """What a look at one server found: a comparison, or why there is none."""

    wanted: WantedLaunch
    comparison: Comparison | None
    problem: str = ""


def wanted_launches(
    plan: RecoveryPlan, waves: Iterable[str], servers: Sequence[Mapping[str, Any]]
) -> dict[str, WantedLaunch]:
    """Return the launch settings of each server of some waves, by the server's id.

    :param plan: the plan.
    :param waves: names of waves.
    :param servers: items of DescribeSourceServers, all pages.
    """
    names = set(waves)
    known = sorted(servers, key=lambda server: str(server["sourceServerID"]))
    wanted: dict[str, WantedLaunch] = {}
    for index, wave in enumerate(plan.waves):
        if wave.name not in names:
            continue
        for selector, entry in plan.placed_selectors(wave):
            settings = selector.launch.model_dump(exclude_none=True)
            for server in known:
                id_ = str(server["sourceServerID"])
                # As in a run, a server that is selected twice stays where it is selected first.
                if id_ in wanted or not matches(selector, server):
                    continue
                system = str(((server.get("sourceProperties") or {}).get("os") or {}).get("fullString") or "")
                name = hostname_of(server) or id_
                windows = "windows" in system.casefold()
                wanted[id_] = WantedLaunch(id_, name, wave.name, (index, entry), settings, windows)
    return wanted


def look(clients: Clients, wanted: Iterable[WantedLaunch]) -> list[Looked]:
    """Compare what servers have with what the plan gives them, ten at a time.

    :param clients: clients of the servers' account and region.
    :param wanted: the servers.
    :return: in the same order.
    """
    resources = Resources(clients)

    def one(each: WantedLaunch) -> Looked:
        try:
            return Looked(each, _compared(read(clients, each.server), each, resources))
        except (NoTemplateError, UnresolvedError, ClientError, BotoCoreError) as error:
            return Looked(each, None, str(error))

    servers = list(wanted)
    # Made before the threads ask for them.
    _ = clients.drs, clients.ec2
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(one, servers))


def _compared(state: LaunchState, wanted: WantedLaunch, resources: Resources) -> Comparison:
    return compare(state, resources.resolve(wanted.settings, state), windows=wanted.windows)


def shown(value: Any) -> str:
    """A setting's value for people: ``none`` where AWS says nothing, lists and tags with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={each}" for key, each in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(each) for each in value)
    return str(value)


def drift(
    server: ResolvedServer, wanted: WantedLaunch, state: LaunchState, resources: Resources, name: str
) -> list[Finding]:
    """The findings on settings that are not those of the plan, or that DRS will overwrite.

    :param server: the server.
    :param wanted: the settings that the plan gives it.
    :param state: the settings that it has.
    :param resources: what tags of subnets and groups stand for.
    :param name: the server's name for people.
    :raises botocore.exceptions.ClientError: if a look-up fails, except where it is denied.
    """
    if not wanted.settings:
        return []
    remedy = "Look with `drs-plan launch-settings diff`, then apply the plan's settings, or adopt the account's."
    try:
        comparison = _compared(state, wanted, resources)
    except (UnresolvedError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] not in DENIED:
            raise
        message = f"The launch settings that the plan gives {name} cannot be compared: {error}."
        return [server.finding("launch-drift", message, remedy)]
    findings = [
        server.finding(
            "launch-settings-overwritten", f"Of {name}: {warning}.", "Correct the plan, and apply its launch settings."
        )
        for warning in comparison.warnings
    ]
    if not comparison.changes:
        return findings
    parts = [f"{each.key} is {shown(each.now)}, not {shown(each.wanted)}" for each in comparison.changes]
    message = f"The launch settings of {name} are not those of the plan: {'; '.join(parts)}."
    if comparison.obstacles:
        message += f" They cannot be applied: {'; '.join(comparison.obstacles)}."
    return [*findings, server.finding("launch-drift", message, remedy)]
