"""The live data of waits: what they show, when it is written, and what it costs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from drs_provider.live import writing
from drs_provider.live.model import LiveServer, LiveTask, LiveWait
from drs_provider.live.phases import phase_counts, server_phases
from drs_provider.live.target import live_target
from drs_provider.live.writing import LiveWriter, Progress, first_look
from drs_provider.triggers.drs import DrsJobTrigger, JobSnapshot
from drs_provider.triggers.pause import PauseTrigger
from drs_provider.triggers.posts import TriggererPost, WaitFailed

PAGE = Path(__file__).parents[2] / "docs" / "live-data.md"
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc)


def task(task_id: str = "db.wait_for_launch") -> LiveTask:
    return LiveTask(
        dag_id="shop", run_id="manual__1", task_id=task_id, kind="wait_for_launch", wave="db", waiting_since=NOON
    )


def at(seconds: float) -> str:
    return (NOON + timedelta(seconds=seconds)).isoformat(timespec="microseconds")


def line(seconds: float, event: str, server: str | None = "s-1", **data: Any) -> dict[str, Any]:
    about = {} if server is None else {"sourceServerID": server}
    return {"logDateTime": at(seconds), "event": event, "eventData": {**about, **data}}


JOB = {"jobID": "drsjob-1", "creationDateTime": at(0), "status": "STARTED"}
LOG = [
    line(0.3, "JOB_START", None),
    line(0.5, "CLEANUP_START"),
    line(0.7, "CLEANUP_END"),
    line(0.8, "SNAPSHOT_START"),
    line(1.0, "SNAPSHOT_END"),
    line(52, "CONVERSION_START"),
    line(227, "CONVERSION_END"),
    line(227, "LAUNCH_START"),
    line(52, "CONVERSION_START", "s-2"),
    line(290, "LAUNCH_FAILED", "s-2", rawError="UnauthorizedOperation: DeleteVolume"),
]
STATES = [
    {"sourceServerID": "s-1", "launchStatus": "IN_PROGRESS"},
    {"sourceServerID": "s-2", "launchStatus": "FAILED"},
    {"sourceServerID": "s-3", "launchStatus": "PENDING"},
]
NAMES = {"s-1": "db01", "s-2": "db02", "s-3": "db03", "s-4": "db04"}


def test_each_server_has_the_phase_that_its_jobs_log_shows() -> None:
    job = {**JOB, "participatingServers": STATES}
    one, two, three, four = servers = server_phases([(job, LOG)], NAMES)
    assert (one.hostname, one.phase, one.since) == ("db01", "launch", NOON + timedelta(seconds=227))
    assert [(each.phase, each.ended is not None) for each in one.phases] == [
        ("cleanup", True), ("snapshot", True), ("conversion", True), ("launch", False),
    ]  # fmt: skip
    assert (two.phase, two.error) == ("failed", "UnauthorizedOperation: DeleteVolume")
    assert (three.phase, three.job_id, three.since) == ("waiting", "drsjob-1", NOON)
    assert (four.phase, four.job_id) == ("waiting", None)
    assert phase_counts(servers) == {"launch": 1, "failed": 1, "waiting": 2}
    # The second chance of a server is its newest job.
    again = {
        **JOB, "jobID": "drsjob-2", "participatingServers": [{"sourceServerID": "s-2", "launchStatus": "LAUNCHED"}],
    }  # fmt: skip
    log = [line(600, "LAUNCH_START", "s-2"), line(700, "LAUNCH_END", "s-2", targetInstanceID="i-2")]
    two = server_phases([(job, LOG), (again, log)], NAMES)[1]
    assert (two.job_id, two.phase, two.instance_id, two.error) == ("drsjob-2", "launched", "i-2", None)


class Recorder(Progress):
    names = NAMES
    is_watched = True

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}

    def show(self, **seen: Any) -> None:
        self.seen |= seen


def test_the_wait_for_a_launch_shows_its_servers_and_when_it_gives_up() -> None:
    created = datetime.now(timezone.utc)
    job = {**JOB, "creationDateTime": created.isoformat(), "status": "COMPLETED", "participatingServers": STATES}

    class Watch:
        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *_: object) -> None:
            return None

        async def next(self, deadline: float) -> dict[str, Any]:
            return {"drsjob-1": JobSnapshot(job, [])}

    class Looks(TriggererPost):
        def watch(self, *_: Any, **__: Any) -> Any:
            return Watch()

        async def ask(self, *_: Any, **__: Any) -> Any:
            return {}, {"drsjob-1": LOG}

    post = Looks(lambda service: None, {})  # type: ignore[arg-type, return-value]
    post.progress = progress = Recorder()
    with pytest.raises(WaitFailed):
        asyncio.run(DrsJobTrigger(job_ids=["drsjob-1"], timeout=3600, required=["s-1"]).wait(post))
    assert progress.seen["what"] == "1 of 1 DRS jobs have ended"
    assert progress.seen["counts"] == {"launch": 1, "failed": 1, "waiting": 2}
    assert progress.seen["gives_up_at"] == created + timedelta(hours=1)
    assert [server.id for server in progress.seen["servers"]] == ["s-1", "s-2", "s-3", "s-4"]


class Clock:
    """Time that passes in the writer's pauses only, and what was written in it."""

    def __init__(self, end: float) -> None:
        self.now, self.end = 0.0, end
        self.written: list[tuple[float, LiveWait]] = []
        self.over = asyncio.Event()
        self.writer = LiveWriter(self.store, clock=lambda: self.now, pause=self.pause)
        self.at: dict[float, Any] = {}

    def store(self, folder: str, wait: LiveWait) -> None:
        self.written.append((self.now, wait))

    async def pause(self, seconds: float, until: asyncio.Event | None) -> None:
        if until is None:
            self.now += seconds
        elif not until.is_set():
            self.now += min([seconds, *(moment - self.now for moment in self.at)])
        for moment in [each for each in self.at if each <= self.now]:
            self.at.pop(moment)()
        if self.now >= self.end:
            self.over.set()
            await asyncio.Event().wait()


def test_a_wait_is_written_at_a_change_and_every_15_seconds_and_never_after_its_end() -> None:
    async def run() -> Clock:
        clock = Clock(60.5)
        progress = clock.writer.open("folder", first_look(task(), None))
        clock.at[20.0] = lambda: progress.show(what="another")
        clock.at[22.0] = lambda: progress.show(what="another")
        await asyncio.wait_for(clock.over.wait(), 30)
        await progress.end("success")
        return clock

    clock = asyncio.run(run())
    assert [(moment, wait.what) for moment, wait in clock.written] == [
        (0, ""), (15, ""), (20, "another"), (35, "another"), (50, "another"), (65, "another"),
    ]  # fmt: skip
    assert [wait.written_every for _, wait in clock.written[:-1]] == [15.0] * (len(clock.written) - 1)
    last = clock.written[-1][1]
    assert (last.state, last.outcome, last.what, last.written_every) == ("ended", "success", "another", None)


def test_a_thousand_waits_are_no_thousand_writes_a_second() -> None:
    async def run() -> Clock:
        clock = Clock(260)
        for number in range(1000):
            clock.writer.open("folder", first_look(task(f"w{number}.settle"), None))
        await asyncio.wait_for(clock.over.wait(), 60)
        return clock

    clock = asyncio.run(run())
    seconds = [int(moment) for moment, _ in clock.written]
    assert max(seconds.count(second) for second in set(seconds)) <= writing.WRITES_A_SECOND
    by_task: dict[str, list[float]] = {}
    for moment, wait in clock.written:
        by_task.setdefault(wait.task_id, []).append(moment)
    # Each within the first minute, and then at least as often as its file says.
    assert len(by_task) == 1000 and max(moments[0] for moments in by_task.values()) <= 60
    assert {wait.written_every for _, wait in clock.written} == {100.0}
    gaps = (after - before for moments in by_task.values() for before, after in pairwise(moments))
    assert max(gaps) <= 151


def test_a_write_that_is_slow_or_refused_is_no_matter_of_the_wait() -> None:
    written: list[str | None] = []
    begun, go_on = threading.Event(), threading.Event()

    def store(folder: str, wait: LiveWait) -> None:
        if not begun.is_set():
            begun.set()
            go_on.wait(10)
        elif wait.outcome is None:
            raise OSError(28, "No space left on device")
        written.append(wait.outcome)

    async def run() -> None:
        progress = LiveWriter(store).open("folder", first_look(task(), None))
        await asyncio.to_thread(begun.wait, 10)
        # The loop goes on while a write hangs, and the end waits for its turn: no older file comes after it.
        ending = asyncio.ensure_future(progress.end("failed"))
        await asyncio.sleep(0)
        go_on.set()
        await ending
        refused = LiveWriter(store).open("folder", first_look(task(), None))
        await asyncio.sleep(0.05)
        assert refused.changed
        await refused.end("stopped")

    asyncio.run(run())
    assert written == [None, "failed", "stopped"]


def test_a_store_that_hangs_holds_up_no_end_of_a_wait_and_none_of_the_threads_that_ask_airflow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writing, "LAST_WRITE_SECONDS", 0.1)
    go_on, names = threading.Event(), []

    def store(folder: str, wait: LiveWait) -> None:
        names.append(threading.current_thread().name)
        go_on.wait(30)

    async def run() -> None:
        waits = [LiveWriter(store).open("folder", first_look(task(), None)) for _ in range(3)]
        await asyncio.sleep(0.1)
        try:
            await asyncio.wait_for(asyncio.gather(*(each.end("success") for each in waits)), 10)
        finally:
            go_on.set()

    asyncio.run(run())
    assert names and all(name.startswith("live-data") for name in names)


async def first_event(trigger: Any) -> TriggerEvent:
    async for event in trigger.run():
        return event  # type: ignore[no-any-return]
    raise AssertionError("no event")


def test_a_trigger_writes_where_its_task_says_and_an_older_one_nowhere(tmp_path: Path) -> None:
    trigger = PauseTrigger(deadline=time.time() + 0.5, deferred_at=time.time() - 10)
    _, kwargs = trigger.serialize()
    assert kwargs.pop("live") is None  # As a version before this one has stored it.
    trigger = PauseTrigger(**kwargs)
    trigger.live = live_target(str(tmp_path), task("db.settle"))
    again = PauseTrigger(**json.loads(json.dumps(trigger.serialize()[1])))
    asyncio.run(first_event(again))
    (file,) = (tmp_path / "live").iterdir()
    wait = LiveWait.model_validate_json(file.read_text())
    assert (file.name, wait.task_id, wait.state, wait.outcome) == ("db.settle.json", "db.settle", "ended", "success")
    assert wait.gives_up_at is not None and abs(wait.gives_up_at.timestamp() - kwargs["deadline"]) < 1


def test_the_page_of_the_format_names_every_field() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for model in (LiveWait, LiveServer):
        assert [name for name in model.model_fields if f"`{name}`" not in text] == []
