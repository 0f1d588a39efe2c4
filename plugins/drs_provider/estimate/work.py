"""What a wave has to do, in the order of its tasks, with how long each takes: what the schedule puts in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from drs_provider.aws import typical
from drs_provider.estimate.durations import Durations
from drs_provider.estimate.likely import Case, Likely
from drs_provider.estimate.overhead import SHORTEST_WAIT, Overhead
from drs_provider.plan.kinds import kind_named, load
from drs_provider.plan.steps import wave_steps

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Wave
    from drs_provider.plan.steps import Step
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = ["JobWork", "Moment", "SideBySide", "TimedStep", "WaveWork", "Workload", "forecast_step"]

Moment = Literal["boots", "agents"]


@dataclass(frozen=True)
class TimedStep:
    """A task, and what it waits for.

    :param kind: as a report calls a phase: ``approval``, ``scripts``, ``settle``, ``health``.
    :param task: seconds of Airflow until its work begins.
    :param seconds: seconds of work, once what it waits for is there.
    :param look: seconds of Airflow from the end of its work to its own.
    :param until: what must be there first: instances that have booted, agents that are online.
    """

    kind: str
    name: str
    task: float
    seconds: float
    look: float = 0.0
    until: Moment | None = None


SideBySide = tuple[TimedStep, ...]
"""Tasks that run at the same time; the next ones wait for all of them."""


@dataclass(frozen=True)
class JobWork:
    """A DRS job; every time in seconds from its acceptance.

    :param servers: how many.
    :param end: its JOB_END.
    :param boots: when all its instances pass the EC2 status checks.
    :param agents: when all its SSM agents are online.
    :param slowest: the server whose launch ends last.
    :param phases: what that server's phases take.
    """

    servers: int
    end: float
    boots: float
    agents: float
    slowest: str
    phases: Mapping[str, float]


@dataclass(frozen=True)
class WaveWork:
    """A wave.

    :param launch: seconds from the end of the step before to the first StartRecovery.
    :param look: seconds from the end of its last job to the end of the task that waits for it.
    :param place: the account and region whose quotas its jobs share with those of other waves there.
    """

    name: str
    depends_on: tuple[str, ...]
    before: tuple[SideBySide, ...]
    launch: float
    jobs: tuple[JobWork, ...]
    look: float
    after: tuple[SideBySide, ...]
    place: tuple[str, str] | None = None

    def jobs_only(self) -> WaveWork:
        """The wave without what the plan's author or Airflow add: the least that DRS needs."""
        return replace(self, before=(), launch=0.0, look=0.0, after=())

    def shortened(self, factor: float) -> WaveWork:
        """The wave with all its work, Airflow's aside, taking a part of its time."""

        def steps(rows: tuple[SideBySide, ...]) -> tuple[SideBySide, ...]:
            return tuple(tuple(replace(step, seconds=step.seconds * factor) for step in row) for row in rows)

        jobs = tuple(
            replace(job, end=job.end * factor, boots=job.boots * factor, agents=job.agents * factor)
            for job in self.jobs
        )
        return replace(self, before=steps(self.before), jobs=jobs, after=steps(self.after))


@dataclass(frozen=True)
class Workload:
    """Makes the work of waves, for one case.

    :param plan: the plan.
    :param servers: the source servers of each wave.
    :param durations: what things take at AWS, in the waves' account and region.
    :param overhead: what Airflow adds.
    :param mode: ``drill`` or ``recovery``.
    :param speed: how many times faster than real time AWS is; for rehearsals.
    """

    plan: RecoveryPlan
    servers: Mapping[str, Sequence[ResolvedServer]]
    durations: Durations
    overhead: Overhead
    mode: str
    speed: float = 1.0

    def of(self, wave: Wave, case: Case) -> WaveWork:
        """Return the work of a wave."""
        overhead = self.overhead
        before: list[SideBySide] = []
        after: list[SideBySide] = []
        part = before
        for group in wave_steps(wave):
            part += [timed] if (timed := tuple(self._timed(wave, group, case))) else []
            if group[0].kind == "launch":
                part = after
        return WaveWork(
            name=wave.name,
            depends_on=tuple(wave.depends_on),
            before=tuple(before),
            launch=overhead.task.of(case) + overhead.launch.of(case),
            jobs=tuple(self._jobs(wave, case)),
            look=overhead.look.of(case),
            after=tuple(after),
            place=self.durations.site.place or self.plan.target_of(wave).key,
        )

    def _jobs(self, wave: Wave, case: Case) -> list[JobWork]:
        quotas = self.durations.site.quotas
        size = max(1, min(quotas.servers_per_job, quotas.servers_in_jobs))
        # As a launch cuts them: by id.
        ids = sorted(server.id for server in self.servers.get(wave.name, ()))
        return [self._job(ids[start : start + size], case) for start in range(0, len(ids), size)]

    def _job(self, ids: Sequence[str], case: Case) -> JobWork:
        phases = {server: self._phases(server, case) for server in ids}
        if self.durations.site.spread and case == "typical":
            phases = self._spread(phases)
        launched = {server: sum(parts.values()) for server, parts in phases.items()}
        slowest = max(launched, key=lambda server: launched[server])
        ready = {
            kind: max(launched[server] + self._aws(after(server), case) for server in ids)
            for kind, after in (
                ("boots", lambda server: self.durations.phase(server, "boot")),
                ("agents", self.durations.agent),
            )
        }
        return JobWork(
            servers=len(ids),
            end=launched[slowest] + typical.JOB_ENDS / self.speed,
            boots=ready["boots"],
            agents=ready["agents"],
            slowest=slowest,
            phases=phases[slowest],
        )

    def _spread(self, phases: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
        """Let servers of which nothing is known take as long as the slowest of so many does.

        At best they move in step; at worst is worse already.
        """
        unknown = [server for server in phases if not self.durations.is_known(server)]
        systems = [self.durations.system(server) for server in unknown]
        found = {server: dict(parts) for server, parts in phases.items()}
        for server, system in zip(unknown, systems, strict=True):
            factor = typical.slowest_of(systems.count(system))
            for phase in ("preparation", "conversion", "launch"):
                found[server][phase] *= factor
        return found

    def _phases(self, server: str, case: Case) -> dict[str, float]:
        """What the phases of a launch take, one after another, the moments between them with the phase before."""
        facts = self.durations.site.facts.get(server)
        begins = typical.JOB_BEGINS + typical.SNAPSHOT_BEGINS
        parts = {"snapshot": self._aws(self.durations.phase(server, "snapshot"), case) + begins / self.speed}
        if facts is not None and facts.drilled:
            parts["cleanup"] = self._aws(self.durations.phase(server, "cleanup"), case)
        for phase in ("preparation", "conversion", "launch"):
            parts[phase] = self._aws(self.durations.phase(server, phase), case)
        parts["conversion"] += typical.LAUNCH_BEGINS / self.speed
        return parts

    def _aws(self, likely: Likely, case: Case) -> float:
        return likely.of(case) / self.speed

    def _timed(self, wave: Wave, group: Sequence[Step], case: Case) -> Iterator[TimedStep]:
        """Yield the steps of a group that a run of this mode does; launches are made of jobs instead."""
        for step in group:
            path = kind_named(step.kind).forecast
            if path and step.takes_part(self.mode) and (timed := load(path)(self, wave, step, case)):
                yield timed

    def waited(
        self, kind: str, name: str, learnt: Likely | None, work: Likely, case: Case, until: Moment | None
    ) -> TimedStep:
        """Return a task that waits for something, or does it.

        :param kind: as a report calls a phase.
        :param learnt: how long it took in earlier drills, as far as reports tell.
        :param work: how long it takes AWS, else.
        :param until: what must be there first.
        """
        task = self.overhead.task.of(case)
        if learnt is not None:
            # A report has the time of the whole task, waiting included.
            return TimedStep(kind, name, task, learnt.of(case))
        seconds = max(self._aws(work, case), 0.0 if until else SHORTEST_WAIT)
        look = self.overhead.script if kind == "scripts" else self.overhead.look
        return TimedStep(kind, name, task, seconds, look.of(case), until)


def forecast_step(load: Workload, wave: Wave, step: Step, case: Case) -> TimedStep:
    """Return a step of a kind that has no forecast of its own: it takes its typical time in every case."""
    kind = kind_named(step.kind)
    return load.waited(kind.phase, step.title, None, Likely.exactly(kind.typical_seconds(wave, step)), case, None)
