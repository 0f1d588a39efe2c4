"""What tests of the provider share: a stand-in for Airflow that runs tasks through their deferrals, in a hurry."""

from __future__ import annotations

import asyncio
import functools
import json
import multiprocessing
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def hurry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers look often and fire at once; a test of their pace is marked ``own_pace``."""
    from drs_provider.triggers import drs, polling, waiting

    if request.node.get_closest_marker("own_pace"):
        return
    monkeypatch.setattr(waiting, "YOUNGEST_EVENT_SECONDS", 0.0)
    monkeypatch.setattr(polling, "GATHER_SECONDS", 0.05)
    monkeypatch.setattr(polling, "MIN_GAP_SECONDS", 0.1)
    monkeypatch.setattr(polling, "FIRST_BACKOFF_SECONDS", 0.1)
    monkeypatch.setattr(drs, "FASTEST_SECONDS", 0.1)
    monkeypatch.setattr(drs, "FAST_SECONDS", 0.2)
    monkeypatch.setattr(drs, "SLOWEST_SECONDS", 1.0)


@pytest.fixture(autouse=True, scope="session")
def one_loader() -> Iterator[None]:
    """Read the service models of botocore once: every hook has a session of its own, which would read them anew."""
    from botocore import session

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "create_loader", functools.cache(session.create_loader))
        yield


class TaskInstanceDouble:
    """As much of a RuntimeTaskInstance as operators use."""

    def __init__(self, task: Any, run_id: str, try_number: int, max_tries: int) -> None:
        self.task = task
        self.task_id = task.task_id
        self.dag_id = "tests"
        self.run_id = run_id
        self.map_index = -1
        self.try_number = try_number
        self.max_tries = max_tries
        self.xcoms: dict[str, Any] = {}
        self.first_reschedule: datetime | None = None

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what is pushed; it has to be JSON, as in Airflow."""
        self.xcoms[key] = json.loads(json.dumps(value))

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """Return when the try was first put off."""
        return self.first_reschedule


@pytest.fixture
def task_context() -> Callable[..., dict[str, Any]]:
    """Make the context of a task: ``task_context(operator, run_id=, try_number=, max_tries=)``."""

    def make(task: Any, run_id: str = "manual__1", try_number: int = 1, max_tries: int | None = None) -> dict[str, Any]:
        tries = int(task.retries or 0) if max_tries is None else max_tries
        run = SimpleNamespace(run_after=datetime.now(timezone.utc), run_id=run_id, queued_at=None, start_date=None)
        return {"ti": TaskInstanceDouble(task, run_id, try_number, tries), "dag_run": run, "task": task}

    return make


class Outcome:
    """What became of a task: its return value and the triggers that it was deferred to."""

    def __init__(self) -> None:
        self.value: Any = None
        self.triggers: list[Any] = []


async def first_event(trigger: Any) -> Any:
    """Return the one event of a trigger."""
    (event,) = [event async for event in trigger.run()]
    return event


@pytest.fixture
def run_task(remake: Callable[[Any], Any]) -> Callable[..., Outcome]:
    """Run a task as Airflow does, each trigger made anew from its serialised state.

    Exceptions of the task come through; ``while_deferred`` is called with each trigger before it runs.
    """
    from airflow.providers.common.compat.sdk import TaskDeferred
    from airflow.triggers.base import TaskSuccessEvent

    def run(
        operator: Any, context: dict[str, Any], *, while_deferred: Callable[[Any], None] = lambda trigger: None
    ) -> Outcome:
        outcome = Outcome()

        def call() -> Any:
            return operator.execute(context)

        while True:
            try:
                outcome.value = call()
                return outcome
            except TaskDeferred as deferred:
                trigger = remake(deferred.trigger)
                outcome.triggers.append(trigger)
                while_deferred(trigger)
                event = asyncio.run(asyncio.wait_for(first_event(trigger), 120))
                if isinstance(event, TaskSuccessEvent):
                    outcome.value = (event.xcoms or {})["return_value"]
                    return outcome
                method, arguments = deferred.method_name, {**(deferred.kwargs or {}), "event": event.payload}
                call = lambda: operator.resume_execution(method, arguments, context)  # noqa: E731, B023

    return run


@pytest.fixture
def wait(run_task: Any) -> Any:
    """Execute a sensor as Airflow does, through a deferral and a restart of the triggerer if it defers."""

    def run(sensor: Any, context: dict[str, Any]) -> Any:
        return run_task(sensor, context).value

    return run


@pytest.fixture(params=[False, True], ids=["sync", "deferred"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def run_dag(run_task: Any, task_context: Any) -> Callable[..., dict[str, Any]]:
    """Run the tasks of a DAG in order, with their templates rendered, against the simulator; return their values."""

    def run(dag: Any, **params: Any) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for task in dag.topological_sort():
            task.aws_conn_id = None
            context = task_context(task)
            ti = context["ti"]
            ti.xcom_pull = lambda task_ids, **_: results[task_ids]
            context["params"] = params
            task.render_template_fields(context)
            results[task.task_id] = run_task(task, context).value
        return results

    return run


class Victim:
    """A process that can be killed; what it says comes through a pipe."""

    def __init__(self, work: Callable[[Callable[[str], None]], None]) -> None:
        # Forked, so that it need not import everything anew.
        fork = multiprocessing.get_context("fork")
        self._heard, say = fork.Pipe(duplex=False)
        self.process = fork.Process(target=work, args=(say.send,), daemon=True)
        self.process.start()
        say.close()

    def wait_for(self, word: str) -> None:
        """Wait until the process says a word."""
        while self._heard.poll(100):
            if self._heard.recv() == word:
                return
        raise AssertionError(f"it did not say {word}")

    def wait_until(self, condition: Callable[[], Any]) -> None:
        """Wait until a condition holds while the process runs."""
        give_up = time.monotonic() + 100
        while not condition():
            assert self.process.is_alive()
            assert time.monotonic() < give_up, "it did not come so far"
            time.sleep(0.05)

    def kill(self) -> None:
        """End the process with SIGKILL."""
        self.process.kill()
        self.process.join()


@pytest.fixture
def victim() -> Iterator[Callable[[Callable[[Callable[[str], None]], None]], Victim]]:
    """Start processes that run a function; the function gets another with which it says how far it is."""
    started: list[Victim] = []

    def start(work: Callable[[Callable[[str], None]], None]) -> Victim:
        started.append(Victim(work))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture
def remake() -> Callable[[Any], Any]:
    """Make a trigger again from its serialised state, as a restarted triggerer does."""

    def again(trigger: Any) -> Any:
        path, arguments = trigger.serialize()
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)(**json.loads(json.dumps(arguments)))

    return again
