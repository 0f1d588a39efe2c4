"""What Airflow adds to the time of AWS: seconds of the wall clock, whatever the speed of a simulator."""

from __future__ import annotations

from dataclasses import dataclass

from drs_provider.estimate.likely import Likely

__all__ = ["SHORTEST_WAIT", "USUAL", "Overhead"]

SHORTEST_WAIT = 2.5
"""A task that has deferred does not end sooner: see :mod:`drs_provider.triggers.waiting`."""


@dataclass(frozen=True)
class Overhead:
    """Airflow's own time.

    :param begin: from the start of the run to the end of preflight.
    :param task: from the end of one task to where the next does its work.
    :param launch: from there, in a launch, to the acceptance of its first job: resolving and checking once more.
    :param look: from the end of a job, or of what a health check waits for, to the end of the task.
    :param script: from the end of a script to the end of its task.
    """

    begin: Likely
    task: Likely
    launch: Likely
    look: Likely
    script: Likely

    def scaled(self, factor: float) -> Overhead:
        """Return the overhead of a machine that is so many times as slow."""
        parts = (self.begin, self.task, self.launch, self.look, self.script)
        return Overhead(*(part.scaled(factor) for part in parts))


USUAL = Overhead(
    begin=Likely(2.0, 3.0, 20.0),
    task=Likely(0.5, 1.2, 4.0),
    launch=Likely(0.2, 0.5, 3.0),
    look=Likely(0.5, 1.0, 4.0),
    script=Likely(1.0, 4.0, 8.0),
)
"""Measured in rehearsals, with the settings that ``drs-plan init`` writes, on a machine of two cores that was busy."""
