"""The launch settings of the account as settings of a plan: what is common to a wave stands at the wave, what is not at
its servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drs_provider.readiness.launch_drift import Looked, shown

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["adopted"]

ONE_SERVER = ("private_ip", "launch_into")
DISKS = ("volume_type", "iops", "throughput")


def adopted(
    plan: RecoveryPlan, looked: Sequence[Looked], keys: Sequence[str]
) -> tuple[dict[tuple[int, int | None], dict[str, Any]], list[str]]:
    """Return what the plan has to say so that it says what the account has.

    :param plan: the plan.
    :param looked: what was seen of each of its servers.
    :param keys: the settings to adopt.
    :return: the settings to set at each wave, ``(wave, None)``, or entry of its ``servers``, ``(wave, entry)``; and a
        sentence for each setting that a plan cannot say.
    """
    changes: dict[tuple[int, int | None], dict[str, Any]] = defaultdict(dict)
    remarks: list[str] = []
    for index, wave in enumerate(plan.waves):
        seen = [one for one in looked if one.wanted.place[0] == index and one.comparison is not None]
        values = {one.wanted.server: _values(one, remarks) for one in seen}
        for one in seen:
            remarks += _unsaid(one, keys, values[one.wanted.server])
        entries: dict[int, list[Looked]] = defaultdict(list)
        for one in seen:
            entries[one.wanted.place[1]].append(one)
        for key in keys:
            missing = [one for one in seen if _differs(one, key, values[one.wanted.server].get(key))]
            if not missing:
                continue
            # What stands at a server or a group wins over the wave.
            exact = [selector.launch for selector in wave.servers]
            exact += [plan.protection_groups[each.group].launch for each in wave.servers if each.group is not None]
            own = any(key in launch.given for launch in exact)
            common = len(seen) > 1 and key not in ONE_SERVER and not own
            common = common and all(values[one.wanted.server].get(key) is not None for one in seen)
            if common and len({shown(values[one.wanted.server][key]) for one in seen}) == 1:
                changes[index, None][key] = values[seen[0].wanted.server][key]
                continue
            for entry, servers in entries.items():
                if not any(one in missing for one in servers):
                    continue
                found = {shown(values[one.wanted.server].get(key)) for one in servers}
                selector = wave.servers[entry]
                single = selector.tags is None and (
                    selector.group is None or len(plan.protection_groups[selector.group].servers or ()) == 1
                )
                if len(found) > 1 or (key in ONE_SERVER and not single):
                    remarks.append(
                        f"{key} of the servers of {selector.text} in wave {wave.name} is not one: "
                        f"{', '.join(sorted(found)[:4])}. List them by id to give each its own."
                    )
                    continue
                value = values[servers[0].wanted.server].get(key)
                if value is not None:
                    changes[index, entry][key] = value
    return dict(changes), remarks


def _differs(one: Looked, key: str, value: Any) -> bool:
    """Whether the plan does not say of a server what the account has."""
    if value is None:
        return False
    if key not in one.wanted.settings:
        return True
    return one.comparison is not None and key in {change.key for change in one.comparison.changes}


def _unsaid(one: Looked, keys: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """What the plan says of a server, and the account does not: a plan cannot say that it is open."""
    changes = one.comparison.changes if one.comparison is not None else ()
    left = [change.key for change in changes if change.key in keys and change.key not in values]
    return [
        f"the account leaves {key} of {one.wanted.name} open: apply it, or remove it from the plan." for key in left
    ]


def _values(one: Looked, remarks: list[str]) -> dict[str, Any]:
    """A server's settings as a plan writes them."""
    if one.comparison is None:
        return {}
    settings = one.comparison.state.settings
    found: dict[str, Any] = {key: getattr(settings, key) for key in settings.__dataclass_fields__}
    name = one.wanted.name
    for key in DISKS:
        if isinstance(found[key], str) and (key != "volume_type" or "," in found[key]):
            remarks.append(f"{key} differs between the disks of {name} ({found[key]}), and a plan has one for all.")
            found[key] = None
    if found["right_sizing"] not in (None, "none"):
        # DRS chooses the type: to name it would be undone within 90 minutes.
        found["instance_type"] = None
    if found["copy_private_ip"]:
        found["private_ip"] = None
    if found["post_launch_actions"]:
        given = one.wanted.settings.get("post_launch_actions")
        found["post_launch_actions"] = given or "reported"
    listed = one.wanted.settings.get("instance_type")
    if found["instance_type"] is not None and isinstance(listed, (list, tuple)) and len(listed) > 1:
        found["instance_type"] = list(dict.fromkeys([found["instance_type"], *listed]))
    if isinstance(found["tags"], Mapping):
        found["tags"] = dict(found["tags"])
    if isinstance(found["security_groups"], tuple):
        found["security_groups"] = list(found["security_groups"])
    return {key: value for key, value in found.items() if value is not None}
