"""The rules that no single value can break: between the keys of one part, and between the parts of a plan.

Each rule reads models and the raw data of a file alike. So the models refuse what breaks a rule, whoever builds them,
and the loader reports every broken rule of a file even where other values of it are wrong: a rule passes over what it
cannot read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic_core import PydanticCustomError

from drs_provider.plan.cycles import find_cycle
from drs_provider.plan.kinds import reserved_names
from drs_provider.plan.legal import as_name, is_name
from drs_provider.plan.nearest import nearest
from drs_provider.plan.references import misuse

__all__ = ["RULE_ERROR", "Finding", "enforce", "everywhere", "of_plan"]

RULE_ERROR = "plan_rule"
"""The type of the pydantic error that a broken rule becomes."""

MODES = ("drill", "recovery")
"""The modes of a run."""

MOST_CYCLES = 10
"""Enough to mend a plan by; a dense graph can have more cycles than anyone can read."""

MOST_COMPARED = 1000
"""Selectors by tags that are compared with each other: more than any plan has, and the comparison is quadratic."""

Location = tuple[str | int, ...]

_NOTHING: dict[str, Any] = {}


class Finding(NamedTuple):
    """A broken rule: where, relative to the part that the rule was asked about, and what is wrong."""

    location: Location
    message: str


def enforce(findings: Iterable[Finding]) -> None:
    """Refuse a model for the rules that it breaks.

    :raises PydanticCustomError: there is at least one finding; the message lists all.
    """
    broken = "; ".join(finding.message for finding in findings)
    if broken:
        raise PydanticCustomError(RULE_ERROR, "{broken}", {"broken": broken})


def get(part: Any, key: str) -> Any:
    """The value of a key of a mapping or a model; ``None`` where there is none."""
    # A model keeps its fields in __dict__; what a file can hold instead of a mapping has none.
    return (part if isinstance(part, dict) else getattr(part, "__dict__", _NOTHING)).get(key)


def items(part: Any, key: str) -> list[tuple[Location, Any]]:
    """The items of a list under a key, each with its location; empty if it is not a list."""
    value = get(part, key)
    return [((key, index), item) for index, item in enumerate(value)] if isinstance(value, (list, tuple)) else []


def text(part: Any, key: str) -> str | None:
    """The text under a key; ``None`` if it is anything else."""
    value = get(part, key)
    return value if isinstance(value, str) else None


def exactly_one(part: Any, keys: tuple[str, ...]) -> Iterator[Finding]:
    given = [key for key in keys if get(part, key) is not None]
    if len(given) == 1:
        return
    choice = f"{', '.join(keys[:-1])} and {keys[-1]}"
    if not given:
        yield Finding((), f"needs exactly one of {choice}")
    else:
        yield Finding((given[1],), f"has {' and '.join(given)}, and needs exactly one of {choice}")


def reserved_keys(part: Any, key: str) -> Iterator[Finding]:
    """Find keys of a mapping under a key, at any depth, that Airflow could not store."""
    yield from _reserved(get(part, key), (key,))


def _reserved(value: Any, location: Location) -> Iterator[Finding]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if str(name).startswith("__"):
                yield Finding(
                    (*location, name),
                    f"{name} begins with two underscores, which Airflow reserves for itself; rename it",
                )
            yield from _reserved(inner, (*location, name))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _reserved(inner, (*location, index))


def duplicates(entries: Iterable[tuple[Location, Any]], what: str) -> Iterator[Finding]:
    seen: set[Any] = set()
    for location, value in entries:
        if isinstance(value, str):
            if value in seen:
                yield Finding(location, f"{what} {value} is here twice")
            seen.add(value)


def of_selector(selector: Any) -> Iterator[Finding]:
    """One way to select; a snapshot belongs to one server."""
    yield from exactly_one(selector, ("group", "id", "instance", "name", "hostname", "tags"))
    yield from reserved_keys(selector, "tags")
    if get(selector, "snapshot") is not None and get(selector, "id") is None:
        yield Finding(("snapshot",), "snapshot needs id: a snapshot belongs to one server")


def of_group(group: Any) -> Iterator[Finding]:
    """One way to select; no server twice."""
    yield from exactly_one(group, ("servers", "tags"))
    yield from reserved_keys(group, "tags")
    yield from duplicates(items(group, "servers"), "server")


def of_targets(targets: Any) -> Iterator[Finding]:
    """One way to select; no instance twice."""
    yield from exactly_one(targets, ("tags", "instance_ids"))
    yield from reserved_keys(targets, "tags")
    yield from duplicates(items(targets, "instance_ids"), "instance")


def of_notification(notification: Any) -> Iterator[Finding]:
    """One way to tell; arguments belong to a notifier."""
    yield from exactly_one(notification, ("sns", "notifier"))
    yield from reserved_keys(notification, "args")
    if get(notification, "args") and get(notification, "notifier") is None:
        yield Finding(("args",), "args needs notifier: an SNS topic takes none")


def of_script(script: Any) -> Iterator[Finding]:
    """One document; targets belong to a command."""
    yield from exactly_one(script, ("automation", "run_command"))
    if get(script, "targets") is not None and get(script, "run_command") is None:
        yield Finding(("targets",), "targets needs run_command: a runbook takes its targets as parameters")
    yield from of_parameters(script, "parameters")
    yield from _by_mode(script, "parameters_by_mode")


def _by_mode(part: Any, key: str) -> Iterator[Finding]:
    for mode in MODES:
        for finding in of_parameters(get(part, key), mode):
            yield Finding((key, *finding.location), finding.message)


def of_parameters(part: Any, key: str) -> Iterator[Finding]:
    """What looks like a reference to a connection is one; Airflow can store every name."""
    yield from reserved_keys(part, key)
    parameters = get(part, key)
    for name, values in parameters.items() if isinstance(parameters, dict) else ():
        if isinstance(values, str):
            values = {None: values}
        elif isinstance(values, (list, tuple)):
            values = dict(enumerate(values))
        for index, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, str) and (wrong := misuse(value)):
                yield Finding((key, name) if index is None else (key, name, index), wrong)


def of_defaults(defaults: Any) -> Iterator[Finding]:
    """The parameters of every script."""
    yield from of_parameters(defaults, "script_parameters")
    yield from _by_mode(defaults, "script_parameters_by_mode")


def of_wave(wave: Any) -> Iterator[Finding]:
    """Names are unique in their list."""
    yield from duplicates(items(wave, "depends_on"), "wave")
    for section in ("pre_launch", "post_launch", "rollback"):
        named = [((*location, "name"), text(script, "name")) for location, script in items(wave, section)]
        yield from duplicates(named, "script")


def of_approval(approval: Any) -> Iterator[Finding]:
    """As many approvers as are asked for, where they are named."""
    approvers, count = get(approval, "approvers"), get(approval, "count")
    if isinstance(count, int) and isinstance(approvers, (list, tuple)) and 0 < len(approvers) < count:
        yield Finding(("count",), f"asks for {count} people, and approvers names {len(approvers)}")


def of_plan(plan: Any) -> Iterator[Finding]:
    """The graph, the groups, each server in one wave, and where scripts run."""
    yield from duplicates(items(plan, "tags"), "tag")
    yield from _graph(plan)
    yield from _drill_waves(plan)
    yield from _servers(plan)
    for (_, index), wave in items(plan, "waves"):
        for section in ("pre_launch", "rollback"):
            for location, script in items(wave, section):
                yield from _elsewhere(script, section, ("waves", index, *location), plan)
    defaults = get(plan, "defaults")
    for section in ("pre_launch", "rollback"):
        for location, script in items(defaults, section):
            yield from _elsewhere(script, section, ("defaults", *location), plan)


def _graph(plan: Any) -> Iterator[Finding]:
    graph: dict[str, list[str]] = {}
    where: dict[tuple[str, str], Location] = {}
    named = [(location, wave, text(wave, "name")) for location, wave in items(plan, "waves")]
    names = {name for _, _, name in named if name is not None}
    reserved = reserved_names()
    for location, wave, name in named:
        if name is not None and name in graph:
            yield Finding((*location, "name"), f"wave {name} is here twice")
        if name in reserved:
            yield Finding((*location, "name"), f"a wave may not be called {name}: the DAG has a task of that name")
        edges = graph.setdefault(name, []) if name is not None else []
        for place, needed in items(wave, "depends_on"):
            at = (*location, *place)
            if not isinstance(needed, str):
                continue
            if needed == name:
                yield Finding(at, f"wave {name} depends on itself")
            elif needed not in names:
                # A wave whose own name has to be changed is not offered, and what it will be called is no error.
                legal = {each for each in names if is_name(each)}
                if is_name(needed) and needed not in {as_name(each) for each in names - legal}:
                    near = nearest(needed, legal - {name}) or f"; the plan has {', '.join(sorted(legal)[:20])}"
                    yield Finding(at, f"there is no wave {needed}{near}")
            else:
                edges.append(needed)
                where.setdefault((name or "", needed), at)
    for _ in range(MOST_CYCLES):
        if not (cycle := find_cycle(graph)):
            break
        yield Finding(where[cycle[0], cycle[1]], f"waves depend on each other in a cycle: {' → '.join(cycle)}")
        graph[cycle[0]].remove(cycle[1])


def _drill_waves(plan: Any) -> Iterator[Finding]:
    """The waves of a scheduled drill are waves of the plan, each once."""
    drill = get(plan, "drill")
    names = {name for _, wave in items(plan, "waves") if (name := text(wave, "name"))}
    listed = [(("drill", *location), name) for location, name in items(drill, "waves")]
    yield from duplicates(listed, "wave")
    for location, name in listed:
        if isinstance(name, str) and is_name(name) and name not in names:
            legal = {each for each in names if is_name(each)}
            near = nearest(name, legal) or f"; the plan has {', '.join(sorted(legal)[:20])}"
            yield Finding(location, f"there is no wave {name}{near}")


def _elsewhere(script: Any, section: str, location: Location, plan: Any) -> Iterator[Finding]:
    """Before a launch and after a rollback there are no recovery instances to run a command on."""
    if get(script, "run_command") is None:
        return
    targets = get(script, "targets") or get(get(plan, "defaults"), "script_targets")
    if targets is None:
        message = f"a run_command in {section} needs targets: tags or instance_ids"
        yield Finding(location, message)
    elif targets == "recovery_instances":
        moment = "before the launch" if section == "pre_launch" else "once the wave is rolled back"
        yield Finding((*location, "targets"), f"there are no recovery instances {moment}: give tags or instance_ids")


class _Placed(NamedTuple):
    """A selector with its group expanded: what it selects, in which wave, and where that is written."""

    kind: str
    what: str | frozenset[tuple[str, str]]
    wave: int
    location: Location
    group: str | None
    place: Any
    """Where the wave is launched: what two accounts or regions call the same is two servers."""

    def __str__(self) -> str:
        what = (
            self.what if isinstance(self.what, str) else ", ".join(f"{key}={value}" for key, value in sorted(self.what))
        )
        return f"{self.kind} {what}" + (f" (group {self.group})" if self.group else "")


def _servers(plan: Any) -> Iterator[Finding]:
    waves = [wave for _, wave in items(plan, "waves")]
    groups = get(plan, "protection_groups")
    groups = groups if isinstance(groups, dict) else {}
    placed: dict[tuple[Any, str, Any], _Placed] = {}
    by_tags: list[_Placed] = []
    for index, wave in enumerate(waves):
        count: int | None = 0
        for place, selector in items(wave, "servers"):
            location = ("waves", index, *place)
            group = text(selector, "group")
            if group is not None and group not in groups and is_name(group):
                legal = {str(each) for each in groups if is_name(str(each))}
                if group not in {as_name(str(each)) for each in groups.keys() - legal}:
                    near = nearest(group, legal) or f"; protection_groups has {', '.join(sorted(legal)[:20]) or 'none'}"
                    yield Finding((*location, "group"), f"there is no protection group {group}{near}")
            selected = list(_selected(selector, groups, index, location, _place(plan, wave)))
            certain = bool(selected) and all(one.kind != "tags" for one in selected)
            count = count + len(selected) if certain and count is not None else None
            for one in selected:
                first = placed.setdefault((one.place, one.kind, one.what), one)
                if first is not one:
                    other = "this wave" if first.wave == index else f"wave {_title(waves, first.wave)}"
                    yield Finding(one.location, f"{one} is already in {other}: a server stands in one wave, once")
                elif one.kind == "tags":
                    by_tags.append(one)
        for part, location in ((wave, ("waves", index)), (get(plan, "defaults"), ("defaults",))):
            least = get(part, "min_launched")
            if least is not None:
                if count and isinstance(least, int) and not isinstance(least, bool) and least > count:
                    has = f"asks for {least} servers, and wave {_title(waves, index)} has {count}"
                    yield Finding((*location, "min_launched"), has)
                break
    yield from _narrower(by_tags, waves)


def _narrower(by_tags: list[_Placed], waves: list[Any]) -> Iterator[Finding]:
    """Tags that contain another wave's tags select only servers of that wave."""
    compared = [(one, one.what) for one in by_tags[:MOST_COMPARED] if isinstance(one.what, frozenset)]
    for one, tags in compared:
        others = ((other, fewer) for other, fewer in compared if one.wave != other.wave and one.place == other.place)
        wider = next((other for other, fewer in others if tags > fewer), None)
        if wider is not None:
            message = f"every server with {one} is also selected by {wider} in wave {_title(waves, wider.wave)}"
            yield Finding(one.location, f"{message}: a server stands in one wave, once")


def _selected(selector: Any, groups: dict[Any, Any], wave: int, location: Location, place: Any) -> Iterator[_Placed]:
    for key, kind in (("id", "server"), ("instance", "instance"), ("name", "name"), ("hostname", "hostname")):
        if name := text(selector, key):
            yield _Placed(kind, name, wave, (*location, key), None, place)
    if tags := _pairs(selector):
        yield _Placed("tags", tags, wave, (*location, "tags"), None, place)
    if (name := text(selector, "group")) and (group := groups.get(name)) is not None:
        for _, server in items(group, "servers"):
            if isinstance(server, str):
                yield _Placed("server", server, wave, (*location, "group"), name, place)
        if tags := _pairs(group):
            yield _Placed("tags", tags, wave, (*location, "group"), name, place)


def _place(plan: Any, wave: Any) -> Any:
    """Connection and region that a wave is launched in; the name alone where the plan has no such target."""
    name, targets = text(wave, "target"), get(plan, "targets")
    own = targets.get(name) if name and isinstance(targets, dict) else None
    target = get(plan, "target") if own is None and name in (None, "default") else own
    return (text(target, "aws_conn_id") or "aws_default", text(target, "region")) if target is not None else name


def _pairs(part: Any) -> frozenset[tuple[str, str]] | None:
    tags = get(part, "tags")
    if isinstance(tags, dict) and tags and all(isinstance(value, str) for value in tags.values()):
        return frozenset(tags.items())
    return None


def _title(waves: list[Any], index: int) -> str:
    return text(waves[index], "name") or f"number {index + 1}"


def everywhere(plan: Any) -> Iterator[Finding]:
    """Every rule, over every part of a file's raw data."""
    yield from of_plan(plan)
    groups = get(plan, "protection_groups")
    for name, group in groups.items() if isinstance(groups, dict) else ():
        yield from _inside(group, of_group, ("protection_groups", name))
    for location, notification in items(plan, "notify"):
        yield from _inside(notification, of_notification, location)
    yield from _inside(get(get(plan, "recovery"), "approval"), of_approval, ("recovery", "approval"))
    for location, wave in (*items(plan, "waves"), (("defaults",), get(plan, "defaults"))):
        yield from _inside(wave, of_wave, location)
        yield from _inside(get(wave, "approval"), of_approval, (*location, "approval"))
        for place, selector in items(wave, "servers"):
            yield from _inside(selector, of_selector, (*location, *place))
        for section in ("pre_launch", "post_launch", "rollback"):
            for place, script in items(wave, section):
                yield from _inside(script, of_script, (*location, *place))
                yield from _inside(get(script, "targets"), of_targets, (*location, *place, "targets"))
        yield from _inside(get(wave, "script_targets"), of_targets, (*location, "script_targets"))
    yield from _inside(get(plan, "defaults"), of_defaults, ("defaults",))


def _inside(part: Any, rule: Any, location: Location) -> Iterator[Finding]:
    if isinstance(part, dict):
        for finding in rule(part):
            yield Finding((*location, *finding.location), finding.message)
