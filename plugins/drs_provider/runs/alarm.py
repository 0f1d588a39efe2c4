"""Airflow's own deadlines on a run: the watch over it, and the RTO alarm, which tells while waves are still to come.

Every plan has the deadline that begins the watch (:mod:`drs_provider.runs.run_watch`). A plan with an RTO has two more,
counted from the moment at which the run was queued: one when most of the objective has gone by, so that a person can
still do something, and one when all of it has. Airflow calls them in the triggerer, for runs that failed as well, and
for drills that only keep their instances a while; both are left alone.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from drs_provider.airflow_compat import ask_in_triggerer, named_deadline, stored_interval, task_states
from drs_provider.durations import format_duration
from drs_provider.runs import messages
from drs_provider.runs.notify import channels_of, leave_word
from drs_provider.runs.run_watch import QUEUED_FOR, watch_run

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["AT_RISK", "deadlines", "rto_alarm"]

log = logging.getLogger(__name__)

AT_RISK = 0.8
"""The part of the objective after which it is at risk."""

_OVER = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_PART_OF_THE_END = frozenset({"rollback"})


def deadlines(plan: RecoveryPlan) -> list[DeadlineAlert]:
    """Return the deadlines of a plan's DAG: the watch over the run, and where the plan has an RTO its alarms.

    :param plan: the plan.
    """
    watch = DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=stored_interval(QUEUED_FOR),
        callback=AsyncCallback(
            watch_run, kwargs={"channels": channels_of(plan), "aws_conn_id": plan.default_target.aws_conn_id}
        ),
        **named_deadline("Watch over the run"),
    )
    rto = plan.objectives.rto
    if rto is None:
        return [watch]
    return [
        watch,
        *(
            DeadlineAlert(
                reference=DeadlineReference.DAGRUN_QUEUED_AT,
                interval=stored_interval(passed),
                callback=AsyncCallback(
                    rto_alarm,
                    kwargs={
                        "rto_seconds": rto.total_seconds(),
                        "passed_seconds": passed.total_seconds(),
                        "waves": [wave.name for wave in plan.waves],
                        "channels": channels_of(plan),
                        "aws_conn_id": plan.default_target.aws_conn_id,
                        **({"drill_waves": list(plan.drill.waves)} if plan.drill.waves else {}),
                    },
                ),
                **named_deadline(f"{name}: {format_duration(passed)}"),
            )
            for passed, name in (
                (timedelta(seconds=round(rto.total_seconds() * AT_RISK)), "RTO at risk"),
                (rto, "RTO missed"),
            )
        ),
    ]


async def rto_alarm(
    rto_seconds: float,
    passed_seconds: float,
    waves: list[str],
    channels: list[dict[str, Any]],
    aws_conn_id: str,
    context: dict[str, Any],
    drill_waves: list[str] | None = None,
) -> str:
    """Tell the plan's channels that the RTO is at risk or missed, when the run's waves are still going.

    :param rto_seconds: the objective.
    :param passed_seconds: how much of it has gone by.
    :param waves: the plan's waves.
    :param channels: whom to tell.
    :param aws_conn_id: the Airflow connection for SNS.
    :param context: what Airflow knows of the run: ``dag_run`` in the shape of its REST API.
    :param drill_waves: the waves of a scheduled drill; None: all.
    :returns: what was done, for Airflow's record of the callback.
    """
    from drs_provider.notifications.delivery import deliver_async

    dag_run = context["dag_run"]
    dag_id, run_id = str(dag_run["dag_id"]), str(dag_run["dag_run_id"])
    if dag_run.get("state") not in ("running", "queued"):
        return f"not told: the run has ended as {dag_run.get('state')}"
    states = await _task_states(dag_id, run_id)
    of_schedule = drill_waves if str(dag_run.get("run_type")) == "scheduled" else None
    chosen = (dag_run.get("conf") or {}).get("waves") or of_schedule or waves
    unfinished = [wave for wave in waves if wave in chosen and _going_on(states, wave)]
    if states and not unfinished:
        return "not told: the work of every wave is over"
    message = messages.rto_alarm(
        dag_id,
        run_id,
        messages.mode_of(dag_run.get("conf")),
        rto=timedelta(seconds=rto_seconds),
        passed=timedelta(seconds=passed_seconds),
        unfinished=unfinished,
    )
    message = message.with_ticket((dag_run.get("conf") or {}).get("ticket"))
    log.warning("%s\n%s", message.subject, message.text)
    deliveries = await deliver_async(message, channels, context, aws_conn_id=aws_conn_id)
    if deliveries:
        await leave_word(dag_id, run_id, message.event, [delivery.as_dict() for delivery in deliveries])
    return f"told: {', '.join(f'{each.to} {each.status}' for each in deliveries) or 'nobody, the plan has no notify'}"


def _going_on(states: dict[str, Any], wave: str) -> bool:
    """Whether a task of the wave is still to come or under way."""
    return any(
        (None if state is None else str(state)) not in _OVER
        for task, state in states.items()
        if task.startswith(f"{wave}.") and task.partition(".")[2] not in _PART_OF_THE_END
    )


async def _task_states(dag_id: str, run_id: str) -> dict[str, str | None]:
    """Return the states of the run's tasks; empty where they cannot be read: then the alarm tells rather than not."""
    try:
        return await ask_in_triggerer(lambda: task_states(dag_id, run_id))
    except Exception:
        log.exception("The states of the tasks of %s could not be read", run_id)
        return {}
