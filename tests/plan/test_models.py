"""The models: defaults take effect, strictness, and every rule holds for plans that are built in code too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from drs_provider.plan import RecoveryPlan, Targets
from drs_provider.plan.defaults import SCRIPT_KEYS, WAVE_KEYS, Defaults
from drs_provider.plan.waves import Script, Wave

RUN = {"name": "run", "run_command": "AWS-RunShellScript"}


def plan(data: dict[str, Any]) -> RecoveryPlan:
    return RecoveryPlan.model_validate(data)


def test_a_small_plan_has_the_documented_defaults(data: dict[str, Any]) -> None:
    made = plan(data)
    wave = made.waves[0]
    assert (made.owner, made.target.aws_conn_id, made.drill.terminate) == ("airflow", "aws_default", "always")
    assert (made.drill.schedule, made.drill.timezone, made.drill.keep_for) == (None, "UTC", timedelta(0))
    assert (made.recovery.approval, made.recovery.on_failure, made.notify) == (None, "stop", ())
    assert (wave.launch_timeout, wave.retries, wave.on_failure) == (timedelta(hours=1), 1, "stop")
    assert (wave.min_launched, wave.max_replication_lag, wave.approval, wave.depends_on) == (None, None, None, ())
    assert (wave.servers[0].critical, wave.servers[0].snapshot) == (True, None)


def test_the_plans_defaults_stand_on_waves_and_scripts_that_give_no_value(data: dict[str, Any]) -> None:
    data["defaults"] = {
        "launch_timeout": "5m",
        "retries": 3,
        "settle": "1m",
        "script_timeout": "2m",
        "script_on_failure": "continue",
        "script_modes": ["recovery"],
        "health_checks": [{"type": "ssm_online"}],
        "post_launch": [RUN],
    }
    data["waves"][1] |= {"retries": 0, "health_checks": [], "post_launch": [{**RUN, "timeout": "9m"}]}
    first, second = plan(data).waves
    assert (first.launch_timeout, first.retries, first.settle) == (timedelta(minutes=5), 3, timedelta(minutes=1))
    assert [check.type for check in first.health_checks] == ["ssm_online"]
    assert first.post_launch[0].timeout == timedelta(minutes=2)
    assert first.post_launch[0].on_failure == "continue"
    assert first.post_launch[0].modes == {"recovery"}
    assert (second.retries, second.health_checks) == (0, ())
    assert second.post_launch[0].timeout == timedelta(minutes=9)


def test_every_key_of_a_wave_and_of_a_script_can_have_a_default() -> None:
    # The default of a target is the plan's own.
    identity = {"name", "description", "depends_on", "servers", "target"}
    assert {*WAVE_KEYS, "launch"} == set(Wave.model_fields) - identity
    assert set(SCRIPT_KEYS) == set(Script.model_fields) - {"name", "automation", "run_command", "target"}
    assert set(Defaults.model_fields) == {*WAVE_KEYS, "launch", *(f"script_{key}" for key in SCRIPT_KEYS)}


def test_the_lag_that_is_allowed_is_the_waves_then_the_defaults_then_the_rpo(data: dict[str, Any]) -> None:
    data["objectives"] = {"rpo": "5m"}
    data["waves"][0]["max_replication_lag"] = "1m"
    assert [wave.max_replication_lag for wave in plan(data).waves] == [timedelta(minutes=1), timedelta(minutes=5)]
    data["defaults"] = {"max_replication_lag": "7m"}
    assert plan(data).waves[1].max_replication_lag == timedelta(minutes=7)


def test_a_command_after_the_launch_runs_on_the_recovery_instances(data: dict[str, Any]) -> None:
    elsewhere = {"tags": {"Role": "cache"}}
    data["waves"][0]["post_launch"] = [
        RUN,
        {**RUN, "name": "there", "targets": elsewhere},
        {"name": "book", "automation": "Shop-Book"},
    ]
    run, there, book = plan(data).waves[0].post_launch
    assert (run.targets, there.targets, book.targets) == ("recovery_instances", Targets.model_validate(elsewhere), None)


def test_default_targets_reach_commands_only(data: dict[str, Any]) -> None:
    data["defaults"] = {"script_targets": {"instance_ids": ["i-0123456789abcdef0"]}}
    data["waves"][0]["pre_launch"] = [RUN, {"name": "book", "automation": "Shop-Book"}]
    run, book = plan(data).waves[0].pre_launch
    assert run.targets == Targets(instance_ids=("i-0123456789abcdef0",))
    assert book.targets is None


def test_parameters_are_texts_or_lists_of_texts(data: dict[str, Any]) -> None:
    data["waves"][0]["post_launch"] = [{**RUN, "parameters": {"a": "{{ssm:name}}", "b": ["x", "y"]}}]
    assert plan(data).waves[0].post_launch[0].parameters == {"a": ("{{ssm:name}}",), "b": ("x", "y")}
    data["waves"][0]["post_launch"][0]["parameters"] = {"a": 5}
    with pytest.raises(ValidationError):
        plan(data)


@pytest.mark.parametrize(
    ("least", "total", "required"),
    [(None, 5, None), (2, 5, 2), (0, 5, 0), ("50%", 5, 3), ("100%", 7, 7), ("0%", 7, 0), ("1%", 100, 1), ("80%", 5, 4)],
)
def test_required_launched(data: dict[str, Any], least: Any, total: int, required: int | None) -> None:
    if least is not None:
        data["waves"][1]["min_launched"] = least
    assert plan(data).waves[1].required_launched(total) == required


def test_selectors_expand_groups(data: dict[str, Any]) -> None:
    ids = ["s-0000000000000000a", "s-0000000000000000b"]
    data["protection_groups"] = {"pair": {"servers": ids}, "web": {"tags": {"Tier": "web"}}}
    data["waves"][0]["servers"] += [{"group": "pair", "critical": False}, {"group": "web"}]
    made = plan(data)
    selectors = made.selectors(made.waves[0])
    assert [(one.id, one.tags, one.critical, one.group) for one in selectors] == [
        ("s-00000000000000001", None, True, None),
        (ids[0], None, False, None),
        (ids[1], None, False, None),
        (None, {"Tier": "web"}, True, None),
    ]


def test_checks_of_one_type_get_different_names(data: dict[str, Any]) -> None:
    data["waves"][0]["health_checks"] = [
        {"type": "tcp", "port": 1},
        {"type": "ssm_online"},
        {"type": "tcp", "port": 2},
        {"type": "tcp", "port": 3},
    ]
    assert list(plan(data).waves[0].checks_by_name()) == ["tcp", "ssm_online", "tcp_2", "tcp_3"]


def test_http_checks_know_their_port(data: dict[str, Any]) -> None:
    data["waves"][0]["health_checks"] = [
        {"type": "http", "path": "/"},
        {"type": "http", "path": "/", "scheme": "https"},
        {"type": "http", "path": "/", "port": 8080},
    ]
    assert [check.effective_port for check in plan(data).waves[0].health_checks] == [80, 443, 8080]  # type: ignore[union-attr]


def test_a_plan_cannot_be_changed(data: dict[str, Any]) -> None:
    made = plan(data)
    for part, key in ((made, "name"), (made.waves[0], "retries"), (made.target, "region")):
        with pytest.raises(ValidationError):
            setattr(part, key, "x")


def test_rules_hold_for_plans_that_are_built_in_code(data: dict[str, Any]) -> None:
    data["waves"][0]["depends_on"] = ["app"]
    with pytest.raises(ValidationError, match="db → app → db"):
        plan(data)


@pytest.mark.parametrize("version", [True, 1.0, "1", 2, 0])
def test_the_version_is_the_number_one(data: dict[str, Any], version: Any) -> None:
    data["version"] = version
    with pytest.raises(ValidationError):
        plan(data)


def test_wave_by_name(data: dict[str, Any]) -> None:
    made = plan(data)
    assert made.wave("app") is made.waves[1]
    with pytest.raises(KeyError):
        made.wave("nope")
