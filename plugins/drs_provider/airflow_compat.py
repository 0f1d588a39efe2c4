"""Everything that this package uses of Airflow's inside, so that a new Airflow is one place to look at.

Airflow's public interface is ``airflow.sdk``, the base classes of triggers, listeners and plugins, and its providers.
What stands here lies outside of it, or differs between the versions from 3.2.1 on: each function says for which.
:func:`check` names what an Airflow has moved; ``drs-plan doctor`` and the tests call it. Nothing is imported before it
is used: a parse imports this module.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from drs_provider.seams import moved_seams

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
    from airflow.sdk import BaseOperator

__all__ = [
    "ATTRIBUTES",
    "SIGNATURES",
    "UNTESTED",
    "AirflowChangedError",
    "airflow_home",
    "ask_in_triggerer",
    "audit_log",
    "awaits_input",
    "check",
    "count_runs",
    "deferral_timed_out",
    "hook_settings",
    "is_task_process",
    "kills_triggers",
    "may_read_audit_log",
    "named_deadline",
    "never_reuse_ids",
    "request_to_read_runs",
    "run_as_task",
    "run_is_alive",
    "set_xcom",
    "skip_tasks",
    "stored_interval",
    "stored_variable",
    "task_states",
]

T = TypeVar("T")

UNTESTED: Final = "3.4"
"""The first version of Airflow with which nothing here was tested."""

#: Attributes that must be there, as ``module:object.attribute``.
ATTRIBUTES: Final[tuple[str, ...]] = (
    "airflow.configuration:AIRFLOW_HOME",
    "airflow.api_fastapi.auth.managers.models.resource_details:DagAccessEntity.RUN",
    "airflow.api_fastapi.auth.managers.models.resource_details:DagAccessEntity.AUDIT_LOG",
    "airflow.api_fastapi.core_api.security:GetUserDep",
    "airflow.models.log:Log.owner_display_name",
    "airflow.utils.session:create_session",
    "airflow.sdk.bases.operator:ExecutorSafeguard.tracker.set",
    "airflow.sdk.bases.operator:ExecutorSafeguard.tracker.reset",
    "airflow.sdk.bases.operator:TRIGGER_FAIL_REPR",
    "airflow.sdk.bases.operator:TriggerFailureReason.TRIGGER_TIMEOUT",
    "airflow.sdk.execution_time.comms:SkipDownstreamTasks",
    "airflow.sdk.execution_time.task_runner:TaskRunnerMarker",
)
#: Functions that are called or replaced, by what their parameters begin with.
SIGNATURES: Final[dict[str, tuple[str, ...]]] = {
    "airflow.api_fastapi.core_api.security:requires_access_dag": ("method", "access_entity"),
    "airflow.models.dagrun:DagRun.find": ("cls", "dag_id", "run_id"),
    "airflow.models.variable:Variable.get": ("cls", "key", "default_var"),
    "airflow.sdk.bases.operator:BaseOperator.resume_execution": ("self", "next_method", "next_kwargs", "context"),
    "airflow.sdk.bases.xcom:BaseXCom.set": ("cls", "key", "value", "dag_id", "task_id", "run_id"),
    "airflow.sdk.execution_time.task_runner:RuntimeTaskInstance.get_dr_count": (
        "dag_id", "logical_dates", "run_ids", "states",
    ),
    "airflow.sdk.execution_time.task_runner:RuntimeTaskInstance.get_first_reschedule_date": ("self", "context"),
    "airflow.sdk.execution_time.task_runner:RuntimeTaskInstance.get_task_states": ("dag_id", "map_index", "task_ids"),
}  # fmt: skip
_SET_BY_INIT: Final[dict[str, tuple[str, ...]]] = {
    "airflow.providers.amazon.aws.hooks.base_aws:AwsGenericHook": ("_region_name", "_verify"),
}


class AirflowChangedError(RuntimeError):
    """This Airflow lacks something of its inside that this package needs."""

    def __init__(self, problems: Iterable[str]) -> None:
        from airflow import __version__

        super().__init__(
            f"Airflow {__version__} differs from those that this package was tested with: {'; '.join(problems)}. "
            f"Install a version from 3.2.1 to below {UNTESTED}."
        )


def check() -> None:
    """Look for every seam.

    :raises AirflowChangedError: with each that has moved.
    """
    if problems := moved_seams(ATTRIBUTES, SIGNATURES, _SET_BY_INIT):
        raise AirflowChangedError(problems)


# Runs and tasks, as workers and the triggerer may ask for them


def task_states(
    dag_id: str, run_id: str, task_ids: list[str] | None = None, map_index: int | None = None
) -> dict[str, str | None]:
    """Return the states of tasks of a run by task id; None for one that Airflow has not looked at yet.

    :param task_ids: these; None: all.
    :raises Exception: when Airflow does not answer.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    which: dict[str, Any] = {"task_ids": task_ids, "map_index": map_index}
    which = {name: value for name, value in which.items() if value is not None}
    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, run_ids=[run_id], **which).get(run_id) or {}
    return {task: None if state is None else str(getattr(state, "value", state)) for task, state in states.items()}


def count_runs(dag_id: str, states: list[str], run_ids: list[str] | None = None) -> int:
    """Return how many runs of a DAG have one of some states.

    :param run_ids: of these runs; None: of all.
    :raises Exception: when Airflow does not answer.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return int(RuntimeTaskInstance.get_dr_count(dag_id=dag_id, run_ids=run_ids, states=states))


def set_xcom(dag_id: str, task_id: str, run_id: str, key: str, value: Any) -> None:
    """Store an XCom under any task of a run.

    :param value: JSON-serialisable.
    :raises Exception: when Airflow does not answer.
    """
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(key=key, value=value, dag_id=dag_id, task_id=task_id, run_id=run_id)


def skip_tasks(task_ids: Iterable[str]) -> None:
    """Have Airflow skip tasks of the run that this worker runs a task of.

    Airflow itself does it only for a task that succeeds (``DownstreamTasksSkipped``); this one may fail.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import SkipDownstreamTasks

    task_runner.SUPERVISOR_COMMS.send(msg=SkipDownstreamTasks(tasks=list(task_ids)))


async def ask_in_triggerer(question: Callable[[], T], executor: ThreadPoolExecutor | None = None) -> T:
    """Return the answer of Airflow to a blocking question that a trigger or a callback asks in the triggerer.

    :param executor: whose threads ask; by default those that all share.
    """
    from asgiref.sync import sync_to_async

    # asgiref's own threads: only from those does Airflow 3.2 answer in the triggerer.
    answer: T = await sync_to_async(question, thread_sensitive=False, executor=executor)()
    return answer


# Tasks


@contextmanager
def run_as_task(operator: BaseOperator) -> Iterator[None]:
    """Have Airflow take an operator for the task that runs: otherwise it warns of one that runs within another."""
    from airflow.sdk.bases.operator import ExecutorSafeguard

    token = ExecutorSafeguard.tracker.set(operator)
    try:
        yield
    finally:
        ExecutorSafeguard.tracker.reset(token)


def deferral_timed_out(next_method: str, next_kwargs: Mapping[str, Any] | None) -> bool:
    """Whether a task resumes because its deferral's own time was up, the triggerer being away."""
    from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR, TriggerFailureReason

    reason = (next_kwargs or {}).get("error")
    return next_method == TRIGGER_FAIL_REPR and reason == TriggerFailureReason.TRIGGER_TIMEOUT


def awaits_input(raised: BaseException) -> bool:
    """Whether a task asks a person and waits outside of the triggerer: Airflow 3.3, ``TaskAwaitingInput``."""
    return type(raised).__name__ == "TaskAwaitingInput"


def kills_triggers() -> bool:
    """Whether Airflow calls ``on_kill`` of a trigger whose task a person ends: from 3.3 on."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def is_task_process(component: object) -> bool:
    """Whether the component of a listener's ``on_starting`` is the process of one task."""
    return type(component).__name__ == "TaskRunnerMarker"


# Deadlines


def named_deadline(name: str) -> dict[str, str]:
    """Return the name of a ``DeadlineAlert`` as an argument; nothing for Airflow 3.2, whose deadlines have none."""
    from inspect import signature

    from airflow.sdk.definitions.deadline import DeadlineAlert

    return {"name": name} if "name" in signature(DeadlineAlert).parameters else {}


def stored_interval(interval: timedelta) -> Any:
    """Return the interval of a ``DeadlineAlert`` so that Airflow stores it as a number.

    Airflow 3.3 stores a ``timedelta`` as an object, which it cannot read when a task is cleared: every clear of the run
    would answer 500. A number it reads everywhere; Airflow 3.2 takes a ``timedelta`` and makes a number of it.
    """
    from airflow.sdk.definitions import deadline

    return interval.total_seconds() if hasattr(deadline, "VariableInterval") else interval


# Hooks, the API server, the metadata database


def hook_settings(hook: AwsGenericHook[Any]) -> dict[str, Any]:
    """Return ``verify`` and ``region_name`` as a hook was given them; its properties resolve a connection first."""
    return {"verify": hook._verify, "region_name": hook._region_name}


def request_to_read_runs() -> Callable[..., None]:
    """Return the dependency of a FastAPI route that lets through whoever may read the runs of the route's DAG."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import requires_access_dag

    return requires_access_dag(method="GET", access_entity=DagAccessEntity.RUN)


def may_read_audit_log() -> Callable[..., bool]:
    """Return the dependency of a FastAPI route that says whether the caller may read its DAG's audit log."""
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
    from fastapi import HTTPException, Request

    check = requires_access_dag(method="GET", access_entity=DagAccessEntity.AUDIT_LOG)

    def may_read(request: Request, user: Any) -> bool:
        try:
            check(request, user)
        except HTTPException:
            return False
        return True

    # FastAPI reads them, and could not look up names of this function.
    may_read.__annotations__ = {"request": Request, "user": GetUserDep, "return": bool}
    return may_read


def audit_log(dag_id: str, run_id: str, events: Iterable[str], most: int) -> list[Any]:
    """Return what Airflow's audit log has about a run, oldest first, as rows of its table ``log``.

    For the API server: no other component that this package runs in has the database.

    :param events: the events of interest.
    :param most: how many rows at most, the newest.
    """
    from airflow.models.log import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    chosen = select(Log).where(Log.dag_id == dag_id, Log.run_id == run_id, Log.event.in_(list(events)))
    with create_session() as session:
        rows = list(session.scalars(chosen.order_by(Log.id.desc()).limit(most)))
        session.expunge_all()
    return rows[::-1]


def airflow_home() -> str:
    """Return ``AIRFLOW_HOME``."""
    from airflow.configuration import AIRFLOW_HOME

    return str(AIRFLOW_HOME)


def stored_variable(key: str) -> str:
    """Return a Variable from the metadata database that this machine is configured with; empty where there is none.

    :raises sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
    """
    from airflow.models.variable import Variable

    return str(Variable.get(key, default_var="") or "")


def run_is_alive(dag_id: str, run_id: str) -> bool | None:
    """Whether the metadata database knows a run as queued or running; None where it has no such run.

    :raises sqlalchemy.exc.SQLAlchemyError: when the database does not answer.
    """
    from airflow.models.dagrun import DagRun

    found = DagRun.find(dag_id=dag_id, run_id=[run_id])
    return any(str(dag_run.state) in ("queued", "running") for dag_run in found) if found else None


_ID = re.compile(r"\bid INTEGER NOT NULL")
_KEY = re.compile(r",\s*CONSTRAINT \w+ PRIMARY KEY \(id\)")


def never_reuse_ids(table: str) -> str:
    """Return the statement that makes a table on SQLite, changed so that it counts ids in one direction.

    :param table: as Airflow makes it, from ``sqlite_master``.
    :raises AirflowChangedError: when the statement has no integer id as its primary key where it had one.
    """
    if not (_ID.search(table) and _KEY.search(table)):
        raise AirflowChangedError(
            [f"the ids of a table cannot be kept from being given twice: {' '.join(table.split())}"]
        )
    return _ID.sub("id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT", _KEY.sub("", table, count=1), count=1)
