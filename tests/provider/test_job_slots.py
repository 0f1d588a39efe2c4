"""The line in which launches wait for a free slot for a DRS job."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from drs_provider.aws.drs.slots import SlotsTaken
from drs_provider.aws.quotas import Quotas
from drs_provider.hooks.drs import DrsHook
from drs_provider.triggers import slots
from drs_provider.triggers.slots import DrsJobSlotTrigger, Place, SlotLine

AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "us-west-2"}
QUOTAS = Quotas(jobs=2, servers_in_jobs=100)


def place(since: float, servers: int = 1, is_drill: bool = True) -> Place:
    return Place(is_drill, since, servers, QUOTAS)


def taken(**jobs: int) -> SlotsTaken:
    return SlotsTaken(jobs)


class TestLine:
    """Who goes first, and how many."""

    def test_a_free_slot_is_given_once(self) -> None:
        line = SlotLine()
        line.look(taken(a=10))
        assert [line.lets_go(place(0)), line.lets_go(place(1))] == [True, False]

    def test_a_slot_is_kept_until_the_job_is_seen(self) -> None:
        line = SlotLine()
        line.look(taken(a=10))
        assert line.lets_go(place(0))
        second = place(1)
        line.look(taken(a=10))
        assert not line.lets_go(second)
        line.look(taken(b=1))
        assert line.lets_go(second)

    def test_a_slot_is_not_kept_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        line = SlotLine()
        line.look(taken(a=10))
        assert line.lets_go(place(0))
        monkeypatch.setattr(slots, "GOING_SECONDS", 0.0)
        line.look(taken(a=10))
        assert line.lets_go(place(1))

    def test_whoever_came_first_goes_first(self) -> None:
        line = SlotLine()
        line.look(taken(a=1, b=1))
        early, late = place(1), place(2)
        assert not line.lets_go(late)
        assert not line.lets_go(early)
        line.look(taken(a=1))
        assert not line.lets_go(late)
        assert line.lets_go(early)

    def test_a_recovery_goes_before_the_drills(self) -> None:
        line = SlotLine()
        line.look(taken(a=1, b=1))
        drill, recovery = place(1), place(2, is_drill=False)
        assert not line.lets_go(drill)
        assert not line.lets_go(recovery)
        assert line.ahead_of(drill) == 1
        line.look(taken(a=1))
        assert not line.lets_go(drill)
        assert line.lets_go(recovery)

    def test_a_large_job_is_not_overtaken(self) -> None:
        line = SlotLine()
        line.look(taken(a=60))
        large, small = place(1, servers=50), place(2)
        assert not line.lets_go(large)
        assert not line.lets_go(small)
        line.look(taken())
        assert line.lets_go(large)
        assert line.lets_go(small)

    def test_who_leaves_holds_nobody_up(self) -> None:
        line = SlotLine()
        line.look(taken(a=1, b=1))
        gone, patient = place(1), place(2)
        assert not line.lets_go(gone)
        assert not line.lets_go(patient)
        line.leave(gone)
        line.look(taken(a=1))
        assert line.lets_go(patient)


@pytest.fixture
def busy(drs_simulator_server: Any) -> Any:
    """A simulator with one job, which is in progress until its clock is moved on."""
    server = "s-00000000000000000"
    drs_simulator_server.load({"servers": [{"id": server, "hostname": "host"}]}, speed=100)
    drs_simulator_server.freeze()
    DrsHook(**AWS).conn.start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=True)
    return drs_simulator_server


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[SlotLine]:
    """The lines that looked at AWS, as often as they did; in a hurry."""
    looked: list[SlotLine] = []
    look = SlotLine.look

    def note(line: SlotLine, taken: SlotsTaken) -> None:
        looked.append(line)
        look(line, taken)

    monkeypatch.setattr(SlotLine, "look", note)
    monkeypatch.setattr(slots, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(slots, "GOING_SECONDS", 0.5)
    monkeypatch.setattr(slots, "JOINING_SECONDS", 0.3)
    return looked


def wait(remake: Any, since: float = 0.0, patience: float = 60.0, is_drill: bool = True) -> Any:
    return remake(
        DrsJobSlotTrigger(
            servers=1,
            quotas=Quotas(jobs=1),
            is_drill=is_drill,
            since=since,
            deadline=time.time() + patience,
            end_task=False,
            **AWS,
        )
    )


async def event_of(trigger: Any) -> Any:
    (event,) = [event async for event in trigger.run()]
    return event.payload


def test_many_wait_in_one_line_until_the_job_ends(busy: Any, remake: Any, looks: list[SlotLine]) -> None:
    went: list[float] = []

    async def one(since: float) -> None:
        assert (await event_of(wait(remake, since)))["status"] == "success"
        assert any(entry.get("event") == "JOB_END" for entry in busy.log)
        went.append(since)

    def end_the_job() -> None:
        while len(looks) < 3:
            time.sleep(0.05)
        busy.resume()
        busy.advance(3600)

    async def run() -> None:
        waiting = [one(float(number)) for number in (3, 1, 2)]
        await asyncio.gather(*waiting, asyncio.to_thread(end_the_job))

    asyncio.run(run())
    assert went == [1.0, 2.0, 3.0]
    assert len(set(map(id, looks))) == 1


def test_a_triggerer_that_starts_again_finds_everybody_in_their_place(
    busy: Any, remake: Any, looks: list[SlotLine]
) -> None:
    """It makes all waits at once, in any order, and a slot has become free in the meantime."""
    went: list[str] = []

    async def one(name: str, since: float, is_drill: bool) -> None:
        assert (await event_of(wait(remake, since, is_drill=is_drill)))["status"] == "success"
        went.append(name)

    async def run() -> None:
        await asyncio.gather(one("late drill", 3, True), one("drill", 1, True), one("recovery", 2, False))

    busy.resume()
    busy.advance(3600)
    asyncio.run(run())
    assert went == ["recovery", "drill", "late drill"]


def test_a_wait_in_vain_says_what_takes_the_slots(busy: Any, remake: Any, looks: list[SlotLine]) -> None:
    payload = asyncio.run(event_of(wait(remake, patience=1.0)))
    assert payload["timed_out"]
    assert "1 of 1 jobs" in payload["message"]
