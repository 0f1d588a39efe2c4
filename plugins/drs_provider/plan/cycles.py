"""A cycle in a graph of waves, where there is one: what every plan is checked for before it is a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

__all__ = ["find_cycle"]


def find_cycle(graph: Mapping[str, Iterable[str]]) -> list[str] | None:
    """A cycle of a graph of waves.

    :param graph: for each wave, the waves that it depends on.
    :return: the waves of one cycle, each depending on the next, the first in the
        graph's order at the start and again at the end; ``None`` if there is none.
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # graphlib lists a cycle so that each node is a predecessor of the next; read it the way depends_on is written.
        cycle: list[str] = error.args[1][:0:-1]
        order = {name: place for place, name in enumerate(graph)}
        start = cycle.index(min(cycle, key=lambda name: order[name]))
        return [*cycle[start:], *cycle[:start], cycle[start]]
    return None
