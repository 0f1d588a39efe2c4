"""The rules of targets: each wave has one, each name exists, and a command runs where its instances are.

Like the other rules they read models and the raw data of a file alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drs_provider.plan.legal import as_name, is_name
from drs_provider.plan.nearest import nearest
from drs_provider.plan.rules import Finding, Location, get, items, text
from drs_provider.plan.targets import DEFAULT

__all__ = ["of_plan_targets", "target_names", "targets_in"]

_SECTIONS = ("pre_launch", "post_launch", "rollback")


def of_plan_targets(plan: Any) -> Iterator[Finding]:
    """Every name of a target is one of the plan's; every wave has a target."""
    targets = _targets(plan)
    waves = items(plan, "waves")
    has_own = get(plan, "target") is not None
    if has_own and DEFAULT in targets:
        message = f"a target may not be called {DEFAULT}: that is the name of the plan's own target"
        yield Finding(("targets", DEFAULT), message)
    if not has_own:
        unplaced = [(location, wave) for location, wave in waves if get(wave, "target") is None]
        if len(unplaced) == len(waves):
            yield Finding((), "needs the key target")
        else:
            for location, wave in unplaced:
                name = text(wave, "name") or "this wave"
                yield Finding(location, f"needs the key target: {name} names none, and the plan has none of its own")
    yield from _accounts(plan)
    legal = {str(each) for each in targets if is_name(str(each))}
    known = legal | ({DEFAULT} if has_own else set())
    renamed = {as_name(str(each)) for each in targets.keys() - legal}
    for location, name in target_names(plan).items():
        if is_name(name) and name not in known and name not in renamed:
            near = nearest(name, known) or f"; targets has {', '.join(sorted(legal)[:20]) or 'none'}"
            yield Finding(location, f"there is no target {name}{near}")
    yield from _away_from_the_instances(plan)


def _targets(plan: Any) -> dict[Any, Any]:
    targets = get(plan, "targets")
    return targets if isinstance(targets, dict) else {}


def targets_in(plan: Any) -> Iterator[tuple[Location, Any]]:
    """Yield the plan's own target and the others, each with where it stands."""
    if (own := get(plan, "target")) is not None:
        yield ("target",), own
    for name, target in _targets(plan).items():
        yield ("targets", name), target


def target_names(plan: Any) -> dict[Location, str]:
    """Return every name of a target that a wave or a script of a plan gives, by where it stands."""
    named: dict[Location, str] = {}
    for location, part in (*items(plan, "waves"), (("defaults",), get(plan, "defaults"))):
        holders = [(location, part)]
        for section in _SECTIONS:
            holders += [((*location, *place), script) for place, script in items(part, section)]
        named |= {(*at, "target"): name for at, holder in holders if (name := text(holder, "target"))}
    return named


def _accounts(plan: Any) -> Iterator[Finding]:
    """Yield the accounts that are stated for a connection which another target says leads elsewhere."""
    stated: dict[str, str] = {}
    for location, target in targets_in(plan):
        connection, account = text(target, "aws_conn_id") or "aws_default", text(target, "account")
        if account and stated.setdefault(connection, account) != account:
            message = f"{connection} leads to {stated[connection]}, as another target says: one connection, one account"
            yield Finding((*location, "account"), message)
        staging = get(target, "staging_accounts")
        for index, other in enumerate(staging if isinstance(staging, (list, tuple)) else ()):
            if other == account or other in staging[:index]:
                why = "is the target's own account" if other == account else "stands here twice"
                yield Finding((*location, "staging_accounts", index), f"{other} {why}")


def _away_from_the_instances(plan: Any) -> Iterator[Finding]:
    """Yield commands on a wave's instances that are sent to another target than the wave's."""
    defaults = get(plan, "defaults")
    usual = get(defaults, "script_targets")
    for location, wave in items(plan, "waves"):
        own = text(wave, "target") or DEFAULT
        given = get(wave, "post_launch")
        part, at = (wave, location) if given is not None else (defaults, ("defaults",))
        for place, script in items(part, "post_launch"):
            name = text(script, "target")
            on_instances = (get(script, "targets") or usual or "recovery_instances") == "recovery_instances"
            if name and name != own and get(script, "run_command") is not None and on_instances:
                yield Finding(
                    (*at, *place, "target"),
                    f"the recovery instances of wave {text(wave, 'name')} are in the target {own}: leave target out, "
                    "or give targets: tags or instance_ids",
                )
