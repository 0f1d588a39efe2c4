"""The accounts and regions of one run as the report reads them: each is asked by itself, and fails by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drs_provider.evidence.jobs import AnnouncedJob, DrsReader, JobFacts, Reading, read_jobs
from drs_provider.evidence.record import Unread
from drs_provider.evidence.waves import collect_wave
from drs_provider.plan.steps import LAUNCH
from drs_provider.steps.launch.event import LaunchEvent

if TYPE_CHECKING:
    from drs_provider.aws.drs.run_identity import RunIdentity
    from drs_provider.evidence.facts import RunFacts
    from drs_provider.evidence.record import Preflight, Wave
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan import Wave as PlanWave
    from drs_provider.plan.targets import NamedTarget

__all__ = ["Site", "sites_of"]


@dataclass
class Site:
    """One target of a plan, and what was read there.

    :param place: the target.
    :param named: whether what is said of it has to name it: the plan has several.
    :param waves: the waves that are launched there.
    :param reading: asks AWS there.
    :param stated: the account id that the plan states for it; None where it states none.
    :param jobs: the run's jobs there, oldest first.
    :param others: the jobs of others since the run began, in the shape of DescribeJobs.
    """

    place: NamedTarget
    named: bool
    waves: tuple[PlanWave, ...]
    reading: Reading
    stated: str | None
    jobs: list[JobFacts] = field(default_factory=list)
    others: list[Mapping[str, Any]] = field(default_factory=list)

    def read(self, own: RunIdentity, since: datetime | None, announced: Mapping[str, AnnouncedJob]) -> None:
        """Read the jobs of the run.

        :param own: the run.
        :param since: the start of the run.
        :param announced: the jobs that the tasks of its waves reported, by job id.
        """
        self.jobs = read_jobs(self.reading, own, since=since, announced=announced, others=self.others)

    def placed(self, wave: PlanWave, facts: RunFacts, clock: datetime | None, preflight: Preflight) -> Wave:
        """Put one wave together; each of its servers says in which account and region it is.

        :param clock: where the RTO counts from.
        :param preflight: says which account it saw.
        """
        jobs = [job for job in self.jobs if job.wave == wave.name]
        made = collect_wave(wave, facts, jobs, self.reading, clock)
        launched = facts.task(f"{wave.name}.{LAUNCH}").last(LaunchEvent)
        seen = next((one.account for one in preflight.targets if one.name == self.place.name), None)
        account = (launched.account if launched else None) or seen or self.stated
        region = (launched.region if launched else None) or self.place.region
        servers = [server.model_copy(update={"account": account, "region": region}) for server in made.servers]
        return made.model_copy(update={"servers": servers, "target": self.place.name if self.named else None})

    @property
    def unread(self) -> list[Unread]:
        """What could not be read there."""
        where = f"{self.place}: " if self.named else ""
        return [one.model_copy(update={"what": f"{where}{one.what}"}) for one in self.reading.unread]


def sites_of(plan: RecoveryPlan, drs: DrsReader | Mapping[tuple[str, str], DrsReader] | None) -> list[Site]:
    """Return the targets of a plan's waves.

    :param drs: asks AWS; where there are several targets, one for each, by connection and region.
    """
    return [
        Site(
            place=place,
            named=plan.several_targets,
            waves=tuple(wave for wave in plan.waves if plan.target_of(wave).key == place.key),
            reading=Reading(drs.get(place.key) if isinstance(drs, Mapping) else drs),
            stated=plan.account_of(place),
        )
        for place in plan.targets_of(plan.waves)
    ]
