"""Estimates against what the simulator does at its own clock, and what they say of a plan."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import boto3
import pytest

from drs_provider.estimate.advice import first_to_shorten, judge
from drs_provider.estimate.forecast import NothingToLaunch
from drs_provider.estimate.history import History
from drs_provider.estimate.likely import Likely
from drs_provider.estimate.overhead import USUAL
from drs_provider.evidence.record import (
    Approval,
    HealthCheck,
    Measured,
    Objectives,
    Phase,
    Plan,
    Preflight,
    Run,
    RunRecord,
    Script,
    Server,
    Termination,
    Wave,
)
from tests.estimate.conftest import plan_of, server, wave

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
STATUS, AGENT = {"type": "instance_status"}, {"type": "ssm_online"}


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"os": "windows"},
        {"durations": {"conversion": 77, "launch": 301, "preparation": 12, "snapshot": 3}},
    ],
)
def test_a_job_takes_what_the_simulator_takes(drs_simulator: Any, predict, details: dict[str, Any]) -> None:
    servers = [server(1, "db"), server(2, "db", **details)]
    drs_simulator.freeze()
    drs_simulator.load({"servers": servers, "launching": {"spread": 0}})
    drs = boto3.client("drs", "us-west-2")
    job = drs.start_recovery(sourceServers=[{"sourceServerID": each["id"]} for each in servers], isDrill=True)["job"]
    drs_simulator.advance(3000)
    (ended,) = drs.describe_jobs(filters={"jobIDs": [job["jobID"]]})["items"]
    took = datetime.fromisoformat(ended["endDateTime"]) - datetime.fromisoformat(ended["creationDateTime"])
    found = predict(plan_of(wave("db")), {"servers": servers})
    assert found.rto.typical == pytest.approx(took.total_seconds(), abs=0.05)


def test_an_earlier_drill_is_cleaned_up_first(predict) -> None:
    plan = plan_of(wave("db"))
    fresh = predict(plan, {"servers": [server(1, "db")]}).rto.typical
    again = predict(plan, {"servers": [server(1, "db", launched="drill")]}).rto.typical
    assert again - fresh == pytest.approx(20)


def test_a_wave_is_cut_into_jobs_as_the_quotas_say(predict) -> None:
    servers = [server(number, "web") for number in range(7)]
    servers[6]["durations"] = {"launch": 1000}
    found = predict(plan_of(wave("web")), {"servers": servers, "quotas": {"servers_per_job": 3, "concurrent_jobs": 2}})
    assert (found.waves[0].servers, found.waves[0].jobs, found.waves[0].slowest) == (7, 3, "h6")
    ordinary = predict(plan_of(wave("web")), {"servers": servers[:1]}).rto.typical
    # The third job, that of the slow server alone, waits for one of the first two.
    assert found.rto.typical == pytest.approx(2 * ordinary + 1000 - 293, abs=0.1)


def test_scripts_and_checks_of_the_mode(predict) -> None:
    document = {"Own-Fence": {"kind": "Automation", "duration": 40}, "Own-Both": {"duration": 25}}
    fence = {"name": "fence", "automation": "Own-Fence", "modes": ["recovery"]}
    both = {"name": "both", "automation": "Own-Both"}
    plan = plan_of(wave("db", pre_launch=[fence, both]), recovery={"approval": {}})
    scenario = {"servers": [server(1, "db")], "documents": document}
    drill = predict(plan, scenario).wave("db").times.spent
    assert drill["scripts"] == pytest.approx(25)
    recovery = predict(plan, scenario, mode="recovery", durations={"answer": Likely.exactly(300)})
    assert recovery.wave("db").times.spent["scripts"] == pytest.approx(65)
    assert recovery.wave("db").times.started == pytest.approx(300)
    assert any("--approval" in remark for remark in predict(plan, scenario, mode="recovery").remarks)


def test_status_checks_and_agents_count_from_the_launch(predict) -> None:
    servers = [server(1, "db", agent={"online_after": "200s"}, durations={"boot": 50})]
    script = {"name": "go", "run_command": "AWS-RunShellScript"}
    plain = predict(plan_of(wave("db")), {"servers": servers}).rto.typical
    launched = plain - 4
    booted = predict(plan_of(wave("db", health_checks=[STATUS])), {"servers": servers}).rto.typical
    assert booted == pytest.approx(launched + 50)
    agents = predict(plan_of(wave("db", health_checks=[AGENT])), {"servers": servers}).rto.typical
    assert agents == pytest.approx(launched + 200)
    commanded = predict(plan_of(wave("db", post_launch=[script])), {"servers": servers}).rto.typical
    assert commanded == pytest.approx(launched + 200 + 5)


def test_a_rehearsal_takes_airflows_time_whole_and_shortens_pauses(predict) -> None:
    plan = plan_of(wave("db", settle="40s"), wave("web", "db"))
    scenario = {"servers": [server(1, "db"), server(2, "web")]}
    slow = predict(plan, scenario).rto.typical
    fast = predict(plan, scenario, speed=10).rto.typical
    assert fast == pytest.approx(slow / 10)
    with_airflow = predict(plan, scenario, speed=10, overhead=USUAL).rto.typical
    assert with_airflow - fast == pytest.approx(
        USUAL.begin.typical + 3 * USUAL.task.typical + 2 * (USUAL.launch.typical + USUAL.look.typical)
    )


def test_a_selection_that_matches_nothing_is_a_remark_and_nothing_at_all_an_error(predict) -> None:
    scenario = {"servers": [server(1, "db")]}
    found = predict(plan_of(wave("db"), wave("web", "db")), scenario)
    assert found.wave("web").servers == 0
    assert any("web: No source server matches tags Tier=web" in remark for remark in found.remarks)
    with pytest.raises(NothingToLaunch):
        predict(plan_of(wave("web")), scenario)


def test_the_range_is_wider_where_less_is_known(predict) -> None:
    known = {"durations": dict.fromkeys(("snapshot", "preparation", "conversion", "launch"), 60)}
    exact = predict(plan_of(wave("db")), {"servers": [server(1, "db", **known)]}).rto
    assert exact.low == exact.typical == exact.high
    rough = predict(plan_of(wave("db")), {"servers": [server(1, "db")]}).rto
    assert rough.low < rough.typical < rough.high


def objective(predict: Any, rto: str, **keys: Any) -> tuple[str, str]:
    plan = plan_of(wave("a", **keys), wave("b", "a"), objectives={"rto": rto})
    judged = judge(predict(plan, {"servers": [server(1, "a"), server(2, "b")]}))
    assert judged is not None
    return judged


def test_whether_the_objective_can_be_met(predict) -> None:
    # DRS alone takes 536 s a wave, 483 s at best.
    assert objective(predict, "1h")[0] == "met"
    assert objective(predict, "20m")[0] == "tight"
    missed, why = objective(predict, "17m", settle="5m")
    assert missed == "missed"
    assert "It can be met: DRS alone takes 16m" in why
    missed, why = objective(predict, "10m")
    assert missed == "missed"
    assert "other dependencies only: for a → b" in why
    impossible, why = objective(predict, "8m")
    assert impossible == "impossible"
    assert "cannot be met at all: one server alone takes DRS 8m3s" in why
    assert judge(predict(plan_of(wave("a")), {"servers": [server(1, "a")]})) is None


def test_the_wave_to_shorten_first_is_the_one_that_is_worth_most(predict) -> None:
    servers = [
        server(1, "db", durations={"conversion": 900}),
        server(2, "left", durations={"conversion": 2000}),
        server(3, "right", durations={"conversion": 1900}),
        server(4, "top"),
    ]
    plan = plan_of(wave("db"), wave("left", "db"), wave("right", "db"), wave("top", "left", "right"))
    found = predict(plan, {"servers": servers})
    assert found.critical_path == ("db", "left", "top")
    advice = first_to_shorten(found)
    assert advice is not None
    # The left branch takes longer than db, but the right one holds the rest up almost as long.
    assert advice.wave == "db"
    assert found.gains["left"] == pytest.approx(100)
    assert "15m" in advice.text and "h1" in advice.text and "conversion" in advice.text


def test_a_pause_that_takes_most_is_what_is_shortened(predict) -> None:
    advice = first_to_shorten(predict(plan_of(wave("db", settle="1h")), {"servers": [server(1, "db")]}))
    assert advice is not None and advice.kind == "settle"


def report(phases: dict[str, tuple[float, float]], **parts: Any) -> RunRecord:
    """A report of a drill of one wave; phases in seconds from its start, by kind."""

    def at(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    launched = Server(
        source_server_id="s-00000000000000001",
        launch_status="LAUNCHED",
        attempts=1,
        phases=[Phase(kind=kind, started=at(a), ended=at(b)) for kind, (a, b) in phases.items()],  # type: ignore[arg-type]
    )
    steps = {
        "scripts": [
            Script(
                name=name, section="post_launch", kind="automation", document="Own-Go", state="success",
                started=at(0), ended=at(took),
            )
            for name, took in parts.get("scripts", {}).items()
        ],
        "health_checks": [
            HealthCheck(name="instance_status", check="x", state="success", started=at(0), ended=at(took))
            for took in parts.get("checks", ())
        ],
    }  # fmt: skip
    return RunRecord(
        generated=START,
        plan=Plan(name="shop", file="shop.yaml", hash="0", region="us-west-2"),
        run=Run(dag_id="shop", run_id="1", mode="drill", state="success", trigger="manual", started=START),
        objectives=Objectives(),
        clock_started=START,
        rto=Measured(),
        rpo=Measured(),
        preflight=Preflight(state="success", started=at(1), ended=at(parts.get("begin", 12))),
        approvals=[
            Approval(where="db", decision=parts.get("decision", "approved"), started=at(0), ended=at(took))
            for took in parts.get("approvals", ())
        ],
        waves=[Wave(name="db", state="success", servers=[launched], **steps)],
        termination=Termination(state="success"),
    )


def test_what_earlier_drills_took_comes_before_all_else(predict) -> None:
    reports = [
        report({"snapshot": (0, 1), "conversion": (41, 41 + took), "launch": (500, 500 + took)}, begin=took / 10)
        for took in (100, 200, 600)
    ]
    servers = [server(1, "db", durations={"conversion": 9999}), server(2, "web"), server(3, "win", os="windows")]
    systems = {each["id"]: each.get("os", "linux") for each in servers}
    history = History.of(reports, systems)
    options = {"durations": {"history": history}}
    found = predict(plan_of(wave("db")), {"servers": servers}, **options).rto
    fixed = 0.8 + 0.5 + 4
    assert found.low == pytest.approx(fixed + 10 + 1 + 40 + 100 + 100)
    assert found.typical == pytest.approx(fixed + 20 + 1 + 40 + 200 + 200)
    assert found.high == pytest.approx(fixed + 60 + 1 + 40 + 600 + 600)
    # A server that no drill launched takes what others of its system took; one of another system, the usual time.
    web = predict(plan_of(wave("web")), {"servers": servers}, **options).rto.typical
    assert web == pytest.approx(found.typical)
    assert predict(plan_of(wave("win")), {"servers": servers}, **options).rto.typical > 839


def test_scripts_checks_and_answers_of_earlier_drills(predict) -> None:
    history = History.of([report({}, scripts={"go": 70}, checks=[150], approvals=[90])], {})
    go = {"name": "go", "automation": "Own-Go"}
    other = {"name": "other", "automation": "Own-Go"}
    plan = plan_of(wave("db", approval={}, post_launch=[go, other], health_checks=[STATUS]))
    found = predict(plan, {"servers": [server(1, "db")]}, durations={"history": history})
    spent = found.wave("db").times.spent
    assert (spent["scripts"], spent["health"], spent["approval"]) == (140, 150, 90)
    assert not any("--approval" in remark for remark in found.remarks)


def test_an_approval_that_was_not_given_teaches_nothing() -> None:
    history = History.of([report({}, approvals=[3600], decision="timed out"), report({}, approvals=[90])], {})
    assert history.approval("shop", "db") == Likely.exactly(90)


def test_rehearsals_and_refused_runs_teach_nothing_unless_asked_for() -> None:
    real = report({"conversion": (0, 7)}, scripts={"go": 70})
    run = real.run.model_copy(update={"simulated_by": "http://127.0.0.1:4566", "simulated_speed": 60.0})
    rehearsed = real.model_copy(update={"run": run})
    refused = real.model_copy(
        update={
            "run": real.run.model_copy(update={"refused": "the name is wrong"}),
            "waves": [wave.model_copy(update={"jobs": []}) for wave in real.waves],
        }
    )
    without = History.of([rehearsed, refused], {})
    assert (without.runs, without.rehearsals) == (0, 1)
    asked = History.of([rehearsed], {}, simulated=True)
    assert asked.phase("s-00000000000000001", "linux", "conversion") == Likely.exactly(420), "of simulated time"
    assert asked.script("shop", "db", "go", "Own-Go") is None, "Airflow's own time"


def test_a_server_that_failed_at_first_teaches_nothing() -> None:
    twice = report({"conversion": (0, 7)})
    retried = twice.waves[0].servers[0].model_copy(update={"attempts": 2})
    record = twice.model_copy(update={"waves": [twice.waves[0].model_copy(update={"servers": [retried]})]})
    assert History.of([record], {}).phase("s-00000000000000001", "linux", "conversion") is None
