"""The rules of launch settings: of one place, and of the places of a plan together.

As in :mod:`~drs_provider.plan.rules`, each rule reads models and the raw data of a file alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from drs_provider.plan.rules import Finding, Location, duplicates, get, items, reserved_keys, text

__all__ = ["Layer", "everywhere", "first_value", "layers", "look_twice", "of_launch", "of_plan"]

PROVISIONED = ("gp3", "io1", "io2")
"""The volume types that have IOPS of their own; gp3 alone has a throughput."""
ONE_SERVER = ("private_ip", "launch_into")
"""The keys that belong to one server."""
OWN_TAGS = ("aws:", "AWSElasticDisasterRecovery")
"""How the keys of tags begin that AWS and DRS set themselves. Permissions hang on them."""


class Layer(NamedTuple):
    """One place that gives settings to a selection of servers."""

    location: Location
    settings: Any


def of_launch(launch: Any) -> Iterator[Finding]:
    """What contradicts within one place, and what belongs to AWS."""
    if get(launch, "private_ip") is not None and get(launch, "copy_private_ip") is True:
        yield Finding(("copy_private_ip",), "private_ip and copy_private_ip exclude each other")
    yield from duplicates(items(launch, "instance_type"), "instance type")
    yield from duplicates(items(launch, "security_groups"), "security group")
    yield from reserved_keys(launch, "tags")
    tags = get(launch, "tags")
    for key in tags if isinstance(tags, Mapping) else ():
        if str(key).startswith(OWN_TAGS):
            yield Finding(("tags", key), f"a tag that begins with {_own(str(key))} is not a plan's to set")


def _own(key: str) -> str:
    return next(start for start in OWN_TAGS if key.startswith(start))


def of_plan(plan: Any) -> Iterator[Finding]:
    """What belongs to one server stands at one server, once; what contradicts over several places."""
    if not _anything(plan):
        return
    for location, launch, place in _shared(plan):
        for key in ONE_SERVER:
            if get(launch, key) is not None:
                yield Finding((*location, key), f"{key} belongs to one server, and stands at {place}")
    taken: dict[tuple[str, str, str | None], list[tuple[Location, str | None]]] = {}
    waves = [wave for _, wave in items(plan, "waves")]
    reported: set[Finding] = set()
    for found in layers(plan):
        target = text(waves[int(found[0].location[1])], "target")
        subnet = first_value(found, "subnet")
        where = None if subnet is None else str(subnet[1])
        for key in ONE_SERVER:
            value = first_value(found, key)
            if value is None or not isinstance(value[1], str):
                continue
            others = taken.setdefault((key, value[1], target), [])
            # Two networks may have the same addresses; a subnet that the plan does not name may be any.
            if any(at != value[0] and (None in (where, other) or where == other) for at, other in others):
                yield Finding(value[0], f"{key} {value[1]} is here twice")
            others.append((value[0], where))
        # What stands at a wave is met at each of its servers.
        for finding in _contradictions(found):
            if finding not in reported:
                reported.add(finding)
                yield finding


def _anything(plan: Any) -> bool:
    """Whether a plan has any launch settings: most plans have none, and a hostile one has many waves."""
    waves = get(plan, "waves")
    parts = [get(plan, "defaults"), *_groups(plan).values()]
    for wave in waves if isinstance(waves, (list, tuple)) else ():
        if isinstance(wave, str):
            continue
        parts.append(wave)
        servers = get(wave, "servers")
        parts += servers if isinstance(servers, (list, tuple)) else ()
    return any(
        isinstance(launch, dict) or getattr(launch, "given", None)
        for part in parts
        if (launch := get(part, "launch")) is not None
    )


def _shared(plan: Any) -> Iterator[tuple[Location, Any, str]]:
    """The places that give settings to more than one server."""
    yield ("defaults", "launch"), get(get(plan, "defaults"), "launch"), "defaults"
    groups = _groups(plan)
    for name, group in groups.items():
        if len(items(group, "servers")) != 1:
            yield ("protection_groups", name, "launch"), get(group, "launch"), f"the group {name}"
    for location, wave in items(plan, "waves"):
        yield (*location, "launch"), get(wave, "launch"), "a wave"
        for place, selector in items(wave, "servers"):
            group = text(selector, "group")
            several = group is not None and len(items(groups.get(group), "servers")) != 1
            if several or get(selector, "tags") is not None:
                what = f"the group {group}" if group is not None else "a selection by tags"
                yield (*location, *place, "launch"), get(selector, "launch"), what


def layers(plan: Any) -> Iterator[tuple[Layer, ...]]:
    """The places of each selection of servers, in the order of the plan; the most exact first."""
    groups = _groups(plan)
    defaults = Layer(("defaults", "launch"), get(get(plan, "defaults"), "launch"))
    for location, wave in items(plan, "waves"):
        of_wave = Layer((*location, "launch"), get(wave, "launch"))
        for place, selector in items(wave, "servers"):
            own = Layer((*location, *place, "launch"), get(selector, "launch"))
            name = text(selector, "group")
            of_group = (Layer(("protection_groups", name, "launch"), get(groups.get(name), "launch")),) if name else ()
            yield (own, *of_group, of_wave, defaults)


def _groups(plan: Any) -> Mapping[str, Any]:
    groups = get(plan, "protection_groups")
    return groups if isinstance(groups, Mapping) else {}


def first_value(found: tuple[Layer, ...], key: str) -> tuple[Location, Any] | None:
    """The value of a key at the most exact place that has one, with its key path; ``None`` where none has."""
    for layer in found:
        if (value := get(layer.settings, key)) is not None:
            return (*layer.location, key), value
    return None


def _contradictions(found: tuple[Layer, ...]) -> Iterator[Finding]:
    """What the settings of one selection, put together, cannot all be."""

    def value(key: str) -> Any:
        first = first_value(found, key)
        return None if first is None else first[1]

    def more_exact(*keys: str) -> Location:
        # Where the reader has to change something: at the more exact of the places.
        places = [
            (index, key) for key in keys for index, layer in enumerate(found) if get(layer.settings, key) is not None
        ]
        index, key = min(places, key=lambda place: place[0])
        return (*found[index].location, key)

    together = any(
        get(layer.settings, "private_ip") is not None and get(layer.settings, "copy_private_ip") is True
        for layer in found
    )
    if value("private_ip") is not None and value("copy_private_ip") is True and not together:
        message = "private_ip and copy_private_ip exclude each other: write copy_private_ip: false beside private_ip"
        yield Finding(more_exact("private_ip", "copy_private_ip"), message)
    if value("launch_into") is not None:
        for key in ("copy_private_ip", "copy_tags"):
            if value(key) is True:
                yield Finding(more_exact("launch_into", key), f"launch_into needs {key}: false")
    volume = value("volume_type")
    if isinstance(volume, str) and volume not in PROVISIONED and value("iops") is not None:
        yield Finding(more_exact("iops", "volume_type"), f"{volume} volumes have no iops; gp3, io1 and io2 have")
    if isinstance(volume, str) and volume != "gp3" and value("throughput") is not None:
        yield Finding(more_exact("throughput", "volume_type"), f"{volume} volumes have no throughput; gp3 has")


def everywhere(plan: Any) -> Iterator[Finding]:
    """Every rule, over every part of a file's raw data."""
    if not _anything(plan):
        return
    yield from of_plan(plan)
    holders: list[tuple[Location, Any]] = [(("defaults",), get(plan, "defaults"))]
    holders += [(("protection_groups", name), group) for name, group in _groups(plan).items()]
    for location, wave in items(plan, "waves"):
        holders.append((location, wave))
        holders += [((*location, *place), selector) for place, selector in items(wave, "servers")]
    for location, holder in holders:
        for finding in of_launch(get(holder, "launch")):
            yield Finding((*location, "launch", *finding.location), finding.message)


def look_twice(plan: Any) -> Iterator[Finding]:
    """What is valid and deserves a second look: what DRS overwrites, and what Windows needs."""
    seen: set[tuple[Location, str]] = set()
    for found in layers(plan):
        sizing, wanted = first_value(found, "right_sizing"), first_value(found, "instance_type")
        remarks = []
        if sizing and wanted and sizing[1] in ("basic", "in_aws"):
            message = f"right_sizing: {sizing[1]} overwrites instance_type within 90 minutes: write right_sizing: none"
            remarks.append(Finding(wanted[0], message))
        byol, tenancy = first_value(found, "byol"), first_value(found, "tenancy")
        if byol and byol[1] is True and (tenancy is None or tenancy[1] != "host"):
            remarks.append(Finding(byol[0], "byol: true on a Windows server needs tenancy: host"))
        for remark in remarks:
            if (remark.location, remark.message) not in seen:
                seen.add((remark.location, remark.message))
                yield remark
