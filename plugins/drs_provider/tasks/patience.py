"""How a task waits for AWS to answer again: in the triggerer, and then its work begins anew in the same try.

Throttling, a 5xx, credentials that have expired and connections that fail pass by themselves. None of them fails a
task, uses up its retries or holds its worker: the work is safe to begin again, since it first looks for what it
started before. Only when the wave's ``launch_timeout`` is over is what AWS does not answer a failure of the task.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from drs_provider.aws.faults import Fault, TransientError, transient_cause
from drs_provider.runs.messages import mode_of, waiting_for_aws
from drs_provider.runs.notify import notify
from drs_provider.tasks.advice import after_failure
from drs_provider.tasks.failure_log import TaskFailedError
from drs_provider.tasks.recovery_work import WAITING_KEY
from drs_provider.triggers.availability import AwsAvailableTrigger
from drs_provider.triggers.waiting import deferral_timeout

if TYPE_CHECKING:
    from drs_provider.tasks.recovery_work import RecoveryWork

__all__ = ["BEGIN_AGAIN", "event_error", "fail_for_good", "note_answer", "patience_for", "wait_for_aws"]

BEGIN_AGAIN = "begin_again"
"""The method with which a task goes on when AWS answers; see :class:`~drs_provider.tasks.delegation.RecoveryTask`."""

CREDENTIALS_PATIENCE = timedelta(minutes=15)
"""How long a drill waits for credentials: a person has to give it others, sooner rather than later."""

_SAME_WAIT_SECONDS = 900.0
"""A failure so long after the last one begins a wait of its own."""
_NOTIFY_AT = 3
"""People are notified once a wait, when AWS has been asked so often in vain: what passes in seconds is no message."""
_FIRST_PAUSE = 5.0
_LONGEST_PAUSE = 60.0


def patience_for(work: RecoveryWork, context: Mapping[str, Any], fault: Fault) -> timedelta:
    """Return how long a task waits for AWS in all, from the first call that was not answered.

    :param work: the task's work.
    :param fault: what AWS says.
    """
    longest = work.longest_wait_for_aws
    return min(longest, CREDENTIALS_PATIENCE) if fault is Fault.EXPIRED and work.run(context).is_drill else longest


def wait_for_aws(work: RecoveryWork, context: Mapping[str, Any], error: BaseException) -> bool:
    """Defer until AWS answers, where an error is one that passes by itself.

    :param work: the work that met the error; its ``patience_over`` is set when it has waited as long as it may.
    :param error: what it met.
    :return: whether the time is up, so that the work is to be done once more and to fail by itself. False: the error is
        of another kind.
    :raises TaskDeferred: while there is time.
    """
    cause = transient_cause(error)
    if cause is None or work.patience_over:
        return False
    ti = context["ti"]
    now = time.time()
    earlier = ti.xcom_pull(task_ids=ti.task_id, key=WAITING_KEY)
    if not earlier or now - earlier["last"] > _SAME_WAIT_SECONDS:
        earlier = {"since": now, "asked": 0}
    since, asked = float(earlier["since"]), int(earlier["asked"]) + 1
    deadline = since + patience_for(work, context, cause.fault).total_seconds()
    record = {"since": since, "last": now, "asked": asked, "operation": cause.operation, "reason": cause.reason}
    ti.xcom_push(key=WAITING_KEY, value=record)
    if now >= deadline:
        work.log.error("AWS does not answer for %.0f s: %s. Not waiting any longer.", now - since, cause)
        work.patience_over = True
        return True
    trigger = AwsAvailableTrigger(
        operation=cause.operation,
        reason=cause.reason,
        since=since,
        pause=min(_FIRST_PAUSE * 2 ** min(asked - 1, 10), _LONGEST_PAUSE),
        deadline=deadline,
        end_task=False,
        **work.aws,
    )
    work.log.warning("%s. The work begins again when it answers.", trigger)
    if asked == _NOTIFY_AT:
        wave = work.wave.name if work.wave else ""
        mode = mode_of(context.get("params"))
        message = waiting_for_aws(ti.dag_id, ti.run_id, mode, wave=wave, task=ti.task_id, wait=str(trigger))
        notify(work.loaded, context, message)
    return work.defer(trigger=trigger, method_name=BEGIN_AGAIN, timeout=deferral_timeout(trigger))


def fail_for_good(work: RecoveryWork, context: Mapping[str, Any], error: BaseException) -> None:
    """Turn an error that the work waited for in vain into a final failure; do nothing with any other.

    :raises AirflowFailException: with what to do; Airflow's retries would each wait as long again.
    """
    cause = transient_cause(error)
    if cause is not None and work.patience_over and not isinstance(error, AirflowFailException):
        task_id = context["ti"].task_id
        record = context["ti"].xcom_pull(task_ids=task_id, key=WAITING_KEY) or {}
        minutes = (time.time() - float(record.get("since") or time.time())) / 60
        remedy = f"When it answers, clear the task {task_id} with its downstream tasks."
        run = work.run(context)
        if run.is_drill and work.wave is not None:
            remedy = after_failure(work.loaded.plan, run, work.wave.name)
        raise TaskFailedError(f"AWS does not answer for {minutes:.0f} minutes: {cause}", remedy) from error


def note_answer(context: Mapping[str, Any]) -> None:
    """Take note that the wait in the triggerer is over: what fails again soon belongs to the same wait."""
    ti = context["ti"]
    if record := ti.xcom_pull(task_ids=ti.task_id, key=WAITING_KEY):
        ti.xcom_push(key=WAITING_KEY, value={**record, "last": time.time()})


def event_error(event: object) -> TransientError | None:
    """Return why a trigger could not see the outcome of its wait; None where it could."""
    transient = event.get("transient") if isinstance(event, Mapping) else None
    return TransientError.of_dict(transient) if transient else None
