"""Which time-outs of a plan are shorter than what they wait for takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from drs_provider.durations import format_duration
from drs_provider.estimate.likely import Case, Likely
from drs_provider.estimate.work import WaveWork
from drs_provider.plan.health import InstanceStatusCheck, SsmOnlineCheck

if TYPE_CHECKING:
    from drs_provider.plan import Wave

__all__ = ["ShortTimeout", "short_timeouts"]

_CASES: tuple[Case, ...] = ("low", "typical", "high")


@dataclass(frozen=True)
class ShortTimeout:
    """A time-out that is over before what it waits for, most likely or at worst.

    :param wave: the wave.
    :param what: ``launch_timeout``, or the health check whose ``timeout`` it is.
    :param limit: the time-out in seconds.
    :param takes: what is waited for, in seconds.
    :param text: for people.
    """

    wave: str
    what: str
    limit: float
    takes: Likely
    text: str

    @property
    def fails(self) -> bool:
        """Whether the wave most likely gives up; it may give up otherwise."""
        return self.takes.typical > self.limit


def short_timeouts(
    waves: Sequence[Wave], work: Mapping[Case, Sequence[WaveWork]], systems: Mapping[str, str], names: Mapping[str, str]
) -> list[ShortTimeout]:
    """Compare the time-outs of waves and of their checks with what an estimate says.

    :param waves: the waves of the plan.
    :param work: their work, by case (``low``, ``typical``, ``high``), in the same order.
    :param systems: the operating system by source server id.
    :param names: host names by source server id.
    """
    found = []
    for number, wave in enumerate(waves):
        cases = [work[case][number].jobs for case in _CASES]
        if not cases[1]:
            continue
        last = max(cases[1], key=lambda job: job.end)
        system = systems.get(last.slowest, "linux").capitalize()
        whose = f"{names.get(last.slowest, last.slowest)} ({system})"
        rows = [("launch_timeout", wave.launch_timeout, Likely(*(max(job.end for job in jobs) for jobs in cases)))]
        for name, check in wave.checks_by_name().items():
            # From the end of the launch on: what the check itself does is little beside it.
            if isinstance(check, InstanceStatusCheck):
                takes = Likely(*(max(max(job.boots - job.end for job in jobs), 0.0) for jobs in cases))
            elif isinstance(check, SsmOnlineCheck):
                takes = Likely(*(max(max(job.agents - job.end for job in jobs), 0.0) for jobs in cases))
            else:
                continue
            rows.append((f"timeout of the health check {name}", check.timeout, takes))
        for what, limit, takes in rows:
            if takes.high > limit.total_seconds():
                found.append(_short(wave.name, what, limit, takes, whose))
    return found


def _short(wave: str, what: str, limit: timedelta, takes: Likely, whose: str) -> ShortTimeout:
    about, at_worst = (format_duration(timedelta(seconds=round(one))) for one in (takes.typical, takes.high))
    waited = f"the launch of {whose}" if what == "launch_timeout" else whose
    fails = takes.typical > limit.total_seconds()
    verb = "gives up" if fails else "may give up"
    gives_up = f"the wave {verb} after {format_duration(limit)} ({what})"
    text = f"{wave}: {waited} takes about {about}, up to {at_worst}; {gives_up}"
    return ShortTimeout(wave, what, limit.total_seconds(), takes, text)
