"""The live data of a task's waits: where a trigger writes it, and what a worker writes of a question to a person.

While a person is asked, nothing of Airflow 3.3 runs that could write: the worker that asks writes once, and so does the
one that takes the answer. Nothing here fails a task.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import TaskDeferred

from drs_provider.live.model import LiveTask, LiveWait
from drs_provider.live.target import live_target
from drs_provider.live.writing import write_live

if TYPE_CHECKING:
    from drs_provider.tasks.delegation import RecoveryTask
    from drs_provider.tasks.recovery_work import RecoveryWork

__all__ = ["end_question", "live_waits", "show_question"]


@contextmanager
def live_waits(task: RecoveryTask, context: Mapping[str, Any]) -> Iterator[None]:
    """Let every wait in the triggerer that begins meanwhile write how far it is, beside the report of the run."""
    try:
        yield
    except TaskDeferred as deferral:
        trigger: Any = deferral.trigger
        if hasattr(trigger, "live") and "ti" in context:
            try:
                names = getattr(task.work, "host_names", None)
                trigger.live = live_target(_folder(task.loaded.plan.name, context), _live_task(task, context), names)
            except Exception:
                task.log.warning("No live data will be written of this wait", exc_info=True)
        raise


def show_question(work: RecoveryWork, context: Mapping[str, Any], what: str, timeout: timedelta | None) -> None:
    """Write that a person is asked.

    :param what: the question, in words.
    :param timeout: how long there is for the answer.
    """
    now = datetime.now(timezone.utc)
    _write(work, context, what=what, gives_up_at=now + timeout if timeout else None)


def end_question(work: RecoveryWork, context: Mapping[str, Any], what: str, *, passed: bool) -> None:
    """Write that the question is over.

    :param what: what became of it, in words.
    :param passed: whether the task goes on.
    """
    _write(work, context, what=what, state="ended", outcome="success" if passed else "failed")


def _write(work: RecoveryWork, context: Mapping[str, Any], **fields: Any) -> None:
    try:
        task = _live_task(context["task"], context)
        wait = LiveWait(**task.model_dump(), written_at=datetime.now(timezone.utc), **fields)
        write_live(_folder(work.loaded.plan.name, context), wait)
    except Exception:
        work.log.warning("The live data of this question cannot be written", exc_info=True)


def _folder(plan: str, context: Mapping[str, Any]) -> str:
    # Brings in the report's templates, of which a task that does not wait needs none.
    from drs_provider.evidence.storage import report_folder, reports_folder

    return report_folder(reports_folder(), plan, context["ti"].run_id)


def _live_task(task: Any, context: Mapping[str, Any]) -> LiveTask:
    ti = context["ti"]
    wave = getattr(task, "wave", None)
    path = getattr(task, "work_path", f"{type(task).__module__}.{type(task).__name__}")
    return LiveTask(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        try_number=ti.try_number,
        # As in the path of its work, such as drs_provider.steps.settle.work.SettleWork.
        kind=path.split(".")[-3],
        wave=wave.name if wave else None,
        waiting_since=getattr(ti, "start_date", None) or datetime.now(timezone.utc),
    )
