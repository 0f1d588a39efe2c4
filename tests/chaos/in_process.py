"""A run of a plan inside this process, one task after the other, where a worker can be killed at any call of AWS.

It keeps the rules of Airflow that matter here: trigger rules, retries, XCom that a new try begins without, and a
deferral that ends when what it waits for has happened. What happens side by side and between processes is left to the
campaign, whose rounds take a hundred times as long.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import botocore.client
import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException, AirflowSkipException
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import TaskDeferred

__all__ = ["InProcessRun", "Killed", "Killer", "quick_aws"]

_DONE = ("success", "failed", "skipped", "upstream_failed")


class Killed(BaseException):
    """The worker was killed: nothing of the try runs on."""


class Killer:
    """Kills whoever makes certain calls of AWS, before the call has its effect or after it.

    :param calls: the numbers of the calls, from 1, and whether the effect happens first.
    """

    def __init__(self, calls: Sequence[tuple[int, bool]] = ()) -> None:
        self.calls = dict(calls)
        self.count = 0
        self.killed: list[str] = []

    @contextmanager
    def lurking(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Killer]:
        """Watch every call of botocore meanwhile."""
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, parameters: Any) -> Any:
            self.count += 1
            after = self.calls.get(self.count)
            if after is False:
                self._kill(operation, "before")
            try:
                return original(client, operation, parameters)
            finally:
                if after:
                    self._kill(operation, "after")

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
            yield self

    def _kill(self, operation: str, when: str) -> None:
        self.killed.append(f"call {self.count}: {when} {operation}")
        raise Killed(operation)


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
        key = (hook.client_type, hook.region_name, str(kwargs.get("config") and vars(kwargs["config"])))
        if key not in clients:
            clients[key] = original(hook, *args, **kwargs)
        return clients[key]

    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", sleep)
        for name, clock in clocks.items():
            patch.setattr(time, name, lambda clock=clock: clock() + ahead)
        patch.setattr(AwsGenericHook, "get_client_type", client)
        yield


class _Instance:
    """As much of a task instance as the tasks of a plan use."""

    map_index = -1

    def __init__(self, run: InProcessRun, task: Any, try_number: int) -> None:
        self.run = run
        self.task = task
        self.task_id, self.dag_id, self.run_id = task.task_id, run.dag.dag_id, run.run_id
        self.try_number, self.max_tries = try_number, int(task.retries)

    def xcom_push(self, key: str, value: Any) -> None:
        self.run.xcoms.setdefault(self.task_id, {})[key] = json.loads(json.dumps(value))

    def xcom_pull(self, task_ids: str | None = None, key: str = "return_value") -> Any:
        return self.run.xcoms.get(task_ids or self.task_id, {}).get(key)

    def get_task_states(self, dag_id: str, run_ids: Sequence[str]) -> dict[str, Any]:
        return {run_ids[0]: dict(self.run.states)}


class InProcessRun:
    """One run of a DAG.

    :param dag: the DAG of a plan.
    :param parameters: the run parameters.
    :param rng: decides which of the tasks that may run is next.
    """

    def __init__(self, dag: DAG, parameters: dict[str, Any], rng: random.Random) -> None:
        self.dag = dag
        self.run_id = "run0"
        self.parameters = parameters
        self.rng = rng
        self.states: dict[str, str | None] = {task.task_id: None for task in dag.tasks}
        self.xcoms: dict[str, dict[str, Any]] = {}
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
        )

    def go(self) -> str:
        """Run every task, and return the state of the run: that of its last task."""
        while waiting := [task for task in self.dag.tasks if self.states[task.task_id] is None]:
            ready = [task for task in waiting if all(self.states[one] in _DONE for one in task.upstream_task_ids)]
            self._run(self.rng.choice(ready))
        return str(self.states["report"])

    def _run(self, task: Any) -> None:
        upstream = {self.states[one] for one in task.upstream_task_ids}
        if task.trigger_rule == TriggerRule.NONE_FAILED and upstream & {"failed", "upstream_failed"}:
            self.states[task.task_id] = "upstream_failed"
            return
        if task.trigger_rule == TriggerRule.ALL_SUCCESS and upstream - {"success"}:
            self.states[task.task_id] = "skipped" if upstream <= {"success", "skipped"} else "upstream_failed"
            return
        for try_number in range(1, int(task.retries) + 2):
            self.xcoms.pop(task.task_id, None)
            try:
                self._try(copy.copy(task), try_number)
            except AirflowSkipException:
                self.states[task.task_id] = "skipped"
            except (AirflowFailException, Killed) as end:
                if isinstance(end, Killed) and try_number <= int(task.retries):
                    continue
                self.states[task.task_id] = "failed"
            except Exception as error:
                if not isinstance(error, AirflowException):
                    raise
                if try_number <= int(task.retries):
                    continue
                self.states[task.task_id] = "failed"
            else:
                self.states[task.task_id] = "success"
            return

    def _try(self, task: Any, try_number: int) -> None:
        instance = _Instance(self, task, try_number)
        parameters = {"mode": "drill", "confirm": "", "waves": [], **self.parameters}
        context: Any = {"ti": instance, "task_instance": instance, "task": task, "dag_run": self._dag_run}
        context["params"] = parameters
        # A worker waits where the triggerer would: what is waited for is the same.
        if hasattr(task, "deferrable"):
            task.deferrable = False
        method, arguments = "execute", {}
        while True:
            try:
                result = getattr(task, method)(context, **arguments)
                break
            except TaskDeferred as deferred:
                time.sleep(600)
                value = getattr(deferred.trigger, "value", None)
                method = deferred.method_name
                arguments = {"event": {"status": "success", "value": value}, **(deferred.kwargs or {})}
                if not hasattr(type(task), method) or "end_from_trigger" in vars(deferred.trigger):
                    arguments.pop("event", None)
        if result is not None:
            instance.xcom_push("return_value", result)
        task.post_execute(context, result)
