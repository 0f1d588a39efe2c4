"""The RTO alarm tells while waves are still to come, and only then."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.dag.plans import loaded_plan, wave


def shop(**keys: Any) -> Any:
    return loaded_plan(
        wave("database"), wave("web", "database"), notify=[{"sns": "arn:aws:sns:us-west-2:123456789012:events"}], **keys
    )


@pytest.fixture
def alarm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the alarm for a run with these task states; returns what it says it did, and what it told whom."""
    import asyncio

    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    from drs_provider.notifications import delivery
    from drs_provider.notifications.delivery import Delivery
    from drs_provider.runs.alarm import rto_alarm

    told: list[Any] = []
    left: dict[str, Any] = {}

    async def deliver_async(message: Any, channels: Any, context: Any, **kwargs: Any) -> list[Delivery]:
        told.append(message)
        return [Delivery(message.event, message.wave, "somebody", "2026-11-24T00:00:00+00:00", "success")]

    def call(
        states: Any,
        state: str = "running",
        passed: float = 2160,
        conf: Any = None,
        run_type: str = "manual",
        **more: Any,
    ) -> tuple[str, list[Any], Any]:
        def get_task_states(**kwargs: Any) -> Any:
            if isinstance(states, Exception):
                raise states
            return {"manual__1": states}

        monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
        monkeypatch.setattr(delivery, "deliver_async", deliver_async)
        monkeypatch.setattr(XCom, "set", lambda **kwargs: left.update(kwargs))
        context = {
            "dag_run": {"dag_id": "shop", "dag_run_id": "manual__1", "state": state, "conf": conf, "run_type": run_type}
        }
        said = asyncio.run(
            rto_alarm(
                2700, passed, ["database", "web"], [{"sns": "x"}], aws_conn_id="aws_default", context=context, **more
            )
        )
        return said, told, left

    return call


GOING_ON = {"database.launch": "success", "database.wait_for_launch": "success", "web.launch": "running"}


def test_every_plan_has_a_deadline_for_its_watch_and_two_more_for_its_rto() -> None:
    from airflow.sdk.definitions.deadline import DeadlineReference

    from drs_provider.dag.factory import build_dag

    alerts = build_dag(shop(objectives={"rto": "45m"})).deadline
    assert [getattr(alert.interval, "total_seconds", lambda alert=alert: alert.interval)() for alert in alerts] == [
        15,
        2160,
        2700,
    ]
    assert {alert.reference for alert in alerts} == {DeadlineReference.DAGRUN_QUEUED_AT}
    (watch,) = build_dag(shop()).deadline
    assert watch.callback.path.endswith("run_watch.watch_run")


def test_deadlines_have_names_where_airflow_has_them() -> None:
    from drs_provider.dag.factory import build_dag

    alerts = build_dag(shop(objectives={"rto": "45m"})).deadline
    names = [getattr(alert, "name", "absent") for alert in alerts or []]
    assert names in (["Watch over the run", "RTO at risk: 36m", "RTO missed: 45m"], ["absent"] * 3)


def test_airflow_can_move_the_deadlines_of_a_run_that_is_cleared() -> None:
    """On a clear, Airflow takes the stored interval for seconds; anything else there makes every clear fail."""
    from datetime import timedelta

    from airflow.serialization.serialized_objects import DagSerialization

    from drs_provider.dag.factory import build_dag

    # The dag-processor hands the DAG on as MessagePack, without any type of ours.
    serialised = msgspec.msgpack.encode(DagSerialization.to_dict(build_dag(shop(objectives={"rto": "45m"}))))
    stored = msgspec.msgpack.decode(serialised)
    alerts = stored["dag"]["deadline"]
    found = [alert.get("__var", alert)["interval"] for alert in alerts]
    assert [timedelta(seconds=interval) for interval in found] == [
        timedelta(seconds=15),
        timedelta(minutes=36),
        timedelta(minutes=45),
    ]


def test_the_same_plan_is_the_same_dag_each_time_it_is_parsed() -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    from drs_provider.dag.factory import build_dag

    first, second = (DagSerialization.to_dict(build_dag(shop(objectives={"rto": "45m"}))) for _ in range(2))
    assert first == second


def test_it_tells_what_is_not_up_yet_and_leaves_word_for_the_report(alarm: Any) -> None:
    said, (message,), left = alarm({**GOING_ON, "database.rollback": None}, conf={"mode": "recovery"})
    assert said == "told: somebody success"
    assert (message.event, message.mode, message.subject) == ("rto_at_risk", "recovery", "[RECOVERY] shop: RTO at risk")
    assert "36m after its start. The RTO objective is 45m." in message.text
    assert "Not up yet: web" in message.text
    assert (left["task_id"], left["run_id"], left["key"]) == ("confirm", "manual__1", "notified_rto_at_risk")
    assert left["value"][0]["status"] == "success"


def test_waves_that_the_run_leaves_out_are_not_waited_for(alarm: Any) -> None:
    _, (message,), _ = alarm({"database.launch": None, "web.launch": None}, conf={"waves": ["database"]})
    assert "Not up yet: database\n" in message.text
    going = {"database.launch": None, "web.launch": None}
    _, (*_, message), _ = alarm(going, run_type="scheduled", drill_waves=["web"], conf={"ticket": "CHG-1"})
    assert "Not up yet: web\n" in message.text
    assert (message.ticket, message.text.splitlines()[-1]) == ("CHG-1", "Ticket: CHG-1")
    _, (*_, message), _ = alarm(going, drill_waves=["web"])
    assert "Not up yet: database, web\n" in message.text, "a person chooses the waves of other drills"


def test_at_the_objective_it_says_that_it_is_missed(alarm: Any) -> None:
    _, (message,), _ = alarm(GOING_ON, passed=2700)
    assert (message.event, message.subject) == ("rto_missed", "[drill] shop: RTO missed")
    assert "is missed" in message.text


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_has_ended_is_left_alone(alarm: Any, state: str) -> None:
    said, told, _ = alarm(GOING_ON, state=state)
    assert said == f"not told: the run has ended as {state}"
    assert told == []


@pytest.mark.parametrize("last", ["success", "failed", "skipped", "upstream_failed"])
def test_a_drill_that_only_keeps_its_instances_is_left_alone(alarm: Any, last: str) -> None:
    said, told, _ = alarm({"database.launch": "success", "web.launch": last, "terminate": "deferred", "report": None})
    assert said.startswith("not told")
    assert told == []


@pytest.mark.parametrize("states", [{}, RuntimeError("no answer")])
def test_it_tells_rather_than_not_where_the_states_cannot_be_read(alarm: Any, states: Any) -> None:
    said, (message,), _ = alarm(states)
    assert said.startswith("told")
    assert "could not be read" in message.text
