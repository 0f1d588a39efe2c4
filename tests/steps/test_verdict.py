"""What the last task makes of a run, and what is told when a wave fails."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.runs import notify as notifications
from tests.dag.plans import loaded_plan, wave

SCRIPT = {"name": "dns", "automation": "Switch-Dns", "modes": ["recovery"]}
TOPIC = "arn:aws:sns:us-west-2:123456789012:events"


def plan() -> Any:
    return loaded_plan(
        wave("db", health_checks=[{"type": "tcp", "port": 5432}], settle="1m"),
        wave("web", "db", post_launch=[SCRIPT], approval={}),
        notify=[{"sns": TOPIC}],
    )


def verdict(states: dict[str, str], **parameters: Any) -> str | None:
    dag = build_dag(plan())
    task: Any = dag.get_task("report")
    all_states: dict[str, str | None] = {one.task_id: "success" for one in dag.tasks if one.task_id != "report"}
    context = {
        "ti": SimpleNamespace(xcom_pull=lambda **_: None),
        "dag_run": SimpleNamespace(dag_id="shop", run_id="manual__1"),
        "params": {"mode": "drill", "confirm": "", "waves": [], **parameters},
    }
    return task.work.failure(context, {**all_states, "web.post_launch.dns": "skipped", **states})  # type: ignore[no-any-return]


def test_a_run_whose_work_was_done_is_a_success() -> None:
    assert verdict({}) is None


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_a_task_that_failed_or_was_not_reached_makes_the_run_fail(state: str) -> None:
    assert verdict({"terminate": state}) == "tasks that failed or were not reached: terminate"


@pytest.mark.parametrize("task", ["preflight", "db.launch", "db.settle", "db.health.tcp", "web.approve"])
def test_a_person_who_ended_the_run_before_its_work_was_done_leaves_no_success(task: str) -> None:
    assert verdict({task: "skipped"}) == f"it was ended before these tasks were done: {task}"


def test_a_script_counts_only_in_the_modes_in_which_it_runs() -> None:
    assert "web.post_launch.dns" in (verdict({}, mode="recovery", confirm="shop") or "")
    assert verdict({}, mode="recovery", confirm="shop", skip_scripts=True) is None


def test_a_wave_that_was_left_out_counts_as_done() -> None:
    left_out = {f"web.{task}": "skipped" for task in ("approve", "launch", "wait_for_launch")}
    assert verdict(left_out, waves=["db"]) is None
    assert verdict(left_out) is not None


class TestWaveFailed:
    def told(self, monkeypatch: pytest.MonkeyPatch, **context: Any) -> list[Any]:
        messages: list[Any] = []

        def keep(loaded: Any, context: Any, message: Any) -> list[Any]:
            messages.append((loaded.plan.name, message))
            return []

        monkeypatch.setattr(notifications, "notify", keep)
        task: Any = build_dag(plan()).get_task("db.wait_for_launch")
        ti = SimpleNamespace(dag_id="shop", run_id="manual__1", task_id=task.task_id)
        (callback,) = task.on_failure_callback
        callback({"task": task, "ti": ti, "params": {"mode": "recovery"}, **context})
        return messages

    def test_every_task_of_a_wave_tells_and_no_other(self) -> None:
        dag = build_dag(plan())
        tell = {
            task.task_id for task in dag.tasks if notifications.notify_wave_failed in (task.on_failure_callback or ())
        }
        assert tell == {task.task_id for task in dag.tasks if "." in task.task_id}

    def test_with_task_reason_and_mode(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ((name, message),) = self.told(monkeypatch, exception=RuntimeError("1 of 2 servers launched"))
        assert (name, message.event, message.wave, message.mode) == ("shop", "wave_failed", "db", "recovery")
        assert message.subject == "[RECOVERY] shop: wave db failed"
        assert "Task: db.wait_for_launch\nWhy: 1 of 2 servers launched\nRun: manual__1" in message.text

    def test_without_a_reason(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ((_, message),) = self.told(monkeypatch)
        assert "the task did not say; see its log" in message.text

    def test_what_cannot_be_put_into_words_fails_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.told(monkeypatch, task=SimpleNamespace(wave=None)) == []
