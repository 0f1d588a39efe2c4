"""A request of a run, and under which names requests lie in Airflow: Variables, read and written over whichever API."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

__all__ = ["BELL", "RequestKind", "RunRequest", "request_key"]

RequestKind = Literal["stop_drill"]
"""What can be asked: ``stop_drill``, that a drill stops because a recovery of its plan waits."""

_PREFIX = "drs_provider.request"

BELL = f"{_PREFIX}s"
"""The Variable that has another value after each request."""


class RunRequest(BaseModel):
    """A request of a run.

    :param kind: what is asked.
    :param dag_id: the DAG whose runs are asked.
    :param from_run: the run that asks, of the same DAG.
    :param by: who started that run, for people.
    :param at: when it was sent.
    :param reason: why, for people.
    """

    # A later version may say more.
    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: RequestKind
    dag_id: str
    from_run: str
    by: str
    at: AwareDatetime
    reason: str

    def __str__(self) -> str:
        return f"{self.reason} ({self.from_run}, started by {self.by}; asked at {self.at:%Y-%m-%d %H:%M:%S} UTC)"


def request_key(kind: RequestKind, dag_id: str) -> str:
    """Return the name of the Variable for the requests of a kind to the runs of a DAG."""
    return f"{_PREFIX}.{kind}.{dag_id}"
