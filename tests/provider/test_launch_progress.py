"""What a wait for launches tells meanwhile."""

from __future__ import annotations

import asyncio
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from drs_provider.aws.drs.job_wait import JobLogTail
from drs_provider.aws.drs.launch_progress import Expectations, LaunchProgress
from drs_provider.triggers.drs import DrsJobTrigger
from drs_provider.triggers.posts import TriggererPost

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=timezone.utc)
UP, SLOW, LOST = (f"s-{number:017x}" for number in range(1, 4))


def at(minutes: float) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def jobs() -> list[dict[str, Any]]:
    servers = [
        {"sourceServerID": UP, "launchStatus": "LAUNCHED"},
        {"sourceServerID": SLOW, "launchStatus": "PENDING"},
        {"sourceServerID": LOST, "launchStatus": "FAILED"},
    ]
    return [{"jobID": "drsjob-1", "creationDateTime": at(-12), "status": "STARTED", "participatingServers": servers}]


LOG = [
    {"event": "CONVERSION_START", "logDateTime": at(-9), "eventData": {"sourceServerID": SLOW}},
    {"event": "LAUNCH_END", "logDateTime": at(-1), "eventData": {"sourceServerID": UP, "targetInstanceID": "i-1"}},
]


def test_the_heartbeat_says_who_hangs_and_how_long_there_is(
    jobs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", NOW.timestamp)
    expected = Expectations({SLOW: "db02"}, {UP: 300.0, SLOW: 540.0}, (NOW + timedelta(minutes=33)).timestamp())
    progress = LaunchProgress(expected)
    deadline = (NOW + timedelta(minutes=48)).timestamp()
    assert progress.heartbeat(deadline).startswith("DRS has not listed the jobs yet; RTO left: 33 m; ")
    progress.take(jobs, {"drsjob-1": LOG})
    assert progress.heartbeat(deadline) == (
        f"1 of 3 servers launched, 1 failed; waiting for db02 ({SLOW}): converting for 9 m (longer than usual); "
        "the slowest of them usually takes 9 m; RTO left: 33 m; the wait gives up at 03:48:00 UTC, in 48 m"
    )
    late = LaunchProgress(Expectations(objective_at=(NOW - timedelta(minutes=2)).timestamp()))
    assert "RTO over for 2 m" in late.heartbeat(deadline)


def test_the_lines_of_a_job_log_come_once_and_by_host_name() -> None:
    tail = JobLogTail({SLOW: "db02"})
    assert tail.new_lines("drsjob-1", LOG[:1]) == [f"drsjob-1: 2026-11-28T02:51:00 CONVERSION_START db02 ({SLOW})"]
    trigger = DrsJobTrigger(job_ids=["drsjob-1"], timeout=60, names={SLOW: "db02"}, shown=tail.shown)
    _, arguments = trigger.serialize()
    assert (arguments["names"], arguments["shown"]) == ({SLOW: "db02"}, {"drsjob-1": 1})
    # In the process that it goes on in.
    again = JobLogTail(DrsJobTrigger(**arguments).names, DrsJobTrigger(**arguments).shown)
    assert [line.split()[2] for line in again.new_lines("drsjob-1", LOG)] == ["LAUNCH_END"]


def test_the_heartbeat_of_the_triggerer_comes_though_aws_is_silent_and_blocks_no_other_wait() -> None:
    beats: list[str] = []

    async def waits() -> None:
        post = TriggererPost(lambda service: None, {})  # type: ignore[arg-type, return-value]
        enough = asyncio.Event()
        loop = asyncio.get_running_loop()

        def beat() -> None:
            beats.append(threading.current_thread().name)
            if len(beats) == 2:
                loop.call_soon_threadsafe(enough.set)

        async with post.beating(0.01, beat):
            await asyncio.wait_for(enough.wait(), 30)
        told = len(beats)
        await asyncio.sleep(0.05)
        assert len(beats) <= told + 1

    asyncio.run(waits())
    assert threading.main_thread().name not in beats
