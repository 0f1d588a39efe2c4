"""When each wave runs: dependencies and the quotas of jobs decide, as they do in a run."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from drs_provider.aws.quotas import Quotas
from drs_provider.estimate.work import SideBySide, WaveWork

__all__ = ["QuotasByPlace", "Schedule", "WaveTimes", "make_schedule"]

Event = Literal["launch", "job ended", "nothing to launch"]


@dataclass
class WaveTimes:
    """When a wave does what, in seconds from the start of the run.

    :param waited_for: the wave whose end released it; None: preflight.
    :param launched: its first StartRecovery.
    :param jobs_ended: the end of its last job.
    :param spent: seconds by kind, which add up to the wave's time: ``approval``, ``scripts``, ``slots`` (waiting until
        a job is allowed), ``drs``, ``settle``, ``health``, ``orchestration``.
    """

    name: str
    started: float
    waited_for: str | None
    launched: float = 0.0
    jobs_ended: float = 0.0
    ended: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """How long it takes."""
        return self.ended - self.started

    def add(self, kind: str, seconds: float) -> None:
        """Count seconds to a kind."""
        if seconds > 0:
            self.spent[kind] = self.spent.get(kind, 0.0) + seconds


@dataclass(frozen=True)
class Schedule:
    """The waves in time."""

    waves: Mapping[str, WaveTimes]

    @property
    def end(self) -> float:
        """When the last wave has ended: the RTO, in seconds."""
        return max(wave.ended for wave in self.waves.values())

    @property
    def critical_path(self) -> list[str]:
        """The chain of waves that decides the end, first to last."""
        chain: list[str] = []
        current: str | None = max(self.waves, key=lambda name: self.waves[name].ended)
        while current is not None:
            chain.append(current)
            current = self.waves[current].waited_for
        return chain[::-1]


QuotasByPlace = Mapping[tuple[str, str] | None, Quotas]


def make_schedule(waves: Sequence[WaveWork], quotas: Quotas | QuotasByPlace, begin: float) -> Schedule:
    """Put the waves in time.

    :param waves: in the order of the plan.
    :param quotas: how many jobs, and servers in jobs, may be in progress in each account and region: by the waves'
        ``place``, or the same everywhere. A job that does not fit waits.
    :param begin: when the first waves may start.
    """
    by_place = dict.fromkeys((wave.place for wave in waves), quotas) if isinstance(quotas, Quotas) else quotas
    return _Run(waves, by_place).run(begin)


class _Run:
    """Goes from event to event: a launch wants to start its next job, or a job ends."""

    def __init__(self, waves: Sequence[WaveWork], quotas: QuotasByPlace) -> None:
        self.waves = {wave.name: wave for wave in waves}
        self.quotas = quotas
        self.times: dict[str, WaveTimes] = {}
        self.jobs: Counter[tuple[str, str] | None] = Counter()
        self.servers: Counter[tuple[str, str] | None] = Counter()
        self.events: list[tuple[float, int, Event, str, int]] = []
        self.order = itertools.count()
        self.waiting: list[tuple[float, str, int]] = []
        self.left: dict[str, int] = {}
        self.done: set[str] = set()
        self.dependents: dict[str, list[WaveWork]] = {name: [] for name in self.waves}
        for wave in waves:
            for name in wave.depends_on:
                self.dependents[name].append(wave)
        self.moments: dict[str, dict[str, float]] = {}

    def run(self, begin: float) -> Schedule:
        for wave in self.waves.values():
            if not wave.depends_on:
                self._start(wave, begin, None)
        while self.events:
            now, _, event, name, number = heapq.heappop(self.events)
            if event == "launch":
                self.waiting.append((now, name, number))
            elif event == "job ended":
                self._job_ended(now, self.waves[name], number)
            else:
                self._finish(self.waves[name], now)
            self._fill(now)
        return Schedule(self.times)

    def _push(self, at: float, event: Event, name: str, number: int) -> None:
        heapq.heappush(self.events, (at, next(self.order), event, name, number))

    def _start(self, wave: WaveWork, now: float, waited_for: str | None) -> None:
        times = self.times[wave.name] = WaveTimes(wave.name, now, waited_for)
        self.left[wave.name] = len(wave.jobs)
        self.moments[wave.name] = {"boots": now, "agents": now}
        for row in wave.before:
            now = self._row(times, row, now)
        times.add("orchestration", wave.launch)
        times.launched = now + wave.launch
        self._push(times.launched, "launch" if wave.jobs else "nothing to launch", wave.name, 0)

    def _row(self, times: WaveTimes, row: SideBySide, now: float) -> float:
        """Put tasks side by side; return when the last of them has ended, whose time counts."""
        last, end = row[0], now
        for step in row:
            ready = self.moments[times.name][step.until] if step.until else now
            ended = max(ready, now + step.task) + step.seconds + step.look
            if ended >= end:
                last, end = step, ended
        times.add("orchestration", last.task + last.look)
        times.add(last.kind, end - now - last.task - last.look)
        return end

    def _fill(self, now: float) -> None:
        """Start the jobs that fit, who asked first; a launch starts its jobs one after another."""
        for entry in list(self.waiting):
            asked, name, number = entry
            wave = self.waves[name]
            job, place = wave.jobs[number], wave.place
            quotas = self.quotas[place]
            if self.jobs[place] >= quotas.jobs or self.servers[place] + job.servers > quotas.servers_in_jobs:
                continue
            self.waiting.remove(entry)
            self.jobs[place] += 1
            self.servers[place] += job.servers
            times, moments = self.times[name], self.moments[name]
            if number == 0:
                times.add("slots", now - asked)
                times.launched = now
            moments["boots"] = max(moments["boots"], now + job.boots)
            moments["agents"] = max(moments["agents"], now + job.agents)
            self._push(now + job.end, "job ended", name, number)
            if number + 1 < len(wave.jobs):
                self._push(now, "launch", name, number + 1)

    def _job_ended(self, now: float, wave: WaveWork, number: int) -> None:
        self.jobs[wave.place] -= 1
        self.servers[wave.place] -= wave.jobs[number].servers
        self.left[wave.name] -= 1
        if not self.left[wave.name]:
            self._finish(wave, now)

    def _finish(self, wave: WaveWork, now: float) -> None:
        """Everything behind the jobs, and the waves that this one releases."""
        times = self.times[wave.name]
        times.jobs_ended = now
        times.add("drs", now - times.launched)
        if wave.jobs:
            times.add("orchestration", wave.look)
            now += wave.look
        for row in wave.after:
            now = self._row(times, row, now)
        times.ended = now
        self.done.add(wave.name)
        for other in self.dependents[wave.name]:
            if self.done.issuperset(other.depends_on):
                last = max((self.times[name] for name in other.depends_on), key=lambda times: times.ended)
                self._start(other, last.ended, last.name)
