"""What Airflow and the people who use it are told of a plan: schedule, owner, tags, page, form."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import TriggerRule
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from drs_provider.dag.docs import plan_page
from drs_provider.dag.factory import build_dag
from drs_provider.dag.params import run_params
from tests.dag.plans import loaded_plan, wave


def stored_timetable(**drill: str) -> dict[str, Any]:
    """A plan's schedule as Airflow stores it."""
    stored = DagSerialization.to_dict(build_dag(loaded_plan(wave("web"), drill=drill)))
    return dict(json.loads(json.dumps(stored))["dag"]["timetable"]["__var"])


def test_one_run_at_a_time_and_none_that_was_missed() -> None:
    dag = build_dag(loaded_plan(wave("web"), drill={"schedule": "@daily"}))
    assert (dag.max_active_runs, dag.catchup, dag.start_date) == (1, False, None)
    timetable = stored_timetable(schedule="0 6 * * SAT", timezone="Europe/Vienna")
    assert (timetable["expression"], timetable["timezone"]) == ("0 6 * * SAT", "Europe/Vienna")
    assert timetable["run_immediately"] == 0.0, "a plan deployed on a Tuesday does not drill for the Saturday before"


def test_without_a_schedule_only_people_start_the_plan() -> None:
    dag = build_dag(loaded_plan(wave("web")))
    assert dag.schedule is None
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag)).timetable.can_be_scheduled is False


def test_the_default_time_zone_is_utc() -> None:
    assert stored_timetable(schedule="@daily")["timezone"] == "UTC"


def test_owner_tags_and_description_are_the_plans() -> None:
    dag = build_dag(loaded_plan(wave("web"), owner="platform-dr", tags=["tier-1"], description="The shop"))
    assert (dag.dag_id, dag.owner, dag.description) == ("shop", "platform-dr", "The shop")
    assert set(dag.tags) == {"drs", "tier-1"}
    assert {task.owner for task in dag.tasks} == {"platform-dr"}


def test_a_wave_left_out_counts_as_done_and_a_failed_one_does_not() -> None:
    dag = build_dag(loaded_plan(wave("a"), wave("b", "a", on_failure="rollback")))
    rules = {task.task_id: task.trigger_rule for task in dag.tasks if "." in task.task_id}
    assert rules.pop("b.rollback") == TriggerRule.ALL_DONE
    assert set(rules.values()) == {TriggerRule.NONE_FAILED}


def test_the_last_two_tasks_run_even_when_a_person_ends_the_run_and_their_failure_is_the_runs() -> None:
    dag = build_dag(loaded_plan(wave("web")))
    for task_id in ("terminate", "report"):
        task = dag.get_task(task_id)
        assert task.is_teardown
        assert task.on_failure_fail_dagrun


def test_every_task_is_tried_again() -> None:
    dag = build_dag(loaded_plan(wave("web")))
    assert min(task.retries for task in dag.tasks) >= 3
    assert max(task.retry_delay for task in dag.tasks) <= timedelta(seconds=10)


def test_a_question_outlives_answers_that_airflow_lost() -> None:
    approval = {"approvers": ["alice"]}
    dag = build_dag(loaded_plan(wave("web", approval=approval), recovery={"approval": approval}))
    assert {dag.get_task(name).retries for name in ("confirm", "web.approve")} == {12}
    assert dag.get_task("web.launch").retries == 3


def test_a_plan_with_recovery_rollback_unwinds_dependents_first() -> None:
    dag = build_dag(loaded_plan(wave("a"), wave("b", "a"), wave("c", "a"), recovery={"on_failure": "rollback"}))
    rollbacks = {task.task_id for task in dag.tasks if task.task_id.endswith(".rollback")}
    work = set(dag.task_ids) - rollbacks - {"terminate", "report"}
    waits_for = {task: set(dag.get_task(task).upstream_task_ids) for task in rollbacks}
    assert waits_for == {
        "a.rollback": work | {"b.rollback", "c.rollback"},
        "b.rollback": work,
        "c.rollback": work,
    }
    assert all(dag.get_task(task).watched == work for task in rollbacks)


def test_a_wave_with_rollback_is_unwound_for_its_own_failures_alone() -> None:
    dag = build_dag(loaded_plan(wave("a"), wave("b", "a", on_failure="rollback")))
    assert [task for task in dag.task_ids if task.endswith(".rollback")] == ["b.rollback"]
    assert dag.get_task("b.rollback").watched == {"b.launch", "b.wait_for_launch"}


# The page


def test_the_page_shows_the_waves_as_a_table_and_a_drawing_and_when_drills_start() -> None:
    loaded = loaded_plan(
        wave("db", description="Primary", post_launch=[{"name": "start", "automation": "Start"}]),
        wave("cache"),
        {
            **wave("end", "db", "cache"),
            "servers": [{"id": "s-1a2b3c4d5e6f70001", "critical": False}, {"hostname": "web01"}],
        },
        wave("mail", "db"),
        objectives={"rto": "45m", "rpo": "5m"},
        drill={"schedule": "0 6 * * SAT", "timezone": "America/New_York"},
    )
    page = build_dag(loaded).doc_md
    assert page is not None
    rows = [line for line in page.splitlines() if line.startswith("| **")]
    assert rows[0] == "| **db** Primary | at once | wave=db | none | start | none |"
    assert rows[2] == "| **end** | db, cache | s-1a2b3c4d5e6f70001 (not critical), web01 | none | none | none |"
    assert "mermaid" not in page
    drawing = page.split("```text\n")[1].split("```")[0].splitlines()
    assert drawing == ["db", "├─▶ end  (also after cache)", "└─▶ mail", "cache"]
    assert page.index(rows[0]) < page.index("```text"), "the table comes first"
    assert "RTO 45m, RPO 5m" in page
    assert "Drills: **At 06:00, only on Saturday**, America/New\\_York time (`0 6 * * SAT`)." in page
    assert f"Plan file `shop.yaml`, hash `{loaded.hash[:12]}`." in page
    assert "by hand only" in str(build_dag(loaded_plan(wave("db"))).doc_md)


def test_words_of_a_plan_are_no_markup_on_its_page() -> None:
    page = plan_page(loaded_plan(wave("web", description="a | b <script> `x`"), description="<img src=x> [l](u)"))
    assert "<script>" not in page
    assert "<img" not in page
    assert "[l](" not in page.replace("\\[", "")
    (row,) = [line for line in page.splitlines() if line.startswith("| **web**")]
    assert row.replace("\\|", "").count("|") == 7


# The form


def form() -> ParamsDict:
    return ParamsDict(run_params(loaded_plan(wave("db"), wave("web", "db")).plan))


def test_nothing_filled_in_is_a_drill_of_everything() -> None:
    assert form().validate() == {
        "mode": "drill",
        "confirm": "",
        "waves": [],
        "snapshot_time": None,
        "skip_scripts": False,
        "keep_drill_instances": False,
        "override": None,
        "override_findings": [],
        "override_reason": "",
        "ticket": "",
        "replace_instances": [],
        "take_over": "",
        "stop_drill": False,
        "break_glass": None,
    }


def test_what_means_nothing_in_a_drill_has_a_section_of_its_own() -> None:
    params = form()
    sections = {name: params.get_param(name).schema.get("section") for name in params}
    apart = {"confirm", "stop_drill", "override", "override_findings", "override_reason", "break_glass"}
    assert sections == {name: "Real recovery only" if name in apart else None for name in params}
    codes = params.get_param("override_findings").schema["examples"]
    assert "replication-lag" in codes
    assert "hostname-ambiguous" not in codes, "it cannot be overridden"


@pytest.mark.parametrize(
    "filled",
    [
        {"mode": "recovery", "confirm": "shop"},
        {"waves": ["web"]},
        {"snapshot_time": "2026-11-23T06:00:00+00:00"},
        {"override": {"findings": ["replication-lag"], "reason": "the site is gone"}},
        {"override_findings": ["replication-lag"], "override_reason": "the site is gone"},
    ],
)
def test_the_form_takes(filled: dict[str, Any]) -> None:
    params = form()
    for key, value in filled.items():
        params[key] = value
    assert params.validate() | filled == params.validate()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mode", "test"),
        ("waves", ["databse"]),
        ("snapshot_time", "yesterday"),
        ("skip_scripts", "yes"),
        ("override", {"findings": ["replication-lag"]}),
        ("override", {"findings": [], "reason": "why"}),
    ],
)
def test_the_form_refuses(key: str, value: Any) -> None:
    params = form()
    with pytest.raises(ParamValidationError):
        params[key] = value
        params.validate()
