"""How wide a plan can get: the heaviest set of waves that can run at the same time.

Two waves can run at the same time exactly when neither depends on the other, directly or through others. A set of
waves that can all run together is therefore an antichain of the dependency order, and the widest moment is the
antichain of greatest total weight.

By Dilworth's theorem, with each wave taken as many times as it weighs, that weight equals the smallest number of
chains that cover all of them, which is the total weight less a maximum matching between earlier and later waves.
With weights, the matching is a maximum flow: source -> wave as the earlier one -> wave as the later one -> sink,
with the weights as capacities at both ends. So the answer is exact and takes polynomial time, where trying every
set would take exponential time. The waves themselves are read from the minimum cut (König's theorem): those that
the source still reaches as the earlier one, but not as the later one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

__all__ = ["ancestors", "widest_moment"]

_Node = tuple[str, str]
_SOURCE: _Node = ("source", "")
_SINK: _Node = ("sink", "")


def ancestors(depends_on: Mapping[str, Collection[str]]) -> dict[str, set[str]]:
    """For each wave, every wave that has to end before it starts.

    :param depends_on: wave name -> names of the waves it depends on; acyclic, as loading a plan makes sure.
    """
    found: dict[str, set[str]] = {}

    def before(name: str) -> set[str]:
        if name not in found:
            found[name] = set()
            for parent in depends_on[name]:
                found[name] |= {parent} | before(parent)
        return found[name]

    return {name: before(name) for name in depends_on}


def widest_moment(depends_on: Mapping[str, Collection[str]], weights: Mapping[str, int]) -> tuple[int, list[str]]:
    """The greatest total weight of waves that can run at the same time, and a set of waves that has it.

    :param depends_on: wave name -> names of the waves it depends on, for *all* waves of the plan: a wave that this
        run leaves out still orders the waves around it.
    :param weights: wave name -> weight (servers, or jobs) of the waves that run; an absent wave weighs nothing.
    :return: the weight, and the names of the waves in the order of ``depends_on``.
    """
    before = ancestors(depends_on)
    waves = [name for name in depends_on if weights.get(name, 0) > 0]
    total = sum(weights[name] for name in waves)
    residual: dict[_Node, dict[_Node, int]] = {_SOURCE: {}, _SINK: {}}
    for name in waves:
        residual[_SOURCE][("earlier", name)] = weights[name]
        residual[("earlier", name)] = {_SOURCE: 0}
        residual[("later", name)] = {_SINK: weights[name]}
        residual[_SINK][("later", name)] = 0
    for name in waves:
        for parent in before[name]:
            if ("earlier", parent) in residual:
                residual[("earlier", parent)][("later", name)] = total
                residual[("later", name)][("earlier", parent)] = 0

    flow = 0
    reached = _reach(residual)
    while _SINK in reached:
        path = [_SINK]
        while path[-1] != _SOURCE:
            path.append(reached[path[-1]])
        steps = list(zip(path[1:], path, strict=False))
        amount = min(residual[tail][head] for tail, head in steps)
        for tail, head in steps:
            residual[tail][head] -= amount
            residual[head][tail] += amount
        flow += amount
        reached = _reach(residual)
    widest = [name for name in waves if ("earlier", name) in reached and ("later", name) not in reached]
    return total - flow, widest


def _reach(residual: Mapping[_Node, Mapping[_Node, int]]) -> dict[_Node, _Node]:
    """Every node that the source still reaches, with the node before it on a shortest way."""
    reached = {_SOURCE: _SOURCE}
    queue = deque([_SOURCE])
    while queue:
        tail = queue.popleft()
        for head, capacity in residual[tail].items():
            if capacity > 0 and head not in reached:
                reached[head] = tail
                queue.append(head)
    return reached
