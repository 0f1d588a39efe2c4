"""The live data of a run's tasks: where a wait writes what, and what a question to a person writes."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, TaskDeferred
from airflow.providers.standard.operators.hitl import ApprovalOperator

from drs_provider.dag.factory import build_dag
from drs_provider.live.model import LiveWait
from drs_provider.tasks.live import live_waits
from drs_provider.triggers.pause import PauseTrigger
from tests.dag.plans import loaded_plan, wave
from tests.tasks.test_approval import APPROVAL, Instance

STARTED = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    return tmp_path


def test_a_wait_is_told_where_to_write_and_of_what(reports: Path) -> None:
    dag = build_dag(loaded_plan(wave("db", settle="2m")))
    ti = SimpleNamespace(
        dag_id=dag.dag_id, run_id="manual__1", task_id="db.wait_for_launch", try_number=2, start_date=STARTED
    )
    for task_id, names in (("db.settle", {}), ("db.wait_for_launch", {"s-1": "db01"})):
        task: Any = dag.get_task(task_id)
        if names:
            task.work._expect({"servers": {"s-1": {"hostname": "db01", "critical": True}}, "jobs": []})
        with pytest.raises(TaskDeferred) as deferred, live_waits(task, {"ti": ti}):
            raise TaskDeferred(trigger=PauseTrigger(deadline=4e9), method_name="later")
        live = deferred.value.trigger.live
        assert (live["names"], live["task"]["kind"], live["task"]["wave"]) == (names, task_id.partition(".")[2], "db")
        assert live["folder"] == str(reports / dag.dag_id / "manual__1")
        assert (live["task"]["try_number"], live["task"]["waiting_since"]) == (2, "2026-03-01T12:00:00Z")
    # Whatever goes wrong with it, the task waits.
    with pytest.raises(TaskDeferred) as deferred, live_waits(task, {"ti": object()}):
        raise TaskDeferred(trigger=PauseTrigger(deadline=4e9), method_name="later")
    assert deferred.value.trigger.live is None


def test_a_question_to_a_person_is_there_until_it_is_answered(reports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from drs_provider.steps.confirm.work import ConfirmWork

    loaded = loaded_plan(wave("web"), recovery={"approval": APPROVAL})
    work: Any = ConfirmWork(task_id="confirm", loaded=loaded)
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: None)
    run = SimpleNamespace(triggering_user_name="bob", dag_id="shop", run_id="manual__1", run_type="manual")
    run.clear_number = 0
    ti = Instance()
    params = {"mode": "recovery", "confirm": "shop"}
    context: Any = {
        "ti": ti, "dag_run": run, "task": build_dag(loaded).get_task("confirm"), "task_instance": ti, "params": params,
    }  # fmt: skip

    def live() -> LiveWait:
        (file,) = (reports / loaded.plan.name / "manual__1" / "live").iterdir()
        return LiveWait.model_validate_json(file.read_text())

    work.ask(context, loaded.plan.recovery.approval)
    asked = live()
    assert (asked.task_id, asked.kind, asked.state, asked.written_every) == ("confirm", "confirm", "waiting", None)
    assert asked.gives_up_at is not None and (asked.gives_up_at - asked.written_at).total_seconds() > 3500
    answer = {"chosen_options": ["Approve"], "responded_by_user": {"id": "bob", "name": "bob"}, "params_input": {}}
    with pytest.raises(AirflowFailException):
        work.execute_complete(context, answer)
    assert (live().state, live().outcome) == ("ended", "failed")
    assert "bob answered for" in live().what
