"""Whole runs on a real Airflow, judged from the simulator's log."""

from __future__ import annotations

import pytest

from drs_provider.aws.typical import BY_SYSTEM
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.forecast import forecast
from drs_provider.estimate.history import History
from drs_provider.estimate.overhead import USUAL
from drs_provider.estimate.site import scenario_site
from drs_provider.evidence.record import RunRecord
from drs_provider.plan import load_plan
from tests.e2e.conftest import BROKEN, EDITED, SCHEDULED
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_three_parallel_waves_start_together(stack: Stack) -> None:
    run = stack.start("parallel")
    assert stack.wait("parallel", run) == "success", stack.states("parallel", run)
    seen = stack.seen("parallel", run)
    started = [seen.started(wave) for wave in ("one", "two", "three")]
    ended = [seen.ended(wave) for wave in ("one", "two", "three")]
    assert max(started) < min(ended), "every wave starts before any other has ended"
    assert {wave: len(servers) for wave, servers in seen.launches().items()} == {"one": 2, "two": 2, "three": 2}


def test_three_sequential_waves_start_each_after_the_one_before_has_ended(stack: Stack) -> None:
    run = stack.start("sequential")
    assert stack.wait("sequential", run) == "success", stack.states("sequential", run)
    seen = stack.seen("sequential", run)
    assert seen.ended("database") <= seen.started("app")
    assert seen.ended("app") <= seen.started("web")
    launched = [server for servers in seen.launches().values() for server in servers]
    assert len(launched) == len(set(launched)) == 6, "each server exactly once"
    report = stack.report("sequential", run)
    assert report["run"]["state"] == "success"
    assert report["run"]["simulated_by"].startswith("http://127.0.0.1:")
    assert [wave["state"] for wave in report["waves"]] == ["success"] * 3
    assert len(report["termination"]["terminated"]) == 6
    assert report["termination"]["left"] == []
    # A person can clear a task of a run that has an RTO, and with it deadlines in Airflow.
    body = {"dry_run": False, "dag_run_id": run, "task_ids": ["report"], "only_failed": False}
    stack.api.call("POST", "/dags/sequential/clearTaskInstances", json=body)
    assert stack.wait("sequential", run) == "success", stack.states("sequential", run)
    # Whatever the machine is like, a run takes no less than DRS alone, and the report teaches the phases that it had.
    plan = load_plan(stack.plans_folder / "sequential.yaml").plan
    site = scenario_site(stack.folder / "simulator" / "scenario.yaml", plan)
    least = forecast(plan, Durations(site), overhead=USUAL.scaled(0), speed=stack.speed).rto.typical
    assert least <= report["rto"]["achieved_seconds"]
    record = RunRecord.model_validate(report)
    assert record.run.simulated_speed == stack.speed
    assert History.of([record], {}).runs == 0, "a simulated run teaches nothing unless it is asked for"
    history = History.of([record], {}, simulated=True)
    learnt = history.phase(report["waves"][0]["servers"][0]["source_server_id"], "linux", "launch")
    # Servers of one system are a few per cent apart.
    assert learnt is not None and learnt.typical == pytest.approx(BY_SYSTEM["linux"]["launch"], rel=0.12)


def test_a_failed_database_stops_what_depends_on_it_and_nothing_else(stack: Stack) -> None:
    run = stack.start("failing")
    assert stack.wait("failing", run) == "failed"
    seen = stack.seen("failing", run)
    assert set(seen.launches()) == {"database", "mail"}
    states = stack.states("failing", run)
    assert states["database.wait_for_launch"] == "failed"
    assert {states[f"{wave}.{task}"] for wave in ("app", "web") for task in ("launch", "wait_for_launch")} == {
        "upstream_failed"
    }
    assert states["mail.wait_for_launch"] == states["terminate"] == "success"
    report = stack.report("failing", run)
    assert report["run"]["state"] == "failed"
    assert report["termination"]["left"] == []


def test_waves_that_are_left_out_count_as_done(stack: Stack) -> None:
    run = stack.start("sequential", waves=["web"])
    assert stack.wait("sequential", run) == "success", stack.states("sequential", run)
    assert set(stack.seen("sequential", run).launches()) == {"web"}
    assert stack.states("sequential", run)["database.launch"] == "skipped"
    tries = {task: instance["try_number"] for task, instance in stack.api.task_instances("sequential", run).items()}
    assert {tries[task] for task in tries if task.startswith(("database.", "app."))} == {0}, "no worker was started"
    # The drill is over. A person clears its whole run: it is made again, for what it had launched has been ended.
    body = {"dry_run": False, "dag_run_id": run, "only_failed": False}
    stack.api.call("POST", "/dags/sequential/clearTaskInstances", json=body)
    assert stack.wait("sequential", run) == "success", stack.states("sequential", run)
    assert len(stack.seen("sequential", run).calls) == 2
    assert len(stack.report("sequential", run)["termination"]["terminated"]) == 4


def test_a_wave_left_out_between_two_passes_on_the_wait(stack: Stack) -> None:
    run = stack.start("sequential", waves=["database", "web"])
    assert stack.wait("sequential", run) == "success", stack.states("sequential", run)
    seen = stack.seen("sequential", run)
    assert set(seen.launches()) == {"database", "web"}
    assert seen.started("web") > seen.ended("database")


def test_a_recovery_without_the_typed_name_starts_nothing(stack: Stack) -> None:
    run = stack.start("parallel", mode="recovery", confirm="paralel")
    assert stack.wait("parallel", run) == "failed"
    assert stack.seen("parallel", run).calls == []
    log = stack.log_of("parallel", run, "confirm")
    assert "nothing was started" in log
    assert log.index("REAL RECOVERY of parallel") < log.index("nothing was started")
    states = stack.states("parallel", run)
    assert states == dict.fromkeys(states, "skipped") | {"confirm": "failed", "report": "failed"}
    assert stack.report("parallel", run)["run"]["state"] == "failed"


def test_a_broken_plan_hides_no_other_and_says_where_it_is_broken(stack: Stack) -> None:
    stack.until(stack.api.import_errors, "the import error")
    (error,) = stack.api.import_errors()
    assert "recovery_plan_errors.py" in error["filename"]
    assert "broken.yaml:7:18" in error["stack_trace"]
    assert "databse" in error["stack_trace"]
    assert stack.api.has_dag("parallel")
    assert not stack.api.has_dag("broken")
    stack.write_plan("broken", BROKEN.replace("    depends_on: [databse]\n", ""))
    stack.until(lambda: not stack.api.import_errors(), "the mended plan")
    stack.airflow.wait_for_dag("broken")


def test_a_plan_edited_while_its_run_is_going_stops_before_the_next_launch(stack: Stack) -> None:
    run = stack.start("edited")
    stack.until(lambda: "first" in stack.seen("edited", run).launches(), "the launch of the first wave")
    stack.write_plan("edited", EDITED.replace("30m", "40m"))
    assert stack.wait("edited", run) == "failed"
    assert set(stack.seen("edited", run).launches()) == {"first"}
    log = stack.log_of("edited", run, "second.launch")
    assert "waves.second.launch_timeout" in log
    assert "clear" in log
    assert stack.states("edited", run)["terminate"] == "success", "the drill's instances are ended all the same"


def test_a_scheduled_drill_fires(stack: Stack) -> None:
    path = stack.write_plan("scheduled", SCHEDULED)
    try:
        stack.until(lambda: stack.seen_of_plan("scheduled"), "the launch by the schedule", 180)
        (call, *_) = stack.seen_of_plan("scheduled")
        assert call["params"]["isDrill"] is True
        assert "/scheduled__" in call["params"]["tags"]["drs-provider:run"]
    finally:
        path.unlink()
