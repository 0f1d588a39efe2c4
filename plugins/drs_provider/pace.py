"""How fast a rehearsal is: what becomes of a plan's pauses and deadlines where AWS is faster than real time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from drs_provider.durations import format_duration

__all__ = ["Pace"]

_AIRFLOWS_OWN = timedelta(minutes=1)
"""What Airflow needs beside AWS, at whatever speed AWS is simulated: a deadline is never shortened below that."""


@dataclass(frozen=True)
class Pace:
    """What a plan's durations last.

    :param speed: how many times shorter they are: 1 on every Airflow but that of a rehearsal.
    """

    speed: float = 1.0

    @classmethod
    def of_rehearsal(cls, speed: float, *, real_pauses: bool = False) -> Pace:
        """Return the pace of a rehearsal; one that is slower than real time keeps the plan's durations.

        :param speed: how many times faster than real time AWS is simulated.
        :param real_pauses: whether the plan's durations are kept.
        """
        return cls(1.0 if real_pauses else max(speed, 1.0))

    def pause(self, pause: timedelta) -> timedelta:
        """Return how long a pause of the plan lasts."""
        return pause / self.speed

    def deadline(self, limit: timedelta) -> timedelta:
        """Return how long a wait for AWS lasts at the longest.

        In a rehearsal, AWS is fast and Airflow is not: a minute is left for Airflow.
        """
        return min(limit, limit / self.speed + _AIRFLOWS_OWN)

    def text(self, pause: timedelta) -> str:
        """Return a pause in words: ``2m``, or in a rehearsal ``2s (2m in the plan, rehearsed 60 times as fast)``."""
        here = self.pause(pause)
        if here == pause:
            return format_duration(pause)
        written = f"{format_duration(pause)} in the plan, rehearsed {self.speed:g} times as fast"
        seconds = here.total_seconds()
        short = format_duration(timedelta(seconds=round(seconds))) if seconds >= 10 else f"{seconds:.2g}s"
        return f"{short} ({written})"
