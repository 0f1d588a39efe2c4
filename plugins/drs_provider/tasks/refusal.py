"""A run that is refused before anything was started is one failed task, and its report: the rest is skipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from drs_provider.airflow_compat import skip_tasks
from drs_provider.runs.stopping import DrillStoppedError
from drs_provider.tasks.gates import is_cleared
from drs_provider.tasks.recovery_work import RecoveryWork, task_states

__all__ = ["refusal_skips_the_rest"]


@contextmanager
def refusal_skips_the_rest(work: RecoveryWork, context: Mapping[str, Any]) -> Iterator[None]:
    """Skip every task behind a gate that refuses the run, except the report.

    Only where nothing behind the gate has begun, and nobody has cleared a task of the run: what an earlier round
    launched has to be terminated, and Airflow would skip even a task that is waiting in the triggerer. A drill that
    stops for a recovery ends by its own tasks.

    A skipped gate lets nothing pass: whatever acts on AWS demands that its gates succeeded, and left a record.

    :param work: the work of ``confirm`` or of ``preflight``.
    :param context: Airflow's context of that task.
    :raises AirflowFailException: as the work did.
    """
    try:
        yield
    except DrillStoppedError:
        raise
    except AirflowFailException:
        try:
            behind = context["dag"].get_task(context["ti"].task_id).get_flat_relative_ids(upstream=False)
            states = task_states(context)
            if not is_cleared(context) and not any(states.get(task) for task in behind):
                skip_tasks(sorted(behind - {"report"}))
        except Exception:
            # The run is refused anyway; its other tasks show as not reached.
            work.log.warning("The other tasks of the run could not be skipped", exc_info=True)
        raise
