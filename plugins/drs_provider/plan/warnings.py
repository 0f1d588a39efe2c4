"""What is valid in a plan file and still deserves a second look: shown by ``drs-plan validate``, never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from drs_provider.plan import launch_rules
from drs_provider.plan.document import read_document
from drs_provider.plan.explain import Objection, located
from drs_provider.plan.problems import Problem
from drs_provider.plan.references import misuse, strangers
from drs_provider.plan.regions import misspelt, unknown
from drs_provider.plan.rules import MODES, Finding, get, items, text
from drs_provider.plan.schedule import either_day
from drs_provider.plan.target_rules import target_names, targets_in

__all__ = ["certain_mistakes", "look_twice", "remarks", "unknown_references"]

Rule = Callable[[Any], Iterable[Finding]]


def look_twice(plan: Any) -> Iterator[Finding]:
    """Yield the warnings of a plan.

    :param plan: the raw data of a valid plan file.
    """
    yield from _scripts_that_drills_run_too(plan)
    yield from _schedule(plan)
    yield from _drill_waves(plan)
    yield from _modes_never_run(plan)
    for location, region in _regions(plan):
        if (near := unknown(region)) is not None:
            yield Finding(location, f"{region} is no region that this version knows{near}")
    yield from _targets_of_nothing(plan)
    yield from _references(plan, certain=False)
    yield from launch_rules.look_twice(plan)


def unknown_references(plan: Any) -> Iterator[Finding]:
    """Yield an error for each thing in double braces in a script's parameters that is certainly no text.

    Not a rule of the model: a plan that has one is still a DAG, and its run goes on.

    :param plan: the raw data of a valid plan file.
    """
    yield from _references(plan, certain=True)


def certain_mistakes(plan: Any) -> Iterator[Finding]:
    """Yield an error for each mistake that a running plan may not be refused for, and a person has to correct.

    :param plan: the raw data of a plan file, valid or not.
    """
    yield from unknown_references(plan)
    for location, region in _regions(plan):
        if near := misspelt(region):
            yield Finding(location, f"there is no AWS region {region}; did you mean {near}?")


def remarks(path: Path, rule: Rule = look_twice, *, severity: str = "warning") -> list[Problem]:
    """Return what a rule says of a valid plan file, each with its line and column.

    :param path: a plan file, valid or not.
    :param rule: takes the file's raw data and yields findings.
    :param severity: of the problems that come of it: ``warning`` or ``error``.
    :returns: in the order of the file; none where the file cannot be read any more.
    """
    try:
        document = read_document(path.read_bytes()) if path.is_file() else None
    except OSError:
        return []
    if document is None or document.root is None:
        return []
    lines = document.text.splitlines()
    found = [
        located(document, lines, str(path), Objection(finding.location, finding.message))
        for finding in rule(document.root.value)
    ]
    return sorted(problem.of_severity(severity) for problem in found)


def _regions(plan: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield the region of every target, and where it stands."""
    for location, target in targets_in(plan):
        if region := text(target, "region"):
            yield (*location, "region"), region


def _targets_of_nothing(plan: Any) -> Iterator[Finding]:
    """Yield the targets that nothing of the plan names."""
    targets = get(plan, "targets")
    named = set(target_names(plan).values())
    for name in targets if isinstance(targets, dict) else ():
        if name not in named:
            yield Finding(("targets", name), f"no wave and no script names the target {name}")


def _schedule(plan: Any) -> Iterator[Finding]:
    schedule = text(get(plan, "drill"), "schedule")
    if schedule and (trap := either_day(schedule)):
        yield Finding(("drill", "schedule"), trap)


def _drill_waves(plan: Any) -> Iterator[Finding]:
    drill = get(plan, "drill")
    listed = [(location, name) for location, name in items(drill, "waves") if isinstance(name, str)]
    if listed and get(drill, "schedule") is None:
        yield Finding(("drill", "waves"), "drill.waves is for scheduled drills, and drill.schedule is absent")
    chosen = {name for _, name in listed}
    needs = {text(wave, "name"): get(wave, "depends_on") for _, wave in items(plan, "waves")}
    for location, name in listed:
        if left_out := [each for each in needs.get(name) or () if each not in chosen]:
            yield Finding(
                ("drill", *location),
                f"the scheduled drill launches {name} without {', '.join(map(str, left_out))}, which it depends on: "
                "waves that are left out count as done",
            )


def _modes_never_run(plan: Any) -> Iterator[Finding]:
    """Yield parameters for a mode in which their script does not run."""
    defaults = get(plan, "defaults")
    for location, part in (*items(plan, "waves"), (("defaults",), defaults)):
        for section in ("pre_launch", "post_launch", "rollback"):
            for place, script in items(part, section):
                modes = get(script, "modes") or get(defaults, "script_modes") or MODES
                for mode in MODES:
                    if get(get(script, "parameters_by_mode"), mode) and mode not in modes:
                        yield Finding(
                            (*location, *place, "parameters_by_mode", mode),
                            f"{text(script, 'name') or 'the script'} does not run in a {mode}: "
                            f"its modes are {', '.join(sorted(map(str, modes)))}",
                        )


def _references(plan: Any, *, certain: bool) -> Iterator[Finding]:
    for location, part in (*items(plan, "waves"), (("defaults",), get(plan, "defaults"))):
        for section in ("pre_launch", "post_launch", "rollback"):
            for place, script in items(part, section):
                yield from _strangers_in(script, "parameters", (*location, *place), certain)
                yield from _by_mode(script, "parameters_by_mode", (*location, *place), certain)
        yield from _strangers_in(part, "script_parameters", location, certain)
        yield from _by_mode(part, "script_parameters_by_mode", location, certain)


def _by_mode(part: Any, key: str, location: tuple[str | int, ...], certain: bool) -> Iterator[Finding]:
    for mode in MODES:
        yield from _strangers_in(get(part, key), mode, (*location, key), certain)


def _strangers_in(part: Any, key: str, location: tuple[str | int, ...], certain: bool) -> Iterator[Finding]:
    parameters = get(part, key)
    for name, values in parameters.items() if isinstance(parameters, dict) else ():
        several = isinstance(values, (list, tuple))
        for index, value in enumerate(values if several else [values]):
            if isinstance(value, str) and not misuse(value):
                where = (*location, key, name, index) if several else (*location, key, name)
                yield from (Finding(where, one.message) for one in strangers(value) if one.certain is certain)


def _scripts_that_drills_run_too(plan: Any) -> Iterator[Finding]:
    defaults = get(plan, "defaults")
    if get(defaults, "script_modes") is not None:
        return
    for location, part in (*items(plan, "waves"), (("defaults",), defaults)):
        for place, script in items(part, "post_launch"):
            if get(script, "modes") is None:
                yield Finding(
                    (*location, *place, "name"),
                    f"{text(script, 'name') or 'the script'} runs in drills too, on instances in the subnet of the "
                    "launch template, beside production; if that is safe write modes: [drill, recovery], otherwise "
                    "modes: [recovery]",
                )
