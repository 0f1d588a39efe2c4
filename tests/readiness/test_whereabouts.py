"""Targets that turn out to be one place, and which of them a run acts in."""

from __future__ import annotations

from typing import Any

from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.readiness.whereabouts import Identity, LookedAt, launched_twice, places_of_run, same_places

SERVER = "s-00000000000000001"
PLAN: dict[str, Any] = {
    "version": 1,
    "name": "shop",
    "targets": {
        "one": {"region": "us-west-2", "aws_conn_id": "aws_one"},
        "other": {"region": "us-west-2", "aws_conn_id": "aws_other"},
        "source": {"region": "us-east-1", "aws_conn_id": "aws_source"},
    },
    "waves": [
        {"name": "a", "target": "other", "servers": [{"id": SERVER}]},
        {
            "name": "b",
            "target": "one",
            "servers": [{"id": SERVER}],
            "pre_launch": [{"name": "fence", "automation": "Shop-Fence", "target": "source", "modes": ["recovery"]}],
        },
    ],
}


def looked_at(*identities: Identity) -> tuple[LookedAt, ...]:
    return tuple(LookedAt(identity) for identity in identities)


def server(wave: str) -> ResolvedServer:
    return ResolvedServer(SERVER, wave, None, {}, True, None, f"id {SERVER}")


def test_a_run_acts_where_its_waves_are_and_where_scripts_of_its_mode_are() -> None:
    plan = RecoveryPlan.model_validate(PLAN)
    names = [place.name for place in places_of_run(plan, "recovery", ["a", "b"])]
    assert names == ["other", "one", "source"]
    assert [place.name for place in places_of_run(plan, "drill", ["a", "b"])] == ["other", "one"]
    assert [place.name for place in places_of_run(plan, "recovery", ["b"], skip_scripts=True)] == ["one"]


def test_two_connections_to_one_account_launch_no_server_twice() -> None:
    plan = RecoveryPlan.model_validate(PLAN)
    resolved = {"a": [server("a")], "b": [server("b")]}
    same = looked_at(Identity("other", "us-west-2", "111111111111"), Identity("one", "us-west-2", "111111111111"))
    assert [(one.code, one.severity) for one in same_places(same)] == [("targets-same", "warning")]
    (twice,) = launched_twice(plan, resolved, same)
    assert (twice.code, twice.wave, twice.server) == ("server-selected-twice", "b", SERVER)
    # What two accounts, or two regions, call the same is two servers.
    two = looked_at(Identity("other", "us-west-2", "111111111111"), Identity("one", "us-west-2", "222222222222"))
    assert same_places(two) == launched_twice(plan, resolved, two) == []
