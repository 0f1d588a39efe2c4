"""A run of a plan inside this process, one task after the other, where a worker can be killed at any call of AWS.

It keeps the rules of Airflow that matter here: trigger rules, retries, XCom that a new try begins without, and a
deferral that ends when what it waits for has happened. What happens side by side and between processes is left to the
campaign, whose rounds take a hundred times as long.
"""

from __future__ import annotations

import copy
import json
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    DownstreamTasksSkipped,
)
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.xcom import XCom
from botocore.exceptions import ClientError

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.faults import transient_cause
from drs_provider.triggers.posts import WaitFailed, WorkerPost
from drs_provider.triggers.waiting import WaitTrigger
from tests.chaos.faults import STARTING
from tests.xcoms import XComs, store_xcom, stored_xcoms

__all__ = ["InProcessRun", "Killed", "Killer", "MarkedFailed", "quick_aws"]

_DONE = ("success", "failed", "skipped", "upstream_failed")


class Killed(BaseException):
    """The worker was killed, or lost: of the try nothing is heard any more."""


class MarkedFailed(Killed):
    """A person marked the task as failed: its process is killed, and there is no other try."""


class _Waits(BaseException):
    """A task waits for another one, which this process has to run meanwhile."""


class Killer:
    """Strikes whoever makes certain calls of AWS.

    ``before`` and ``after`` the effect a try is killed. ``lost`` is a worker that stands still before the call: Airflow
    misses it after a minute and begins the next try, and a few calls later the lost one goes on beside it, to its end.
    It does not stand still within the call that starts something: that would take as long as the next try's whole job.

    :param calls: the numbers of the calls, from 1, and what happens.
    :param operations: operations of AWS, and what happens to the first call of each.
    :param overlap: after how many further calls a lost worker goes on.
    """

    def __init__(
        self, calls: Mapping[int, str] | None = None, operations: Mapping[str, str] | None = None, overlap: int = 5
    ) -> None:
        self.calls = dict(calls or {})
        self.operations = dict(operations or {})
        self.overlap = overlap
        self.count = 0
        self.struck: list[str] = []
        self._lost: list[tuple[int, threading.Event, threading.Thread]] = []
        self._told: queue.Queue[str] = queue.Queue()

    @contextmanager
    def lurking(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
        """Watch every call of botocore meanwhile; on leaving, lost workers have come to their end."""
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, parameters: Any) -> Any:
            self.count += 1
            what = self.calls.get(self.count) or self.operations.pop(operation, None)
            for due, going_on, _ in self._lost:
                if self.count >= due:
                    going_on.set()
            if what == "lost" and operation not in STARTING and threading.current_thread().name == "try":
                self._lose(operation)
            elif what == "before":
                self._kill(operation, what)
            try:
                return original(client, operation, parameters)
            finally:
                if what == "after":
                    self._kill(operation, what)

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
            try:
                yield self
            finally:
                self.find_the_lost()

    def find_the_lost(self) -> None:
        """Let every lost worker go on, and wait for its end."""
        for _, going_on, thread in self._lost:
            going_on.set()
            thread.join(60)

    def run(self, work: Callable[[], Any]) -> None:
        """Run one try to its end, or until it is lost.

        :raises Killed: when nothing more is to be heard of it.
        """
        if not self.calls and not self.operations and not self._lost:
            work()  # Nobody strikes here.
            return
        failure: list[BaseException] = []

        def target() -> None:
            try:
                work()
            except BaseException as error:
                failure.append(error)
            finally:
                told.put("ended")

        told = self._told = queue.Queue()
        threading.Thread(target=target, name="try", daemon=True).start()
        if told.get() == "lost":
            time.sleep(60)
            raise Killed
        if failure:
            raise failure[0]

    def _kill(self, operation: str, when: str) -> None:
        self.struck.append(f"call {self.count}: killed {when} {operation}")
        raise Killed(operation)

    def _lose(self, operation: str) -> None:
        self.struck.append(f"call {self.count}: lost before {operation}")
        going_on = threading.Event()
        self._lost.append((self.count + self.overlap, going_on, threading.current_thread()))
        self._told.put("lost")
        going_on.wait(60)


@contextmanager
def quick_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every wait pass at once, by clocks that are put forward, and make each kind of client once."""
    ahead = 0.0
    clocks = {name: getattr(time, name) for name in ("time", "monotonic")}

    def sleep(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    clients: dict[Any, Any] = {}
    original = AwsGenericHook.get_client_type

    def client(hook: Any, *args: Any, **kwargs: Any) -> Any:
        key = (
            hook.client_type,
            hook.aws_conn_id,
            hook.region_name,
            str(kwargs.get("config") and vars(kwargs["config"])),
        )
        if key not in clients:
            clients[key] = original(hook, *args, **kwargs)
        return clients[key]

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", sleep)
        for name, clock in clocks.items():
            patch.setattr(time, name, lambda clock=clock: clock() + ahead)
        patch.setattr(AwsGenericHook, "get_client_type", client)
        patch.setattr(XCom, "set", store_xcom)
        yield


class _Instance:
    """As much of a task instance as the tasks of a plan use."""

    map_index = -1

    def __init__(self, run: InProcessRun, task: Any, try_number: int, max_tries: int) -> None:
        self.run = run
        self.alive = True
        self.task = task
        self.task_id, self.dag_id, self.run_id = task.task_id, run.dag.dag_id, run.run_id
        self.try_number, self.max_tries = try_number, max_tries

    def xcom_push(self, key: str, value: Any) -> None:
        if self.alive:  # Airflow does not listen to a try that it has given up.
            self.run.xcoms.setdefault(self.task_id, {})[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str | None = None, key: str = "return_value") -> Any:
        return self.run.xcoms.get(task_ids or self.task_id, {}).get(key)

    def get_task_states(
        self, dag_id: str, run_ids: Sequence[str], task_ids: Sequence[str] | None = None
    ) -> dict[str, Any]:
        return {run_ids[0]: {task: state for task, state in self.run.states.items() if task in (task_ids or [task])}}


class InProcessRun:
    """One run of a DAG.

    :param dag: the DAG of a plan.
    :param parameters: the run parameters.
    :param rng: decides which of the tasks that may run is next.
    :param killer: who strikes its workers.
    """

    def __init__(self, dag: DAG, parameters: dict[str, Any], rng: random.Random, killer: Killer | None = None) -> None:
        self.dag = dag
        self.killer = killer or Killer()
        self.run_id = "run0"
        self.parameters = parameters
        self.rng = rng
        self.states: dict[str, str | None] = {task.task_id: None for task in dag.tasks}
        self.xcoms: XComs = stored_xcoms(dag.dag_id, self.run_id, anew=True)
        self._tries: dict[str, int] = {}
        now = datetime.now(timezone.utc)
        self._dag_run = SimpleNamespace(
            dag_id=dag.dag_id,
            run_id=self.run_id,
            run_after=now,
            queued_at=now,
            start_date=now,
            run_type="manual",
            conf=parameters,
            triggering_user_name="alice",
            clear_number=0,
        )

    def go(self) -> str:
        """Run every task, and return the state of the run: that of its last task."""
        while waiting := [task for task in self.dag.tasks if self.states[task.task_id] is None]:
            ready = [task for task in waiting if all(self.states[one] in _DONE for one in task.upstream_task_ids)]
            self._run(self.rng.choice(ready))
            self.between()
        return str(self.states["report"])

    def between(self) -> None:
        """Let happen what happens between two tasks."""

    def waiting(self, task_id: str) -> None:
        """Let happen what happens while a task waits in the triggerer."""

    def clear(self, task_id: str, *, downstream: bool = True) -> None:
        """Clear a task, with its downstream tasks or alone, as a person does."""
        self._dag_run.clear_number += 1
        if self.states["report"] in _DONE:  # Airflow moves the start of a run that had ended, and of no other.
            self._dag_run.start_date = datetime.now(timezone.utc)
        others = self.dag.get_task(task_id).get_flat_relative_ids(upstream=False) if downstream else ()
        for one in (task_id, *others):
            self.states[one] = None

    def _run(self, task: Any) -> None:
        upstream = {self.states[one] for one in task.upstream_task_ids}
        if task.trigger_rule == TriggerRule.NONE_FAILED and upstream & {"failed", "upstream_failed"}:
            self.states[task.task_id] = "upstream_failed"
            return
        if task.trigger_rule == TriggerRule.ALL_SUCCESS and upstream - {"success"}:
            self.states[task.task_id] = "skipped" if upstream <= {"success", "skipped"} else "upstream_failed"
            return
        # A clear leaves the number of tries, and allows as many again.
        tried = self._tries.get(task.task_id, 0)
        max_tries = tried + int(task.retries)
        for try_number in range(tried + 1, max_tries + 2):
            self._tries[task.task_id] = try_number
            self.xcoms.pop(task.task_id, None)
            instance = _Instance(self, copy.copy(task), try_number, max_tries)
            try:
                self.killer.run(partial(self._try, instance))
            except _Waits:
                self._tries[task.task_id] = tried
                return
            except DownstreamTasksSkipped as skipped:
                self.states.update(dict.fromkeys(map(str, skipped.tasks), "skipped"))
                self.states[task.task_id] = "success"
            except AirflowSkipException:
                self.states[task.task_id] = "skipped"
            except (AirflowFailException, Killed) as end:
                instance.alive = False
                if isinstance(end, Killed) and not isinstance(end, MarkedFailed) and try_number <= max_tries:
                    continue
                self.states[task.task_id] = "failed"
            except Exception as error:
                if not isinstance(error, (AirflowException, OSError, ClientError)):
                    raise  # A mistake of ours, which no retry mends.
                if try_number <= max_tries:
                    continue
                self.states[task.task_id] = "failed"
            else:
                self.states[task.task_id] = "success"
            return

    def _try(self, instance: _Instance) -> None:
        task = instance.task
        parameters = {"mode": "drill", "confirm": "", "waves": [], **self.parameters}
        context: Any = {"ti": instance, "task_instance": instance, "task": task, "dag_run": self._dag_run}
        context |= {"dag": self.dag, "params": parameters}
        # A worker waits where the triggerer would: what is waited for is the same.
        if hasattr(task.work, "deferrable"):
            task.work.deferrable = False
        go_on = partial(task.execute, context)
        while True:
            try:
                result = go_on()
                break
            except TaskDeferred as deferred:
                if deferred.method_name == "after_gates":
                    raise _Waits from None
                self.waiting(instance.task_id)
                arguments = {"event": _event_of(deferred.trigger), **(deferred.kwargs or {})}
                go_on = partial(task.resume_execution, deferred.method_name, arguments, context)
        if result is not None:
            instance.xcom_push("return_value", result)
        task.post_execute(context, result)


def _event_of(trigger: Any) -> dict[str, Any]:
    """Wait for what a trigger waits for, and return what its event would say."""
    if not isinstance(trigger, WaitTrigger):
        time.sleep(600)
        return {"status": "success"}
    try:
        return {"status": "success", "value": run_blocking(trigger.wait(WorkerPost(trigger.hook("drs"))))}
    except WaitFailed as failure:
        return {"status": "error", "message": str(failure), "timed_out": failure.timed_out, **failure.details}
    except Exception as error:
        if (cause := transient_cause(error)) is None:
            raise
        return {"status": "error", "message": str(cause), "timed_out": False, "transient": cause.as_dict()}
