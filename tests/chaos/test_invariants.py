"""The campaign's own judgement: what it calls a violation, and what it expects of a case."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from drs_provider.plan import RecoveryPlan
from drs_provider.simulator.scenario_file import load_scenario
from tests.chaos.cases import REGION, Case, draw_case
from tests.chaos.faults import Fault
from tests.chaos.invariants import RunFacts, Wait, violations, waits
from tests.chaos.oracle import expect
from tests.chaos.rounds import KINDS, deal
from tests.chaos.truth import Job, RunTruth

DB, WEB = "s-00000000w00000000", "s-00000000w01000000"


def case(**first: Any) -> Case:
    """Two waves of one server each, the second after the first."""
    waves = [
        {"name": "w00", "depends_on": [], "servers": [{"id": DB, "critical": True}], "retries": 1, **first},
        {"name": "w01", "depends_on": ["w00"], "servers": [{"id": WEB, "critical": True}], "retries": 1},
    ]
    plan = {"name": "shop", "waves": waves, "drill": {"terminate": "always"}, "recovery": {"on_failure": "stop"}}
    return Case(plan, [{"id": DB, "outcome": "launched"}, {"id": WEB, "outcome": "launched"}])


def job(identity: str, wave: str, server: str, started: float, ended: float | None, status: str = "LAUNCHED") -> Job:
    launched = {server: f"i-{identity}"} if status == "LAUNCHED" else {}
    return Job(identity, wave, f"shop/run/{wave}", started, ended, {server: status}, launched)


class World:
    """As much of the truth as the checks ask for."""

    def __init__(self, *jobs: Job, states: dict[str, str] | None = None, ran: dict[str, Any] | None = None) -> None:
        self.jobs = list(jobs)
        self.states = states or {}
        self.ran = ran or {}
        self.log: list[dict[str, Any]] = []

    def run(self, dag_id: str, run_id: str) -> RunTruth:
        return RunTruth(self.jobs)

    def scripts(self, document: str) -> list[Any]:
        return list(self.ran.get(document, ()))

    def untagged_jobs(self, servers: Any) -> list[str]:
        return []


def found(world: World, state: str = "success", one: Case | None = None, **facts: Any) -> str:
    tasks = {"terminate": {"state": "success"}}
    run = RunFacts(one or case(), "run", state, facts.pop("tasks", tasks), facts.pop("report", None), **facts)
    return "\n".join(violations(run, world))  # type: ignore[arg-type]


GOOD = (job("1", "w00", DB, 10, 20), job("2", "w01", WEB, 21, 30))


def test_a_good_run_lacks_nothing_but_its_report() -> None:
    assert found(World(*GOOD)) == "shop/run: there is no report"


def test_a_server_that_was_launched_twice() -> None:
    again = job("3", "w01", WEB, 31, 40)
    assert f"{WEB} was launched again after job 2" in found(World(*GOOD, again))


def test_a_server_that_was_ended_may_be_launched_again() -> None:
    again = job("3", "w01", WEB, 41, 50)
    ended = World(*GOOD, again)
    ended.jobs[1].asked_to_end[WEB] = 40.0
    assert "was launched again" not in found(ended, exact=False)
    ended.jobs[1].asked_to_end[WEB] = 42.0
    assert f"{WEB} was launched again after job 2" in found(ended, exact=False)


def test_a_server_that_failed_may_be_launched_again_as_often_as_retries_allow() -> None:
    failed = [job(str(number), "w00", DB, number, number + 0.5, "FAILED") for number in (1, 2)]
    assert "was launched again" not in found(World(*failed[:1], *GOOD))
    assert f"{DB} was launched 3 times with 1 retries" in found(World(*failed, *GOOD))


@pytest.mark.parametrize("started", [15.0, 5.0])
def test_a_wave_that_began_before_what_it_depends_on_was_done(started: float) -> None:
    early = job("2", "w01", WEB, started, 30)
    assert f"w01 began at {started:.3f}, before w00 was done" in found(World(GOOD[0], early))


def test_a_success_in_which_a_wave_is_missing() -> None:
    assert f"shows success, and w01 is not up: {WEB}" in found(World(GOOD[0]), exact=False)


def test_a_run_that_ends_otherwise_than_implied() -> None:
    assert "is failed, and has to be success" in found(World(*GOOD), "failed")
    assert f"{WEB} of w01 was launched 0 times, not 1" in found(World(GOOD[0]), "failed")


def test_an_instance_that_is_left_and_not_named() -> None:
    left = World(*GOOD, states={"i-1": "running"})
    assert "left: i-1, and terminate is success" in found(left)
    failed = {"terminate": {"state": "failed"}}
    assert "left and not named: i-1" in found(left, "failed", tasks=failed)


SCRIPT = {"name": "dns", "automation": "Shop-Dns", "on_failure": "stop"}


def with_script() -> Case:
    one = case(post_launch=[SCRIPT])
    one.documents["Shop-Dns"] = {"outcome": "Success"}
    return one


@pytest.mark.parametrize(
    ("ran", "violation"),
    [
        ([(20.1, 20.5, "Success")], ""),
        ([(20.1, 20.2, "Failed"), (20.3, 20.5, "Success")], ""),
        ([(20.1, 20.2, "Success"), (20.3, 20.5, "Success")], "Shop-Dns ran 2 times"),
        ([(20.1, 20.2, "Success"), (20.3, 20.5, "Failed")], "Shop-Dns ran 2 times"),
        ([], "Shop-Dns did not run"),
    ],
)
def test_a_script_runs_once_and_again_only_where_it_failed(ran: list[Any], violation: str) -> None:
    told = found(World(*GOOD, ran={"Shop-Dns": ran}), one=with_script())
    assert violation in told
    assert violation or "Shop-Dns" not in told


def test_a_script_that_was_not_to_run() -> None:
    one = case()
    one.documents["Shop-Undo"] = {"outcome": "Success"}
    assert "Shop-Undo ran, and was not to" in found(World(*GOOD, ran={"Shop-Undo": [(40.0, 41.0, "Success")]}), one=one)


# The report against the log


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat()


def report() -> dict[str, Any]:
    """What a report says of the good run, as far as it is compared."""

    def wave(number: str, name: str, server: str, started: float, ended: float) -> dict[str, Any]:
        job = {"job_id": number, "attempt": 1, "adopted": False, "started": stamp(started), "ended": stamp(ended)}
        launched = {"source_server_id": server, "launch_status": "LAUNCHED", "attempts": 1}
        return {"name": name, "state": "success", "jobs": [job], "servers": [launched], "rollback": None}

    return {
        "generated": stamp(50),
        "plan": {"name": "shop", "file": "shop.yaml", "hash": "0", "region": REGION},
        "run": {"dag_id": "shop", "run_id": "run", "mode": "drill", "state": "success", "trigger": "manual"},
        "objectives": {},
        "rto": {},
        "rpo": {},
        "preflight": {"state": "success"},
        "termination": {"state": "success", "terminated": ["i-1", "i-2"]},
        "waves": [wave("1", "w00", DB, 10, 20), wave("2", "w01", WEB, 21, 30)],
    }


def told(folder: Path, one: dict[str, Any] | str, world: World | None = None, state: str = "success") -> str:
    (folder / "report.json").write_text(one if isinstance(one, str) else json.dumps(one))
    return found(world or World(*GOOD), state, exact=False, report=folder)


def test_a_report_that_agrees_with_the_log(tmp_path: Path) -> None:
    assert told(tmp_path, report()) == ""
    within = report()
    within["waves"][0]["jobs"][0]["ended"] = stamp(20.9)
    assert told(tmp_path, within) == ""


def test_a_job_that_ended_after_the_report_was_written(tmp_path: Path) -> None:
    one = report()
    one["waves"][1]["jobs"][0]["ended"] = None
    one["waves"][1]["servers"][0]["launch_status"] = "PENDING"
    assert "job 2 ended at 30" in told(tmp_path, one)
    one["generated"] = stamp(29)
    assert told(tmp_path, one) == ""


def _other_wave(one: dict[str, Any]) -> None:
    one["waves"][1]["jobs"].append(one["waves"][0]["jobs"].pop())


FALSE_REPORTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "the report is not valid": lambda one: one.pop("rto"),
    "the report says failed, Airflow says success": lambda one: one["run"].update(state="failed"),
    "the report does not know job 1 of w00": lambda one: one["waves"][0]["jobs"].clear(),
    "job 1 started at 10": lambda one: one["waves"][0]["jobs"][0].update(started=stamp(11.5)),
    "job 2 ended at 30": lambda one: one["waves"][1]["jobs"][0].update(ended=None),
    "job 1 is one of w00, and stands under w01": _other_wave,
    "the report tells of jobs that the run did not start: 9": lambda one: one["waves"][0]["jobs"].append(
        {**one["waves"][0]["jobs"][0], "job_id": "9"}
    ),
    f"{DB} is LAUNCHED; FAILED, says the report": lambda one: one["waves"][0]["servers"][0].update(
        launch_status="FAILED"
    ),
    f"{WEB}: 1 attempts; 2, says the report": lambda one: one["waves"][1]["servers"][0].update(attempts=2),
    "terminated, and not in the report: i-2": lambda one: one["termination"].update(terminated=["i-1"]),
    "terminated, says the report, and not so: i-3": lambda one: one["termination"]["terminated"].append("i-3"),
}


@pytest.mark.parametrize("violation", FALSE_REPORTS)
def test_a_report_that_says_something_else(violation: str, tmp_path: Path) -> None:
    one = report()
    FALSE_REPORTS[violation](one)
    assert violation in told(tmp_path, one)


def test_a_report_that_is_no_json(tmp_path: Path) -> None:
    assert "the report is no JSON" in told(tmp_path, "{")


def test_a_failure_is_expected_where_a_server_fails_for_good() -> None:
    one = case()
    one.servers[0]["outcome"] = ["failed", "failed_silently", "launched"]
    came = expect(one)
    assert (came.state, came.waves["w00"].launches, came.waves["w01"].launches) == ("failed", {DB: 2}, {})
    one.servers[0]["outcome"] = ["failed", "launched"]
    assert expect(one).state == "success"
    one.plan["waves"][0]["servers"][0]["critical"] = False
    assert expect(one).waves["w00"].launches == {DB: 1}


def test_a_wait_is_excused_by_the_windows_of_faults_only() -> None:
    tasks = {
        "preflight": {"state": "success", "start_date": "2026-01-01T00:00:00Z", "end_date": "2026-01-01T00:00:10Z"},
        "w00.launch": {"state": "success", "start_date": "2026-01-01T00:00:40Z", "end_date": "2026-01-01T00:01:00Z"},
        "w01.launch": {"state": "success", "start_date": "2026-01-01T00:01:01Z", "end_date": "2026-01-01T00:02:00Z"},
    }
    start = 1767225610.0
    run = RunFacts(case(), "run", "success", tasks, None, windows=[(start - 5, start + 8), (start + 4, start + 12)])
    assert waits(run) == [Wait("shop/run", "w00", 30.0, 12.0), Wait("shop/run", "w01", 1.0, 0.0)]
    assert waits(run)[0].ours == 18.0


def test_a_fault_that_nothing_has_run_into_excuses_no_wait() -> None:
    assert Fault("kill while StartRecovery is held", 0, began=100.0, ended=110.0).window == (100.0, 125.0)
    assert Fault("kill while StartRecovery is held", 0, began=100.0, ended=110.0, laid=True).window is None


@pytest.mark.parametrize("seed", range(40))
def test_every_drawn_case_is_a_valid_plan_in_a_valid_world(seed: int) -> None:
    one = draw_case(random.Random(seed), f"case-{seed}", seed)
    plan = RecoveryPlan.model_validate(one.plan)
    scenario = load_scenario({"region": REGION, "servers": one.servers, "documents": one.documents})
    assert 1 <= len(plan.waves) <= 15
    assert len(scenario.servers) <= 40
    assert draw_case(random.Random(seed), f"case-{seed}", seed) == one
    assert set(expect(one).waves) == {wave.name for wave in plan.waves}


@pytest.mark.parametrize("seed", range(20))
def test_ten_rounds_deal_every_kind_of_fault(seed: int) -> None:
    hands = [deal(seed, number, 4) for number in range(10)]
    assert {kind for hand in hands for kind in hand} == set(KINDS)
    assert deal(seed, 7, 4) == hands[7]


def test_undo_scripts_run_unless_a_job_that_never_ends_may_hold_the_instances() -> None:
    one = case(on_failure="rollback", rollback=[{"name": "undo", "automation": "Undo"}])
    one.servers[0]["outcome"] = "failed"
    assert expect(one).waves["w00"].scripts == {"Undo"}
    assert expect(one).waves["w00"].perhaps == set()
    one.servers[0]["outcome"] = "hangs"
    assert expect(one).waves["w00"].scripts == set()
    assert expect(one).waves["w00"].perhaps == {"Undo"}
