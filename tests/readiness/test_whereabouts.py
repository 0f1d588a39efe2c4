"""Targets that turn out to be one place, and which of them a run acts in."""

from __future__ import annotations

from typing import Any

from drs_provider.aws.quotas import Quotas
from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.quotas import JobsHere
from drs_provider.readiness.resolution import ResolvedServer
from drs_provider.readiness.whereabouts import (
    Identity,
    LookedAt,
    launched_twice,
    places_of_run,
    quota_findings,
    same_places,
)

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


def test_two_targets_in_one_account_and_region_share_its_quotas() -> None:
    plan = RecoveryPlan.model_validate(PLAN)
    others = ({"jobID": "drsjob-1", "participatingServers": [{}, {}]},)

    def look(other: str) -> list[tuple[str, str | None, str]]:
        quotas = Quotas(jobs=2, servers_in_jobs=10)
        found = quota_findings(
            plan,
            [
                LookedAt(Identity("other", "us-west-2", other), jobs=JobsHere(quotas, True, {"a": 6}, others, 600)),
                LookedAt(
                    Identity("one", "us-west-2", "111111111111"),
                    # Of two roles one may not read the quotas.
                    jobs=JobsHere(Quotas(), False, {"b": 6}, others, 60),
                ),
            ],
        )
        return [(finding.code, finding.target, finding.message) for finding in found]

    jobs, servers = look("111111111111")
    assert jobs == ("quota-shared", "other", "Waves a, b can run together: 2 jobs, 1 of others now; the quota is 2.")
    assert servers[:2] == ("quota-servers-in-jobs", "other")
    assert "Waves a, b can run together: 12 servers in jobs; the quota is 10, so 2 servers wait" in servers[2]
    assert look("222222222222") == [], "each has its own"
