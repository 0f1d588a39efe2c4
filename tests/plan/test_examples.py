"""The example plans are valid, each shows what it is for, and the schema beside them is the models' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from drs_provider.plan import RecoveryPlan, dump_plan, levels, read_plans
from drs_provider.plan.schema import plan_schema, schema_text
from drs_provider.plan.writing import MODELINE

PLANS = Path(__file__).parents[2] / "plans"
FILES = sorted(PLANS.glob("*.yaml"))


@pytest.fixture(scope="module")
def plans() -> dict[str, RecoveryPlan]:
    folder = read_plans(PLANS)
    assert folder.problems == []
    return {name: loaded.plan for name, loaded in folder.plans.items()}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_beside_the_plans_is_up_to_date() -> None:
    assert (PLANS / "schema.json").read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_example_is_valid_for_the_loader_and_for_editors(
    path: Path, plans: dict[str, RecoveryPlan], validator: Any
) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(MODELINE + "\n")
    assert path.stem in plans
    assert list(validator.iter_errors(yaml.safe_load(text))) == []
    assert list(validator.iter_errors(yaml.safe_load(dump_plan(plans[path.stem])))) == []


def test_the_examples_are_what_they_are_there_for(plans: dict[str, RecoveryPlan]) -> None:
    shapes = {name: [len(level) for level in levels(plan)] for name, plan in plans.items()}
    assert shapes["three-tier-web"] == [1, 1, 1]
    assert shapes["parallel-branches"] == [3]
    assert shapes["diamond-orders"] == [1, 2, 1]
    assert sum(shapes["sap-landscape"]) == 12
    assert plans["cross-account"].target.aws_conn_id != "aws_default"
    commands = {script.run_command for wave in plans["windows-domain"].waves for script in wave.scripts()}
    assert commands == {"AWS-RunPowerShellScript"}
    diamond = plans["diamond-orders"].waves
    assert any(wave.approval for wave in diamond)
    assert any(wave.health_checks for wave in diamond)
    assert any(wave.rollback for wave in diamond)
    assert any(wave.pre_launch for wave in diamond)


def test_every_key_is_documented() -> None:
    schema = plan_schema()
    objects = [schema, *schema["$defs"].values()]
    keys = [(key, value) for each in objects for key, value in each["properties"].items()]
    assert len(keys) > 80
    for key, value in keys:
        part = schema["$defs"].get(value.get("$ref", "").removeprefix("#/$defs/"), {})
        assert value.get("description") or part.get("description"), key


def test_the_schema_shows_editors_no_null_and_no_generated_title() -> None:
    text = json.dumps(plan_schema()["$defs"]["Wave"])
    assert '"null"' not in text
    assert "Launch Timeout" not in text


WAVE = {"name": "a", "servers": [{"hostname": "h"}]}
VALID = {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "waves": [WAVE]}
SCRIPT = {"name": "x", "run_command": "Doc"}


@pytest.mark.parametrize(
    "change",
    [
        {"descripton": "x"},
        {"version": 2},
        {"name": "Shop"},
        {"waves": []},
        {"objectives": {"rto": "5"}},
        {"objectives": {"rto": 5}},
        {"objectives": {"rto": ""}},
        {"objectives": {"rto": "PT"}},
        {"drill": {"terminate": "x"}},
        {"notify": [{}]},
        {"waves": [{**WAVE, "servers": [{"hostname": "h", "id": "s-00000000000000001"}]}]},
        {"waves": [{**WAVE, "servers": [{"hostname": "h", "snapshot": "pit-00000000000000001"}]}]},
        {"waves": [{**WAVE, "min_launched": "101%"}]},
        {"waves": [{**WAVE, "health_checks": [{"type": "tcp"}]}]},
        {"waves": [{**WAVE, "post_launch": [{**SCRIPT, "automation": "Doc"}]}]},
        {"waves": [{**WAVE, "post_launch": [{**SCRIPT, "targets": "all"}]}]},
        {"waves": [{**WAVE, "post_launch": [{**SCRIPT, "parameters": {"a": 1}}]}]},
        {"protection_groups": {"DB": {"tags": {"a": "b"}}}},
    ],
    ids=str,
)
def test_an_editor_marks_what_the_loader_refuses(validator: Any, change: dict[str, Any]) -> None:
    assert list(validator.iter_errors(VALID)) == []
    assert list(validator.iter_errors({**VALID, **change})) != []
    with pytest.raises(ValueError, match="validation error"):
        RecoveryPlan.model_validate({**VALID, **change})
