"""Whose answer counts: named approvers only, and never whoever started the run, in every auth manager."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tests.dag.plans import loaded_plan, wave

APPROVAL = {"message": "Is the site lost?", "approvers": ["alice", "7"], "timeout": "1h"}


def confirm_task() -> Any:
    from drs_provider.dag.work.confirm import ConfirmWork

    return ConfirmWork(task_id="confirm", loaded=loaded_plan(wave("web"), recovery={"approval": APPROVAL}))


class Instance:
    """As much of a running task instance as the gates use."""

    task_id = "confirm"
    dag_id = "shop"
    run_id = "manual__1"
    map_index = -1
    id = "00000000-0000-0000-0000-000000000001"

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {"asked": datetime.now(timezone.utc).isoformat()}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == self.task_id
        return self.xcoms.get(key)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The first task of a recovery that bob started, which notes when the question is asked."""
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    task = confirm_task()
    asked: list[timedelta] = []
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: asked.append(self.response_timeout))
    ti = Instance()
    run = SimpleNamespace(triggering_user_name="bob", dag_id="shop", run_id="manual__1")
    context = {"ti": ti, "dag_run": run, "task": task, "task_instance": ti, "params": {}}

    def answer(option: str, name: str | None, user_id: str | None = None, starter: str = "bob") -> Any:
        run.triggering_user_name = starter
        user = None if name is None else {"id": user_id or name, "name": name}
        event = {
            "chosen_options": [option],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": user,
        }
        return task.execute_complete(context, event)  # type: ignore[arg-type]

    def decisions() -> list[tuple[str | None, str]]:
        return [(event["approver"], event["status"]) for event in [ti.xcoms["evidence"]]]

    return SimpleNamespace(answer=answer, asked=asked, decisions=decisions, ti=ti, task=task, context=context)


def test_an_approver_counts_by_name_where_ids_are_numbers(gate: Any) -> None:
    assert gate.answer("Approve", "alice", user_id="42") == {"approved_by": "alice"}
    assert gate.decisions() == [("alice", "approved")]
    assert gate.asked == []


def test_an_approver_counts_by_id_too(gate: Any) -> None:
    assert gate.answer("Approve", "Dora Deputy", user_id="7") == {"approved_by": "Dora Deputy"}


@pytest.mark.parametrize("option", ["Approve", "Reject"])
def test_an_answer_of_anybody_else_starts_nothing_and_says_why(gate: Any, option: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match="mallory answered for the recovery shop, but the plan names"):
        gate.answer(option, "mallory", user_id="42")
    assert gate.decisions() == [("mallory", "refused: the plan names the approvers alice, 7")]


def test_who_started_the_run_cannot_approve_it_and_can_reject_it(gate: Any) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    with pytest.raises(AirflowFailException, match=r"alice answered .* they started this run"):
        gate.answer("Approve", "alice", starter="alice")
    assert gate.decisions() == [("alice", "refused: they started this run, and the plan asks for a second person")]
    with pytest.raises(AirflowFailException, match="alice rejected the recovery shop"):
        gate.answer("Reject", "alice", starter="alice")
    assert gate.decisions() == [("alice", "rejected")]


def test_no_answer_in_time_is_a_clear_failure(gate: Any) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    event = {"error": "no answer", "error_type": "timeout"}
    with pytest.raises(AirflowFailException, match="Nobody approved"):
        gate.task.execute_complete(gate.context, event)
    assert gate.decisions() == [(None, "timed out")]


@pytest.mark.parametrize(
    ("manager", "asked_of"),
    [
        ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager", ["alice", "7"]),
        ("airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager", None),
    ],
)
def test_airflow_is_given_the_approvers_only_where_it_knows_them_by_name(
    monkeypatch: pytest.MonkeyPatch, manager: str, asked_of: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    task = confirm_task()
    assert [user["id"] for user in task.assigned_users or []] == (asked_of or [])
    assert task.body == "Is the site lost? Approvers: alice, 7."
    assert task.response_timeout == timedelta(hours=1)


@pytest.mark.parametrize(
    ("run_type", "accepted"),
    [
        ("manual", True),
        ("operator_triggered", True),
        ("scheduled", False),
        ("backfill", False),
        ("asset_triggered", False),
    ],
)
def test_only_a_run_that_was_started_on_purpose_can_be_a_recovery(run_type: str, accepted: bool) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    from drs_provider.dag.work.confirm import ConfirmWork

    task = ConfirmWork(task_id="confirm", loaded=loaded_plan(wave("web")))
    conf = {"mode": "recovery", "confirm": "shop"}
    run = SimpleNamespace(
        triggering_user_name="bob", dag_id="shop", run_id="x__1", conf=conf, run_type=run_type, start_date=None
    )
    run.run_after = datetime.now(timezone.utc)
    context: Any = {"ti": Instance(), "dag_run": run, "params": conf}
    if accepted:
        assert task.execute(context)["mode"] == "recovery"
    else:
        with pytest.raises(AirflowFailException, match="a scheduled run is always a drill"):
            task.execute(context)
        event = context["ti"].xcoms["evidence"]
        assert (event["kind"], event["status"], event["triggered_by"]) == ("confirm", "failed", "bob")
        assert "a scheduled run is always a drill" in event["reason"], "the report tells why"
