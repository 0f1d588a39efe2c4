"""A request to stop counts while the recovery that sent it waits, reaches every wait of a drill, and no recovery."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.aws.pauses import checked_pauses, pause_for
from drs_provider.dag.factory import build_dag
from drs_provider.requests import channel, watching
from drs_provider.requests.model import BELL, RunRequest, request_key
from drs_provider.runs import run_watch, stopping
from drs_provider.triggers.pause import PauseTrigger
from drs_provider.triggers.stoppable import StoppableTrigger, StopRequested, unless_stopped
from tests.dag.plans import loaded_plan, wave


class Airflow:
    """As much of Airflow as the channel asks: Variables, and the states of runs."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.runs: dict[tuple[str, str], str] = {}
        self.tasks: dict[str, str | None] = {}
        self.xcoms: dict[str, Any] = {}
        self.reads: list[str] = []
        self.broken = 0

    def get(self, key: str, default: Any = None) -> Any:
        if self.broken:
            self.broken -= 1
            raise RuntimeError("the API server does not answer")
        self.reads.append(key)
        return self.variables.get(key, default)

    def set(self, key: str, value: str, description: str | None = None) -> None:
        self.variables[key] = value

    def count(self, dag_id: str, run_ids: Any = None, states: Any = None, **_: Any) -> int:
        return sum(
            dag == dag_id and (run_ids is None or run in run_ids) and (states is None or state in states)
            for (dag, run), state in self.runs.items()
        )

    def set_xcom(self, **kwargs: Any) -> None:
        self.xcoms[kwargs["key"]] = kwargs["value"]


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    made = Airflow()
    monkeypatch.setattr(channel.Variable, "get", made.get)
    monkeypatch.setattr(channel.Variable, "set", made.set)
    monkeypatch.setattr(RuntimeTaskInstance, "get_dr_count", staticmethod(made.count))
    monkeypatch.setattr(
        RuntimeTaskInstance, "get_task_states", staticmethod(lambda dag_id, run_ids: {run_ids[0]: dict(made.tasks)})
    )
    monkeypatch.setattr(XCom, "set", made.set_xcom)
    return made


def request(plan: str = "shop", run: str = "recovery__1") -> RunRequest:
    return RunRequest(
        kind="stop_drill",
        dag_id=plan,
        from_run=run,
        by="alice",
        at=datetime(2026, 11, 27, 3, 0, tzinfo=timezone.utc),
        reason="a recovery of shop waits for this drill to end",
    )


def context(mode: str | None = "drill", conf: Any = None) -> Any:
    params = {} if mode is None else {"mode": mode}
    ti = SimpleNamespace(dag_id="shop", run_id="manual__1", task_id="a.launch", id="1")
    return {"ti": ti, "params": params, "dag_run": SimpleNamespace(conf=conf or {})}


def test_a_request_counts_while_the_run_that_sent_it_is_queued_and_no_longer(airflow: Airflow) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    channel.send_request(request())
    assert channel.pending_request("stop_drill", "shop") == request()
    for state in ("running", "success", "failed"):
        airflow.runs["shop", "recovery__1"] = state
        assert channel.pending_request("stop_drill", "shop") is None, "the drill after the recovery is not stopped"
    del airflow.runs["shop", "recovery__1"]
    assert channel.pending_request("stop_drill", "shop") is None


def test_another_run_in_the_queue_does_not_bring_an_old_request_back(airflow: Airflow) -> None:
    channel.send_request(request())
    airflow.runs["shop", "manual__2"] = "queued"
    assert channel.pending_request("stop_drill", "shop") is None


def test_a_request_is_to_one_plan_and_a_later_one_takes_its_place(airflow: Airflow) -> None:
    airflow.runs |= {("shop", "recovery__1"): "queued", ("shop", "recovery__2"): "queued", ("desk", "x"): "queued"}
    channel.send_request(request())
    channel.send_request(request(run="recovery__2"))
    found = channel.pending_request("stop_drill", "shop")
    assert found is not None
    assert found.from_run == "recovery__2"
    assert channel.pending_request("stop_drill", "desk") is None


def test_where_nobody_waits_no_variable_is_read(airflow: Airflow) -> None:
    airflow.runs["shop", "manual__1"] = "running"
    assert channel.pending_request("stop_drill", "shop") is None
    assert airflow.reads == []


@pytest.mark.parametrize("written", ["{", "[]", '{"kind": "stop_drill"}', "stop"])
def test_what_is_no_request_stops_nobody(airflow: Airflow, written: str) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    airflow.variables[request_key("stop_drill", "shop")] = written
    assert channel.pending_request("stop_drill", "shop") is None


# A drill's tasks


def test_a_drills_task_fails_with_who_asks_and_leaves_word_for_the_report(airflow: Airflow) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    channel.send_request(request())
    with pytest.raises(AirflowFailException, match=r"recovery__1, started by alice; .*terminated"):
        stopping.fail_when_stopped(context())
    assert airflow.xcoms["stopped"]["from_run"] == "recovery__1"


def test_a_drill_that_stops_does_not_tell_of_waves_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    from drs_provider.runs import notify as notifications

    told: list[Any] = []
    monkeypatch.setattr(notifications, "notify", lambda loaded, context, message: told.append(message))
    task: Any = build_dag(loaded_plan(wave("a"))).get_task("a.launch")
    failed = {**context(), "task": task}
    notifications.notify_wave_failed({**failed, "exception": stopping.DrillStoppedError("stops")})
    assert told == []
    notifications.notify_wave_failed({**failed, "exception": AirflowFailException("no such server")})
    assert [message.event for message in told] == ["wave_failed"]


@pytest.mark.parametrize(
    "of",
    [context("recovery"), context("planned"), context(None, {"mode": "recovery"}), context("drill", {"mode": "x"})],
)
def test_nothing_but_a_drill_ever_stops(airflow: Airflow, of: Any) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    channel.send_request(request())
    stopping.fail_when_stopped(of)
    with pytest.raises(TaskDeferred) as deferred, stopping.stoppable_waits(of):
        raise TaskDeferred(trigger=PauseTrigger(deadline=0.0), method_name="go_on")
    assert deferred.value.trigger.stop_requests_of is None


def test_a_drill_goes_on_where_airflow_does_not_answer(airflow: Airflow) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    channel.send_request(request())
    airflow.broken = 1
    stopping.fail_when_stopped(context())
    with pytest.raises(AirflowFailException):
        stopping.fail_when_stopped(context())


def test_every_task_but_those_of_the_end_looks_before_it_works(airflow: Airflow) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    channel.send_request(request())
    script = {"name": "dns", "automation": "Switch-Dns"}
    loaded = loaded_plan(
        wave(
            "a",
            approval={},
            settle="1m",
            on_failure="rollback",
            pre_launch=[script],
            health_checks=[{"type": "ssm_online"}],
        )
    )
    looks = set()
    for task in build_dag(loaded).tasks:
        any_task: Any = task
        if not any_task.ends_the_run:
            with pytest.raises(AirflowFailException, match="stops for a recovery"):
                any_task.execute({**context(), "task": task})
            looks.add(task.task_id)
            with pytest.raises(AirflowFailException, match="stops for a recovery"):
                any_task.resume_execution(
                    "go_on", {"event": {"stop_request": request().model_dump(mode="json")}}, context()
                )
    of_the_wave = ("approve", "pre_launch.dns", "launch", "wait_for_launch", "settle", "health.ssm_online")
    assert looks == {"confirm", "preflight", *(f"a.{name}" for name in of_the_wave)}


def test_the_waits_of_a_drill_are_stoppable_airflows_own_too(airflow: Airflow) -> None:
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    own = PauseTrigger(deadline=0.0)
    other = DateTimeTrigger(datetime(2026, 11, 28, tzinfo=timezone.utc))
    for trigger in (own, other):
        with pytest.raises(TaskDeferred) as deferred, stopping.stoppable_waits(context()):
            raise TaskDeferred(trigger=trigger, method_name="go_on")
        path, arguments = deferred.value.trigger.serialize()
        assert "shop" in (arguments.get("stop_requests_of"), arguments.get("dag_id")), path


def test_a_question_of_a_drill_waits_where_it_can_be_stopped(airflow: Airflow) -> None:
    class TaskAwaitingInput(BaseException):
        method_name, kwargs, timeout = "execute_complete", None, None

    asked: Any = context()
    asked["ti"].id = "00000000-0000-0000-0000-000000000001"
    asked["task"] = SimpleNamespace(
        work=SimpleNamespace(options=["Approve"], defaults=None, serialized_params={}, multiple=False)
    )
    with pytest.raises(TaskDeferred) as deferred, stopping.stoppable_waits(asked):
        raise TaskAwaitingInput
    assert isinstance(deferred.value.trigger, StoppableTrigger)
    assert deferred.value.trigger.classpath.endswith("HITLTrigger")
    with pytest.raises(TaskAwaitingInput), stopping.stoppable_waits({**asked, "params": {"mode": "recovery"}}):
        raise TaskAwaitingInput


def test_a_pause_in_a_worker_looks_every_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    looked: list[float] = []
    with checked_pauses(lambda: looked.append(now[0])):
        for seconds in (4, 4, 4, 25):
            pause_for(seconds)
        assert now[0] == 37
    assert looked == [10, 20, 30]
    pause_for(100)
    assert len(looked) == 3


# The triggerer


def in_a_triggerer(monkeypatch: pytest.MonkeyPatch, test: Callable[[], Any]) -> Any:
    monkeypatch.setattr(watching, "LOOK_SECONDS", 1.05)
    return asyncio.run(test())


def test_one_look_is_shared_by_every_wait_of_a_triggerer(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async def wait(plan: str) -> str:
            try:
                await unless_stopped(asyncio.sleep(20), plan)
            except StopRequested as stop:
                return stop.request.dag_id
            return "ended by itself"

        waits = [asyncio.ensure_future(wait(plan)) for plan in ("shop", "desk") for _ in range(50)]
        await asyncio.sleep(1.5)
        looks = airflow.reads.count(BELL)
        assert 1 <= looks <= 3, "not one for each of a hundred"
        airflow.runs["shop", "recovery__1"] = "queued"
        channel.send_request(request())
        done, going = await asyncio.wait(waits, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        done, going = await asyncio.wait(waits, timeout=1)
        assert {task.result() for task in done} == {"shop"}
        assert len(done) == len(going) == 50
        for task in going:
            task.cancel()

    in_a_triggerer(monkeypatch, test)


def test_a_look_that_fails_loses_no_request(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        airflow.runs["shop", "recovery__1"] = "queued"
        channel.send_request(request())
        airflow.broken = 2
        with pytest.raises(StopRequested):
            await asyncio.wait_for(unless_stopped(asyncio.sleep(20), "shop"), 15)

    in_a_triggerer(monkeypatch, test)


def test_a_stopped_wait_tells_a_worker_and_one_that_ends_by_itself_is_as_ever(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test() -> None:
        airflow.runs["shop", "recovery__1"] = "queued"
        channel.send_request(request())
        path, arguments = PauseTrigger(deadline=time.time() + 60, stop_requests_of="shop", aws_conn_id=None).serialize()
        assert path == "drs_provider.triggers.pause.PauseTrigger"
        (event,) = [each async for each in PauseTrigger(**arguments).run()]
        assert stopping.request_of(event.payload) == request()
        del airflow.runs["shop", "recovery__1"]
        path, arguments = PauseTrigger(deadline=0.0, end_task=False, stop_requests_of="shop").serialize()
        (event,) = [each async for each in PauseTrigger(**{**arguments, "deferred_at": 0.0}).run()]
        assert event.payload == {"status": "success", "value": None}
        # Of a deferral of the version before, which knows of no requests.
        del arguments["stop_requests_of"]
        assert PauseTrigger(**arguments).stop_requests_of is None

    in_a_triggerer(monkeypatch, test)


def test_airflows_own_wait_is_ended_and_passed_on(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import timedelta

    from airflow.providers.standard.triggers.temporal import DateTimeTrigger

    async def test() -> None:
        soon = datetime.now(timezone.utc) + timedelta(seconds=0.5)
        (event,) = [each async for each in StoppableTrigger.around(DateTimeTrigger(soon), "shop").run()]
        assert event.payload == soon
        airflow.runs["shop", "recovery__1"] = "queued"
        channel.send_request(request())
        later = datetime.now(timezone.utc) + timedelta(hours=1)
        (event,) = [each async for each in StoppableTrigger.around(DateTimeTrigger(later), "shop").run()]
        assert stopping.request_of(event.payload) == request()
        assert event.payload["error_type"] == "unknown"

    in_a_triggerer(monkeypatch, test)


# The watch over a run


@pytest.fixture
def watch(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Watch over a run of the plan shop; returns what was told."""
    from drs_provider.notifications import delivery
    from drs_provider.notifications.delivery import Delivery

    told: list[Any] = []

    async def deliver_async(message: Any, *args: Any, **kwargs: Any) -> list[Delivery]:
        told.append(message)
        return [Delivery(message.event, "", "somebody", "2026-11-27T03:00:00+00:00", "success")]

    monkeypatch.setattr(delivery, "deliver_async", deliver_async)
    monkeypatch.setattr(run_watch, "LOOK_SECONDS", 0.01)

    def run(looks: int = 0, run_type: str = "manual", **conf: Any) -> list[Any]:
        dag_run = {
            "dag_id": "shop",
            "dag_run_id": "recovery__1",
            "state": "queued",
            "conf": conf,
            "run_type": run_type,
            "triggering_user_name": "alice",
        }
        asyncio.run(run_watch.watch_run([{"sns": "x"}], "aws_default", {"dag_run": dag_run}, looks=looks))
        return told

    return run


RECOVERY = {"mode": "recovery", "confirm": "shop"}


def test_a_recovery_that_waits_says_so_and_asks_the_drill_to_stop(airflow: Airflow, watch: Any) -> None:
    airflow.runs |= {("shop", "recovery__1"): "queued", ("shop", "manual__1"): "running"}
    (message,) = watch(**RECOVERY, stop_drill=True)
    assert (message.event, message.subject) == ("waiting_for_run", "[RECOVERY] shop: waiting in the queue")
    assert "it has been asked to stop" in message.text
    found = channel.pending_request("stop_drill", "shop")
    assert found is not None
    assert (found.from_run, found.by) == ("recovery__1", "alice")


@pytest.mark.parametrize(
    ("conf", "why"),
    [
        (RECOVERY, "stop_drill is not set"),
        ({**RECOVERY, "stop_drill": "yes"}, "stop_drill is not set"),
        ({"mode": "recovery", "confirm": "Shop", "stop_drill": True}, "it will be refused"),
        ({"mode": "recovery", "stop_drill": True}, "it will be refused"),
        ({**RECOVERY, "stop_drill": True, "run_type": "scheduled"}, "nobody started it by hand"),
    ],
)
def test_a_recovery_that_will_be_refused_stops_no_drill(
    airflow: Airflow, watch: Any, conf: dict[str, Any], why: str
) -> None:
    airflow.runs |= {("shop", "recovery__1"): "queued", ("shop", "manual__1"): "running"}
    (message,) = watch(**conf)
    assert why in message.text
    assert airflow.variables == {}


def test_with_parameters_that_airflow_ignores_no_drill_is_stopped(
    airflow: Airflow, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS", "False")
    airflow.runs |= {("shop", "recovery__1"): "queued", ("shop", "manual__1"): "running"}
    watch(**RECOVERY, stop_drill=True)
    assert airflow.variables == {}


def test_a_run_that_has_begun_is_told_of_nothing(airflow: Airflow, watch: Any) -> None:
    airflow.runs["shop", "recovery__1"] = "running"
    assert watch(**RECOVERY, stop_drill=True) == []
    assert airflow.variables == {}


def test_a_drill_in_the_queue_says_so_and_stops_nobody(airflow: Airflow, watch: Any) -> None:
    airflow.runs |= {("shop", "recovery__1"): "queued", ("shop", "manual__1"): "running"}
    (message,) = watch(mode="drill", stop_drill=True)
    assert (message.event, message.mode) == ("waiting_for_run", "drill")
    assert airflow.variables == {}


@pytest.mark.parametrize(
    ("tasks", "frozen"),
    [
        ({"confirm": "success", "preflight": "scheduled", "a.launch": None}, True),
        ({"confirm": "success", "preflight": "success", "a.launch": None}, True),
        ({"confirm": "success", "preflight": "success", "a.launch": "up_for_retry"}, True),
        ({"a.launch": "success", "b.launch": "scheduled", "c.approve": "deferred"}, True),
        ({"confirm": "success", "preflight": "success", "a.wait_for_launch": "deferred", "b.launch": None}, False),
        ({"confirm": "awaiting_input", "preflight": None}, False),
        ({"confirm": "success", "preflight": "queued", "a.launch": None}, False),
        ({"confirm": "success", "report": "running"}, False),
    ],
)
def test_a_recovery_that_stands_still_says_so_once(
    airflow: Airflow, watch: Any, tasks: dict[str, str | None], frozen: bool
) -> None:
    airflow.runs["shop", "recovery__1"] = "running"
    airflow.tasks = tasks
    told = watch(looks=12, **RECOVERY)
    assert [message.event for message in told] == (["run_frozen"] if frozen else [])
    if frozen:
        assert "there are tasks to start" in told[0].text
        assert ("notified_run_frozen" in airflow.xcoms) is ("confirm" in tasks)


def test_a_recovery_in_the_queue_of_a_paused_plan_stands_still_too(airflow: Airflow, watch: Any) -> None:
    airflow.runs["shop", "recovery__1"] = "queued"
    waiting, frozen = watch(looks=6, **RECOVERY)
    assert "Unpause the plan" in waiting.text
    assert (frozen.event, "it has not begun" in frozen.text) == ("run_frozen", True)


def test_a_watch_ends_with_its_run(airflow: Airflow, watch: Any) -> None:
    airflow.runs["shop", "recovery__1"] = "success"
    started = time.monotonic()
    assert watch(looks=10**9, **RECOVERY) == []
    assert time.monotonic() - started < 60
