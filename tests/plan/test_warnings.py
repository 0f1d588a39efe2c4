"""What drs-plan validate says of valid plans: warnings with a place, and what this Airflow does not let plans name."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from drs_provider.cli import app
from drs_provider.plan import load_plan
from drs_provider.plan.schedule import next_moments
from drs_provider.plan.upcoming import upcoming_drills
from drs_provider.plan.warnings import remarks

HEAD = "version: 1\nname: shop\ntarget: {region: us-west-2}\n"
SCRIPT = "{name: start, run_command: Shop-Start%s}"
WAVES = "waves:\n  - name: a\n    servers: [{hostname: h}]\n    post_launch:\n      - " + SCRIPT + "\n"


def validate(path: Path, *options: str) -> Result:
    return CliRunner(env={"COLUMNS": "300"}).invoke(app, ["validate", str(path), *options])


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "shop.yaml"


def test_a_script_behind_the_launch_without_modes_is_a_warning(plan: Path) -> None:
    plan.write_text(HEAD + WAVES % "")
    result = validate(plan)
    assert result.exit_code == 0
    assert f"{plan}:8:16 warning: waves[0].post_launch[0].name: start runs in drills too" in result.stdout
    assert f"valid {plan}: shop, 1 wave" in result.stdout
    (problem,) = json.loads(validate(plan, "--format", "json").stdout)
    assert (problem["severity"], problem["line"]) == ("warning", 8)
    assert validate(plan, "--format", "github").stdout.startswith("::warning file=")


@pytest.mark.parametrize(
    "text",
    [
        HEAD + WAVES % ", modes: [drill, recovery]",
        HEAD + WAVES % ", modes: [recovery]",
        HEAD + "defaults: {script_modes: [recovery]}\n" + WAVES % "",
    ],
    ids=["both", "recovery", "default"],
)
def test_one_with_modes_is_none(plan: Path, text: str) -> None:
    plan.write_text(text)
    load_plan(plan)
    assert remarks(plan) == []


def test_scripts_that_every_wave_has_by_default_are_looked_at_too(plan: Path) -> None:
    script = SCRIPT % ""
    plan.write_text(HEAD + f"defaults: {{post_launch: [{script}]}}\nwaves: [{{name: a, servers: [{{hostname: h}}]}}]\n")
    (problem,) = remarks(plan)
    assert problem.path == "defaults.post_launch[0].name"


def test_what_has_no_effect_or_leaves_a_need_out_is_a_warning(plan: Path) -> None:
    script = "{name: dns, automation: Dns, modes: [recovery], parameters_by_mode: {drill: {Zone: test}}}"
    web = f"  - {{name: web, depends_on: [a], servers: [{{hostname: w}}], pre_launch: [{script}]}}\n"
    plan.write_text(HEAD + WAVES % ", modes: [recovery]" + web + "drill: {waves: [web]}\n")
    found = [(problem.path, problem.message) for problem in remarks(plan)]
    assert found == [
        ("waves[1].pre_launch[0].parameters_by_mode.drill", "dns does not run in a drill: its modes are recovery"),
        ("drill.waves", "drill.waves is for scheduled drills, and drill.schedule is absent"),
        (
            "drill.waves[0]",
            "the scheduled drill launches web without a, which it depends on: waves that are left out count as done",
        ),
    ]


def test_the_shipped_plans_give_no_warning() -> None:
    folder = Path(__file__).parents[2] / "plans"
    assert [str(problem) for path in sorted(folder.glob("*.yaml")) for problem in remarks(path)] == []


def test_a_notifier_that_is_not_allowed_is_an_error_with_its_place(plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", raising=False)
    plan.write_text(HEAD + "notify: [{notifier: shop.Pager}]\nwaves: [{name: a, servers: [{hostname: h}]}]\n")
    load_plan(plan)
    result = validate(plan)
    assert result.exit_code == 1
    assert f"{plan}:4:21 notify[0].notifier: shop.Pager is not allowed by [drs_provider] notifiers" in result.stdout
    assert "valid" not in result.stdout
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__NOTIFIERS", "shop.*")
    assert validate(plan).exit_code == 0


def test_a_connection_that_is_not_allowed_is_an_error_with_its_place(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "target: {region: us-west-2, aws_conn_id: slack_default}\n"
    plan.write_text(f"version: 1\nname: shop\n{target}waves: [{{name: a, servers: [{{hostname: h}}]}}]\n")
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__CONNECTIONS", "aws_dr_*")
    result = validate(plan)
    assert result.exit_code == 1
    assert "target.aws_conn_id: slack_default is not allowed by [drs_provider] connections: aws_dr_*" in result.stdout


def test_the_name_of_a_file_does_not_reach_the_terminal_as_a_command(tmp_path: Path) -> None:
    for text in (HEAD + WAVES % "", "version: 2\n"):
        path = tmp_path / "a\x1b[2J\x1b]0;owned\x07.yaml"
        path.write_text(text)
        assert "\x1b" not in validate(path).stdout
        assert "\x07" not in validate(path).stdout


REFERENCES = [
    ("{{conection:drs_secret_shop.password}}", "did you mean {{connection:drs_secret_NAME.FIELD}}?"),
    ("{{ connection:drs_secret_shop.password }}", "write {{connection:drs_secret_shop.password}}"),
    ("{{ssm:/shop/db}} and {{wave.instances}}", "{{wave.instances}} is not a reference"),
    ("{{ recovery_instances }}", "would be sent as text"),
    ("{{instance_ips}}", "targets: recovery_instances"),
    ("{{smm:/shop/db}}", "did you mean {{ssm:…}}?"),
    ("{{private_ip:web01}}", "is not a reference"),
    ("a {{secret:x}} b", "is not a reference"),
]


def script_with(value: str) -> str:
    return HEAD + (
        "waves:\n  - name: a\n    servers: [{hostname: h}]\n    pre_launch:\n"
        f"      - {{name: s, automation: Shop-X, parameters: {{P: {json.dumps(value)}}}}}\n"
    )


@pytest.mark.parametrize(("value", "message"), REFERENCES)
def test_what_only_looks_like_a_reference_is_an_error(plan: Path, value: str, message: str) -> None:
    plan.write_text(script_with(value))
    result = validate(plan)
    assert result.exit_code == 1
    assert f"{plan}:8:55 waves[0].pre_launch[0].parameters.P: " in result.stdout
    assert message in result.stdout
    # It is still a plan: a run in progress does not lose its DAG.
    load_plan(plan)


@pytest.mark.parametrize(
    "value",
    [
        "{{connection:drs_secret_shop.password}}",
        "{{ssm:/shop/db:3}} {{ ssm-secure:/shop/key }} {{global:DATE}} {{automation:EXECUTION_ID}}",
        "docker ps --format '{{.Names}}' && docker inspect -f '{{range .Mounts}}{{.Source}}{{end}}' x",
        "{% if x %}{ {y} }",
    ],
)
def test_what_ssm_or_a_command_replaces_itself_is_none(plan: Path, value: str) -> None:
    plan.write_text(script_with(value))
    assert validate(plan).exit_code == 0


def test_other_words_in_braces_are_a_warning(plan: Path) -> None:
    plan.write_text(script_with("ansible -e 'x={{ ansible_facts }}'"))
    result = validate(plan)
    assert result.exit_code == 0
    assert "warning: waves[0].pre_launch[0].parameters.P: {{ ansible_facts }} is sent as text" in result.stdout


def test_they_are_found_in_a_file_that_has_other_mistakes_too(plan: Path) -> None:
    plan.write_text(script_with("{{instance_ips}}") + "ownr: x\n")
    found = [problem["path"] for problem in json.loads(validate(plan, "--format", "json").stdout)]
    assert found == ["waves[0].pre_launch[0].parameters.P", "ownr"]


SCHEDULES = [
    ("0 3 1-7 */3 SUN", '"0 3 * */3 SUN#1"'),
    ("30 22 8-14 * 2", '"30 22 * * 2#2"'),
    ("0 3 15 * MON", "Write * for the one that you do not mean"),
    ("0 3 * * SUN", None),
    ("0 3 1 * *", None),
    ("0 3 * * SUN#1", None),
    ("@weekly", None),
]


@pytest.mark.parametrize(("schedule", "advice"), SCHEDULES)
def test_a_schedule_that_fires_on_either_day_is_a_warning(plan: Path, schedule: str, advice: str | None) -> None:
    plan.write_text(HEAD + f'drill: {{schedule: "{schedule}"}}\nwaves: [{{name: a, servers: [{{hostname: h}}]}}]\n')
    found = [problem.message for problem in remarks(plan)]
    assert bool(found) == bool(advice)
    if advice:
        assert advice in found[0]


def test_the_schedule_that_is_offered_means_what_was_meant() -> None:
    after = datetime(2026, 11, 27, tzinfo=timezone.utc)
    days = [moment.date().isoformat() for moment in next_moments("0 3 * */3 SUN#1", "Europe/London", after)]
    assert days == ["2027-01-03", "2027-04-04", "2027-07-04"]


def test_the_next_drills_are_named_in_the_zone_of_the_plan_without_excluded_days(plan: Path) -> None:
    plan.write_text(
        HEAD + 'drill: {schedule: "30 6 * * SAT", timezone: America/New_York, not_on: ["2026-12-20/2027-01-03"]}\n'
        "waves: [{name: a, servers: [{hostname: h}]}]\n"
    )
    drill = load_plan(plan).plan.drill
    found = upcoming_drills(drill, datetime(2026, 12, 10, tzinfo=timezone.utc))
    assert [moment.isoformat() for moment in found] == [
        "2026-12-12T06:30:00-05:00",
        "2026-12-19T06:30:00-05:00",
        "2027-01-09T06:30:00-05:00",
    ]
    for command in ("validate", "graph"):
        result = CliRunner(env={"COLUMNS": "300"}).invoke(app, [command, str(plan)])
        assert "next drills: " in result.stdout
        assert "(America/New_York)" in result.stdout
