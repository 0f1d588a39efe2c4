"""What the log of a task says before it fails: what, which server, why, and what to do, in short lines of its own.

Airflow prints the traceback of whatever a task raises, and the cause is hard to find in it. Of a failure that the
package foresees, the traceback says nothing: it is left out. Of any other it stays.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
)

from drs_provider.plan.steps import activity_of

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

__all__ = ["TaskFailedError", "failure_lines", "failures_in_log"]

_TOLD = "_drs_provider_told"
_LONGEST_LINE = 500
_MOST_LINES = 40
_WHAT = {
    "confirm": "the start of the run",
    "preflight": "preflight",
    "terminate": "terminating the drill's instances",
    "report": "the run",
}


class TaskFailedError(AirflowFailException):
    """A task failed for good, for a cause that a person can understand and act on.

    :param why: the cause, one line or more; a line for each server begins with its host name.
    :param remedy: what to do now, in words that fit the mode of the run.
    """

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__("\n".join(filter(None, [why, remedy])))
        self.why = why
        self.remedy = remedy


@contextmanager
def failures_in_log(task: BaseOperator, context: Mapping[str, Any]) -> Iterator[None]:
    """Write to the task's log why it fails, before Airflow does.

    :param task: the task, whose log it is.
    :param context: Airflow's context.
    """
    try:
        yield
    except (AirflowSkipException, DownstreamTasksSkipped):
        raise
    except Exception as error:
        for line in failure_lines(task.task_id, context["ti"], error):
            task.log.error("%s", line)
        if _is_foreseen(error):
            setattr(error, _TOLD, True)
            _leave_tracebacks_out()
        raise


def failure_lines(task_id: str, ti: Any, error: Exception) -> list[str]:
    """Return what the log says of a failure, line by line.

    :param task_id: the task.
    :param ti: the task instance, for its tries.
    :param error: what it fails with.
    """
    wave, _, step = task_id.partition(".")
    what = f"{activity_of(step)} in the wave {wave}" if step else _WHAT.get(task_id, task_id)
    final = isinstance(error, AirflowFailException) or ti.try_number > ti.max_tries
    remedy = getattr(error, "remedy", "")
    why, *details = (getattr(error, "why", "") or _text(error)).strip().splitlines() or [type(error).__name__]
    again = "" if final else f", try {ti.try_number} of {ti.max_tries + 1}"
    lines = [f"FAILED: {what} (task {task_id}{again})", f"Why: {why}", *details[:_MOST_LINES]]
    if more := len(details) - _MOST_LINES:
        lines += [f"... and {more} more lines, in the report"] if more > 0 else []
    if not final:
        lines.append("Do this: nothing yet. Airflow tries again in a moment.")
    elif remedy:
        first, *rest = remedy.splitlines()
        lines += [f"Do this: {first}", *rest]
    if not _is_foreseen(error):
        lines.append("This was not foreseen: the traceback follows.")
    # A line that is as long as a request can be made only comes with what must be pasted.
    return [line if line.lstrip().startswith(("Do this", "To go on")) else _short(line) for line in lines]


def _text(error: Exception) -> str:
    return str(error) if _is_foreseen(error) else f"{type(error).__name__}: {error}"


def _is_foreseen(error: Exception) -> bool:
    """Whether an error was made to be read by a person, or is the word of AWS."""
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.aws.faults import ActionFailed, TransientError

    return isinstance(error, (AirflowException, ActionFailed, TransientError, BotoCoreError, ClientError))


def _short(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"


def _leave_tracebacks_out() -> None:
    """Have the loggers of this process leave out the traceback of an error whose cause the log has told.

    Airflow's task runner logs what a task raised by structlog, whose processors are one list for all loggers of the
    process, which is the task's own. Where that is another kind of thing one day, the traceback is printed as ever.
    """
    import structlog

    processors = structlog.get_config()["processors"]
    if isinstance(processors, list) and _without_told_traceback not in processors:
        processors.insert(0, _without_told_traceback)


def _without_told_traceback(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if event.get("exc_info") and getattr(sys.exc_info()[1], _TOLD, False):
        del event["exc_info"]
        event["event"] = "Task failed: the lines above say why"
    return event
