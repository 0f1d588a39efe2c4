"""What a launch was about to ask of DRS is known to whoever cleans up, though its worker died at the call."""

from __future__ import annotations

import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from drs_provider.tasks.intents import IntentJournal, read_intents
from tests.chaos.in_process import InProcessRun, Killer, quick_aws
from tests.dag.plans import loaded_plan
from tests.xcoms import stored_xcoms

SERVER = "s-00000000000000001"


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


def load(simulator: Simulation) -> None:
    simulator.load({"region": "us-west-2", "servers": [{"id": SERVER, "hostname": "one"}]}, speed=1)


def web(**keys: Any) -> LoadedPlan:
    return loaded_plan({"name": "web", "servers": [{"id": SERVER}], "retries": 0, **keys})


def marked_failed_at_the_call(plan: LoadedPlan, mode: str = "drill") -> InProcessRun:
    """A run whose launch is gone for good once DRS has accepted StartRecovery."""
    dag = build_dag(plan)
    dag.get_task("web.launch").retries = 0
    killer = Killer(operations={"StartRecovery": "after"})
    confirm = "shop" if mode == "recovery" else ""
    return InProcessRun(dag, {"mode": mode, "confirm": confirm}, random.Random(1), killer)


def instances() -> list[dict[str, Any]]:
    return list(boto3.client("drs", "us-west-2").describe_recovery_instances()["items"])


def accepted(simulator: Simulation) -> int:
    return sum(1 for each in simulator.log if each.get("operation") == "StartRecovery" and not each.get("error"))


@pytest.mark.slow
@pytest.mark.parametrize("lags", ["DescribeJobs", "*"])
def test_the_end_of_a_drill_waits_for_a_job_that_is_not_listed_yet(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, lags: str
) -> None:
    load(drs_simulator)
    run = marked_failed_at_the_call(web())
    with quick_aws(monkeypatch), run.killer.lurking(monkeypatch):
        drs_simulator.add_fault(operation=lags, stale=50)
        assert run.go() == "failed"
        drs_simulator.clear_faults()
        assert accepted(drs_simulator) == 1
        time.sleep(3600)
        assert instances() == []
    assert run.states["terminate"] == "success"
    assert len(run.xcoms["terminate"]["evidence"]["terminated"]) == 1


def test_a_rollback_waits_for_it_too(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    load(drs_simulator)
    run = marked_failed_at_the_call(web(on_failure="rollback"), "recovery")
    with quick_aws(monkeypatch), run.killer.lurking(monkeypatch):
        drs_simulator.add_fault(operation="*", stale=50)
        assert run.go() == "failed"
        drs_simulator.clear_faults()
        assert accepted(drs_simulator) == 1
        time.sleep(3600)
        assert instances() == []
    assert run.states["web.rollback"] == "success"


def test_the_next_try_adopts_a_job_that_is_not_listed_yet(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    killer = Killer(operations={"StartRecovery": "after"})
    run = InProcessRun(build_dag(web()), {}, random.Random(1), killer)
    with quick_aws(monkeypatch), killer.lurking(monkeypatch):
        drs_simulator.add_fault(operation="DescribeJobs", stale=100)
        assert run.go() == "success"
    assert accepted(drs_simulator) == 1


@pytest.mark.slow
@pytest.mark.parametrize("then", ["confirm", "confirm and everything downstream"])
def test_clearing_the_first_task_loses_no_intent(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Airflow deletes what lies under a task when it starts again."""
    load(drs_simulator)
    run = marked_failed_at_the_call(web())
    with quick_aws(monkeypatch), run.killer.lurking(monkeypatch):
        drs_simulator.add_fault(operation="*", stale=50)
        for task in ("confirm", "preflight", "web.launch"):
            run._run(run.dag.get_task(task))
        assert run.states["web.launch"] == "failed"
        run.states["confirm"] = None
        if then != "confirm":
            # A person marks what follows instead of letting it run: nothing looks for the job any more.
            run.states.update({"preflight": "success", "web.launch": "failed"})
        run._run(run.dag.get_task("confirm"))
        assert run.go() == "failed"
        drs_simulator.clear_faults()
        assert accepted(drs_simulator) == 1
        time.sleep(3600)
        assert instances() == []
    assert len(run.xcoms["terminate"]["evidence"]["terminated"]) == 1


def test_the_report_keeps_the_intents_for_a_run_that_is_cleared(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    run = InProcessRun(build_dag(web()), {"mode": "recovery", "confirm": "shop"}, random.Random(1))
    with quick_aws(monkeypatch):
        assert run.go() == "success"
    before = read_intents({"ti": _instance_of(run)}, ["web"])
    assert [intent.servers for intent in before] == [(SERVER,)]
    for holder in ("confirm", "report"):
        kept = run.xcoms.pop(holder)
        assert read_intents({"ti": _instance_of(run)}, ["web"]) == before
        run.xcoms[holder] = kept


def _instance_of(run: InProcessRun) -> Any:
    pull = lambda task_ids, key: run.xcoms.get(task_ids, {}).get(key)  # noqa: E731
    return SimpleNamespace(xcom_pull=pull)


def test_a_launch_that_was_refused_is_waited_for_by_nobody(
    drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(drs_simulator)
    drs_simulator.add_fault("StartRecovery", error="AccessDeniedException")
    run = InProcessRun(build_dag(web()), {}, random.Random(1))
    with quick_aws(monkeypatch):
        assert run.go() == "failed"
    assert run.states["terminate"] == "success"
    assert not any(each.get("operation") == "DescribeSourceServers" for each in drs_simulator.log[-3:])


def test_what_cannot_be_looked_up_is_named_as_left(drs_simulator: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    load(drs_simulator)
    run = marked_failed_at_the_call(web())
    with quick_aws(monkeypatch), run.killer.lurking(monkeypatch):
        drs_simulator.add_fault(operation="DescribeJobs", stale=36000)
        drs_simulator.add_fault("DescribeSourceServers", error="AccessDeniedException", skip=2)
        assert run.go() == "failed"
    assert run.states["terminate"] == "failed"
    (left,) = run.xcoms["terminate"]["evidence"]["left"]
    assert left["instance_id"] == SERVER
    assert "StartRecovery of" in left["reason"]


class TestJournal:
    """What is kept of each call."""

    @pytest.fixture
    def journal(self) -> IntentJournal:
        stored_xcoms("shop", "manual__1", anew=True)
        return IntentJournal(self.context(), "web", "drill", lambda: None, web().plan.default_target)

    def context(self) -> dict[str, Any]:
        ti = SimpleNamespace(
            dag_id="shop",
            run_id="manual__1",
            task_id="web.launch",
            xcom_pull=lambda task_ids, key: stored_xcoms("shop", "manual__1").get(task_ids, {}).get(key),
        )
        return {"ti": ti}

    def known(self) -> list[tuple[str, str | None, bool]]:
        return [(one.launch, one.job, one.settled) for one in read_intents(self.context(), ["web", "other"])]

    def test_each_launch_has_one_entry(self, journal: IntentJournal) -> None:
        for launch in ("a", "b", "a"):
            journal.before(launch, ["s-1"])
        assert self.known() == [("a", None, False), ("b", None, False)]

    def test_an_answer_settles_it(self, journal: IntentJournal) -> None:
        journal.before("a", ["s-1"])
        journal.after("a", "drsjob-1")
        journal.before("b", ["s-2"])
        journal.after("b", None)
        assert self.known() == [("a", "drsjob-1", True), ("b", None, True)]

    def test_a_refusal_settles_nothing_while_an_earlier_call_is_in_doubt(self, journal: IntentJournal) -> None:
        journal.before("a", ["s-1"])
        journal.before("a", ["s-1"])
        journal.after("a", None)
        assert self.known() == [("a", None, False)]
        journal.after("a", "drsjob-1")
        assert self.known() == [("a", "drsjob-1", True)]

    def test_what_does_not_hold_keeps_it_from_being_recorded(self) -> None:
        stored_xcoms("shop", "manual__1", anew=True)

        def refuse() -> None:
            raise RuntimeError("the plan changed")

        with pytest.raises(RuntimeError):
            IntentJournal(self.context(), "web", "drill", refuse, web().plan.default_target).before("a", ["s-1"])
        assert self.known() == []
