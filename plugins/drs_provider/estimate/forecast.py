"""The estimate of a plan: its schedule, its critical path, the RTO with a range, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drs_provider.estimate.durations import Durations
from drs_provider.estimate.likely import Case, Likely
from drs_provider.estimate.overhead import USUAL, Overhead
from drs_provider.estimate.schedule import Schedule, WaveTimes, make_schedule
from drs_provider.estimate.timeouts import ShortTimeout, short_timeouts
from drs_provider.estimate.work import WaveWork, Workload
from drs_provider.plan.kinds import kind_named
from drs_provider.plan.steps import run_steps
from drs_provider.readiness.resolution import ResolvedServer, resolve

if TYPE_CHECKING:
    from drs_provider.aws.quotas import Quotas
    from drs_provider.plan import RecoveryPlan

__all__ = ["Forecast", "NothingToLaunch", "WaveForecast", "forecast"]

CASES: tuple[Case, ...] = ("low", "typical", "high")
MOST_GAINS = 5
"""More are reckoned only while they could be the best."""


class NothingToLaunch(ValueError):
    """No wave has a server."""


@dataclass(frozen=True)
class WaveForecast:
    """A wave, most likely.

    :param servers: how many servers it launches.
    :param jobs: in how many DRS jobs.
    :param slowest: the server that its last job waits for, by host name or id; None without servers.
    :param phases: what that server's phases take, in seconds.
    :param times: when it does what.
    """

    name: str
    servers: int
    jobs: int
    slowest: str | None
    phases: Mapping[str, float]
    times: WaveTimes


@dataclass(frozen=True)
class Forecast:
    """The estimate.

    :param rto: from the start of the run to the end of the last wave, in seconds.
    :param objective: the plan's RTO, in seconds.
    :param critical_path: names of waves, first to last.
    :param gains: by how many seconds the RTO falls if a wave of the critical path takes half its time, most first.
    :param needed: the least for DRS alone with the plan's dependencies: no scripts, checks, pauses, approvals.
    :param slowest: the least for the one server that takes longest, were all waves launched at once.
    :param basis: what the times come from, for people.
    :param remarks: what could not be resolved or read.
    :param timeouts: time-outs of the plan that are shorter than what they wait for takes.
    """

    plan: str
    mode: str
    rto: Likely
    objective: float | None
    waves: tuple[WaveForecast, ...]
    critical_path: tuple[str, ...]
    gains: Mapping[str, float]
    needed: float
    slowest: float
    basis: tuple[str, ...]
    remarks: tuple[str, ...]
    timeouts: tuple[ShortTimeout, ...] = ()

    def wave(self, name: str) -> WaveForecast:
        """The wave of that name."""
        return next(wave for wave in self.waves if wave.name == name)


def forecast(
    plan: RecoveryPlan,
    durations: Durations,
    *,
    overhead: Overhead = USUAL,
    mode: str = "drill",
    speed: float = 1.0,
) -> Forecast:
    """Estimate a run of a plan in which everything goes well.

    :param plan: the plan.
    :param durations: what things take, and the site that the plan meets.
    :param overhead: what Airflow adds.
    :param mode: ``drill`` or ``recovery``: which scripts run, and whether a recovery is approved first.
    :param speed: how many times faster than real time AWS is: 1 but for a rehearsal.
    :raises NothingToLaunch: no selection matches a server.
    """
    site = durations.site
    servers, findings = resolve(plan, [wave.name for wave in plan.waves], site.servers)
    if not any(servers.values()):
        raise NothingToLaunch(f"no wave of {plan.name} selects a server of {site.origin}")
    load = Workload(plan, servers, durations, overhead, mode, speed)
    work = {case: [load.of(wave, case) for wave in plan.waves] for case in CASES}
    begin = _begin(plan, durations, overhead, mode)
    schedules = {case: make_schedule(work[case], site.quotas, begin.of(case)) for case in CASES}
    likely = schedules["typical"]
    rto = Likely(*(schedules[case].end for case in CASES))
    least = [wave.jobs_only() for wave in work["low"]]
    return Forecast(
        plan=plan.name,
        mode=mode,
        rto=rto,
        objective=plan.objectives.rto.total_seconds() if plan.objectives.rto else None,
        waves=tuple(_wave(wave, servers, likely) for wave in work["typical"]),
        critical_path=tuple(likely.critical_path),
        gains=_gains(work["typical"], likely, site.quotas, begin.typical),
        needed=make_schedule(least, site.quotas, 0.0).end,
        slowest=max((job.end for wave in least for job in wave.jobs), default=0.0),
        basis=tuple(_basis(durations)),
        remarks=(
            *site.remarks,
            *(f"{finding.wave}: {finding.message}" for finding in findings),
            *_remarks(plan, durations, mode),
        ),
        timeouts=tuple(
            short_timeouts(
                plan.waves,
                work,
                {server: facts.system for server, facts in site.facts.items()},
                {server.id: server.hostname or server.id for found in servers.values() for server in found},
            )
        ),
    )


def _begin(plan: RecoveryPlan, durations: Durations, overhead: Overhead, mode: str) -> Likely:
    """Until the first waves may start."""
    begin = (durations.history.begin if durations.history else None) or overhead.begin
    if durations.history is None or durations.history.begin is None:
        steps = [step for group in run_steps(plan) if group.is_before_the_waves for step in group.steps]
        seconds = sum(kind_named(step.kind).typical_seconds(None, step) for step in steps)
        begin = Likely(begin.low + seconds, begin.typical + seconds, begin.high + seconds)
    if mode != "recovery" or plan.recovery.approval is None:
        return begin
    answer = durations.answer
    return Likely(begin.low + answer.low, begin.typical + answer.typical, begin.high + answer.high)


def _wave(work: WaveWork, servers: Mapping[str, Sequence[ResolvedServer]], likely: Schedule) -> WaveForecast:
    last = max(work.jobs, key=lambda job: job.end, default=None)
    names = {server.id: server.hostname or server.id for server in servers[work.name]}
    return WaveForecast(
        name=work.name,
        servers=len(servers[work.name]),
        jobs=len(work.jobs),
        slowest=names[last.slowest] if last else None,
        phases=last.phases if last else {},
        times=likely.waves[work.name],
    )


def _gains(work: Sequence[WaveWork], likely: Schedule, quotas: Quotas, begin: float) -> dict[str, float]:
    """What waves of the critical path are worth: the others may become critical before one is half as long.

    The longest first, and no further than one that could be worth more than the best so far.
    """

    def most(name: str) -> float:
        times = likely.waves[name]
        return (times.seconds - times.spent.get("orchestration", 0.0)) / 2

    found: dict[str, float] = {}
    for name in sorted(likely.critical_path, key=most, reverse=True):
        if len(found) >= MOST_GAINS and max(found.values()) > most(name) - 0.1:
            break
        shorter = [wave.shortened(0.5) if wave.name == name else wave for wave in work]
        found[name] = likely.end - make_schedule(shorter, quotas, begin).end
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _basis(durations: Durations) -> list[str]:
    found = [durations.site.origin]
    if durations.history:
        runs = durations.history.runs
        found.append(f"what {runs} earlier run{'s' * (runs != 1)} took; for what no run tells, what live drills took")
    else:
        found.append("what live drills took: two of Linux, one of Windows")
    quotas = durations.site.quotas
    found.append(
        f"at most {quotas.servers_per_job} servers in a job, and {quotas.jobs} jobs with {quotas.servers_in_jobs} "
        "servers at a time"
    )
    return found


def _remarks(plan: RecoveryPlan, durations: Durations, mode: str) -> list[str]:
    found = list(durations.history.problems) if durations.history else []
    if durations.history and (rehearsals := durations.history.rehearsals):
        found.append(f"{rehearsals} report{'s' * (rehearsals != 1)} of rehearsals not counted: see --simulated")
    asked = [wave.name for wave in plan.waves if wave.approval]
    asked += ["the recovery"] if mode == "recovery" and plan.recovery.approval else []
    known = durations.history is not None and all(
        durations.history.approval(plan.name, wave) for wave in asked if wave != "the recovery"
    )
    if asked and not known and not durations.answer.typical:
        found.append(f"the time that people take to approve comes on top ({', '.join(asked)}): see --approval")
    return found
