"""Runs of a plan beside people who mark, clear, delete and wait, drawn from a seed and judged from AWS's side.

Each story is a plan, a world, and some acts of people in between: tasks marked as success or as failed, tasks and whole
runs cleared at once, the next day or months later, runs deleted and made again with the same id, another Airflow with
the same plans, a recovery from the console, an AWS that throttles or whose lists lag.

What must hold is judged right where something happens: at each call of AWS that acts.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.drs.models import drs_backends
from drs_provider.simulator.simulation import Simulation
from tests.chaos.cases import REGION
from tests.chaos.in_process import InProcessRun, quick_aws

__all__ = ["ACTS", "Story", "tell"]

STARTER, APPROVERS, STRANGER = "alice", ("carol", "dave"), "mallory"
ACCOUNT = "123456789012"
_DAY = 86400.0
_SENDING = {"SendCommand", "StartAutomationExecution"}


@dataclass
class Story:
    """What was drawn, what people did, and what must not have happened.

    :param violations: one line each; empty where everything held.
    """

    seed: int
    acts: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    launches: int = 0


@dataclass
class _Gate:
    """Whether a gate was passed by itself, with the answer of somebody who may give it, since the run was closed."""

    passed: bool = False


class _Run(InProcessRun):
    """A run whose tasks people may mark instead of letting them run."""

    def __init__(self, loaded: LoadedPlan, parameters: dict[str, Any], rng: random.Random, story: Story) -> None:
        super().__init__(build_dag(loaded), parameters, rng)
        self.plan = loaded.plan
        self.story = story
        self.marks: dict[str, str] = {}
        self.gates: dict[str, _Gate] = {}
        self.answered: dict[str, set[str]] = {}
        self.around: set[str] = set()
        self.closed: tuple[str, float] | None = None
        self.now_running = ""

    @property
    def is_drill(self) -> bool:
        return self.parameters.get("mode") != "recovery"

    def _run(self, task: Any) -> None:
        name = task.task_id
        if name in self.marks:
            self.states[name] = self.marks.pop(name)
            if self.states[name] == "success":
                self.around.add(name)
            return
        self.now_running = name
        self.answered.pop(name, None)
        super()._run(task)
        if self.states[name] == "success":
            self.around.discard(name)
            self.gates.setdefault(name, _Gate()).passed = True
        if name == "confirm" and self.states[name] == "success":
            self.closed = None
        if name == "report" and (self.closed is None or self.closed[0] != "success"):
            self.closed = (str(self.states[name]), time.time())

    def may_act(self, wave: str | None) -> str | None:
        """Say why nothing may be started now; None where it may."""
        if self.is_drill and not self.around and self.closed is None:
            return None
        if not self.gates.get("confirm", _Gate()).passed:
            return "confirm was never passed"
        if "confirm" in self.around:
            return "confirm was marked by hand"
        approval = self.plan.recovery.approval
        if not self.is_drill and approval and not self.answered.get("confirm", set()) & set(APPROVERS):
            return "nobody who may has approved the recovery"
        if wave and self.plan.wave(wave).approval and not self.answered.get(f"{wave}.approve", set()) & set(APPROVERS):
            return f"nobody who may has approved {wave}"
        if self.closed and (self.closed[0] == "success" or time.time() - self.closed[1] > _DAY + 600):
            return f"the run is closed ({self.closed[0]})"
        return None


class _Judge:
    """Looks at each acting call of AWS, before it is made."""

    def __init__(self, story: Story, simulation: Simulation) -> None:
        self.story = story
        self.simulation = simulation
        self.current: _Run | None = None
        self.real: dict[str, str] = {}
        self.ours: dict[str, _Run] = {}

    @contextmanager
    def watching(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, parameters: Any) -> Any:
            if self.current is not None:
                self._before(operation, parameters)
            answer = original(client, operation, parameters)
            if operation == "StartRecovery":
                self.story.launches += len(parameters["sourceServers"])
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
            yield

    def _before(self, operation: str, parameters: Any) -> None:
        run = self.current
        assert run is not None
        wave = run.now_running.partition(".")[0] if "." in run.now_running else None
        if operation == "StartRecovery":
            if why := run.may_act(wave):
                self._note(f"StartRecovery of {wave} by {run.now_running}, although {why}")
            if not parameters["isDrill"] and run.is_drill:
                self._note("a drill started a real recovery")
            live = self._live_real()
            for server in parameters["sourceServers"]:
                if live.get(server["sourceServerID"]):
                    self._note(f"{server['sourceServerID']} was launched over a live real instance")
        elif operation in _SENDING:
            if why := run.may_act(wave):
                self._note(f"{operation} by {run.now_running}, although {why}")
        elif operation in ("TerminateRecoveryInstances", "TerminateInstances"):
            ids = set(parameters.get("recoveryInstanceIDs") or parameters.get("InstanceIds") or ())
            for server, instance in self._live_real().items():
                if instance in ids and not self._unwinds(run, wave):
                    self._note(f"the real instance {instance} of {server} was terminated by {run.now_running}")

    def _unwinds(self, run: _Run, wave: str | None) -> bool:
        return run.now_running.endswith(".rollback") and run.may_act(None) is None

    def _live_real(self) -> dict[str, str]:
        """Return the live non-drill instances, by source server: the simulator's own state, whatever its API says."""
        return {
            one.server.id: one.id
            for one in drs_backends[ACCOUNT][REGION].instances.values()
            if not one.is_drill and one.ec2.state not in ("terminated", "shutting-down")
        }

    def _note(self, what: str) -> None:
        self.story.violations.append(what)


class _Question(BaseTrigger):
    """Stands for Airflow's trigger of a question; the answer is there at once."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}._Question", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent({})


@contextmanager
def _one_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``datetime.now`` follow ``time.time``, which tests put forward, wherever the package asks for it."""

    class Shifted(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(time.time(), tz)

    with monkeypatch.context() as patch:
        for name, module in list(sys.modules.items()):
            own = name.startswith(("drs_provider.", "tests.chaos."))
            if own and name != __name__ and getattr(module, "datetime", None) is datetime:
                patch.setattr(module, "datetime", Shifted)
        yield


class _Teller:
    """Draws a story and lets it happen."""

    def __init__(self, seed: int, simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.story = Story(seed)
        self.simulation = simulation
        self.monkeypatch = monkeypatch
        self.folder = folder
        self.judge = _Judge(self.story, simulation)
        self.data, self.servers, self.documents = self._draw_plan()
        plan = RecoveryPlan.model_validate(self.data)
        self.loaded = LoadedPlan(plan, folder / "plan.yaml", plan_hash(plan))
        self.run = self._begin("north", real=self.rng.random() < 0.6)

    def _draw_plan(self) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
        rng, waves, servers, documents = self.rng, [], [], {}
        names = [f"w{number}" for number in range(rng.randint(1, 3))]
        for number, name in enumerate(names):
            identity = f"s-{number:017x}"
            outcome = "launched" if rng.random() < 0.85 else rng.choice(("failed", ["failed", "launched"]))
            servers.append({"id": identity, "hostname": name, "outcome": outcome})
            wave: dict[str, Any] = {"name": name, "servers": [{"id": identity}], "retries": rng.choice((0, 1))}
            if number and rng.random() < 0.8:
                wave["depends_on"] = [names[number - 1]]
            if rng.random() < 0.4:
                wave["approval"] = {"approvers": list(APPROVERS)}
            if rng.random() < 0.4:
                wave["on_failure"] = "rollback"
            for section in ("pre_launch", "post_launch"):
                if rng.random() < 0.4:
                    document = f"{name}-{section.replace('_', '-')}"
                    outcome = "Success" if rng.random() < 0.85 else "Failed"
                    documents[document] = {"kind": "Automation", "duration": 5, "outcome": outcome}
                    wave[section] = [{"name": "script", "automation": document}]
            if rng.random() < 0.4:
                wave["health_checks"] = [{"type": "instance_status"}]
            waves.append(wave)
        recovery: dict[str, Any] = {"on_failure": rng.choice(("stop", "stop", "rollback"))}
        if rng.random() < 0.7:
            recovery["approval"] = {"approvers": list(APPROVERS)}
        plan = {"version": 1, "name": "shop", "target": {"region": REGION}, "recovery": recovery, "waves": waves}
        return plan, servers, documents

    def _begin(self, installation: str, *, real: bool) -> _Run:
        self.installation = installation
        self.monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", installation)
        parameters = {"mode": "recovery", "confirm": "shop"} if real else {"mode": "drill"}
        self.story.acts.append(f"{installation} starts a {parameters['mode']}")
        return _Run(self.loaded, parameters, self.rng, self.story)

    def tell(self) -> Story:
        self.simulation.load({"region": REGION, "servers": self.servers, "documents": self.documents}, speed=1)
        self.monkeypatch.setattr(ApprovalOperator, "execute", self._answer)
        with quick_aws(self.monkeypatch), _one_clock(self.monkeypatch), self.judge.watching(self.monkeypatch):
            if self.rng.random() < 0.5:
                self._act(_BEFORE)
            self._go()
            for _ in range(self.rng.randint(1, 4)):
                self._act(_AFTERWARDS)
                self._go()
        return self.story

    def _answer(self, operator: Any, context: Any) -> Any:
        """Answer a question: mostly somebody who may, sometimes somebody who may not, or the starter, or nobody."""
        run, name = self.judge.current, self.rng.choice((*APPROVERS, *APPROVERS, STRANGER, STARTER))
        assert run is not None
        choice = "Approve" if self.rng.random() < 0.9 else "Reject"
        if choice == "Approve":
            run.answered.setdefault(run.now_running, set()).add(name)
        event = {
            "chosen_options": [choice],
            "params_input": {},
            "responded_at": datetime.fromtimestamp(time.time(), timezone.utc),
            "responded_by_user": {"id": name, "name": name},
        }
        raise TaskDeferred(trigger=_Question(), method_name="execute_complete", kwargs={"event": event})

    def _go(self) -> None:
        self.judge.current = self.run
        try:
            state = self.run.go()
        finally:
            self.judge.current = None
        self.story.states.append(state)
        self._look_at_the_report(state)

    def _act(self, acts: dict[str, Callable[[_Teller], None]]) -> None:
        name = self.rng.choice(sorted(acts))
        self.story.acts.append(name)
        acts[name](self)

    def _look_at_the_report(self, state: str) -> None:
        found = self.run.xcoms.get("report", {}).get("report_folder")
        if not found or self.run.states["report"] not in ("success", "failed"):
            return
        path = Path(str(found).removeprefix("file://")) / "report.json"
        record = json.loads(path.read_text()) if path.exists() else {}
        gates = {"confirm"} | {f"{wave.name}.approve" for wave in self.loaded.plan.waves if wave.approval}
        around = self.run.around & gates
        if around and (state == "success" or record.get("recovered")):
            self.story.violations.append(f"the run is {state}, recovered {record.get('recovered')}, around {around}")
        # Beside the record of a run that was over a mark cannot be told from the gate that was passed before; the run
        # stays closed then.
        told = any(gate["state"] == "marked by hand" for gate in record.get("gates", ()))
        if around and not told and len(self.story.states) == 1:
            self.story.violations.append(f"the report does not say that {', '.join(sorted(around))} was marked by hand")
        if self.run.is_drill and "terminate" not in self.run.around and self.run.states["terminate"] == "success":
            self._look_for_what_is_left()

    def _look_for_what_is_left(self) -> None:
        backend = drs_backends[ACCOUNT][REGION]
        for one in backend.instances.values():
            tags = backend.jobs[one.job_id].tags if one.job_id in backend.jobs else {}
            own = tags.get("drs-provider:installation") == self.installation
            if own and one.is_drill and one.ec2.state not in ("terminated", "shutting-down"):
                self.story.violations.append(f"the drill ended cleanly, and left {one.id} of {one.server.id}")

    # What people do.

    def any_task(self) -> str:
        return self.rng.choice([task for task in sorted(self.run.states) if task != "report"])

    def mark(self, tasks: list[str], state: str) -> None:
        for task in tasks:
            self.run.marks[task] = state
        self.story.acts.append(f"  {', '.join(tasks)} as {state}")

    def gate_tasks(self) -> list[str]:
        return [task for task in self.run.states if task == "confirm" or task.endswith(".approve")]

    def clear(self, task: str) -> None:
        self.run.clear(task)
        self.story.acts.append(f"  {task} with everything downstream")

    def wait(self, days: float) -> None:
        time.sleep(days * _DAY)
        self.story.acts.append(f"  after {days:g} days")

    def throttle(self) -> None:
        operation = self.rng.choice(("*", "DescribeJobs", "DescribeSourceServers", "StartRecovery"))
        self.simulation.add_fault(operation=operation, error="ThrottlingException", service="drs", times=12)


def _mark_gates(teller: _Teller) -> None:
    teller.mark(teller.gate_tasks(), "success")


def _mark_gates_and_preflight(teller: _Teller) -> None:
    teller.mark([*teller.gate_tasks(), "preflight"], "success")


def _mark_success(teller: _Teller) -> None:
    teller.mark([teller.any_task()], "success")


def _mark_failed(teller: _Teller) -> None:
    teller.mark([teller.any_task()], "failed")


def _clear(days: tuple[float, ...]) -> Callable[[_Teller], None]:
    def act(teller: _Teller) -> None:
        teller.wait(teller.rng.choice(days))
        teller.clear(teller.any_task())

    return act


def _clear_all(teller: _Teller) -> None:
    teller.wait(teller.rng.choice((0.01, 2, 100)))
    teller.clear("confirm")


def _clear_and_mark(teller: _Teller) -> None:
    teller.wait(teller.rng.choice((0.01, 2, 100)))
    teller.clear("confirm")
    _mark_gates(teller)


def _delete_and_start_again(teller: _Teller) -> None:
    teller.wait(teller.rng.choice((0.0, 0.02, 3)))
    teller.run = teller._begin(teller.installation, real=teller.rng.random() < 0.5)


def _another_airflow(teller: _Teller) -> None:
    other = "south" if teller.installation == "north" else "north"
    teller.run = teller._begin(other, real=teller.rng.random() < 0.5)


def _console_recovery(teller: _Teller) -> None:
    server = teller.rng.choice(teller.servers)["id"]
    with contextlib.suppress(Exception):  # A server in a job, or one that fails: as in the console.
        boto3.client("drs", REGION).start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=False)
        time.sleep(1800)
    teller.clear(teller.any_task())


def _throttled(teller: _Teller) -> None:
    teller.throttle()
    _delete_and_start_again(teller)


def _stale_lists(teller: _Teller) -> None:
    teller.simulation.add_fault(operation="DescribeJobs", stale=20, times=10)
    _delete_and_start_again(teller)


_BEFORE: dict[str, Callable[[_Teller], None]] = {
    "marks every gate as success": _mark_gates,
    "marks every gate and preflight as success": _mark_gates_and_preflight,
    "marks a task as success": _mark_success,
    "marks a task as failed": _mark_failed,
    "throttles AWS": _Teller.throttle,
}
_AFTERWARDS: dict[str, Callable[[_Teller], None]] = {
    "clears a task at once": _clear((0.0, 0.01)),
    "clears a task within a day": _clear((0.3, 0.9)),
    "clears a task days later": _clear((1.5, 3, 120)),
    "clears the whole run": _clear_all,
    "clears the whole run and marks its gates": _clear_and_mark,
    "deletes the run and starts another of the same id": _delete_and_start_again,
    "another Airflow runs the same plan": _another_airflow,
    "recovers a server in the console": _console_recovery,
    "starts again while AWS throttles": _throttled,
    "starts again while lists lag": _stale_lists,
}
ACTS = sorted({*_BEFORE, *_AFTERWARDS})
"""Everything that people do."""


def tell(seed: int, simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Story:
    """Draw a story, let it happen, and return it.

    :param seed: the same seed draws the same story.
    :param simulation: the simulated AWS of this process.
    :param folder: for reports.
    """
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    return _Teller(seed, simulation, monkeypatch, folder).tell()
