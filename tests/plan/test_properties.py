"""What holds for every plan, every graph and every sequence of bytes."""

from __future__ import annotations

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
from drs_provider.plan.durations import format_duration
from drs_provider.plan.graph import find_cycle
from drs_provider.plan.plain import reads_as_text
from drs_provider.plan.rules import RESERVED

EVERY_TIME = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

name = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,12}", fullmatch=True).filter(lambda text: text not in RESERVED)
# Text that YAML's surprises are made of, and any other that YAML can carry.
surprising = st.sampled_from(
    ["on", "no", "010", "22:30", "1e3", "2026-01-01", "null", "~", "=", "<<", "*a", "{", "- x", "#"]
)
anything = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=20)
text = (surprising | anything).filter(lambda each: each.strip() != "")
words = st.lists(text, max_size=3, unique=True)
span = st.integers(1, 365 * 86400).map(lambda seconds: format_duration(timedelta(seconds=seconds)))
tags = st.dictionaries(text, surprising | anything, min_size=1, max_size=3)
server_id = st.from_regex(r"s-[0-9a-zA-Z]{17}", fullmatch=True)
approval = st.fixed_dictionaries({}, optional={"message": text, "approvers": words, "timeout": span})
targets = st.fixed_dictionaries({"tags": tags}) | st.fixed_dictionaries(
    {"instance_ids": st.just(["i-0123456789abcdef0", "mi-0123456789abcdef0"])}
)
check = st.one_of(
    st.fixed_dictionaries({"type": st.sampled_from(["instance_status", "ssm_online"])}, optional={"timeout": span}),
    st.fixed_dictionaries({"type": st.just("tcp"), "port": st.integers(1, 65535)}, optional={"timeout": span}),
    st.fixed_dictionaries(
        {"type": st.just("http"), "path": st.just("/healthz?full=1")},
        optional={
            "port": st.integers(1, 65535),
            "expect": st.integers(100, 599),
            "via": st.sampled_from(["worker", "ssm"]),
        },
    ),
)
script_options = {
    "parameters": st.dictionaries(text, text | words, max_size=2),
    "timeout": span,
    "modes": st.sampled_from([["drill"], ["recovery"], ["drill", "recovery"]]),
    "on_failure": st.sampled_from(["stop", "continue"]),
}


def scripts(with_targets: bool) -> st.SearchStrategy[list[dict[str, Any]]]:
    command: dict[str, Any] = {"name": name, "run_command": st.just("AWS-RunShellScript")}
    where = targets if with_targets else targets | st.just("recovery_instances")
    command, options = ({**command, "targets": where}, {}) if with_targets else (command, {"targets": where})
    one = st.fixed_dictionaries({"name": name, "automation": st.just("Shop-Run")}, optional=script_options)
    other = st.fixed_dictionaries(command, optional={**script_options, **options})
    return st.lists(one | other, max_size=3, unique_by=lambda script: script["name"])


@st.composite
def acyclic(draw: st.DrawFn, most: int = 8) -> dict[str, list[str]]:
    """A graph of waves without a cycle, in an order that has nothing to do with it."""
    names = draw(st.lists(name, min_size=1, max_size=most, unique=True))
    graph = {
        each: draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        for place, each in enumerate(names)
    }
    return {each: graph[each] for each in draw(st.permutations(names))}


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    """The data of any valid plan."""
    waves = []
    for number, (wave, needed) in enumerate(draw(acyclic()).items()):
        selectors = [{"hostname": f"{wave}.{number}"}, {"tags": {"wave": wave}}, {"id": f"s-{number:017d}"}]
        options = {
            "description": text,
            "min_launched": st.sampled_from([0, 1, "0%", "50%", "100%"]),
            "launch_timeout": span,
            "retries": st.integers(0, 10),
            "on_failure": st.sampled_from(["stop", "rollback"]),
            "rollback": scripts(True),
            "approval": approval,
            "settle": span,
            "pre_launch": scripts(True),
            "post_launch": scripts(False),
            "health_checks": st.lists(check, max_size=3),
            "max_replication_lag": span,
        }
        servers = st.lists(st.sampled_from(selectors), min_size=1, unique_by=str)
        shape = st.fixed_dictionaries(
            {"name": st.just(wave), "depends_on": st.just(needed), "servers": servers}, optional=options
        )
        waves.append(draw(shape))
    plan = st.fixed_dictionaries(
        {
            "version": st.just(1),
            "name": name,
            "target": st.fixed_dictionaries({"region": st.just("us-west-2")}, optional={"aws_conn_id": text}),
            "waves": st.just(waves),
        },
        optional={
            "description": text,
            "owner": text,
            "tags": words,
            "objectives": st.fixed_dictionaries({}, optional={"rto": span, "rpo": span}),
            "drill": st.fixed_dictionaries(
                {}, optional={"schedule": st.sampled_from(["@daily", "0 6 * * SAT"]), "keep_for": span}
            ),
            "recovery": st.fixed_dictionaries({}, optional={"approval": approval}),
            "notify": st.just(
                [{"sns": "arn:aws:sns:us-west-2:123456789012:t"}, {"notifier": "a.B", "args": {"x": [1, None]}}]
            ),
            "defaults": st.fixed_dictionaries(
                {},
                optional={
                    "retries": st.integers(0, 10),
                    "script_timeout": span,
                    "post_launch": scripts(False),
                    "approval": approval,
                },
            ),
            "protection_groups": st.dictionaries(name, st.fixed_dictionaries({"tags": tags}), max_size=2),
        },
    )
    return draw(plan)


def load(folder: Path, content: str | bytes) -> RecoveryPlan:
    path = folder / "plan.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_plan(path).plan


@EVERY_TIME
@given(plans())
def test_any_valid_plan_survives_a_round_trip_through_yaml(tmp_path: Path, data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    again = load(tmp_path, dump_plan(plan))
    effective = plan.model_dump(mode="json", exclude={"defaults"})
    assert again.model_dump(mode="json", exclude={"defaults"}) == effective
    assert find_plan(tmp_path, plan.name) == load_plan(tmp_path / "plan.yaml")


@EVERY_TIME
@given(plans())
def test_a_dump_of_the_model_is_a_plan_again(data: dict[str, Any]) -> None:
    plan = RecoveryPlan.model_validate(data)
    assert RecoveryPlan.model_validate(plan.model_dump()) == plan
    assert RecoveryPlan.model_validate(plan.model_dump(mode="json")) == plan


@EVERY_TIME
@given(surprising | anything)
def test_text_that_reads_as_text_is_that_text_to_pyyaml(value: str) -> None:
    if reads_as_text(value) and value.isalnum():
        assert yaml.safe_load(value) == value


def with_graph(graph: dict[str, list[str]]) -> dict[str, Any]:
    waves = [{"name": each, "depends_on": needed, "servers": [{"hostname": each}]} for each, needed in graph.items()]
    return {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": waves}


@EVERY_TIME
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


@EVERY_TIME
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


@settings(EVERY_TIME, max_examples=600)
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


@settings(EVERY_TIME, max_examples=400)
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
            assert all(problem.message for problem in error.problems)
