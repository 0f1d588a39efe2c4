"""Which wave a dependency names, in a source that counts its waves from 0 here and from 1 there.

The exact id of a wave comes first. Only where ids do not tell, a number is a place in the list; and where it could be
counted from 0 as well as from 1, nobody guesses: an order of recovery that is wrong by one looks right until the day it
is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drs_provider.importers.report import ImportReport
from drs_provider.plan.cycles import find_cycle

__all__ = ["Dependency", "resolve_dependencies"]

_NUMBER = re.compile(r"(?:wave|w)?[\s_#-]*(\d{1,6})", re.IGNORECASE)


@dataclass(frozen=True)
class Dependency:
    """That one wave depends on another.

    :param wave: the place of the wave in the list, from 0.
    :param named: what the source calls the wave that it depends on.
    :param where: where it says so.
    """

    wave: int
    named: str
    where: str

    @property
    def number(self) -> int | None:
        """The number in the name: 2 of ``2``, ``wave-2`` or ``Wave 2``; None where it is not a number."""
        match = _NUMBER.fullmatch(self.named)
        return int(match[1]) if match else None


def resolve_dependencies(
    ids: Sequence[str | None],
    names: Sequence[str],
    dependencies: Sequence[Dependency],
    report: ImportReport,
    *,
    where: str,
    base: int | None = None,
) -> dict[Dependency, int]:
    """Find the waves that dependencies name.

    :param ids: the id of each wave as the source writes it, None where it has none.
    :param names: the name of each wave: taken where no id fits and one wave alone bears it.
    :param dependencies: what to resolve.
    :param report: takes what was decided, and what is wrong.
    :param where: the place of the plan in the source.
    :param base: 0 or 1: how a number that is no id is counted.
    :return: the places of the waves, from 0, by dependency; incomplete where the report has problems.
    """
    by_id = {identity: place for place, identity in enumerate(ids) if identity is not None}
    found = {each: by_id[each.named] for each in dependencies if each.named in by_id}
    left = [each for each in dependencies if each not in found]
    for each in left:
        if names.count(each.named) == 1:
            found[each] = names.index(each.named)
            report.decide(each.where, f'"{each.named}" is the id of no wave: taken for the wave of this name')
    left = [each for each in left if each not in found]
    known = ", ".join(str(identity) for identity in (ids if any(ids) else names))
    for each in left:
        if each.number is None:
            report.refuse(each.where, f'no wave has the id or the name "{each.named}"; expected one of {known}')
    numbered = {each: each.number for each in left if each.number is not None}
    if not numbered:
        return found
    told = [each for each in found if each.number is not None and each.named in by_id]
    if told and base is None:
        # Some numbers are ids and others are not: then the ids may be what is counted wrong.
        report.refuse(
            where,
            f'waves depend on "{told[0].named}", which is the id of a wave, and on "{next(iter(numbered)).named}", '
            "which is none: give --wave-base 0 or --wave-base 1 to read every number as a place in the list",
        )
        return found
    if base is not None:
        numbered |= {each: each.number for each in told if each.number is not None}
    readings = {
        each_base: {each: number - each_base for each, number in numbered.items()}
        for each_base in ((0, 1) if base is None else (base,))
    }
    possible = {key: reading for key, reading in readings.items() if _possible(len(ids), {**found, **reading})}
    if not possible:
        counted = "counted from 0 or from 1" if base is None else f"counted from {base}"
        what = ", ".join(dict.fromkeys(each.named for each in numbered))
        report.refuse(where, f"waves depend on {what}: {counted}, that is no other wave, or a cycle; expected {known}")
    elif len(possible) > 1:
        each = next(iter(numbered))
        report.refuse(
            each.where,
            f'"{each.named}" is {_quoted(names[readings[0][each]])} counted from 0, and '
            f"{_quoted(names[readings[1][each]])} counted from 1, and no wave has it as its id: give --wave-base 0 or "
            "--wave-base 1. Nothing was imported",
        )
    else:
        (taken, reading) = next(iter(possible.items()))
        found |= reading
        why = "as --wave-base says" if base is not None else f"the only way: from {1 - taken} it would not fit"
        for each, place in reading.items():
            report.decide(each.where, f'"{each.named}" is {_quoted(names[place])}: counted from {taken}, {why}')
    return found


def _quoted(name: str) -> str:
    return f'the wave "{name}"'


def _possible(count: int, found: Mapping[Dependency, int]) -> bool:
    """Whether every place is another wave of the plan, and no wave waits for itself."""
    graph: dict[str, list[str]] = {str(place): [] for place in range(count)}
    for each, place in found.items():
        if not 0 <= place < count:
            return False
        graph[str(each.wave)].append(str(place))
    return find_cycle(graph) is None
