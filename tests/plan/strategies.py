"""Plans, graphs of waves and their parts, drawn at random."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from drs_provider.durations import format_duration
from drs_provider.plan.kinds import reserved_names

name = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,12}", fullmatch=True).filter(lambda text: text not in reserved_names())
# Text that YAML's surprises are made of, and any other that YAML can carry.
surprising = st.sampled_from(
    ["on", "no", "010", "22:30", "1e3", "2026-01-01", "null", "~", "=", "<<", "*a", "{", "- x", "#"]
)
anything = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=20)
text = (surprising | anything).filter(lambda each: each.strip() != "")
# Airflow reserves names that begin with two underscores.
key = text.filter(lambda each: not each.startswith("__"))
words = st.lists(text, max_size=3, unique=True)
span = st.integers(1, 365 * 86400).map(lambda seconds: format_duration(timedelta(seconds=seconds)))
tags = st.dictionaries(key, surprising | anything, min_size=1, max_size=3)
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
launch = st.fixed_dictionaries(
    {},
    optional={
        "instance_type": st.sampled_from(["t3.large", ["r6i.large", "r5.large"]]),
        "subnet": st.just("subnet-0aaaaaaaaaaaaaaa1") | st.fixed_dictionaries({"tags": tags}),
        "start": st.booleans(),
        "post_launch_actions": st.sampled_from([False, "reported"]),
    },
)
script_options = {
    "parameters": st.dictionaries(key, text | words, max_size=2),
    "parameters_by_mode": st.fixed_dictionaries({}, optional={"drill": st.dictionaries(key, text, max_size=1)}),
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
    place = st.fixed_dictionaries(
        {"region": st.sampled_from(["us-west-2", "ap-northeast-1"])},
        optional={"aws_conn_id": text, "account": st.just("012345678901")},
    )
    targets = draw(st.dictionaries(name, place, max_size=2))
    # Without one of its own, a plan says of each wave where it stands.
    own = draw(st.just({"target": draw(place)}) | st.just({})) if targets else {"target": draw(place)}
    where = st.sampled_from(sorted(targets)) if targets else st.just("default")
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
            "launch": launch,
        }
        servers = st.lists(st.sampled_from(selectors), min_size=1, unique_by=str)
        needs = {"name": st.just(wave), "depends_on": st.just(needed), "servers": servers}
        (options if own else needs)["target"] = where
        waves.append(draw(st.fixed_dictionaries(needs, optional=options)))
    plan = st.fixed_dictionaries(
        {
            "version": st.just(1),
            "name": name,
            **{key: st.just(value) for key, value in own.items()},
            "waves": st.just(waves),
            **({"targets": st.just(targets)} if targets else {}),
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
                    "launch": launch,
                },
            ),
            "protection_groups": st.dictionaries(name, st.fixed_dictionaries({"tags": tags}), max_size=2),
        },
    )
    return draw(plan)
