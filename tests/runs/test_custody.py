"""Gates hold against people: what is marked by hand, cleared after a week, or asked twice acts on nothing in AWS."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan
from drs_provider.runs import custody
from drs_provider.runs.custody import Answer, Chain, Closing, GateRecord, closing_of, judge
from drs_provider.runs.gate_report import gates_of_run
from drs_provider.runs.recovery_run import RecoveryRun
from drs_provider.simulator.simulation import Simulation
from drs_provider.tasks import recovery_work as base
from drs_provider.tasks import refusal
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.dag.plans import loaded_plan

DB, WEB = "s-00000000000000001", "s-00000000000000002"
APPROVERS = {"approvers": ["carol", "dave"]}
SENDING = ("SendCommand", "StartAutomationExecution")


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Any:
    with quick_aws(monkeypatch):
        yield


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who approves, in turn; when nobody is left, a question stays as it is."""
    people = ["carol", "dave"] * 8

    def execute(self: Any, context: Any) -> Any:
        name = people.pop(0)
        event = {
            "chosen_options": ["Approve"],
            "params_input": {},
            "responded_at": datetime.now(timezone.utc),
            "responded_by_user": {"id": name, "name": name},
        }
        raise TaskDeferred(trigger=SimpleNamespace(), method_name="execute_complete", kwargs={"event": event})

    monkeypatch.setattr(ApprovalOperator, "execute", execute)
    return people


def plan(**keys: Any) -> LoadedPlan:
    db: dict[str, Any] = {"name": "db", "servers": [{"id": DB}], "retries": 0, **keys.pop("db", {})}
    web: dict[str, Any] = {"name": "web", "depends_on": ["db"], "servers": [{"id": WEB}], "retries": 0}
    web["post_launch"] = [{"name": "dns", "automation": "Switch-Dns"}]
    web |= keys.pop("web", {})
    return loaded_plan(db, web, **keys)


def load(simulator: Simulation, **outcomes: Any) -> None:
    servers = [
        {"id": DB, "hostname": "db", "outcome": outcomes.get("db", "launched")},
        {"id": WEB, "hostname": "web", "outcome": outcomes.get("web", "launched")},
    ]
    documents = {"Switch-Dns": {"kind": "Automation", "duration": 1}, "Undo": {"kind": "Automation", "duration": 1}}
    simulator.load({"region": "us-west-2", "servers": servers, "documents": documents}, speed=60)


class MarkedRun(InProcessRun):
    """A run some of whose tasks a person marks instead of letting them run."""

    marked: dict[str, str]

    def __init__(self, loaded: LoadedPlan, mode: str = "recovery", **parameters: Any) -> None:
        confirm = loaded.plan.name if mode == "recovery" else ""
        super().__init__(build_dag(loaded), {"mode": mode, "confirm": confirm, **parameters}, random.Random(1))
        self.marked = {}

    def _run(self, task: Any) -> None:
        if task.task_id in self.marked:
            self.states[task.task_id] = self.marked[task.task_id]
        else:
            super()._run(task)


def called(simulator: Simulation, *operations: str) -> list[dict[str, Any]]:
    return [each for each in simulator.log if each.get("operation") in operations and not each.get("error")]


def launches(simulator: Simulation) -> Counter[str]:
    return Counter(
        server["sourceServerID"]
        for each in called(simulator, "StartRecovery")
        for server in each["params"]["sourceServers"]
    )


def evidence(run: InProcessRun, task: str) -> str:
    return str(run.xcoms[task]["evidence"]["reason"])


def report_of(run: InProcessRun) -> dict[str, Any]:
    folder = Path(str(run.xcoms["report"]["report_folder"]).removeprefix("file://"))
    return dict(json.loads((folder / "report.json").read_text()))


@pytest.mark.parametrize("approval", [None, APPROVERS], ids=["typed", "approved"])
@pytest.mark.usefixtures("quick")
def test_a_confirm_that_is_marked_as_success_launches_nothing(drs_simulator: Simulation, approval: Any) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(recovery={"approval": approval} if approval else {}))
    run.marked = {"confirm": "success", "preflight": "success"}
    assert run.go() == "failed"
    assert launches(drs_simulator) == {}
    assert "confirm is a success, but it left no record: it was marked by hand" in evidence(run, "db.launch")
    assert "clear the task confirm with everything downstream" in evidence(run, "db.launch")
    found = report_of(run)
    assert {gate["gate"]: gate["state"] for gate in found["gates"]} == {
        "confirm": "marked by hand",
        "preflight": "marked by hand",
    }
    assert (found["run"]["state"], found["recovered"]) == ("failed", None)


def skipping(monkeypatch: pytest.MonkeyPatch, run: InProcessRun) -> None:
    """Skip tasks as Airflow's server does when a worker asks for it."""
    monkeypatch.setattr(refusal, "skip_tasks", lambda ids: run.states.update(dict.fromkeys(ids, "skipped")))


@pytest.mark.usefixtures("quick")
def test_a_refused_run_is_one_failed_task_beside_its_report(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is skipped behind it is no gate that was passed, whatever of it is cleared or marked."""
    load(drs_simulator)
    run = MarkedRun(plan(web={"approval": APPROVERS}), confirm="shpo")
    skipping(monkeypatch, run)
    assert run.go() == "failed"
    assert run.states == dict.fromkeys(run.states, "skipped") | {"confirm": "failed", "report": "failed"}
    printed = capsys.readouterr().out
    assert printed.count("REAL RECOVERY of shop") == 2, "once a task"
    found = report_of(run)
    assert {gate["gate"]: gate["state"] for gate in found["gates"]} == {
        "confirm": "refused",
        "preflight": "not reached",
        "web.approve": "not reached",
    }
    assert "only when the parameter confirm" in found["run"]["refused"]
    run.clear("web.launch", downstream=False)
    run.go()
    assert "the task confirm is failed" in evidence(run, "web.launch")
    run.marked = {"confirm": "success"}
    run.clear("confirm", downstream=False)
    run.clear("web.launch")
    assert run.go() == "failed"
    assert launches(drs_simulator) == {}
    gates = {gate["gate"]: gate["state"] for gate in report_of(run)["gates"]}
    assert (gates["confirm"], gates["preflight"]) == ("marked by hand", "marked by hand")


@pytest.mark.usefixtures("quick")
def test_a_preflight_that_blocks_is_the_one_failed_task(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(db={"servers": [{"id": "s-00000000000000009"}], "on_failure": "rollback"}), "drill")
    skipping(monkeypatch, run)
    assert run.go() == "failed"
    assert {task for task, state in run.states.items() if state != "skipped"} == {"confirm", "preflight", "report"}
    found = report_of(run)
    assert found["preflight"]["state"] == "failed"
    assert {gate["gate"]: gate["state"] for gate in found["gates"]} == {"confirm": "passed", "preflight": "refused"}


@pytest.mark.usefixtures("quick")
def test_a_refusal_of_a_run_that_was_cleared_skips_nothing(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of a drill terminates what an earlier round launched."""
    load(drs_simulator)
    run = MarkedRun(plan(), "drill", keep_drill_instances=True)
    skipping(monkeypatch, run)
    assert run.go() == "success"
    run.parameters = run._dag_run.conf = {"mode": "drill", "waves": ["dbb"]}
    run.clear("confirm")
    assert run.go() == "failed"
    assert (run.states["preflight"], run.states["terminate"]) == ("upstream_failed", "success")


@pytest.mark.parametrize("mode", ["drill", "recovery"])
@pytest.mark.usefixtures("quick")
def test_a_preflight_that_is_marked_as_success_launches_nothing(drs_simulator: Simulation, mode: str) -> None:
    """Also where it had looked, and had found what blocks the run."""
    load(drs_simulator)
    before = {"pre_launch": [{"name": "undo", "automation": "Undo"}]}
    run = MarkedRun(plan(db=before), mode)
    run.marked = {"preflight": "success"}
    assert run.go() == "failed"
    run.xcoms["preflight"] = {"evidence": {"kind": "preflight", "status": "failed"}}
    run.clear("db.pre_launch.undo")
    assert run.go() == "failed"
    assert "preflight is a success, but it left no findings" in evidence(run, "db.pre_launch.undo")
    assert (launches(drs_simulator), called(drs_simulator, *SENDING)) == ({}, [])
    gates = {gate["gate"]: gate["state"] for gate in report_of(run)["gates"]}
    assert gates == {"confirm": "passed", "preflight": "marked by hand"}
    run.marked = {}
    run.clear("preflight")
    assert run.go() == "success", "what the message says helps"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}


@pytest.mark.usefixtures("quick")
def test_a_drill_that_was_missed_says_which_gates_were_marked_afterwards(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(db={"approval": APPROVERS}), "drill")
    run._dag_run.run_type, run._dag_run.run_after = "scheduled", datetime.now(timezone.utc) - timedelta(days=2)
    assert run.go() == "success"
    assert report_of(run)["run"]["state"] == "missed"
    run.clear("report")
    assert run.go() == "success", "nothing has been cleared but the report: it is missed as before"
    run.clear("confirm")
    run.marked = {"confirm": "success", "db.approve": "success"}
    assert run.go() == "failed"
    assert launches(drs_simulator) == {}
    assert report_of(run)["run"]["state"] == "failed"
    gates = {gate["gate"]: (gate["state"], gate["reason"]) for gate in report_of(run)["gates"]}
    assert gates["confirm"][0] == "not passed"
    assert "it let this drill go" in gates["confirm"][1]
    assert gates["db.approve"][0] == "marked by hand"


@pytest.mark.usefixtures("quick")
def test_a_wave_approval_that_is_marked_as_success_launches_nothing(
    drs_simulator: Simulation, answers: list[str]
) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(db={"approval": APPROVERS}))
    run.marked = {"db.approve": "success"}
    assert run.go() == "failed"
    assert launches(drs_simulator) == {}
    assert "db.approve is a success, but it left no record of an approval" in evidence(run, "db.launch")
    run.marked = {}
    run.clear("db.approve")
    assert run.go() == "success", "what the message says helps"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}
    gates = {gate["gate"]: (gate["state"], gate["by"]) for gate in report_of(run)["gates"]}
    assert gates["confirm"] == ("passed", ["alice"])
    assert gates["db.approve"] == ("passed", ["carol"])


@pytest.mark.usefixtures("quick")
def test_an_approval_of_somebody_who_is_no_approver_any_more_does_not_count(
    drs_simulator: Simulation, answers: list[str]
) -> None:
    """The reader judges the names again: a record says who answered, not that it was enough."""
    load(drs_simulator)
    run = MarkedRun(plan(recovery={"approval": APPROVERS}))
    confirm = run.dag.get_task("confirm")
    complete = confirm.work.execute_complete  # type: ignore[attr-defined]

    def tampered(context: Any, event: Any) -> Any:
        complete(context, event)
        run.xcoms["confirm"]["custody"]["answers"][0] |= {"name": "mallory", "id": "mallory"}

    confirm.work.execute_complete = tampered  # type: ignore[attr-defined]
    assert run.go() == "failed"
    assert launches(drs_simulator) == {}
    assert "needs the approval of 1 eligible person, and has that of nobody" in evidence(run, "preflight")


@pytest.mark.parametrize("mode", ["drill", "recovery"])
@pytest.mark.usefixtures("quick")
def test_after_a_success_a_cleared_launch_launches_nothing(drs_simulator: Simulation, mode: str) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(), mode, keep_drill_instances=mode == "drill")
    assert run.go() == "success"
    before = len(drs_simulator.log)
    # As after 120 days: the instances are gone, and AWS would take the call.
    boto3.client("drs", "us-west-2").terminate_recovery_instances(
        recoveryInstanceIDs=[
            each["recoveryInstanceID"]
            for each in boto3.client("drs", "us-west-2").describe_recovery_instances()["items"]
        ]
    )
    drs_simulator.advance(600)
    run.clear("db.launch")
    assert run.go() == "failed"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}
    assert len(called(drs_simulator, *SENDING)) == 1
    assert len(drs_simulator.log) > before
    assert "this run ended with success" in evidence(run, "db.launch")
    # A failed report of a run that succeeded does not make it one that may be continued.
    run.clear("db.launch")
    assert run.go() == "failed"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}
    run.clear("confirm")
    assert run.go() == "success"
    assert launches(drs_simulator) == {DB: 2, WEB: 2}


@pytest.mark.usefixtures("quick")
def test_a_gate_that_is_cleared_and_marked_stays_closed(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan())
    assert run.go() == "success"
    for marked in ({"confirm": "success", "preflight": "success"}, {"preflight": "success"}):
        run.clear("confirm")
        run.marked = marked
        assert run.go() == "failed"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}


@pytest.mark.usefixtures("quick")
def test_a_check_that_is_cleared_after_the_success_terminates_nothing(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan(db={"on_failure": "rollback", "rollback": [{"name": "undo", "automation": "Undo"}]}))
    assert run.go() == "success"
    sent = len(called(drs_simulator, *SENDING))
    for task in ("db.wait_for_launch", "db.rollback", "terminate", "report"):
        run.states[task] = None
    run.marked = {"db.wait_for_launch": "failed"}
    assert run.go() == "failed"
    assert run.states["db.rollback"] == "skipped"
    assert called(drs_simulator, "TerminateRecoveryInstances") == []
    assert len(called(drs_simulator, *SENDING)) == sent


@pytest.mark.usefixtures("quick")
def test_a_script_that_is_cleared_after_the_end_is_not_sent(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan())
    assert run.go() == "success"
    run.clear("web.post_launch.dns")
    assert run.go() == "failed"
    assert len(called(drs_simulator, *SENDING)) == 1
    assert "ended with success" in evidence(run, "web.post_launch.dns")


def later(monkeypatch: pytest.MonkeyPatch, **after: float) -> None:
    """Let the gates be judged at a later time."""
    now = datetime.now(timezone.utc) + timedelta(**after)
    monkeypatch.setattr(base, "judge", lambda chain, _, limit: judge(chain, now, limit))


@pytest.mark.usefixtures("quick")
def test_a_failed_run_is_continued_by_its_launch_for_a_day(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator, web=["failed", "failed", "launched"])
    run = MarkedRun(plan())
    assert run.go() == "failed"
    later(monkeypatch, hours=23)
    run.clear("web.launch")
    assert run.go() == "failed", "it fails again, and ends anew"
    later(monkeypatch, hours=25)
    run.clear("web.launch")
    assert run.go() == "failed"
    assert "more than 1d ago" in evidence(run, "web.launch")
    assert launches(drs_simulator) == {DB: 1, WEB: 2}
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__CONTINUE_FOR", "2d")
    run.clear("web.launch")
    assert run.go() == "success"
    assert launches(drs_simulator) == {DB: 1, WEB: 3}, "what is up is not launched again"


@pytest.mark.usefixtures("quick")
def test_clearing_a_check_every_day_does_not_keep_a_failed_run_open(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator, web="failed")
    run = MarkedRun(plan())
    assert run.go() == "failed"
    closed = run.xcoms["confirm"]["closing"]
    for task in ("web.wait_for_launch", "web.post_launch.dns", "terminate", "report"):
        run.states[task] = None
    assert run.go() == "failed"
    assert run.xcoms["confirm"]["closing"] == closed
    assert launches(drs_simulator) == {DB: 1, WEB: 1}, "a cleared wait looks only"


@pytest.mark.usefixtures("quick")
def test_a_preflight_that_failed_may_be_cleared(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan())
    run.marked = {"preflight": "failed"}
    assert run.go() == "failed"
    run.marked = {}
    run.clear("preflight")
    assert run.go() == "success"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}


@pytest.mark.usefixtures("quick")
def test_a_run_whose_report_was_marked_is_over_too(drs_simulator: Simulation) -> None:
    load(drs_simulator)
    run = MarkedRun(plan())
    run.marked = {"report": "success"}
    assert run.go() == "success"
    run.marked = {}
    run.clear("db.launch")
    run._dag_run.start_date += timedelta(minutes=5)
    assert run.go() == "failed"
    assert launches(drs_simulator) == {DB: 1, WEB: 1}
    assert "its report did not say how" in evidence(run, "db.launch")


def chain(**known: Any) -> Chain:
    loaded = plan()
    run = RecoveryRun.from_parameters("shop", "r", {"mode": "recovery", "confirm": "shop"})
    record = GateRecord(
        decision="confirmed", decided=datetime.now(timezone.utc), plan_hash="h", mode="recovery",
        parameters=run.as_record(),
    )  # fmt: skip
    values: dict[str, Any] = {
        "plan": loaded.plan, "plan_hash": "h", "run": run, "starter": "alice", "run_type": "manual",
        "states": {"confirm": "success", "preflight": "success"}, "records": {"confirm": record}, "checked": True,
    }  # fmt: skip
    return Chain(**{**values, **known})


def standing(known: Chain) -> custody.Standing:
    return judge(known, datetime.now(timezone.utc), lambda: timedelta(hours=24))


@pytest.mark.parametrize(
    "state",
    [None, "queued", "scheduled", "running", "deferred", "awaiting_input", "up_for_retry", "up_for_reschedule"],
)
def test_a_gate_that_has_not_ended_is_waited_for(state: str | None) -> None:
    assert standing(chain()).state == "open"
    assert standing(chain(states={"confirm": state, "preflight": "success"})).state == "wait"


@pytest.mark.parametrize("state", ["failed", "skipped", "upstream_failed", "removed"])
def test_a_gate_that_ended_otherwise_is_not_passed(state: str) -> None:
    found = standing(chain(states={"confirm": state, "preflight": "success"}))
    assert (found.state, state in found.reason) == ("missing", True)


def test_a_record_of_other_parameters_or_another_plan_does_not_count() -> None:
    other = RecoveryRun.from_parameters("shop", "r", {"mode": "recovery", "confirm": "shop", "waves": ["db"]})
    assert standing(chain(run=other)).state == "missing"
    drill = RecoveryRun.from_parameters("shop", "r", {"mode": "drill", "confirm": "shop"})
    assert standing(chain(run=drill)).state == "missing"
    assert standing(chain(plan_hash="other")).state == "missing"


def test_a_success_stays_one_and_a_failure_keeps_its_moment() -> None:
    now = datetime.now(timezone.utc)
    success, failed = Closing(state="success", at=now), Closing(state="failed", at=now)
    later = now + timedelta(hours=3)
    assert closing_of(success, "failed", later, continued=False) == success
    assert closing_of(success, "failed", later, continued=True) == success
    assert closing_of(failed, "failed", later, continued=False) == failed
    assert closing_of(failed, "failed", later, continued=True) == Closing(state="failed", at=later)
    assert closing_of(failed, "success", later, continued=True) == Closing(state="success", at=later)


@pytest.mark.parametrize(("users", "counts"), [("olga", True), ("OLGA , root", True), ("root", False), ("", False)])
def test_a_broken_glass_counts_only_for_those_who_may_now(users: str, counts: bool) -> None:
    approved = plan(recovery={"approval": APPROVERS}, db={"approval": APPROVERS})
    record = chain().records["confirm"]
    assert record is not None
    broken = record.model_copy(update={"decision": "break glass", "answers": (Answer(name="olga", at=record.decided),)})
    named = frozenset(filter(None, map(str.strip, users.split(","))))
    known: Callable[..., Chain] = lambda **more: chain(  # noqa: E731
        plan=approved.plan, records={"confirm": broken}, glass=named,
        **more,
    )  # fmt: skip
    assert (standing(known()).state == "open") is counts
    states = {"confirm": "success", "preflight": "success", "db.approve": "success"}
    wave = known(wave=approved.plan.waves[0], states=states, gates=tuple(states))
    assert (standing(wave).state == "open") is counts


def test_the_report_says_why_the_glass_was_broken() -> None:
    approved = plan(recovery={"approval": APPROVERS})
    record = chain().records["confirm"]
    assert record is not None
    olga = Answer(name="olga", at=record.decided)
    broken = record.model_copy(update={"decision": "break glass", "answers": (olga,), "reason": "nobody answers"})
    known = chain(plan=approved.plan, records={"confirm": broken}, glass=frozenset({"olga"}))
    (gate, _) = gates_of_run(known, ())
    assert (gate["state"], gate["by"], gate["reason"]) == ("break glass", ["olga"], "nobody answers")
