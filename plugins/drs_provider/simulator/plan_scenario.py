"""A scenario that suits a recovery plan: every server it selects, every document it runs, every topic it notifies."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from drs_provider.plan.targets import simulated_accounts, simulated_role

if TYPE_CHECKING:
    from drs_provider.plan import LoadedPlan, RecoveryPlan, Script, ServerSelector

__all__ = ["scenario_from_plan"]

#: A tag selector stands for a set of servers: one alone would not show that.
_SERVERS_OF_TAGS = 2
_SNAPSHOTS = ("10m", "1h", "1d")


def scenario_from_plan(loaded: LoadedPlan) -> dict[str, Any]:
    """A scenario in which the plan's drill succeeds, as plain data; the same for the same plan.

    Servers named by id or hostname are there with these, and each set of tags has two servers. A pinned snapshot is
    among its server's. Instances that scripts name by tag or id stand in EC2, with agents online.

    :return: what a scenario file says; change outcomes, lag or faults in it to see the plan fail.
    """
    from drs_provider.simulator.ssm.library import built_in

    plan = loaded.plan
    places: dict[tuple[str, str], _Servers] = {plan.default_target.key: _Servers(plan.name)}
    for wave in plan.waves:
        place = plan.target_of(wave).key
        # What two accounts or regions call the same is two servers.
        servers = places.setdefault(place, _Servers(f"{plan.name}/{'/'.join(place)}"))
        windows = any("PowerShell" in (script.run_command or "") for script in wave.post_launch)
        for selector in plan.selectors(wave):
            servers.add(selector, windows)
    home, *others = places
    scenario: dict[str, Any] = {"region": plan.default_target.region, "servers": places[home].listed()}
    topics = [str(note.sns) for note in plan.notify if note.sns]
    accounts = {topic.split(":")[4] for topic in topics}
    if len(accounts) == 1:
        scenario["account"] = accounts.pop()
    if stated := plan.account_of(plan.default_target):
        scenario["account"] = stated
    reached = simulated_accounts(plan)
    everywhere = [*others, *(each.key for each in plan.every_target if each.key not in places)]
    for connection, region in dict.fromkeys(everywhere):
        listed = places[connection, region].listed() if (connection, region) in places else []
        there = {"account": reached[connection]} if connection in reached else {}
        site = {
            **there,
            "region": region,
            "servers": listed,
            "instances": _targets(_scripts(plan, (connection, region))),
        }
        scenario.setdefault("accounts", []).append({key: value for key, value in site.items() if value})
    if reached:
        scenario["roles"] = sorted(map(simulated_role, reached.values()))
    scripts = _scripts(plan)
    documents = {
        str(script.automation or script.run_command): {"kind": "Automation" if script.automation else "Command"}
        for script in scripts
    }
    known = built_in("", {})
    # Well-known documents of AWS are there anyway, with their parameters.
    own = {name: spec for name, spec in sorted(documents.items()) if name not in known}
    more = {
        "documents": own,
        "instances": _targets(_scripts(plan, plan.default_target.key)),
        "topics": sorted(set(topics)),
    }
    return {**scenario, **{name: value for name, value in more.items() if value}}


class _Servers:
    """The servers that a plan's selectors need, each once."""

    def __init__(self, plan: str) -> None:
        self.plan = plan
        self.by_key: dict[str, dict[str, Any]] = {}

    def add(self, selector: ServerSelector, windows: bool) -> None:
        system = "windows" if windows else "linux"
        if selector.id:
            self._server(selector.id, selector.id, f"server-{selector.id[-5:].lower()}", {}, selector.snapshot, system)
        elif selector.instance:
            name = f"server-{selector.instance[-5:]}"
            self._server(selector.instance, None, name, {}, selector.snapshot, system)
            self.by_key[selector.instance]["origin_instance"] = selector.instance
        elif named := selector.name or selector.hostname:
            spaced = {"Name": named} if re.search(r"\s", named) else {}
            self._server(named, None, re.sub(r"\s+", "-", named), spaced, selector.snapshot, system)
        else:
            tags = {str(key): str(value) for key, value in sorted((selector.tags or {}).items())}
            name = re.sub(r"[^a-z0-9]+", "-", "-".join(tags.values()).lower()).strip("-") or "server"
            for number in range(1, _SERVERS_OF_TAGS + 1):
                key = f"{name}-{number:02d}"
                pinned = selector.snapshot if number == 1 else None
                self._server(f"{tags}/{number}", None, key, dict(tags), pinned, system)

    def listed(self) -> list[dict[str, Any]]:
        return list(self.by_key.values())

    def _server(
        self,
        key: str,
        server_id: str | None,
        hostname: str,
        tags: dict[str, str],
        pinned: str | None,
        system: str,
    ) -> None:
        if key in self.by_key:
            return
        identity = hashlib.sha256(f"{self.plan}/{key}".encode()).hexdigest()[:17]
        server: dict[str, Any] = {"id": server_id or f"s-{identity}", "hostname": hostname}
        if system != "linux":
            server["os"] = system
        if tags:
            server["tags"] = tags
        if pinned and pinned != "latest":
            server["snapshots"] = [{"age": "30m", "id": pinned}, *({"age": age} for age in _SNAPSHOTS)]
        self.by_key[key] = server


def _scripts(plan: RecoveryPlan, place: tuple[str, str] | None = None) -> list[Script]:
    """Return the plan's scripts; of one target, by connection and region, where it is given."""
    return [
        script for wave in plan.waves for script in wave.scripts() if place in (None, plan.target_of(wave, script).key)
    ]


def _targets(scripts: list[Script]) -> list[dict[str, Any]]:
    """The instances that scripts target or hand to a runbook by id, and that no wave launches."""
    found: dict[str, dict[str, Any]] = {}
    for script in scripts:
        for value in (value for given in script.every_parameters for value in given.values()):
            for text in value if isinstance(value, list) else [value]:
                if re.fullmatch(r"i-[0-9a-f]{8,17}", str(text)):
                    found.setdefault(str(text), {"id": str(text)})
        targets = script.targets
        if targets is None or isinstance(targets, str):
            continue
        for instance_id in targets.instance_ids or ():
            found.setdefault(instance_id, {"id": instance_id})
        if targets.tags:
            tags = {str(key): str(value) for key, value in sorted(targets.tags.items())}
            found.setdefault(str(tags), {"tags": tags})
    return list(found.values())
