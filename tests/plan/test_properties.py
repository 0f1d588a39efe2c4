"""What holds for every plan, every graph and every sequence of bytes."""

from __future__ import annotations

import os
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from drs_provider.plan import (
    PlanError,
    RecoveryPlan,
    critical_path,
    dependents,
    dump_plan,
    find_plan,
    levels,
    load_plan,
)
from drs_provider.plan.cycles import find_cycle
from drs_provider.plan.plain import reads_as_text
from tests.plan.strategies import acyclic, anything, plans, surprising, text

MORE = int(os.environ.get("PLAN_EXAMPLES", "1"))
"""How many times the examples of an ordinary run: ``PLAN_EXAMPLES=100`` looks for an hour."""


def examples(number: int) -> settings:
    calm = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
    return settings(max_examples=number * MORE, deadline=None, suppress_health_check=calm)


def load(folder: Path, content: str | bytes) -> RecoveryPlan:
    path = folder / "plan.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_plan(path).plan


@examples(30)
@given(plans())
def test_any_valid_plan_survives_a_round_trip_through_yaml(tmp_path: Path, data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    again = load(tmp_path, dump_plan(plan))
    effective = plan.model_dump(mode="json", exclude={"defaults"})
    assert again.model_dump(mode="json", exclude={"defaults"}) == effective
    assert find_plan(tmp_path, plan.name) == load_plan(tmp_path / "plan.yaml")


@examples(25)
@given(plans())
def test_a_dump_of_the_model_is_a_plan_again(data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    assert RecoveryPlan.model_validate(plan.model_dump()) == plan
    assert RecoveryPlan.model_validate(plan.model_dump(mode="json")) == plan


@examples(200)
@given(surprising | anything)
def test_text_that_reads_as_text_is_that_text_to_pyyaml(value: str) -> None:
    if reads_as_text(value) and value.isalnum():
        assert yaml.safe_load(value) == value


def with_graph(graph: dict[str, list[str]]) -> dict[str, Any]:
    waves = [{"name": each, "depends_on": needed, "servers": [{"hostname": each}]} for each, needed in graph.items()]
    return {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": waves}


@examples(50)
@given(acyclic(most=15))
def test_any_acyclic_graph_is_accepted(graph: dict[str, list[str]]) -> None:
    plan = RecoveryPlan.model_validate(with_graph(graph))
    found = levels(plan)
    level = {wave: number for number, names in enumerate(found) for wave in names}
    assert sorted(level) == sorted(graph)
    for wave, needed in graph.items():
        assert level[wave] == max((level[each] + 1 for each in needed), default=0)
    chain, longest = critical_path(plan, lambda wave: timedelta(minutes=1))
    assert longest == timedelta(minutes=len(chain)) == timedelta(minutes=len(found))
    assert all(before in graph[after] for before, after in pairwise(chain))
    for wave in graph:
        downstream = dependents(plan, wave)
        assert set(downstream) == {each for each in graph if reaches(graph, each, wave)}


def reaches(graph: dict[str, list[str]], start: str, end: str) -> bool:
    return end in graph[start] or any(reaches(graph, needed, end) for needed in graph[start])


@examples(60)
@given(acyclic(), st.data())
def test_any_graph_with_a_cycle_is_refused_with_a_cycle_that_is_there(
    graph: dict[str, list[str]], data: st.DataObject
) -> None:
    ring = data.draw(
        st.lists(st.sampled_from(sorted(graph)), min_size=2, unique=True) if len(graph) > 1 else st.just([])
    )
    for before, after in zip(ring, [*ring[1:], *ring[:1]], strict=True):
        if after not in graph[before]:
            graph[before].append(after)
    if not ring:
        assert find_cycle(graph) is None
        return
    cycle = find_cycle(graph)
    assert cycle is not None
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1 >= 2
    assert all(after in graph[before] for before, after in pairwise(cycle))
    with pytest.raises(ValidationError, match=" → ".join(cycle)):
        RecoveryPlan.model_validate(with_graph(graph))


PIECES = """
version: 1|name: a|waves:|- |  |: |[|]|{|}|&a |*a|<<: |!!str |? |'|"|> |# |---|...|%YAML 1.1|~|on|010|,|servers|id|tags
target: {region: us-west-2}|depends_on|type: tcp|health_checks
"""
pieces = st.sampled_from([*PIECES.replace("\n", "|").split("|"), *"\n\t\\\0\r\x85\u2028\ufeffé|"])
yaml_like = st.lists(pieces, max_size=40).map("".join)


@examples(400)
@given(
    st.binary(max_size=200)
    | yaml_like.map(str.encode)
    | st.text(max_size=100).map(lambda each: each.encode(errors="replace"))
)
@example(b"? ? a")
@example(b"<<: &a {<<: *a}")
@example(b'"\\ud800": 1')
def test_the_loader_raises_nothing_but_its_own_error(tmp_path: Path, content: bytes) -> None:
    try:
        load(tmp_path, content)
    except PlanError as error:
        assert error.problems
        assert all(problem.line >= 1 and problem.column >= 1 and problem.message for problem in error.problems)
    find_plan(tmp_path, "a")


# Any shape of data where a plan should be.
leaf = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | text
    | st.sampled_from(["db", "1h", "recovery_instances"])
)
keys = st.sampled_from(
    [*RecoveryPlan.model_fields, "servers", "id", "group", "type", "targets", "pre_launch", "depends_on", "x"]
)
shape = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@examples(50)
@given(st.dictionaries(keys, shape, max_size=6), plans(), st.data())
def test_any_data_is_explained_and_never_a_crash(
    tmp_path: Path, data: dict[str, Any], plan: dict[str, Any], more: st.DataObject
) -> None:
    broken = {**plan, **data}
    wave = more.draw(st.sampled_from(plan["waves"]))
    wave |= more.draw(
        st.dictionaries(st.sampled_from([*wave, "servers", "post_launch", "health_checks"]), shape, max_size=2)
    )
    for each in (data, broken):
        try:
            load(tmp_path, yaml.safe_dump(each))
        except PlanError as error:
            assert error.problems
            assert all(problem.message for problem in error.problems)
