"""Requests of a run that waits to the run that it waits for: how they are kept, and which of them still count.

None of a queued run's tasks runs, and it does not know which run it waits for. A deadline's callback
speaks for it, in the triggerer. So a request lies in Airflow's database as a Variable, one for each DAG and kind:
workers and triggers of every Airflow that is supported read and write these, and a later request replaces an earlier
one of its kind, which asked for the same.

A request counts while the run that sent it is still queued, and no longer: it is neither lost, however late the other
run looks, nor can it reach the run after. When the waiting run begins, ends or is deleted, the request is void.

Beside the requests lies a bell, a Variable that has another value after each of them: who watches many DAGs looks at
the bell alone.
"""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from uuid import uuid4

from airflow.sdk import Variable
from pydantic import ValidationError

from drs_provider.airflow_compat import count_runs
from drs_provider.requests.model import BELL, RequestKind, RunRequest, request_key

__all__ = ["is_waiting", "now", "pending_request", "read_bell", "send_request"]

log = logging.getLogger(__name__)


def send_request(request: RunRequest) -> None:
    """Leave a request, then ring the bell: who hears it finds the request."""
    Variable.set(
        request_key(request.kind, request.dag_id),
        request.model_dump_json(),
        description=f"Request of the run {request.from_run}; void once that has begun",
    )
    Variable.set(BELL, uuid4().hex, description="Another value after each request of a run")


def pending_request(kind: RequestKind, dag_id: str) -> RunRequest | None:
    """Return the request of a kind that the runs of a DAG have to act on; None where there is none that counts.

    Where no run of the DAG is queued, this is one count of runs and nothing else.

    :raises Exception: when Airflow does not answer.
    """
    return _read(kind, dag_id) if is_waiting(dag_id) else None


def is_waiting(dag_id: str, run_id: str | None = None) -> bool:
    """Whether a run of a DAG is queued.

    :param run_id: this run; None: any.
    """
    return count_runs(dag_id, ["queued"], None if run_id is None else [run_id]) > 0


def read_bell() -> str:
    """Return the value of the bell; empty where it has never rung."""
    return str(Variable.get(BELL, default="") or "")


def now() -> datetime:
    """Return the present in UTC."""
    return datetime.now(timezone.utc)


def _read(kind: RequestKind, dag_id: str) -> RunRequest | None:
    written = Variable.get(request_key(kind, dag_id), default=None)
    if not written:
        return None
    try:
        request = RunRequest.model_validate_json(written)
    except ValidationError:
        log.warning("The Variable %s is no request of a run; it is ignored", request_key(kind, dag_id))
        return None
    if request.kind != kind or request.dag_id != dag_id or not is_waiting(dag_id, request.from_run):
        return None
    return request
