"""The schedule: dependencies, quotas, and times that add up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drs_provider.aws.quotas import Quotas
from drs_provider.estimate.schedule import Schedule, make_schedule
from drs_provider.estimate.work import JobWork, TimedStep, WaveWork

WIDE = Quotas()


def job(seconds: float, servers: int = 1, boots: float = 0.0, agents: float = 0.0) -> JobWork:
    return JobWork(servers, seconds, boots or seconds, agents or seconds, "s", {"launch": seconds})


def work(name: str, *after: str, jobs: tuple[JobWork, ...] = (job(100),), **parts: Any) -> WaveWork:
    given: dict[str, Any] = {"before": (), "launch": 0.0, "look": 0.0, "after": (), **parts}
    return WaveWork(name, after, given["before"], given["launch"], jobs, given["look"], given["after"])


def spans(schedule: Schedule) -> dict[str, tuple[float, float]]:
    return {name: (times.started, times.ended) for name, times in schedule.waves.items()}


def test_a_wave_starts_when_the_last_that_it_waits_for_has_ended() -> None:
    waves = [work("a"), work("b", jobs=(job(300),)), work("c", "a", "b"), work("d", "a")]
    schedule = make_schedule(waves, WIDE, 10)
    assert spans(schedule) == {"a": (10, 110), "b": (10, 310), "c": (310, 410), "d": (110, 210)}
    assert schedule.critical_path == ["b", "c"]
    assert schedule.end == 410


def test_tasks_around_the_jobs_come_one_after_another() -> None:
    before = ((TimedStep("approval", "approve", 1, 60, 1),), (TimedStep("scripts", "fence", 2, 30),))
    after = (
        (TimedStep("settle", "settle", 2, 20),),
        (TimedStep("health", "tcp", 2, 5), TimedStep("health", "http", 1, 9, 1)),
    )
    schedule = make_schedule([work("a", before=before, launch=3, look=4, after=after)], WIDE, 0)
    times = schedule.waves["a"]
    assert times.launched == 62 + 32 + 3
    assert times.jobs_ended == times.launched + 100
    assert times.ended == times.jobs_ended + 4 + 22 + 11, "of checks side by side, the last counts"
    assert times.spent == {
        "approval": 60, "scripts": 30, "orchestration": 2 + 2 + 3 + 4 + 2 + 2, "drs": 100, "settle": 20, "health": 9,
    }  # fmt: skip


def test_what_needs_an_agent_waits_for_the_last_one() -> None:
    jobs = (job(100, agents=130, boots=220), job(100, agents=140, boots=200))
    script = (TimedStep("scripts", "start", 1, 5, 2, "agents"),)
    assert make_schedule([work("a", jobs=jobs, after=(script,))], WIDE, 0).end == 147
    check = (TimedStep("health", "status", 1, 0, 3, "boots"), TimedStep("health", "agent", 1, 0, 3, "agents"))
    assert make_schedule([work("a", jobs=jobs, after=(check, script))], WIDE, 0).end == 223 + 1 + 5 + 2


@pytest.mark.parametrize("quotas", [Quotas(jobs=1), Quotas(servers_in_jobs=3)])
def test_jobs_that_do_not_fit_wait(quotas: Quotas) -> None:
    waves = [work(name, jobs=(job(100, servers=2),)) for name in "abc"]
    schedule = make_schedule(waves, quotas, 0)
    assert sorted(times.ended for times in schedule.waves.values()) == [100, 200, 300]
    assert schedule.waves["c"].spent == {"slots": 200, "drs": 100}


def test_the_jobs_of_a_wave_run_side_by_side_as_far_as_quotas_let_them() -> None:
    jobs = (job(100, 2), job(100, 2), job(50, 2))
    assert make_schedule([work("a", jobs=jobs)], WIDE, 0).end == 100
    assert make_schedule([work("a", jobs=jobs)], Quotas(jobs=2), 0).end == 150
    assert make_schedule([work("a", jobs=jobs)], Quotas(jobs=1), 0).end == 250


def test_a_small_job_goes_ahead_of_one_that_does_not_fit() -> None:
    waves = [work("a", jobs=(job(100, 3),)), work("b", jobs=(job(100, 4),)), work("c", jobs=(job(50, 1),))]
    schedule = make_schedule(waves, Quotas(servers_in_jobs=4), 0)
    assert spans(schedule) == {"a": (0, 100), "b": (0, 200), "c": (0, 50)}


def test_waves_without_servers_hold_nobody_up() -> None:
    chain = [work("0", jobs=())] + [work(str(number), str(number - 1), jobs=()) for number in range(1, 500)]
    schedule = make_schedule([*chain, work("last", "499")], WIDE, 0)
    assert spans(schedule)["last"] == (0, 100)


@st.composite
def graphs(draw: st.DrawFn) -> list[WaveWork]:
    count = draw(st.integers(1, 10))
    waves = []
    for number in range(count):
        after = draw(st.lists(st.integers(0, number - 1), unique=True, max_size=3)) if number else []
        jobs = tuple(job(draw(st.integers(1, 500)), draw(st.integers(1, 5))) for _ in range(draw(st.integers(0, 3))))
        waves.append(work(str(number), *map(str, after), jobs=jobs, launch=draw(st.integers(0, 9)), look=2))
    return waves


@settings(max_examples=100, deadline=None)
@given(graphs(), st.builds(Quotas, jobs=st.integers(1, 4), servers_in_jobs=st.integers(5, 12)))
def test_any_graph_keeps_its_dependencies_and_its_quotas(waves: list[WaveWork], quotas: Quotas) -> None:
    schedule = make_schedule(waves, quotas, 5)
    times = schedule.waves
    assert set(times) == {wave.name for wave in waves}
    for wave in waves:
        assert times[wave.name].started == max((times[name].ended for name in wave.depends_on), default=5)
        assert sum(times[wave.name].spent.values()) == pytest.approx(times[wave.name].seconds)
    assert schedule.end == pytest.approx(5 + sum(times[name].seconds for name in schedule.critical_path))
    free = make_schedule(waves, WIDE, 5)
    assert free.end <= schedule.end
    # Without a bound, the end is that of the longest chain.
    longest: dict[str, float] = {}
    for wave in waves:
        own = wave.launch + max((each.end for each in wave.jobs), default=0) + (wave.look if wave.jobs else 0)
        longest[wave.name] = own + max((longest[name] for name in wave.depends_on), default=5)
    assert free.end == pytest.approx(max(longest.values()))
