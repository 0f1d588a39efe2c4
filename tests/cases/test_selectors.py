"""Servers by the source's EC2 instance, and by name; near misses."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from pydantic import ValidationError

from drs_provider.aws.clients import Clients
from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.preflight import run_preflight
from tests.cases.world import FOUR, ONE, REGION, THREE, TWO, Case, of

CRM = {
    "region": REGION,
    "servers": [
        {"id": ONE, "hostname": "crm01", "fqdn": "crm01.corp.example", "origin_instance": "i-0aaaaaaaaaaaaaaa1"},
        {"id": TWO, "hostname": "crm02.corp.example", "tags": {"Name": "CRM database", "Tier": "db", "Site": "a"}},
        {"id": THREE, "hostname": "web01", "tags": {"Name": "web", "Tier": "web", "Site": "b"}},
    ],
}


@of("optional-gone")
@pytest.mark.parametrize(
    ("selector", "server"),
    [
        ({"instance": "i-0aaaaaaaaaaaaaaa1"}, ONE),
        ({"name": "crm01"}, ONE),
        ({"name": "CRM01.corp.example"}, ONE),
        ({"name": "crm02"}, TWO),
        ({"name": "CRM database"}, TWO),
        ({"name": "Web"}, THREE),
    ],
    ids=str,
)
def test_a_server_is_found_by_instance_and_by_name(case: Case, selector: dict[str, str], server: str) -> None:
    case.simulation.load(CRM, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [selector]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    assert [one.id for one in result.resolved["a"]] == [server]
    assert not result.findings.errors


@of("optional-gone")
def test_a_drill_launches_servers_by_instance_and_by_name(case: Case) -> None:
    case.simulation.load(CRM, speed=60)
    waves = [{"name": "a", "servers": [{"instance": "i-0aaaaaaaaaaaaaaa1"}, {"name": "web"}]}]
    assert case.run("drill", case.plan(waves=waves)).state == "success"
    assert sorted(case.launched) == [ONE, THREE]


@of("optional-gone")
@pytest.mark.parametrize(
    ("selector", "code", "words"),
    [
        ({"instance": "i-0aaaaaaaaaaaaaaa2"}, "server-not-found", "did you mean instance i-0aaaaaaaaaaaaaaa1 (s-"),
        ({"name": "crm1"}, "server-not-found", "did you mean name crm01 (s-"),
        ({"hostname": "web1"}, "server-not-found", "did you mean hostname web01 (s-"),
        ({"hostname": "crm02"}, "server-not-found", "did you mean name crm02 (s-"),
        ({"tags": {"Tier": "wbe"}}, "selection-empty", "no server has Tier=wbe; did you mean Tier=web?"),
        ({"tags": {"tier": "web"}}, "selection-empty", "no server has a tag tier; did you mean Tier=web?"),
        ({"tags": {"Tier": "web", "Site": "a"}}, "selection-empty", "each tag is there, and no server has all of them"),
        ({"tags": {"Zzz": "qq"}}, "selection-empty", "no server has a tag Zzz."),
    ],
    ids=str,
)
def test_near_misses_are_offered(case: Case, selector: dict[str, Any], code: str, words: str) -> None:
    case.simulation.load(CRM, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [selector]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    (finding,) = result.findings.errors
    assert finding.code == code
    assert words in finding.message


@of("optional-gone")
def test_a_name_that_two_servers_have_is_refused(case: Case) -> None:
    scenario = {**CRM, "servers": [*CRM["servers"], {"id": FOUR, "hostname": "web"}]}
    case.simulation.load(scenario, speed=60)
    loaded = case.plan(waves=[{"name": "a", "servers": [{"name": "web"}]}])
    result = run_preflight(loaded.plan, Clients.from_session(boto3.session.Session(), REGION), mode="drill")
    assert [one.code for one in result.findings.errors] == ["hostname-ambiguous"]
    assert "name web matches 2 source servers" in result.findings.errors[0].message


def test_one_server_in_two_waves_is_an_error_by_instance_and_by_name_too() -> None:
    for selector in ({"instance": "i-0aaaaaaaaaaaaaaa1"}, {"name": "web"}):
        waves = [{"name": name, "servers": [selector]} for name in ("a", "b")]
        with pytest.raises(ValidationError, match=r"web|i-0aaaaaaaaaaaaaaa1"):
            RecoveryPlan.model_validate({"version": 1, "name": "p", "target": {"region": REGION}, "waves": waves})
