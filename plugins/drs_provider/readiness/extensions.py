"""Which servers of staging accounts a plan selects, and what stands between them and a launch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drs_provider.aws.drs.extensions import ExtensibleServer, extension_error, staging_arn
from drs_provider.aws.drs.reads import hostname_of
from drs_provider.readiness.resolution import matches

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["DEFAULT_KEY", "WantedExtension", "renamed", "wanted_extensions"]

DEFAULT_KEY = (
    "Volumes encrypted with the default EBS key cannot be shared: in the staging account choose a customer managed key "
    "in the server's replication settings, and let this account use it; delete the failed extension and extend again."
)


@dataclass(frozen=True)
class WantedExtension:
    """A server of a staging account that a wave selects.

    :param wave: the wave.
    :param selection: what selects it, as a person would write it.
    :param server: the server; None where there is only something to say.
    :param problem: why it is not to be extended, or what the plan has to say differently; empty where all is well.
    """

    wave: str
    selection: str
    server: ExtensibleServer | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The host name, else the selection."""
        return (self.server.hostname if self.server else None) or self.selection


def wanted_extensions(
    plan: RecoveryPlan,
    waves: Iterable[str],
    known: Sequence[Mapping[str, Any]],
    extensible: Sequence[ExtensibleServer],
) -> list[WantedExtension]:
    """Return what waves select that is not extended yet, or cannot be launched as the plan names it.

    A server that is there is not extended a second time, and neither is a host that this account replicates itself:
    two copies of one machine would be launched.

    :param plan: the plan.
    :param waves: names of the waves, all launched in one account and region.
    :param known: items of DescribeSourceServers of that account and region.
    :param extensible: the servers of its staging accounts that are not extended there.
    """
    own = {str(hostname_of(one)).casefold(): one for one in known if hostname_of(one)}
    found: dict[str, WantedExtension] = {}
    remarks: list[WantedExtension] = []
    wanted = set(waves)
    for wave in plan.waves:
        for selector in plan.selectors(wave) if wave.name in wanted else ():
            here = [one for one in known if matches(selector, one)]
            remarks += [
                WantedExtension(wave.name, selector.text, None, f"DRS could not extend it: {reason}. {DEFAULT_KEY}")
                for one in here
                if (reason := extension_error(one))
            ]
            if here and selector.tags is None:
                continue
            remarks += [
                renamed(wave.name, selector.text, str(one["sourceServerID"]))
                for one in known
                if selector.id is not None and (staging_arn(one) or "").endswith(f"/{selector.id}")
            ]
            there = [one for one in extensible if matches(selector, one.as_item())]
            if len(there) > 1 and selector.tags is None:
                where = " and ".join(f"{one.id} of account {one.account}" for one in there)
                problem = f"{selector.text} matches {len(there)} servers of staging accounts: {where}; select by tags"
                remarks.append(WantedExtension(wave.name, selector.text, None, problem))
                continue
            for one in there:
                found.setdefault(one.arn, WantedExtension(wave.name, selector.text, one, _obstacle(one, own)))
    return [*found.values(), *remarks]


def _obstacle(server: ExtensibleServer, own: Mapping[str, Mapping[str, Any]]) -> str:
    twin = own.get((server.hostname or "").casefold())
    if twin is not None:
        kind = f"extends {staging_arn(twin)}" if staging_arn(twin) else "replicates to this account itself"
        return (
            f"not extended: {server.hostname} is here already, as {twin['sourceServerID']}, which {kind}; both "
            "would be launched. Retire one of the two, or extend this one in the DRS console"
        )
    return ""


def renamed(wave: str, selection: str, own_id: str) -> WantedExtension:
    """Say the id of an extension where the plan names the one in the staging account.

    :param selection: what selects it, ``id s-…``.
    :param own_id: the extension's id.
    """
    there = selection.removeprefix("id ")
    return WantedExtension(
        wave, selection, None, f"{there} is its id in the staging account; here it is {own_id}: write that"
    )
