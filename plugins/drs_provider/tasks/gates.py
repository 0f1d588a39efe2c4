"""The gates of a run as its tasks read and write them, in XCom, beside what Airflow says of their states."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, conf
from pydantic import ValidationError

from drs_provider.durations import parse_duration
from drs_provider.evidence.events import EVIDENCE_KEY, Event, last_event, read_events
from drs_provider.plan import RecoveryPlan
from drs_provider.runs.custody import (
    CLOSING_KEY,
    CONTINUED_KEY,
    CUSTODY_KEY,
    Chain,
    Closing,
    Continued,
    GateRecord,
    read_record,
)
from drs_provider.runs.recovery_run import started_by
from drs_provider.steps.confirm.event import ConfirmEvent
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.tasks.xcom import leave_with

if TYPE_CHECKING:
    from drs_provider.plan import LoadedPlan, Wave
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = [
    "PLAN_KEY",
    "break_glass_users",
    "clears_of",
    "continue_for",
    "leave",
    "read_chain",
    "read_closing",
    "read_continued",
    "read_gate",
    "recorded_plan",
    "starter_of",
]

PLAN_KEY = "plan"
"""XCom key under which the run's first task records the plan that the run is of."""

_REOPENED_MARGIN = timedelta(minutes=1)
"""Clocks of workers and schedulers may differ by as much."""


def leave(context: Mapping[str, Any], task_id: str, key: str, value: Any) -> None:
    """Leave an XCom under the id of a task of the run, this one or another.

    Airflow deletes the XComs of a task when it starts: what has to survive a retry belongs under another task.
    """
    ti = context["ti"]
    if task_id == ti.task_id:
        ti.xcom_push(key=key, value=value)
        return
    leave_with(context, task_id, key, value)


def read_gate(context: Mapping[str, Any], gate: str) -> GateRecord | None:
    """Return what a gate left."""
    return read_record(GateRecord, context["ti"].xcom_pull(task_ids=gate, key=CUSTODY_KEY))


def read_closing(context: Mapping[str, Any], gate: str) -> Closing | None:
    """Return what the report left beside a gate's record."""
    return read_record(Closing, context["ti"].xcom_pull(task_ids=gate, key=CLOSING_KEY))


def read_continued(context: Mapping[str, Any]) -> Continued | None:
    """Return the launch that continued a failed run."""
    return read_record(Continued, context["ti"].xcom_pull(task_ids="confirm", key=CONTINUED_KEY))


def starter_of(context: Mapping[str, Any]) -> str | None:
    """Return the user who started the run; None where Airflow knows of none."""
    return context["dag_run"].triggering_user_name or None


def break_glass_users() -> frozenset[str]:
    """Return who may go on without an approval (``[drs_provider] break_glass_users``, commas between the names)."""
    named = conf.get("drs_provider", "break_glass_users", fallback="") or ""
    return frozenset(filter(None, (name.strip() for name in named.split(","))))


def continue_for() -> timedelta:
    """Return for how long a run that failed may be continued (``[drs_provider] continue_for``).

    :raises AirflowFailException: when the setting is no duration.
    """
    text = conf.get("drs_provider", "continue_for", fallback="") or "24h"
    try:
        return parse_duration(text)
    except ValueError as error:
        raise AirflowFailException(f"[drs_provider] continue_for is {text!r}: {error}") from None


def read_chain(
    context: Mapping[str, Any],
    loaded: LoadedPlan,
    run: RecoveryRun,
    *,
    gates: tuple[str, ...],
    closings_of: tuple[str, ...],
    wave: Wave | None,
) -> Chain:
    """Return what is known of the gates.

    :param gates: the tasks that have to have ended in success.
    :param closings_of: the tasks beside whose records a closing counts.
    :param wave: the wave whose approval is needed, if any.
    """
    ti, dag_run = context["ti"], context["dag_run"]
    states = ti.get_task_states(dag_id=ti.dag_id, task_ids=list(gates), run_ids=[ti.run_id]).get(ti.run_id) or {}
    recorded = ti.xcom_pull(task_ids="confirm", key=PLAN_KEY) or {}
    records = {gate: read_gate(context, gate) for gate in gates if gate != "preflight"}
    return Chain(
        plan=recorded_plan(loaded, recorded),
        plan_hash=recorded.get("hash"),
        run=run,
        starter=starter_of(context),
        run_type=run_type_of(context),
        gates=gates,
        closings_of=closings_of,
        wave=wave,
        states={task: None if state is None else str(state) for task, state in states.items()},
        records=records,
        closings={gate: read_closing(context, gate) for gate in closings_of},
        continued=read_continued(context),
        reopened=_reopened(dag_run),
        checked="preflight" in gates and _left_event(context, PreflightEvent, "preflight", "success"),
        missed=records.get("confirm") is None and _left_event(context, ConfirmEvent, "confirm", "missed"),
        glass=break_glass_users(),
    )


def _left_event(context: Mapping[str, Any], kind: type[Event], task_id: str, status: str) -> bool:
    """Whether a task itself left an event of a status: one that was marked instead left none."""
    event = last_event(kind, read_events(context["ti"].xcom_pull(task_ids=task_id, key=EVIDENCE_KEY)).events)
    return event is not None and event.status == status


def run_type_of(context: Mapping[str, Any]) -> str:
    """Return how Airflow says that the run was started."""
    return started_by(context["dag_run"])


def is_cleared(context: Mapping[str, Any]) -> bool:
    """Whether a person has cleared tasks of the run; who, only the API server knows."""
    return clears_of(context) > 0


def clears_of(context: Mapping[str, Any]) -> int:
    """Return how often people have cleared tasks of the run, as of the start of this task."""
    return int(getattr(context["dag_run"], "clear_number", 0) or 0)


def recorded_plan(loaded: LoadedPlan, recorded: Mapping[str, Any]) -> RecoveryPlan:
    """Return the plan that the run is of: of an edited one, what was recorded."""
    if not recorded or loaded.is_recorded(recorded):
        return loaded.plan
    try:
        return RecoveryPlan.model_validate(recorded.get("plan"))
    except ValidationError:
        return loaded.plan


def _reopened(dag_run: Any) -> datetime | None:
    """Return when a run that had ended was cleared. Airflow moves the start of a run then, and at no other clear."""
    if not getattr(dag_run, "clear_number", 0) or dag_run.start_date is None:
        return None
    started: datetime = dag_run.start_date
    return (started if started.tzinfo else started.replace(tzinfo=timezone.utc)) - _REOPENED_MARGIN
