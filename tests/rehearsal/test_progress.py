"""The lines that a person watches while a plan runs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from drs_provider.pace import Pace
from drs_provider.plan import RecoveryPlan
from drs_provider.rehearsal.progress import RunProgress
from drs_provider.rehearsal.simulator_process import SimulatorProcess

PLAN = RecoveryPlan.model_validate(
    {
        "version": 1,
        "name": "shop",
        "target": {"region": "us-west-2"},
        "drill": {"keep_for": "30m"},
        "waves": [
            {
                "name": "db",
                "servers": [{"hostname": "a"}, {"hostname": "b"}],
                "settle": "2m",
                "launch_timeout": "1h",
                "approval": {"approvers": ["alice"]},
                "health_checks": [{"type": "tcp", "port": 80, "timeout": "3m"}],
                "post_launch": [{"name": "seize-roles", "automation": "Own-Seize", "modes": ["recovery"]}],
            },
            {"name": "web", "depends_on": ["db"], "servers": [{"hostname": "c"}]},
        ],
    }
)


def launch(wave: str, *servers: str) -> dict[str, Any]:
    """A StartRecovery call in the simulator's log."""
    tags = {"drs-provider:wave": wave}
    return {
        "operation": "StartRecovery",
        "params": {"tags": tags, "sourceServers": [{"sourceServerID": server} for server in servers]},
    }


def lines(states: dict[str, str | None], *log: dict[str, Any]) -> list[str]:
    progress = RunProgress(PLAN)
    progress.update(states, log)
    return progress.lines()


def test_before_anything_happens_every_wave_waits() -> None:
    assert lines({}) == ["db: waiting", "web: waiting"]


def test_a_launch_counts_servers_and_tells_the_phase_of_the_job_log() -> None:
    log = [launch("db", "s-1", "s-2"), {"event": "SNAPSHOT_START", "server": "s-1"}]
    states: dict[str, str | None] = {"db.launch": "success", "db.wait_for_launch": "deferred"}
    assert lines(states, *log)[0] == "db: launching, 0/2 servers launched, taking snapshots"
    log += [{"event": "LAUNCH_END", "server": "s-1"}, {"event": "CONVERSION_START", "server": "s-2"}]
    assert lines(states, *log)[0] == "db: launching, 1/2 servers launched, converting"


def test_a_call_that_was_refused_launches_nothing() -> None:
    assert lines({"db.launch": "running"}, {**launch("db", "s-1"), "error": "ConflictException"})[0] == "db: launching"


@pytest.mark.parametrize(
    ("task", "state", "words"),
    [
        ("approve", "awaiting_input", "approval"),
        ("pre_launch.fence", "running", "script fence"),
        ("launch", "up_for_retry", "launching"),
        ("settle", "deferred", "settling"),
        ("health.tcp", "deferred", "health check tcp"),
        ("post_launch.start", "queued", "script start"),
        ("rollback", "running", "rolling back"),
        ("launch", "failed", "failed"),
    ],
)
def test_what_a_wave_does_is_named(task: str, state: str, words: str) -> None:
    assert lines({f"db.{task}": state, "db.wait_for_launch": None})[0] == f"db: {words}"


def test_ends_are_told_apart() -> None:
    both = ("launch", "wait_for_launch")
    assert lines({f"db.{task}": "success" for task in both})[0] == "db: done"
    assert lines({f"db.{task}": "skipped" for task in both})[0] == "db: skipped"
    assert lines({f"db.{task}": "upstream_failed" for task in both})[0] == "db: not reached"
    refused = {f"db.{task}": "skipped" for task in both} | {"preflight": "failed"}
    assert lines(refused)[0] == "db: not reached"


def test_the_live_table_shows_the_waves_and_the_end_of_the_run() -> None:
    progress = RunProgress(PLAN)
    done: dict[str, str | None] = {"db.launch": "success", "db.wait_for_launch": "success", "terminate": "deferred"}
    progress.update(done, [launch("db", "s-1", "s-2"), {"event": "LAUNCH_END", "server": "s-1"}])
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(progress.render())
    shown = console.export_text()
    assert "1/2" in shown
    assert "█" * 10 + "░" * 10 in shown
    assert "terminating the drill's instances" in shown


def test_what_comes_behind_the_waves_is_a_line_too() -> None:
    log = [launch("db", "s-1")]
    assert lines({"terminate": "deferred"}, *log)[2:] == ["terminating the drill's instances"]
    for state in ("running", "success", "failed"):
        assert lines({"terminate": "success", "report": state}, *log)[2:] == ["writing the report"]


def test_nothing_is_terminated_of_a_recovery_nor_where_nothing_was_launched() -> None:
    assert lines({"terminate": "running"})[2:] == []
    progress = RunProgress(PLAN, {"mode": "recovery"})
    progress.update({"terminate": "running"}, [launch("db", "s-1")])
    assert progress.lines()[2:] == []


def test_a_script_that_the_run_skips_is_never_named() -> None:
    task: dict[str, str | None] = {"db.wait_for_launch": "success", "db.post_launch.seize-roles": "running"}
    assert lines(task)[0] == "db: working"
    progress = RunProgress(PLAN, {"mode": "recovery"})
    progress.update(task, [])
    assert progress.lines()[0] == "db: script seize-roles"


def test_it_says_what_it_waits_for_and_until_when() -> None:
    began = datetime(2026, 11, 28, 7, 0, tzinfo=timezone.utc)

    def clock(seconds: float) -> str:
        return (began + timedelta(seconds=seconds)).astimezone().strftime("%H:%M:%S")

    tasks = ("settle", "wait_for_launch", "health.tcp", "approve")
    started = {f"db.{task}": began for task in tasks}
    found = {}
    for task in tasks:
        how = {"confirm": "answer as alice", "db.approve": "answer in Airflow (user alice, password secret)"}
        progress = RunProgress(PLAN, {}, Pace(60), how)
        progress.update({f"db.{task}": "deferred"}, [{**launch("db", "s-1"), "t": began.timestamp()}], started)
        # A task that resumes has another start, and waits no longer for it.
        later = {name: moment + timedelta(seconds=9) for name, moment in started.items()}
        progress.update({f"db.{task}": "deferred"}, [{**launch("db", "s-1"), "t": began.timestamp()}], later)
        found[task] = progress.lines()[0].removeprefix("db: ").replace("0/1 servers launched, ", "")
    assert found == {
        "settle": f"settling, until {clock(2)}: 2s (2m in the plan, rehearsed 60 times as fast)",
        "wait_for_launch": f"launching, gives up at {clock(120)}",
        "health.tcp": f"health check tcp, gives up at {clock(63)}",
        "approve": "approval, answer in Airflow (user alice, password secret)",
    }
    progress = RunProgress(PLAN, {"mode": "recovery"}, Pace(60), {"confirm": "answer as alice"})
    progress.update({"confirm": "deferred"}, [])
    assert progress.lines()[2:] == ["confirm: waiting for approval, answer as alice"]


def test_a_drill_says_how_long_it_keeps_its_instances() -> None:
    now = datetime.now(timezone.utc)
    log = [launch("db", "s-1"), {"event": "LAUNCH_END", "server": "s-1", "job": "j"}]
    log += [{"event": "JOB_END", "job": "j", "t": now.timestamp()}]
    progress = RunProgress(PLAN, {}, Pace(2))
    progress.update({"terminate": "deferred"}, log)
    until = (now + timedelta(minutes=15)).astimezone().strftime("%H:%M:%S")
    assert progress.ending == (
        f"keeping the drill's instances until {until}: keep_for 15m (30m in the plan, rehearsed 2 times as fast)"
    )
    progress = RunProgress(PLAN, {"keep_drill_instances": True})
    progress.update({"terminate": "success"}, log)
    assert progress.ending == ""


def test_what_an_earlier_rehearsal_logged_does_not_count(tmp_path: Path) -> None:
    """In a folder that is kept, the simulator appends to its log: a wave that waits had its servers launched."""
    (tmp_path / "simulator.jsonl").write_text(json.dumps(launch("db", "s-1")) + "\n")
    simulator = SimulatorProcess(tmp_path, {"servers": []})
    assert lines({}, *simulator.log.read()) == ["db: waiting", "web: waiting"]
    with (tmp_path / "simulator.jsonl").open("a") as log:
        log.write(json.dumps(launch("db", "s-1", "s-2")) + "\n")
    assert lines({"db.launch": "running"}, *simulator.log.read())[0] == "db: launching, 0/2 servers launched"
