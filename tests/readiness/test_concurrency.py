"""The widest moment of a plan, against trying every set of waves."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from drs_provider.readiness.concurrency import ancestors, widest_moment


@st.composite
def weighted_graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, int]]:
    """An acyclic graph of up to nine waves with weights, some of them absent."""
    names = [f"w{i}" for i in range(draw(st.integers(0, 9)))]
    graph = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True, max_size=3)) if i else []
        for i, name in enumerate(names)
    }
    shuffled = draw(st.permutations(names))
    weights = {name: draw(st.integers(0, 120)) for name in names if draw(st.booleans()) or draw(st.booleans())}
    return {name: graph[name] for name in shuffled}, weights


def brute_force(graph: dict[str, list[str]], weights: dict[str, int]) -> int:
    before = ancestors(graph)
    best = 0
    for size in range(1, len(graph) + 1):
        for chosen in combinations(graph, size):
            if not any(a in before[b] or b in before[a] for a, b in combinations(chosen, 2)):
                best = max(best, sum(weights.get(name, 0) for name in chosen))
    return best


@settings(max_examples=200, deadline=None)
@given(weighted_graphs())
def test_widest_moment_equals_brute_force(case: tuple[dict[str, list[str]], dict[str, int]]) -> None:
    graph, weights = case
    weight, waves = widest_moment(graph, weights)
    before = ancestors(graph)
    assert weight == brute_force(graph, weights)
    assert sum(weights[name] for name in waves) == weight
    assert not any(a in before[b] or b in before[a] for a, b in combinations(waves, 2))


def test_a_chain_is_as_wide_as_its_heaviest_wave() -> None:
    assert widest_moment({"a": [], "b": ["a"], "c": ["b"]}, {"a": 3, "b": 9, "c": 4}) == (9, ["b"])


def test_levels_are_not_moments() -> None:
    # b is on the second level, but it can still run when c does: only the long branch is ordered.
    graph = {"a": [], "b": ["a"], "x": [], "y": ["x"], "z": ["y"]}
    assert widest_moment(graph, {"a": 1, "b": 5, "x": 1, "y": 1, "z": 7}) == (12, ["b", "z"])


def test_a_wave_that_is_left_out_still_orders_its_neighbours() -> None:
    assert widest_moment({"a": [], "b": ["a"], "c": ["b"]}, {"a": 2, "c": 3}) == (3, ["c"])
