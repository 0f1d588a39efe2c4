"""Whose answer counts: named approvers only, and never whoever started the run, in every auth manager."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from drs_provider.tasks import approval
from tests.dag.plans import loaded_plan, wave

APPROVAL = {"message": "Is the site lost?", "approvers": ["alice", "7"], "timeout": "1h"}


def confirm_task() -> Any:
    from drs_provider.steps.confirm.work import ConfirmWork

    return ConfirmWork(task_id="confirm", loaded=loaded_plan(wave("web"), recovery={"approval": APPROVAL}))


class Instance:
    """As much of a running task instance as the gates use."""

    task_id = "confirm"
    dag_id = "shop"
    run_id = "manual__1"
    map_index = -1
    id = "00000000-0000-0000-0000-000000000001"
    try_number = 1
    max_tries = 0
    task = SimpleNamespace(retries=0)

    def __init__(self, left: dict[tuple[str, str], Any] | None = None) -> None:
        self.xcoms: dict[str, Any] = {"asked": datetime.now(timezone.utc).isoformat()}
        self.left = left if left is not None else {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        return self.xcoms.get(key) if task_ids == self.task_id else self.left.get((task_ids, key))


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The first task of a recovery that bob started, which notes when the question is asked."""
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    task = confirm_task()
    asked: list[Any] = []
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: asked.append(self))
    left: dict[tuple[str, str], Any] = {}
    monkeypatch.setattr(approval, "leave", lambda context, task_id, key, value: left.update({(task_id, key): value}))
    ti = Instance(left)
    run = SimpleNamespace(triggering_user_name="bob", dag_id="shop", run_id="manual__1", run_type="manual")
    run.clear_number = 0
    params = {"mode": "recovery", "confirm": "shop"}
    context: Any = {"ti": ti, "dag_run": run, "task": task, "task_instance": ti, "params": params}

    def answer(
        option: str,
        name: str | None,
        user_id: str | None = None,
        starter: str | None = "bob",
        reason: str | None = None,
    ) -> Any:
        run.triggering_user_name = starter
        user = None if name is None else {"id": user_id or name, "name": name}
        event = {
            "chosen_options": [option],
            "params_input": {} if reason is None else {"reason": reason},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": user,
        }
        return task.execute_complete(context, event)  # type: ignore[arg-type]

    def decisions() -> list[tuple[str | None, str]]:
        return [(event["approver"], event["status"]) for event in [ti.xcoms["evidence"]]]

    def comment() -> Any:
        return ti.xcoms["evidence"]["comment"]

    def ask(starter: str | None = "bob") -> Any:
        """Begin a try of the task; return the question as Airflow gets it."""
        run.triggering_user_name = starter
        ti.xcoms.clear()
        asked.clear()
        task.ask(context, task.loaded.plan.recovery.approval)
        return asked[0]

    def record() -> Any:
        return ti.xcoms.get("custody")

    return SimpleNamespace(
        answer=answer,
        ask=ask,
        asked=asked,
        decisions=decisions,
        comment=comment,
        ti=ti,
        task=task,
        context=context,
        run=run,
        record=record,
    )


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
    monkeypatch: pytest.MonkeyPatch, gate: Any, manager: str, asked_of: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    asked = gate.ask()
    assert [user["id"] for user in asked.assigned_users or []] == (asked_of or [])
    assert asked.response_timeout == timedelta(hours=1)


def test_names_are_compared_without_regard_to_case(gate: Any) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    assert gate.answer("Approve", "ALICE", user_id="42") == {"approved_by": "ALICE"}
    with pytest.raises(AirflowFailException, match="they started this run"):
        gate.answer("Approve", "Alice", user_id="42", starter="aLiCe")


def test_a_record_is_left_only_when_it_is_decided(gate: Any) -> None:
    gate.ask()
    assert gate.record() is None, "asking decides nothing"
    gate.answer("Approve", "alice")
    record = gate.record()
    assert (record["decision"], record["mode"], record["starter"]) == ("approved", "recovery", "bob")
    assert record["plan_hash"] == gate.task.loaded.hash
    assert [answer["name"] for answer in record["answers"]] == ["alice"]


@pytest.mark.parametrize("answer", ["Reject", "mallory"])
def test_a_refusal_leaves_no_record(gate: Any, answer: str) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    gate.ask()
    with pytest.raises(AirflowFailException):
        gate.answer("Reject" if answer == "Reject" else "Approve", "alice" if answer == "Reject" else answer)
    assert gate.record() is None


@pytest.mark.parametrize("why", ["no starter", "cleared"])
def test_where_nobody_knows_who_started_the_run_two_people_approve_in_turn(
    gate: Any, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

    manager = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
    monkeypatch.setenv("AIRFLOW__CORE__AUTH_MANAGER", manager)
    starter = None if why == "no starter" else "bob"
    gate.run.clear_number = 1 if why == "cleared" else 0
    assert "2 people have to approve" in gate.ask(starter).body
    with pytest.raises(AirflowException, match="1 of 2 people") as first:
        gate.answer("Approve", "alice", starter=starter)
    assert not isinstance(first.value, AirflowFailException), "the next try asks the other"
    assert gate.record() is None
    asked = gate.ask(starter)
    assert [user["id"] for user in asked.assigned_users] == ["7"], "without the first"
    assert "So far: alice" in asked.body
    with pytest.raises(AirflowException, match="ALICE has approved the recovery shop already") as again:
        gate.answer("Approve", "ALICE", starter=starter)
    assert not isinstance(again.value, AirflowFailException), "Airflow lets the first answer again; nothing fails"
    assert gate.record() is None
    assert gate.answer("Approve", "Dora Deputy", "7", starter=starter) == {"approved_by": "alice, Dora Deputy"}
    assert [answer["name"] for answer in gate.record()["answers"]] == ["alice", "Dora Deputy"]
    assert [each["approver"] for each in gate.ti.xcoms["evidence"]] == ["alice", "Dora Deputy"]


def test_a_clear_of_the_question_begins_anew(gate: Any) -> None:
    from airflow.providers.common.compat.sdk import AirflowException

    gate.ask(None)
    with pytest.raises(AirflowException, match="1 of 2 people"):
        gate.answer("Approve", "alice", starter=None)
    gate.run.clear_number = 1
    assert "So far: nobody yet" in gate.ask(None).body


def test_an_answer_that_meets_a_clear_is_asked_for_again(gate: Any) -> None:
    from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

    gate.ask("bob")
    # Airflow stored the answer and took up the task again, although it was cleared in the same moment.
    gate.run.clear_number = 1
    for option, reason in (("Approve", None), ("Break glass", "nobody answers")):
        with pytest.raises(AirflowException, match="in the moment in which a person cleared it") as again:
            gate.answer(option, "alice", reason=reason)
        assert not isinstance(again.value, AirflowFailException)
        assert gate.record() is None
    assert "2 people have to approve" in gate.ask("bob").body, "since nobody knows who cleared it"


def test_too_few_approvers_are_said_at_once(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    # alice started it, and a clear asks for two others.
    gate.run.clear_number = 1
    with pytest.raises(AirflowFailException, match=r"2 people have to approve .* names 1 who may: 7"):
        gate.ask("alice")
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS", "olga")
    assert gate.ask("alice"), "the glass can still be broken"


def test_the_glass_is_broken_only_by_those_who_may_and_with_a_reason(
    gate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

    assert gate.ask().options == ["Approve", "Reject"], "by default nobody may"
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS", "Olga, root")
    assert gate.ask().options == ["Approve", "Reject", "Break glass"]
    with pytest.raises(AirflowFailException, match="only the users of"):
        gate.answer("Break glass", "alice", reason="I want to")
    with pytest.raises(AirflowException, match="without a reason") as unsaid:
        gate.answer("Break glass", "olga", reason=" ")
    assert not isinstance(unsaid.value, AirflowFailException), "asked again"
    assert gate.record() is None
    told: list[Any] = []
    monkeypatch.setattr(approval, "notify", lambda loaded, context, message: told.append(message))
    gate.answer("Break glass", "olga", starter="olga", reason="nobody answers")
    record = gate.record()
    assert (record["decision"], record["reason"]) == ("break glass", "nobody answers")
    assert gate.decisions() == [("olga", "break glass")]
    assert gate.comment() == "nobody answers", "the report shows why"
    assert [(message.event, "nobody answers" in message.text) for message in told] == [("break_glass", True)]


@pytest.mark.parametrize(("starter", "cleared", "counts"), [("olga", 0, True), ("bob", 0, False), ("olga", 1, False)])
def test_the_run_parameter_counts_only_for_a_starter_who_may(
    gate: Any, monkeypatch: pytest.MonkeyPatch, starter: str, cleared: int, counts: bool
) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS", "olga")
    gate.run.conf = {"mode": "recovery", "confirm": "shop", "break_glass": "nobody answers"}
    gate.context["params"] = gate.run.conf
    gate.run.triggering_user_name, gate.run.clear_number, gate.run.start_date = starter, cleared, None
    gate.ti.xcoms.clear()
    gate.task.execute(gate.context)
    assert bool(gate.asked) is not counts
    assert (gate.record() or {}).get("decision") == ("break glass" if counts else None)


def test_the_glass_does_not_replace_the_typed_name(gate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import AirflowFailException

    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS", "olga")
    gate.run.conf = gate.context["params"] = {"mode": "recovery", "break_glass": "nobody answers"}
    gate.run.triggering_user_name, gate.run.start_date = "olga", None
    with pytest.raises(AirflowFailException, match="only when the parameter confirm is the plan's name"):
        gate.task.execute(gate.context)
    assert gate.record() is None


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

    from drs_provider.steps.confirm.work import ConfirmWork

    task = ConfirmWork(task_id="confirm", loaded=loaded_plan(wave("web")))
    conf = {"mode": "recovery", "confirm": "shop"}
    run = SimpleNamespace(
        triggering_user_name="bob", dag_id="shop", run_id="x__1", conf=conf, run_type=run_type, start_date=None
    )
    run.run_after = datetime.now(timezone.utc)
    context: Any = {"ti": Instance(), "dag_run": run, "params": conf}
    if accepted:
        assert task.execute(context)["mode"] == "recovery"
        assert context["ti"].xcoms["custody"]["decision"] == "confirmed"
    else:
        with pytest.raises(AirflowFailException, match="a scheduled run is always a drill"):
            task.execute(context)
        event = context["ti"].xcoms["evidence"]
        assert (event["kind"], event["status"], event["triggered_by"]) == ("confirm", "failed", "bob")
        assert "a scheduled run is always a drill" in event["reason"], "the report tells why"
