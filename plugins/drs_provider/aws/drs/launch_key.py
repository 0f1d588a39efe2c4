"""The identity of a launch, written on its DRS jobs as tags, so that any later try finds them.

``drs-provider:launch`` tells one job from every other: ``<dag>/<run>/<wave>/g<generation>/a<attempt>/c<chunk>``.

* *generation* counts deliberate clears of the task. Airflow keeps the book: a clear sets the task instance's
  ``max_tries`` to ``try_number + retries``, an automatic retry leaves it alone, so ``max_tries - retries`` is 0 until
  the first clear and grows with each. (Clearing a task while it runs only restarts it: that counts as a retry.)
* *attempt* counts launches of servers that failed before, 1 being the first.
* *chunk* is a digest of the servers of the job: it depends on neither quotas nor order.

Which run it is, :class:`~drs_provider.aws.drs.run_identity.RunIdentity` tells: ids alone do not.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from drs_provider.aws.drs.run_identity import (
    INSTALLATION_TAG,
    MAX_TAG_VALUE,
    MODE_TAG,
    RUN_TAG,
    Mode,
    RunIdentity,
    run_tag_value,
    tag_value,
)

__all__ = [
    "DAG_TAG",
    "INSTALLATION_TAG",
    "LAUNCH_TAG",
    "MODE_TAG",
    "RUN_TAG",
    "WAVE_TAG",
    "LaunchKey",
    "RunIdentity",
    "attempt_in",
    "generation_of",
    "run_tag_value",
    "tag_value",
]

LAUNCH_TAG = "drs-provider:launch"
DAG_TAG = "drs-provider:dag"
WAVE_TAG = "drs-provider:wave"

_SUFFIX_ROOM = 48
_SUFFIX = re.compile(r"/g(\d+)/a(\d+)/c([0-9a-f]+)$")


def generation_of(context: Mapping[str, Any]) -> int:
    """Return how a task was last cleared on purpose: 0 if never, otherwise the number of tries before the clear."""
    task_instance = context["ti"]
    return max(int(task_instance.max_tries) - int(task_instance.task.retries or 0), 0)


def attempt_in(generation: int, launch_tag: str) -> int:
    """
    Return which attempt of a generation a job is, by its ``drs-provider:launch`` tag; 0 for one of an earlier one.

    A job of a later generation counts as the attempt that it was there: a run that is started again with the id of a
    deleted one adopts what still goes on, and begins to count its own generations at 0.
    """
    match = _SUFFIX.search(launch_tag)
    return int(match.group(2)) if match and int(match.group(1)) >= generation else 0


@dataclass(frozen=True)
class LaunchKey:
    """
    Which launch of which run this is.

    :param dag_id: The DAG.
    :param run_id: The DAG run.
    :param wave: What is launched: the wave's name, or the task's id.
    :param generation: See the module.
    :param attempt: See the module.
    :param of_run: The run; None for whoever knows no more of it than its ids.
    """

    dag_id: str
    run_id: str
    wave: str
    generation: int = 0
    attempt: int = 1
    of_run: RunIdentity | None = None

    @classmethod
    def of(
        cls, context: Mapping[str, Any], wave: str | None = None, attempt: int = 1, of_run: RunIdentity | None = None
    ) -> LaunchKey:
        """
        Return the key of the task that runs in an Airflow context.

        :param wave: Defaults to the task's id, with its map index where it is mapped.
        """
        task_instance = context["ti"]
        map_index = getattr(task_instance, "map_index", -1)
        mapped = f"[{map_index}]" if map_index is not None and map_index >= 0 else ""
        name = f"{wave or task_instance.task_id}{mapped}"
        return cls(task_instance.dag_id, task_instance.run_id, name, generation_of(context), attempt, of_run)

    @property
    def identity(self) -> RunIdentity:
        """The run whose launch it is."""
        return self.of_run or RunIdentity(self.dag_id, self.run_id)

    @property
    def run(self) -> str:
        """The value of the ``drs-provider:run`` tag."""
        return self.identity.run_tag

    def in_mode(self, mode: Mode) -> LaunchKey:
        """Return the key of a launch in a mode."""
        return replace(self, of_run=self.identity.in_mode(mode))

    def with_attempt(self, attempt: int) -> LaunchKey:
        """Return the key of another attempt of the launch."""
        return replace(self, attempt=attempt)

    @property
    def prefix(self) -> str:
        """The part of the ``drs-provider:launch`` tag that all generations and attempts of this launch share."""
        return tag_value(f"{self.dag_id}/{self.run_id}/{self.wave}", MAX_TAG_VALUE - _SUFFIX_ROOM)

    def chunk(self, server_ids: Iterable[str]) -> str:
        """Return the value of the ``drs-provider:launch`` tag of the job that launches these servers."""
        digest = hashlib.sha256(",".join(sorted(server_ids)).encode()).hexdigest()[:12]
        return f"{self.prefix}/g{self.generation}/a{self.attempt}/c{digest}"

    def tags(self, server_ids: Iterable[str], *, is_drill: bool) -> dict[str, str]:
        """Return the tags of the job that launches these servers."""
        return {
            LAUNCH_TAG: self.chunk(server_ids),
            DAG_TAG: tag_value(self.dag_id),
            WAVE_TAG: tag_value(self.wave),
            **self.identity.in_mode("drill" if is_drill else "recovery").tags,
        }

    def of_job(self, job: Mapping[str, Any]) -> LaunchKey | None:
        """Return the key under which a job was launched, if it is a job of this launch in any generation or attempt."""
        value = (job.get("tags") or {}).get(LAUNCH_TAG, "")
        match = _SUFFIX.search(value)
        if match is None or value[: match.start()] != self.prefix or not self.identity.adopts(job):
            return None
        return replace(self, generation=int(match.group(1)), attempt=int(match.group(2)))
