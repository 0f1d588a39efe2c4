"""A drill stops when a recovery of its plan waits and asks for it: its tasks fail, then it terminates and reports.

Only drills heed a request. A recovery never does, whoever asks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.sdk.exceptions import TaskDeferred

from drs_provider.airflow_compat import awaits_input, set_xcom
from drs_provider.evidence.events import STOPPED_KEY
from drs_provider.requests.channel import pending_request
from drs_provider.requests.model import RunRequest

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger

__all__ = [
    "DrillStoppedError",
    "fail_stopped",
    "fail_when_stopped",
    "is_stoppable",
    "request_of",
    "stop_request",
    "stoppable_waits",
]

log = logging.getLogger(__name__)


class DrillStoppedError(AirflowFailException):
    """A task of a drill ends because a recovery of the plan waits. It is no failure of the drill's own work."""


def is_stoppable(context: Mapping[str, Any]) -> bool:
    """Whether a task is one of a drill, by all that is known of it."""
    if "ti" not in context:
        return False
    conf = getattr(context.get("dag_run"), "conf", None) or {}
    return all((said or {}).get("mode") in (None, "", "drill") for said in (context.get("params"), conf))


def stop_request(context: Mapping[str, Any]) -> RunRequest | None:
    """Return the request to stop this run, None where it is no drill or nobody asks.

    Where Airflow does not answer, nobody asks: the next look is seconds away.
    """
    if not is_stoppable(context):
        return None
    try:
        return pending_request("stop_drill", context["ti"].dag_id)
    except Exception as error:
        log.warning("Whether a recovery waits for this drill could not be read: %r", error)
        return None


def fail_when_stopped(context: Mapping[str, Any]) -> None:
    """Fail the task when its drill is asked to stop.

    :raises DrillStoppedError: when it is; with who asks.
    """
    if request := stop_request(context):
        fail_stopped(context, request)


def request_of(event: Any) -> RunRequest | None:
    """Return the request in a trigger's event, None where the wait ended by itself."""
    found = event.get("stop_request") if isinstance(event, Mapping) else None
    return RunRequest.model_validate(found) if found else None


@contextmanager
def stoppable_waits(context: Mapping[str, Any]) -> Iterator[None]:
    """Let every wait in the triggerer that begins meanwhile end early when the drill is asked to stop."""
    try:
        yield
    except TaskDeferred as deferral:
        if is_stoppable(context):
            deferral.trigger = _stoppable(deferral.trigger, context["ti"].dag_id)
        raise
    except BaseException as waiting:
        if not awaits_input(waiting) or not is_stoppable(context):
            raise
        raise _question_in_the_triggerer(waiting, context) from None


def fail_stopped(context: Mapping[str, Any], request: RunRequest) -> NoReturn:
    """Fail the task because of a request that ended its wait.

    :raises DrillStoppedError: always.
    """
    ti = context["ti"]
    try:
        set_xcom(ti.dag_id, "confirm", ti.run_id, STOPPED_KEY, request.model_dump(mode="json"))
    except Exception:
        log.exception("The report will not say who stopped this drill")
    raise DrillStoppedError(
        f"This drill stops for a recovery of its plan: {request}. Nothing more is started; what the drill launched is "
        "terminated, then the recovery begins."
    )


def _stoppable(trigger: BaseTrigger, dag_id: str) -> BaseTrigger:
    if hasattr(trigger, "stop_requests_of"):
        trigger.stop_requests_of = dag_id
        return trigger
    from drs_provider.triggers.stoppable import StoppableTrigger

    return StoppableTrigger.around(trigger, dag_id)


def _question_in_the_triggerer(waiting: Any, context: Mapping[str, Any]) -> TaskDeferred:
    """Return the wait of Airflow 3.2 for an answer in the place of that of 3.3, where nothing runs that could stop."""
    from airflow.providers.standard.triggers.hitl import HITLTrigger
    from airflow.sdk.timezone import utcnow

    work = getattr(context["task"], "work", context["task"])
    trigger = HITLTrigger(
        ti_id=context["ti"].id,
        options=work.options,
        defaults=work.defaults,
        params=work.serialized_params,
        multiple=work.multiple,
        timeout_datetime=utcnow() + waiting.timeout if waiting.timeout else None,
    )
    return TaskDeferred(
        trigger=_stoppable(trigger, context["ti"].dag_id), method_name=waiting.method_name, kwargs=waiting.kwargs
    )
