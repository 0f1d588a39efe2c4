"""Several accounts and regions in one plan: each wave and script has one, and every wrong name has its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

from drs_provider.plan import Problem, RecoveryPlan, plan_hash
from drs_provider.plan.drawing import draw
from drs_provider.plan.schema import plan_schema
from drs_provider.plan.warnings import certain_mistakes, look_twice
from tests.plan.conftest import PLAN

TARGETS: dict[str, Any] = {
    "payments": {"region": "us-west-2", "aws_conn_id": "aws_payments", "account": "210987654321"},
    "tokyo": {"region": "ap-northeast-1", "aws_conn_id": "aws_tokyo"},
}
ELSEWHERE = {"name": "promote", "automation": "Shop-Promote", "target": "tokyo"}


def several() -> dict[str, Any]:
    data = {**copy.deepcopy(PLAN), "targets": copy.deepcopy(TARGETS)}
    data["waves"][0] |= {
        "target": "payments",
        "pre_launch": [dict(ELSEWHERE), {"name": "own", "automation": "Shop-Own"}],
    }
    return data


def test_waves_and_scripts_act_where_they_say() -> None:
    plan = RecoveryPlan.model_validate(several())
    database, app = plan.waves
    assert plan.target_of(database).account == "210987654321"
    assert plan.target_of(app).key == ("aws_default", "us-west-2")
    elsewhere, own = database.pre_launch
    assert str(plan.target_of(database, elsewhere)) == "tokyo (ap-northeast-1)"
    assert plan.target_of(database, own) == plan.target_of(database)
    assert [place.name for place in plan.targets_of(plan.waves)] == ["payments", "default"]
    # The plan's own target can be named where the wave's is another.
    data = several()
    data["waves"][0]["pre_launch"][0]["target"] = "default"
    plan = RecoveryPlan.model_validate(data)
    assert plan.target_of(plan.waves[0], plan.waves[0].pre_launch[0]).name == "default"


def test_a_drawing_says_where_each_wave_is_launched() -> None:
    plan = RecoveryPlan.model_validate(several())
    for style, shown in (
        ("text", "in payments (us-west-2)"),
        ("mermaid", "db  in payments (us-west-2)"),
        ("dot", "in payments (us-west-2)"),
        ("json", '"target": "payments"'),
    ):
        assert shown in draw(plan, style)
        assert "in us-west-2" not in draw(RecoveryPlan.model_validate(PLAN), style)


def test_a_plan_needs_no_target_of_its_own_where_every_wave_names_one() -> None:
    data = several()
    del data["target"]
    data["waves"][1]["target"] = "tokyo"
    plan = RecoveryPlan.model_validate(data)
    assert plan.default_target.name == "payments"
    jsonschema.Draft202012Validator(plan_schema()).validate(data)
    del data["waves"][1]["target"]
    with pytest.raises(ValidationError, match="app names none, and the plan has none of its own"):
        RecoveryPlan.model_validate(data)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(plan_schema()).validate(data)


def test_what_two_places_call_the_same_is_two_servers() -> None:
    data = several()
    data["waves"][0]["servers"] = data["waves"][1]["servers"]
    RecoveryPlan.model_validate(data)
    # Two names of one connection and region are one place.
    data["targets"]["payments"] = {"region": "us-west-2"}
    with pytest.raises(ValidationError, match="tags Tier=app is already in wave db"):
        RecoveryPlan.model_validate(data)


def change(path: str, value: Any) -> dict[str, Any]:
    data: Any = several()
    part, keys = data, path.split(".")
    for key in keys[:-1]:
        part = part[int(key) if key.isdigit() else key]
    part[keys[-1]] = value
    return dict(data)


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (change("waves.0.target", "payment"), "waves[0].target", "there is no target payment; did you mean payments?"),
        (change("waves.0.target", "x"), "waves[0].target", "no target x; targets has payments, tokyo"),
        (
            change("waves.0.pre_launch.0.target", "tokio"),
            "waves[0].pre_launch[0].target",
            "there is no target tokio; did you mean tokyo?",
        ),
        (
            change("targets.tokyo.account", "12345"),
            "targets.tokyo.account",
            "an AWS account id of 12 digits, in quotes",
        ),
        (change("targets.tokyo.account", 210987654321), "targets.tokyo.account", "put it in quotes"),
        (change("targets.tokyo.regoin", "x"), "targets.tokyo.regoin", "did you mean region?"),
        (
            change("targets.tokyo", {**TARGETS["payments"], "account": "333333333333"}),
            "targets.tokyo.account",
            "aws_payments leads to 210987654321, as another target says: one connection, one account",
        ),
        (
            change("targets.payments.staging_accounts", ["333333333333", "210987654321"]),
            "targets.payments.staging_accounts[1]",
            "210987654321 is the target's own account",
        ),
        (change("targets.default", TARGETS["tokyo"]), "targets.default", "may not be called default"),
        (change("targets.To Kyo", TARGETS["tokyo"]), "targets.To Kyo", "write to-kyo"),
        (
            change("waves.0.post_launch", [{"name": "warm", "run_command": "Doc-Warm", "target": "tokyo"}]),
            "waves[0].post_launch[0].target",
            "the recovery instances of wave db are in the target payments",
        ),
        (
            change("defaults", {"rollback": [{"name": "undo", "automation": "Shop-Undo", "target": "nowhere"}]}),
            "defaults.rollback[0].target",
            "there is no target nowhere",
        ),
    ],
)
def test_each_mistake_has_its_place(
    data: dict[str, Any], path: str, message: str, problems_of: Callable[[str], list[Problem]]
) -> None:
    (problem,) = problems_of(yaml.safe_dump(data, sort_keys=False))
    assert problem.path == path
    assert message in problem.message
    assert problem.line > 1
    with pytest.raises(ValidationError):
        RecoveryPlan.model_validate(data)


def test_every_target_is_looked_at_twice() -> None:
    data = several()
    data["targets"] |= {
        "spare": {"region": "us-east-3"},
        "typo": {"region": "us-wset-2"},
    }
    warned = {finding.location: finding.message for finding in look_twice(data)}
    assert warned["targets", "spare"] == "no wave and no script names the target spare"
    assert "is no region that this version knows" in warned["targets", "spare", "region"]
    assert ("targets", "payments") not in warned
    assert [finding.location for finding in certain_mistakes(data)] == [("targets", "typo", "region")]


def test_the_target_of_a_wave_is_part_of_what_a_plan_means() -> None:
    plan = RecoveryPlan.model_validate(several())
    moved = RecoveryPlan.model_validate(change("waves.0.target", "tokyo"))
    assert plan_hash(plan) != plan_hash(moved)
