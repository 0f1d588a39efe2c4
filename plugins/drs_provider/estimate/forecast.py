"""The estimate of a plan: its schedule, its critical path, the RTO with a range, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from drs_provider.estimate.durations import Durations
from drs_provider.estimate.likely import Case, Likely
from drs_provider.estimate.overhead import USUAL, Overhead
from drs_provider.estimate.schedule import QuotasByPlace, Schedule, WaveTimes, make_schedule
from drs_provider.estimate.timeouts import ShortTimeout, short_timeouts
from drs_provider.estimate.work import WaveWork, Workload
from drs_provider.plan.kinds import kind_named
from drs_provider.plan.steps import run_steps
from drs_provider.readiness.resolution import ResolvedServer, resolve

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

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
    :param target: where it is launched, for people; None where the plan has one target.
    """

    name: str
    servers: int
    jobs: int
    slowest: str | None
    phases: Mapping[str, float]
    times: WaveTimes
    target: str | None = None


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
    durations: Durations | Mapping[tuple[str, str], Durations],
    *,
    overhead: Overhead = USUAL,
    mode: str = "drill",
    speed: float = 1.0,
) -> Forecast:
    """Estimate a run of a plan in which everything goes well.

    :param plan: the plan.
    :param durations: what things take, and the site that the plan meets; where its waves are launched in several
        accounts and regions, those of each, by connection and region.
    :param overhead: what Airflow adds.
    :param mode: ``drill`` or ``recovery``: which scripts run, and whether a recovery is approved first.
    :param speed: how many times faster than real time AWS is: 1 but for a rehearsal.
    :raises NothingToLaunch: no selection matches a server.
    """
    places = plan.targets_of(plan.waves)
    known = {place.key: durations for place in places} if isinstance(durations, Durations) else dict(durations)
    found, remarks = _resolve(plan, places, known)
    if not any(found.values()):
        origins = " and ".join(known[place.key].site.origin for place in places)
        raise NothingToLaunch(f"no wave of {plan.name} selects a server of {origins}")
    load = {place.key: Workload(plan, found, known[place.key], overhead, mode, speed) for place in places}
    work = {case: [load[plan.target_of(wave).key].of(wave, case) for wave in plan.waves] for case in CASES}
    # Two targets that are one account and region share its quotas.
    quotas = {wave.place: known[plan.target_of(plan.wave(wave.name)).key].site.quotas for wave in work["typical"]}
    first = known[places[0].key]
    begin = _begin(plan, first, overhead, mode)
    schedules = {case: make_schedule(work[case], quotas, begin.of(case)) for case in CASES}
    likely = schedules["typical"]
    rto = Likely(*(schedules[case].end for case in CASES))
    least = [wave.jobs_only() for wave in work["low"]]
    return Forecast(
        plan=plan.name,
        mode=mode,
        rto=rto,
        objective=plan.objectives.rto.total_seconds() if plan.objectives.rto else None,
        waves=tuple(_wave(plan, wave, found, likely) for wave in work["typical"]),
        critical_path=tuple(likely.critical_path),
        gains=_gains(work["typical"], likely, quotas, begin.typical),
        needed=make_schedule(least, quotas, 0.0).end,
        slowest=max((job.end for wave in least for job in wave.jobs), default=0.0),
        basis=tuple(_basis(places, known)),
        remarks=(*remarks, *_remarks(plan, first, mode)),
        timeouts=tuple(_timeouts(plan, work, known, found)),
    )


def _resolve(
    plan: RecoveryPlan, places: Sequence[NamedTarget], known: Mapping[tuple[str, str], Durations]
) -> tuple[dict[str, list[ResolvedServer]], list[str]]:
    """Return the servers of each wave, from its own account and region, and what was not found."""
    found: dict[str, list[ResolvedServer]] = {}
    remarks: list[str] = []
    for place in places:
        site = known[place.key].site
        here = [wave.name for wave in plan.waves if plan.target_of(wave).key == place.key]
        servers, findings = resolve(plan, here, site.servers)
        found |= servers
        remarks += [f"{place}: {remark}" for remark in site.remarks] if len(places) > 1 else site.remarks
        remarks += [f"{finding.wave}: {finding.message}" for finding in findings]
    return found, remarks


def _timeouts(
    plan: RecoveryPlan,
    work: Mapping[Case, Sequence[WaveWork]],
    known: Mapping[tuple[str, str], Durations],
    found: Mapping[str, Sequence[ResolvedServer]],
) -> Iterator[ShortTimeout]:
    """Yield the time-outs that are too short, wave by wave: an id is a server's in one account and region only."""
    for number, wave in enumerate(plan.waves):
        facts = known[plan.target_of(wave).key].site.facts
        servers = found[wave.name]
        yield from short_timeouts(
            [wave],
            {case: [waves[number]] for case, waves in work.items()},
            {server.id: facts[server.id].system for server in servers if server.id in facts},
            {server.id: server.hostname or server.id for server in servers},
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


def _wave(
    plan: RecoveryPlan, work: WaveWork, servers: Mapping[str, Sequence[ResolvedServer]], likely: Schedule
) -> WaveForecast:
    last = max(work.jobs, key=lambda job: job.end, default=None)
    names = {server.id: server.hostname or server.id for server in servers[work.name]}
    return WaveForecast(
        name=work.name,
        servers=len(servers[work.name]),
        jobs=len(work.jobs),
        slowest=names[last.slowest] if last else None,
        phases=last.phases if last else {},
        times=likely.waves[work.name],
        target=str(plan.target_of(plan.wave(work.name))) if plan.several_targets else None,
    )


def _gains(work: Sequence[WaveWork], likely: Schedule, quotas: QuotasByPlace, begin: float) -> dict[str, float]:
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


def _basis(places: Sequence[NamedTarget], known: Mapping[tuple[str, str], Durations]) -> list[str]:
    found = list(dict.fromkeys(known[place.key].site.origin for place in places))
    history = known[places[0].key].history
    if history:
        runs = history.runs
        found.append(f"what {runs} earlier run{'s' * (runs != 1)} took; for what no run tells, what live drills took")
    else:
        found.append("what live drills took: two of Linux, one of Windows")
    allowed: dict[str, list[str]] = {}
    for place in places:
        quotas = known[place.key].site.quotas
        text = f"{quotas.servers_per_job} servers in a job, and {quotas.jobs} jobs with {quotas.servers_in_jobs} "
        allowed.setdefault(f"at most {text}servers at a time", []).append(str(place))
    if len(allowed) == 1:
        return [*found, next(iter(allowed)) + (" in each target" if len(places) > 1 else "")]
    return [*found, *(f"{text} in {', '.join(where)}" for text, where in allowed.items())]


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
