"""A scheduled drill that comes too late, or on a day that the plan excludes, is not held, and says so."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, DownstreamTasksSkipped
from airflow.sdk.api.datamodels._generated import DagRun, DagRunState, DagRunType

from drs_provider.dag.factory import build_dag
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.markdown import render_markdown
from drs_provider.evidence.verdict import cards, verdict
from drs_provider.plan import LoadedPlan, RecoveryPlan, load_plan, plan_hash
from drs_provider.plan.models import Drill
from drs_provider.runs.missed_drills import drill_grace, not_held
from drs_provider.steps.confirm import work as confirm
from tests.dag.plans import loaded_plan, wave

CASE = Path(__file__).parents[1] / "cases" / "unpause" / "plan.yaml"
WEEKLY = {"schedule": "0 6 * * SAT", "timezone": "America/New_York"}
# Saturday, six o'clock in New York (winter time).
SATURDAY = datetime(2026, 11, 21, 11, 0, tzinfo=timezone.utc)
FRIDAY = datetime(2026, 11, 27, 15, 0, tzinfo=timezone.utc)


def run(due: datetime = SATURDAY, **changes: Any) -> DagRun:
    """A run of Airflow as a task sees it."""
    values: dict[str, Any] = {
        "dag_id": "shop",
        "run_id": f"scheduled__{due.isoformat()}",
        "logical_date": due,
        "run_after": due,
        "data_interval_start": due,
        "data_interval_end": due,
        "start_date": due,
        "end_date": None,
        "partition_key": None,
        "run_type": DagRunType.SCHEDULED,
        "state": DagRunState.RUNNING,
        "conf": {},
        "consumed_asset_events": [],
        **changes,
    }
    return DagRun(**values)


def judged(dag_run: DagRun, now: datetime, previous: datetime | None = None, **drill: Any) -> Any:
    return not_held(dag_run, Drill(**{**WEEKLY, **drill}), previous=lambda: previous, now=now)


def test_a_drill_in_time_is_held() -> None:
    assert judged(run(), SATURDAY + timedelta(minutes=59)) is None


def test_the_drills_of_three_weeks_are_missed_when_the_plan_is_unpaused() -> None:
    """The case unpause: ran three weeks ago, paused since, unpaused on a Friday."""
    drill = load_plan(CASE).plan.drill
    ran = datetime(2026, 11, 7, 11, 0, tzinfo=timezone.utc)
    missed: Any = not_held(run(), drill, previous=lambda: ran, now=FRIDAY)
    assert missed.moments == (SATURDAY - timedelta(days=7), SATURDAY)
    assert "due at 2026-11-21 06:00 America/New_York" in missed.reason
    # The next slot is held.
    assert (
        not_held(run(SATURDAY + timedelta(days=7)), drill, previous=lambda: SATURDAY, now=SATURDAY + timedelta(7))
        is None
    )


def test_moments_are_those_of_the_plans_zone_across_a_change_of_the_clocks() -> None:
    before = datetime(2026, 10, 24, 10, 0, tzinfo=timezone.utc)
    missed = judged(run(), FRIDAY, previous=before)
    assert [moment.hour for moment in missed.moments] == [10, 11, 11, 11]


@pytest.mark.parametrize(
    "changes",
    [
        {"run_type": DagRunType.MANUAL},
        {"run_type": DagRunType.BACKFILL},
        # Airflow 3.2 has no such type of run.
        *({"run_type": kind} for kind in DagRunType if kind.value == "operator_triggered"),
        {"clear_number": 1},
    ],
)
def test_what_a_person_started_cleared_or_backfilled_is_held(changes: dict[str, Any]) -> None:
    assert judged(run(**changes), FRIDAY, not_on=["2026-11-21"]) is None


def test_the_grace_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__DRILL_GRACE", "30m")
    assert judged(run(), SATURDAY + timedelta(minutes=31)) is not None
    assert judged(run(), SATURDAY + timedelta(minutes=29)) is None
    for unusable in ("soon", "0s"):
        monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__DRILL_GRACE", unusable)
        assert drill_grace() == timedelta(hours=1)


@pytest.mark.parametrize(
    ("days", "held"),
    [
        (["2026-11-21"], False),
        (["2026-11-20/2026-11-22"], False),
        (["2026-11-21/2026-11-21"], False),
        (["2026-11-20", "2026-11-22/2026-12-01"], True),
    ],
)
def test_no_drill_is_held_on_a_day_that_the_plan_excludes(days: list[str], held: bool) -> None:
    assert (judged(run(), SATURDAY, not_on=days) is None) is held


def test_the_day_is_that_of_the_plans_zone() -> None:
    # Eight in the evening of the 24th in New York is the 25th in UTC.
    evening = datetime(2026, 12, 25, 1, 0, tzinfo=timezone.utc)
    assert judged(run(evening), evening, not_on=["2026-12-24"]) is not None
    assert judged(run(evening), evening, not_on=["2026-12-25"]) is None


def test_an_excluded_day_is_no_missed_drill() -> None:
    missed = judged(run(), FRIDAY, previous=SATURDAY - timedelta(days=21), not_on=["2026-11-14"])
    assert missed.moments == (SATURDAY - timedelta(days=14), SATURDAY)


class Task:
    """The first task of a run, called as a worker does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dag_run: Any, **keys: Any) -> None:
        self.loaded = loaded_plan(wave("a"), drill=WEEKLY, **keys)
        self.xcoms: dict[str, Any] = {}
        self.told: list[Any] = []
        self.dag = build_dag(self.loaded)
        monkeypatch.setattr(confirm, "notify", lambda loaded, context, message: self.told.append(message))
        ti = SimpleNamespace(
            dag_id="shop",
            run_id=dag_run.run_id,
            task_id="confirm",
            try_number=1,
            max_tries=0,
            task=SimpleNamespace(retries=0),
            xcom_push=lambda key, value: self.xcoms.update({key: value}),
            xcom_pull=lambda **_: None,
            get_previous_dagrun=lambda: run(SATURDAY - timedelta(days=7)),
        )
        params = {name: param.value for name, param in self.dag.params.items()}
        self.context: Any = {"ti": ti, "dag_run": dag_run, "params": params, "dag": self.dag}

    def execute(self) -> Any:
        work: Any = self.dag.get_task("confirm")
        return work.work.execute(self.context)


def test_a_missed_drill_is_recorded_and_notified_and_skips_everything_but_the_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = Task(monkeypatch, run())
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        task.execute()
    assert set(skipped.value.tasks) == {"preflight", "a.launch", "a.wait_for_launch", "terminate"}
    (message,) = task.told
    assert (message.event, message.subject) == ("drill_missed", "[drill] shop: drill missed")
    assert "Nothing was launched" in message.text
    assert task.xcoms["evidence"]["status"] == "missed"
    assert "plan" not in task.xcoms, "nothing that lets a later task act is recorded"


def report_of(event: Any, **more: Any) -> Any:
    plan = RecoveryPlan.model_validate(
        {"version": 1, "name": "shop", "target": {"region": "us-west-2"}, "objectives": {"rto": "1h"},
         "waves": [wave("a")]}
    )  # fmt: skip
    facts = RunFacts(
        dag_id="shop",
        run_id="scheduled__1",
        state="running",
        run_type="scheduled",
        started=FRIDAY,
        due=SATURDAY,
        tasks={"confirm": {"state": "success"}, "preflight": {"state": "skipped"}, "a.launch": {"state": "skipped"},
               "a.wait_for_launch": {"state": "skipped"}, "terminate": {"state": "skipped"}},
        xcoms={"confirm": {"evidence": event}},
        **more,
    )  # fmt: skip
    return collect_record(LoadedPlan(plan, Path("shop.yaml"), plan_hash(plan)), facts, None)


def test_the_report_shows_a_missed_drill_and_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(monkeypatch, run())
    with pytest.raises(DownstreamTasksSkipped):
        task.execute()
    record = report_of(task.xcoms["evidence"])
    assert record.run.state == "missed"
    assert [moment.isoformat() for moment in record.run.missed] == ["2026-11-21T11:00:00+00:00"]
    assert record.rto.met is None
    found = verdict(record)
    assert (found.title, found.badge, found.tone) == ("Drill missed", "Missed", "open")
    assert "was not held: it was due at 2026-11-21 06:00" in found.detail
    assert [card.label for card in cards(record)] == ["Drills missed"]
    assert "drill missed" in render_markdown(record)


def test_the_report_of_a_missed_drill_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    task = Task(monkeypatch, run())
    with pytest.raises(DownstreamTasksSkipped):
        task.execute()
    report: Any = task.dag.get_task("report")
    states = dict.fromkeys(("preflight", "a.launch", "a.wait_for_launch", "terminate"), "skipped")
    assert report.work.failure(task.context, {"confirm": "success", **states}, missed=True) is None
    assert report.work.failure(task.context, {"confirm": "success", **states, "a.launch": "failed"}, missed=True)


def test_missed_drills_are_in_no_trend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import json

    from typer.testing import CliRunner

    from drs_provider.cli import app
    from drs_provider.estimate.history import History
    from drs_provider.evidence.storage import write_report

    task = Task(monkeypatch, run())
    with pytest.raises(DownstreamTasksSkipped):
        task.execute()
    missed = report_of(task.xcoms["evidence"])
    write_report(missed, str(tmp_path))
    assert History.of([missed], {}).runs == 0
    alone = CliRunner().invoke(app, ["history", "shop", "--reports-folder", str(tmp_path)])
    assert alone.exit_code == 2, "no drill was held"
    held = missed.model_copy(
        update={"run": missed.run.model_copy(update={"run_id": "r2", "state": "success", "missed": []})}
    )
    write_report(held, str(tmp_path))
    answer = CliRunner().invoke(app, ["history", "shop", "--reports-folder", str(tmp_path), "--format", "json"])
    found = json.loads(answer.stdout)
    assert [each["run_id"] for each in found["runs"]] == ["r2"]
    assert found["missed"] == ["2026-11-21T11:00:00+00:00"]
    assert answer.exit_code == 0
    text = CliRunner().invoke(app, ["history", "shop", "--reports-folder", str(tmp_path)])
    assert "not held: 1" in text.stdout


def test_a_recovery_that_airflow_would_run_as_a_drill_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"mode": "recovery", "confirm": "shop"}
    task = Task(monkeypatch, run(run_type=DagRunType.MANUAL, conf=asked))
    with pytest.raises(AirflowFailException, match=r"\[core\] dag_run_conf_overrides_params is False"):
        task.execute()
    assert "plan" not in task.xcoms
    task.context["params"].update(asked)
    task.execute()
    assert task.xcoms["plan"]
