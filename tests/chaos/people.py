"""Runs of a plan beside people who mark, clear, delete and wait, drawn from a seed and judged from AWS's side.

Each story is two plans that share servers, a world, and acts of people: before a run, in the middle of it, while a task
waits in the triggerer, and after its end (:mod:`tests.chaos.people_acts`). What must hold is judged right where
something happens: at each call of AWS that acts, and at each report (:mod:`tests.chaos.people_judge`).
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseTrigger, TriggerEvent

import drs_provider
from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan
from drs_provider.simulator.simulation import Simulation
from tests import xcoms
from tests.chaos.cases import REGION
from tests.chaos.in_process import InProcessRun, quick_aws
from tests.chaos.people_judge import CONTINUE_FOR, GLASS, GRACE, Custody, Judge
from tests.chaos.people_plan import APPROVERS, draw_plans

__all__ = ["Deleted", "Run", "Story", "Teller", "import_package", "one_clock", "tell"]

STARTERS = ("alice", "alice", "alice", "carol", None)
STRANGER = "mallory"
DAY = 86400.0
_DONE = ("success", "failed", "skipped", "upstream_failed")


class Deleted(BaseException):
    """Somebody deleted the run that goes on."""


@dataclass
class Story:
    """What was drawn, what people did, and what must not have happened.

    :param kinds: how often each kind of act came to pass.
    :param violations: one line each; empty where everything held.
    """

    seed: int
    acts: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    launches: Counter[str] = field(default_factory=Counter)


class Run(InProcessRun):
    """A run whose tasks people may mark instead of letting them run.

    :param teller: tells its story.
    :param custody: what the judge knows of it.
    """

    def __init__(self, teller: Teller, loaded: LoadedPlan, custody: Custody) -> None:
        super().__init__(build_dag(loaded), dict(custody.parameters), teller.rng)
        self.teller = teller
        self.loaded = loaded
        self.custody = custody
        self.marks: dict[str, str] = {}
        self.middle: dict[int, str] = {}
        self.steps = 0
        self.reported = False
        self.meanwhile = teller.rng.random() < 0.4
        self._dag_run.triggering_user_name = custody.starter
        if custody.due is not None:
            self._dag_run.run_type = "scheduled"
            self._dag_run.run_after = datetime.fromtimestamp(custody.due, timezone.utc)
            custody.late = time.time() - custody.due > GRACE
        teller.judge.all.append(custody)

    def _run(self, task: Any) -> None:
        name, custody = task.task_id, self.custody
        if name in self.marks:
            self.states[name] = self.marks.pop(name)
            return
        custody.now_running = name
        self.reported = name == "report"
        if name == "terminate":
            custody.ending = True
        gate = name in ("confirm", "preflight") or name.endswith(".approve")
        if gate:
            # Airflow deletes what a task left when it starts, not when it is cleared.
            custody.passed[name] = False
            custody.answered.pop(name, None)
            custody.glass.discard(name)
            custody.late = custody.late and not (name == "confirm" and self._dag_run.clear_number)
        if name == "confirm":
            custody.cleared_at_confirm = self._dag_run.clear_number > 0
        # A launch continues a run that failed, and so does a script right before a launch that was cleared with it.
        launch = f"{name.partition('.')[0]}.launch"
        continues = name == launch or (".pre_launch." in name and self.states[launch] not in _DONE)
        if continues and custody.closed and custody.closed[0] == "failed":
            custody.continued = custody.continued or time.time() - custody.closed[1] <= CONTINUE_FOR
        super()._run(task)
        self._took_place(name, gate)

    def _took_place(self, name: str, gate: bool) -> None:
        custody, state = self.custody, self.states[name]
        if gate and state == "success":
            custody.passed[name] = True
            custody.reopening.discard(name)
            if not custody.reopening:
                custody.closed = None
        wave = name.partition(".")[0]
        if "." in name and state == "success" and not name.endswith(".rollback"):
            own = [task for task in self.states if task.startswith(f"{wave}.") and task != f"{wave}.rollback"]
            if all(self.states[task] == "success" for task in own):
                custody.up[wave] = time.time()
        if name != "report" or state not in ("success", "failed"):
            return
        if custody.closed is None or (custody.closed[0] == "failed" and (state == "success" or custody.continued)):
            custody.closed = (state, time.time())
            custody.reopening = {"confirm", "preflight"}
        custody.continued = False

    def between(self) -> None:
        """Let people act in the middle of the run."""
        self.steps += 1
        self.teller.lags_for -= 1
        if self.teller.lags_for == 0:
            self.teller.simulation.clear_faults()
        if act := self.middle.pop(self.steps, None):
            self.teller.act_in_the_middle(self, act)

    def waiting(self, task_id: str) -> None:
        """Let something else run while a task waits."""
        if self.meanwhile and self.rng.random() < 0.3:
            self.meanwhile = False
            self.teller.meanwhile(self)

    def end_by_hand(self) -> None:
        """Mark the run as failed: what is to come is skipped, only teardowns live on."""
        for name, state in self.states.items():
            if state is None and name not in ("terminate", "report"):
                self.states[name] = "skipped"


class _Question(BaseTrigger):
    """Stands for Airflow's trigger of a question; the answer is there at once."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}._Question", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent({})


def import_package() -> None:
    """Import every module of the package: tasks import their work when they begin, when clocks are replaced already."""
    for module in pkgutil.walk_packages(drs_provider.__path__, "drs_provider."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


class _AnyDatetime(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, datetime)


@contextmanager
def one_clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ``datetime.now`` follow ``time.time``, which tests put forward, wherever the package asks for it.

    :raises AssertionError: when a module of the package was imported meanwhile, which has the clock of the machine.
    """
    import_package()

    class Shifted(datetime, metaclass=_AnyDatetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(time.time(), tz)

    with monkeypatch.context() as patch:
        for module in _with_datetime():
            patch.setattr(module, "datetime", Shifted)
        yield
        assert not (late := _with_datetime()), f"imported in the middle of a story: {late}"


def _with_datetime() -> list[ModuleType]:
    own = ("drs_provider.", "tests.chaos.in_process")
    return [
        module
        for name, module in list(sys.modules.items())
        if name.startswith(own) and getattr(module, "datetime", None) is datetime
    ]


class Teller:
    """Draws a story and lets it happen."""

    def __init__(self, seed: int, simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.story = Story(seed)
        self.simulation = simulation
        self.monkeypatch = monkeypatch
        self.judge = Judge(self.story.violations.append)
        self.plans = draw_plans(self.rng, folder)
        self.installation = "north"
        self.depth = 0
        self.lags_for = 0

    @property
    def servers(self) -> list[dict[str, Any]]:
        """The source servers."""
        return self.plans.servers

    def begin(self, loaded: LoadedPlan | None = None, *, real: bool, installation: str = "", **more: Any) -> Run:
        """Start a run.

        :param loaded: the plan; the story's first one where it is absent.
        :param more: run parameters; ``due``: seconds since which the schedule wants it.
        """
        rng, loaded = self.rng, loaded or self.plans.first
        due = more.pop("due", None)
        name = loaded.plan.name
        typed = name if rng.random() < 0.96 else "shopp"
        parameters = {"mode": "recovery", "confirm": typed, **more} if real else {"mode": "drill"}
        custody = Custody(
            plan=loaded.plan,
            installation=installation or self.installation,
            parameters=parameters,
            starter=None if due is not None else rng.choice(STARTERS),
            due=None if due is None else time.time() - due,
        )
        self.story.acts.append(f"{custody.installation} starts {name}: {parameters}, by {custody.starter or due}")
        return Run(self, loaded, custody)

    def tell(self) -> Story:
        """Let the story happen."""
        from tests.chaos.people_acts import AFTERWARDS, BEFORE, MIDDLE

        scenario = {"region": REGION, "servers": self.servers, "documents": self.plans.documents}
        self.simulation.load(scenario, speed=1)
        self.monkeypatch.setattr(ApprovalOperator, "execute", self._answer)
        self.monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS", GLASS if self.rng.random() < 0.3 else "")
        with quick_aws(self.monkeypatch), one_clock(self.monkeypatch), self.judge.watching(self.monkeypatch):
            late = self.rng.choice((0.0, 60.0, 2 * DAY))
            scheduled = self.rng.random() < 0.1
            self.run = self.begin(
                real=not scheduled and self.rng.random() < 0.6, **({"due": late} if scheduled else {})
            )
            if self.rng.random() < 0.3:
                self._act(BEFORE)
            for _ in range(self.rng.choice((1, 1, 2, 3))):
                if self.rng.random() < 0.5:
                    self.run.middle[self.run.steps + self.rng.randint(1, 14)] = self.rng.choice(sorted(MIDDLE))
                deleted = not self.go(self.run)
                # What is deleted cannot be cleared.
                again = "deletes the run and starts another of the same id"
                self._act({again: AFTERWARDS[again]} if deleted else AFTERWARDS)
            self.go(self.run)
            self.judge.nothing_unnamed()
        self.story.launches.update(self.judge.launches)
        return self.story

    def _answer(self, operator: Any, context: Any) -> Any:
        """Answer a question: mostly somebody who may, sometimes somebody who may not, or the starter."""
        custody = self.judge.current
        assert custody is not None
        name, choice = self.rng.choice((*APPROVERS * 5, STRANGER, "alice")), "Approve"
        if self.rng.random() < 0.05:
            choice = "Reject"
        elif self.rng.random() < 0.1 and "Break glass" in operator.options:
            name, choice = self.rng.choice((GLASS, STRANGER)), "Break glass"
        if choice == "Approve":
            custody.answered.setdefault(custody.now_running, set()).add(name)
            if custody.now_running.endswith(".rollback"):
                custody.unwound.append((time.time(), name))
        elif choice == "Break glass" and name == GLASS:
            custody.glass.add(custody.now_running)
            self.story.kinds["somebody breaks the glass"] += 1
        event = {
            "chosen_options": [choice],
            "params_input": {"reason": "nobody answers"},
            "responded_at": datetime.fromtimestamp(time.time(), timezone.utc),
            "responded_by_user": {"id": name, "name": name},
        }
        raise TaskDeferred(trigger=_Question(), method_name="execute_complete", kwargs={"event": event})

    @contextmanager
    def _of(self, run: Run) -> Iterator[None]:
        """Let a run's installation be the one that runs here, with its XComs."""
        key = (run.dag.dag_id, run.run_id)
        before = xcoms._STORED.get(key)
        with self.monkeypatch.context() as patch, self.judge.acting(run.custody):
            patch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", run.custody.installation)
            patch.setitem(xcoms._STORED, key, run.xcoms)
            yield
        if before is not None:
            xcoms._STORED[key] = before

    def go(self, run: Run) -> bool:
        """Let a run go to its end, or until somebody deletes it; return whether it came to its end."""
        running = run.custody.now_running
        run.custody.taken.clear()
        run.custody.ending = run.states["terminate"] in _DONE
        try:
            run.reported = False  # Of a task that is cleared and marked nothing runs, the report included.
            with self._of(run):
                state = run.go()
        except Deleted:
            self.story.states.append("deleted")
            return False
        finally:
            self.judge.strike = None
            run.custody.now_running = running
        self.story.states.append(state)
        if run.states["report"] in ("success", "failed") and run.reported:
            with self.judge.acting(run.custody):
                self.judge.report(run.custody, run.xcoms.get("report", {}).get("report_folder"), state, run.states)
        return True

    def _act(self, acts: dict[str, Callable[[Teller], None]]) -> None:
        name = self.rng.choice(sorted(acts))
        self.story.acts.append(name)
        self.story.kinds[name] += 1
        acts[name](self)

    def act_in_the_middle(self, run: Run, name: str) -> None:
        """Let somebody act between two tasks of a run."""
        from tests.chaos.people_acts import MIDDLE

        self.story.acts.append(f"in the middle of {run.loaded.plan.name}: {name}")
        self.story.kinds[f"in the middle: {name}"] += 1
        self.judge.current = None
        try:
            MIDDLE[name](self, run)
        finally:
            self.judge.current = run.custody

    def meanwhile(self, run: Run) -> None:
        """Let another run go to its end while a task of this one waits."""
        if self.depth:
            return
        self.depth += 1
        other = self.rng.choice(("second plan", "other installation", "console"))
        self.story.acts.append(f"while {run.custody.now_running} of {run.loaded.plan.name} waits: {other}")
        self.story.kinds[f"meanwhile: {other}"] += 1
        real, running = self.rng.random() < 0.3, run.custody.now_running
        try:
            self.judge.current = None
            if other == "console":
                self.launch_in_console()
            else:
                plan = self.plans.second if other == "second plan" else self.plans.first
                installation = "south" if other == "other installation" else ""
                self.go(self.begin(plan, real=real, installation=installation))
        finally:
            self.depth -= 1
            self.judge.current = run.custody
            run.custody.now_running = running

    def launch_in_console(self) -> None:
        """Recover a server in the console."""
        from tests.chaos.people_acts import launch_in_console

        launch_in_console(self)

    def mark(self, run: Run, tasks: list[str], state: str) -> None:
        """Mark tasks: what has not run yet will not run."""
        for task in tasks:
            if run.states[task] is None:
                run.marks[task] = state
            else:
                run.states[task] = state
        self.story.acts.append(f"  {', '.join(tasks)} as {state}")

    def clear(self, run: Run, task: str, *, downstream: bool = True) -> None:
        """Clear a task."""
        run.clear(task, downstream=downstream)
        self.story.acts.append(f"  clears {task} {'with everything downstream' if downstream else 'alone'}")

    def wait(self, days: float) -> None:
        """Let days pass."""
        time.sleep(days * DAY)
        self.story.acts.append(f"  after {timedelta(days=days)}")


def tell(seed: int, simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Story:
    """Draw a story, let it happen, and return it.

    :param seed: the same seed draws the same story.
    :param simulation: the simulated AWS of this process.
    :param folder: for reports.
    """
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    return Teller(seed, simulation, monkeypatch, folder).tell()
