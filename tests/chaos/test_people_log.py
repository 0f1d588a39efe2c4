"""The judge of a round of people: each thing that must not be is planted in a log once, and seen."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.people_log import Closed, Deed, Diary, people_violations

DB, INSTANCE = "s-1", "i-1"
PLAN = {
    "name": "shop",
    "waves": [{"name": "db", "servers": [{"id": DB}], "approval": {"approvers": ["carol"]}}],
}
GATES = frozenset({"confirm", "db.approve"})


def start(at: float, *, drill: bool = False, tags: bool = True, run: str = "shop/run0") -> dict[str, Any]:
    mode = "drill" if drill else "recovery"
    named = {"drs-provider:run": run, "drs-provider:wave": "db", "drs-provider:mode": mode}
    params = {"sourceServers": [{"sourceServerID": DB}], "isDrill": drill, "tags": named if tags else {}}
    return {"t": at, "operation": "StartRecovery", "status": 202, "params": params}


def up(at: float, job: str = "1", instance: str = INSTANCE) -> list[dict[str, Any]]:
    return [
        {"t": at - 1, "event": "SNAPSHOT_START", "job": job, "server": DB},
        {"t": at, "event": "LAUNCH_END", "job": job, "server": DB, "instance": instance},
        {"t": at + 1, "event": "JOB_END", "job": job},
    ]


def terminate(at: float) -> dict[str, Any]:
    params = {"recoveryInstanceIDs": [INSTANCE]}
    return {"t": at, "operation": "TerminateRecoveryInstances", "status": 200, "params": params}


def diary(*deeds: Deed, mode: str = "recovery", approved: str = "carol", starter: str = "alice") -> Diary:
    approvals = [Deed(10, "approved", frozenset({gate}), approved) for gate in sorted(GATES)]
    one = Diary(
        PLAN, "run0", frozenset({"carol", "dave"}), 30.0, sorted([*approvals, *deeds], key=lambda deed: deed.at)
    )
    one.starters.append((1.0, starter, mode))
    return one


def found(log: list[dict[str, Any]], one: Diary) -> str:
    return "\n".join(people_violations(log, [one]))


def test_what_is_right_is_not_noted() -> None:
    approved = Deed(100, "approved", frozenset({"db.rollback"}), "dave")
    one = diary(approved)
    one.up["db"] = 50
    assert found([start(20), *up(30), terminate(110)], one) == ""
    assert found([start(20, drill=True), *up(30), terminate(110)], diary(mode="drill")) == ""


@pytest.mark.parametrize(
    ("one", "violation"),
    [
        (diary(approved="mallory"), "nobody who may has approved the recovery"),
        (diary(starter="carol"), "nobody who may has approved the recovery"),
        (diary(approved="mallory", mode="drill"), "nobody who may has approved the wave"),
        (diary(Deed(15, "cleared", GATES)), "nobody who may has approved the recovery"),
        (diary(Deed(12, "around", frozenset({"confirm"}))), "confirm was marked by hand at 12.0"),
        (diary(Deed(12, "around", frozenset({"preflight"})), mode="drill"), "preflight was marked by hand at 12.0"),
    ],
)
def test_each_launch_that_must_not_be_is_seen(one: Diary, violation: str) -> None:
    drill = one.starters[0][2] == "drill"
    assert violation in found([start(20, drill=drill)], one)


def test_a_launch_of_the_other_kind_is_seen() -> None:
    assert "is of another kind than the run, which is a drill" in found([start(20)], diary(mode="drill"))


@pytest.mark.parametrize(
    ("state", "cleared", "violation"),
    [
        ("success", 130, "the run had ended with success at 100.0"),
        ("failed", 500, "the run had failed long before, at 100.0"),
        ("failed", 120, ""),
    ],
)
def test_a_launch_of_a_run_that_is_over_is_seen(state: str, cleared: float, violation: str) -> None:
    deed = Deed(cleared, "cleared", frozenset({"db.launch"}))
    one = diary(deed)
    one.closed[deed] = Closed(100.0, state)
    log = [start(20), *up(30), terminate(40), start(600)]
    assert (violation in found(log, one)) and (violation or "had" not in found(log, one))


def test_a_gate_that_was_passed_cleared_and_marked_continues_a_run_that_failed_and_no_other() -> None:
    cleared, marked = Deed(40, "cleared", GATES), Deed(41, "marked", frozenset({"confirm"}))
    one = diary(cleared, marked)
    one.closed[cleared] = Closed(35, "failed")
    assert found([start(44)], one) == ""
    one.closed[cleared] = Closed(35, "success")
    assert "ended with success" in found([start(44)], one)
    one = diary(cleared)
    one.closed[cleared] = Closed(35, "failed")
    assert "nobody who may has approved the recovery" in found([start(44)], one)


def test_the_end_of_another_rounds_instance_is_not_judged_again() -> None:
    log = [start(20, run="other/run0"), *up(30), terminate(110)]
    assert found(log, diary()) == ""
    assert "which no run launched" in found([start(20, tags=False), *up(30), terminate(110)], diary())


def test_an_approval_of_a_run_that_was_deleted_does_not_count() -> None:
    one = diary(Deed(15, "deleted"))
    one.starters.append((16.0, "alice", "recovery"))
    assert "nobody who may has approved the recovery" in found([start(20)], one)


def test_a_launch_over_a_live_real_instance_is_seen() -> None:
    console = [start(5, tags=False), *up(8)]
    assert "launched by shop/run0 over the live real i-1" in found([*console, start(20), *up(30, "2", "i-2")], diary())
    drilled = [start(5, drill=True, run="other/run0"), *up(8), start(20, drill=True), *up(30, "2", "i-2")]
    assert "drilled by shop/run0 over i-1 of other/run0" in found(drilled, diary(mode="drill"))


def test_the_termination_of_a_real_instance_is_seen() -> None:
    one = diary(Deed(100, "approved", frozenset({"db.rollback"}), "mallory"))
    one.up["db"] = 50
    assert "which was up, was terminated without an approval" in found([start(20), *up(30), terminate(110)], one)
    console = [start(20, tags=False), *up(30), terminate(110)]
    assert "was terminated, which no run launched" in found(console, diary())
