"""Who a task instance is, in the eyes of AWS: the keys by which a later try finds what an earlier one started."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drs_provider.aws.drs.launch_key import generation_of

__all__ = ["TaskIdentity"]

_NAMESPACE = uuid.UUID("5f0d5f1e-6f3c-5d0a-9b5e-0c1a5d8f7e21")
#: What AWS keeps of commands, and the longest that a look goes back.
_HISTORY_SECONDS = 30 * 86400
#: How far the clocks of Airflow's scheduler and AWS may be apart; as for the jobs of a launch.
_SKEW_SECONDS = 900


@dataclass(frozen=True)
class TaskIdentity:
    """A task instance and its generation: what its automatic retries have in common, and a clear changes.

    :param generation: see :func:`drs_provider.aws.drs.launch_key.generation_of`.
    :param tries: the number of the present try within the generation, from 1.
    :param since: epoch seconds; nothing of this generation started before.
    :param of_run: what tells the run from others with the same ids, where that is known: mode and installation.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    generation: int
    tries: int
    since: float
    of_run: tuple[str, ...] = ()

    @classmethod
    def of(cls, context: Mapping[str, Any], of_run: tuple[str, ...] = ()) -> TaskIdentity:
        """Return the identity of the task instance in an Airflow context."""
        ti = context["ti"]
        generation = generation_of(context)
        run: Any = context.get("dag_run")
        started = getattr(run, "start_date", None)
        since = started.timestamp() - _SKEW_SECONDS if started else time.time() - _HISTORY_SECONDS
        return cls(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index if ti.map_index is not None else -1,
            generation=generation,
            tries=max(int(ti.try_number) - generation, 1),
            since=since,
            of_run=of_run,
        )

    @property
    def _canonical(self) -> str:
        return json.dumps([self.dag_id, self.run_id, self.task_id, self.map_index, self.generation, *self.of_run])

    @property
    def key(self) -> str:
        """32 hexadecimal digits, the same for every try of the generation."""
        return hashlib.sha256(self._canonical.encode()).hexdigest()[:32]

    @property
    def label(self) -> str:
        """The task for a person's eyes."""
        return f"{self.dag_id}.{self.task_id}" + (f"[{self.map_index}]" if self.map_index >= 0 else "")

    def token(self, attempt: int, *, anew: bool = False) -> str:
        """Return the UUID of one attempt of this generation, for APIs with a client token.

        :param anew: for a run whose predecessor of the same id, since deleted, has used the other one.
        """
        begun = f"/{self.since:.0f}" if anew else ""
        return str(uuid.uuid5(_NAMESPACE, f"{self._canonical}/{attempt}{begun}"))
