"""The faults of a campaign: what they are called, when they strike, what they do, and how long their traces last.

Each fault is begun at its moment and then ticked a few times a second until it is over. ``window`` is the time in which
a wave may wait because of it, Airflow's own recovery included.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos.cases import Case
from tests.chaos.site import Site

__all__ = ["AWS_FAULTS", "CASE_FAULTS", "SITE_FAULTS", "STARTING", "Fault", "Started", "draw_fault"]

# Seconds that Airflow may take to notice and mend a fault, with the settings that the project ships. A dead worker: 60
# until its heartbeat counts as missed, 10 until the scheduler looks, 5 until the retry, and the start of a task. A dead
# scheduler: its own start, 30 until its heartbeat counts as missed, 30 until it looks after its tasks.
RECOVERY = {
    "task": 30.0,
    "worker": 110.0,
    "scheduler": 130.0,
    "triggerer": 90.0,
    "dag-processor": 30.0,
    "api-server": 60.0,
}


@dataclass
class Started:
    """A run of a case that has been started."""

    case: Case
    run_id: str


@dataclass
class Fault:
    """One fault.

    :param kind: what it is called in the figures.
    :param at: seconds after the runs were started.
    :param allowance: seconds after its end in which its traces may still be seen.
    :param exact: whether the runs that it hits still have to end as their plan and world imply.
    :param started: the run that it is about; None: all of Airflow, or all of AWS.
    :param laid: whether it lies in wait, and nothing has run into it yet.
    """

    kind: str
    at: float
    allowance: float = 15.0
    exact: bool = True
    started: Started | None = None
    begin: Callable[[Site], None] = lambda site: None
    tick: Callable[[Site], bool] = lambda site: True
    end: Callable[[Site], None] = lambda site: None
    began: float | None = None
    ended: float | None = None
    struck: bool = False
    note: str = ""
    laid: bool = False

    @property
    def window(self) -> tuple[float, float] | None:
        """When a wave may wait for it, in epoch seconds."""
        if self.began is None or self.laid:
            return None
        return self.began, (self.ended or time.time()) + self.allowance

    def step(self, site: Site, elapsed: float) -> None:
        """Begin it when it is due, and go on with it; a site that does not answer is asked again."""
        if self.ended is not None or elapsed < self.at:
            return
        try:
            if self.began is None:
                self.began = time.time()
                self.begin(site)
            if self.tick(site):
                self.end(site)
                self.ended = time.time()
        except (httpx.HTTPError, OSError) as error:
            self.note = f"{type(error).__name__}: {error}"[:300]
            if time.time() > self.began + 120:
                self.ended = time.time()


def draw_fault(rng: random.Random, kind: str, started: Started | None) -> Fault:
    """Draw a fault of a kind.

    :param started: the run that it is about, for kinds of :data:`CASE_FAULTS`.
    """
    at = rng.choice((rng.uniform(0, 20), rng.uniform(5, 40), rng.uniform(20, 60)))
    fault = Fault(kind, at, started=started)
    if kind in CASE_FAULTS:
        CASE_FAULTS[kind](fault, rng)
    else:
        SITE_FAULTS[kind](fault, rng)
    return fault


# Processes


def _kill_now(site: Site, rng: random.Random, target: str) -> bool:
    if target == "task":
        return site.kill_task(rng, worker=False, runner=True)
    if target == "worker":
        return site.kill_task(rng, worker=True, runner=rng.random() < 0.5)
    site.kill_component(target, family=rng.random() < 0.5)
    return True


def _kill(*targets: str) -> Callable[[Fault, random.Random], None]:
    def prepare(fault: Fault, rng: random.Random) -> None:
        fault.allowance = sum(RECOVERY[target] for target in targets)
        left = list(targets)

        def tick(site: Site) -> bool:
            # A task's process can only be killed while there is one.
            left[:] = [target for target in left if not _kill_now(site, rng, target)]
            fault.struck = not left
            return not left or time.time() > (fault.began or 0) + 60

        fault.tick = tick

    return prepare


def _kill_while_held(operation: str) -> Callable[[Fault, random.Random], None]:
    """Kill between AWS's acceptance of a call and our hearing of it: the answer is held back meanwhile."""

    def prepare(fault: Fault, rng: random.Random) -> None:
        fault.at = rng.uniform(0, 15)
        target = rng.choice(("task", "worker", "worker", "scheduler", "api-server"))
        fault.allowance = RECOVERY[target] + 20
        state: dict[str, Any] = {}

        def begin(site: Site) -> None:
            body = {"operation": operation, "hold": 25.0, "times": 1, "skip": rng.choice((0, 0, 0, 1, 2))}
            state["id"] = site.simulator.control("POST", "/faults", body)["id"]
            fault.laid = True

        def tick(site: Site) -> bool:
            if "at" not in state:
                listed = {one["id"]: one for one in site.simulator.control("GET", "/faults")}
                if state["id"] not in listed:
                    return True
                if listed[state["id"]]["struck"]:
                    state["at"] = time.time()
                    fault.began, fault.laid = time.time(), False
                return False
            if target in ("task", "worker"):
                # The caller is whoever runs while the answer is held; with several, one of them.
                fault.struck = site.kill_task(rng, worker=target == "worker", runner=True)
                return fault.struck or time.time() > state["at"] + 20
            site.kill_component(target, family=True)
            fault.struck = True
            return True

        fault.begin, fault.tick = begin, tick
        fault.end = lambda site: site.simulator.control("POST", "/release", {"id": state["id"]})
        fault.note = f"kills {target}"

    return prepare


def _restart_database(fault: Fault, rng: random.Random) -> None:
    fault.allowance = 120.0
    pause = rng.choice((0.0, 2.0, 8.0))

    def begin(site: Site) -> None:
        site.postgres.restart(pause)
        fault.struck = True

    fault.begin = begin


# AWS


def _aws(body: Callable[[random.Random], dict[str, Any]], seconds: tuple[float, float]) -> Any:
    def prepare(fault: Fault, rng: random.Random) -> None:
        fault.allowance = 45.0
        fault.at = min(fault.at, 40.0)  # Small runs make few calls after that.
        lasting = rng.uniform(*seconds)
        state: dict[str, Any] = {}

        def begin(site: Site) -> None:
            drawn = body(rng)
            fault.note = str(drawn)
            state["id"] = site.simulator.control("POST", "/faults", drawn)["id"]

        def tick(site: Site) -> bool:
            listed = {one["id"]: one for one in site.simulator.control("GET", "/faults")}
            fault.struck = bool(listed.get(state["id"], {}).get("struck"))
            return state["id"] not in listed or time.time() > (fault.began or 0) + lasting

        def end(site: Site) -> None:
            site.simulator.control("DELETE", f"/faults?id={state['id']}")

        fault.begin, fault.tick, fault.end = begin, tick, end

    return prepare


STARTING = ("StartRecovery", "SendCommand", "StartAutomationExecution", "TerminateRecoveryInstances")
_ASKING = ("DescribeJobs", "DescribeJobLogItems", "DescribeSourceServers", "DescribeRecoveryInstances", "*")


def _throttling(rng: random.Random) -> dict[str, Any]:
    service = rng.choice(("drs", "drs", "ssm", "ec2"))
    code = "RequestLimitExceeded" if service == "ec2" else "ThrottlingException"
    probability = rng.choice((0.5, 0.9, 1.0))
    return {"operation": "*", "service": service, "error": code, "probability": probability, "seed": rng.randrange(999)}


def _error_before(rng: random.Random) -> dict[str, Any]:
    operation = rng.choice(STARTING + _ASKING)
    return {"operation": operation, "error": "InternalServerException", "status": 500, "times": rng.randint(1, 4)}


def _error_after(rng: random.Random) -> dict[str, Any]:
    operation = rng.choice(STARTING)
    error = {"error": "InternalServerException", "status": 500}
    return {"operation": operation, "when": "after", "times": rng.randint(1, 2), **error}


def _reset(rng: random.Random) -> dict[str, Any]:
    operation = rng.choice(STARTING * 2 + _ASKING)
    return {
        "operation": operation,
        "reset": True,
        "when": rng.choice(("before", "after")),
        "times": rng.randint(1, 3),
    }


def _slow(rng: random.Random) -> dict[str, Any]:
    return {"operation": rng.choice(STARTING + _ASKING), "delay": 10.0, "times": rng.randint(2, 5)}


def _truncated(rng: random.Random) -> dict[str, Any]:
    return {"operation": "*", "page_size": rng.choice((0, 1, 1, 2)), "probability": rng.choice((0.5, 1.0))}


def _expired(rng: random.Random) -> dict[str, Any]:
    return {"operation": "*", "error": rng.choice(("ExpiredTokenException", "UnrecognizedClientException"))}


#: What AWS does, as the body of a fault of the simulator.
AWS_FAULTS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "throttling": _throttling,
    "500 before the effect": _error_before,
    "500 after the effect": _error_after,
    "connection reset": _reset,
    "slow answers": _slow,
    "truncated pages": _truncated,
    "expired credentials": _expired,
}
_LASTING = {"throttling": (5.0, 25.0), "truncated pages": (20.0, 60.0), "expired credentials": (5.0, 20.0)}


def _clock_step(fault: Fault, rng: random.Random) -> None:
    seconds = rng.choice((20.0, 60.0, 300.0))
    fault.allowance = 5.0
    fault.note = f"{seconds:g} s"

    def begin(site: Site) -> None:
        site.simulator.control("POST", "/advance", {"seconds": seconds})
        fault.struck = True

    fault.begin = begin


# The disk


def _disk_full(fault: Fault, rng: random.Random) -> None:
    lasting = rng.uniform(5, 15)
    fault.allowance = 130.0

    def begin(site: Site) -> None:
        if site.disk.mounted:
            site.disk.fill()
            fault.struck = True

    fault.begin = begin
    fault.tick = lambda site: not site.disk.mounted or time.time() > (fault.began or 0) + lasting
    fault.end = lambda site: site.disk.free()


# The plan's file


def _plan_file(change: Callable[[Site, Case], None], *, restored: bool) -> Any:
    def prepare(fault: Fault, rng: random.Random) -> None:
        assert fault.started is not None
        case = fault.started.case
        lasting = rng.choice((2.0, 12.0, 45.0))
        fault.exact = restored
        # A run of a plan that is gone stands still until the file is back and has been parsed, and tasks that missed
        # it have looked again.
        fault.allowance = 75.0

        def begin(site: Site) -> None:
            change(site, case)
            fault.struck = True

        fault.begin = begin
        fault.tick = lambda site: time.time() > (fault.began or 0) + lasting
        if restored:
            fault.end = lambda site: _restore(site, case)

    return prepare


def _restore(site: Site, case: Case) -> None:
    site.write_plan(case.name, case.plan)


def _edit(site: Site, case: Case) -> None:
    waves = [{**wave, "launch_timeout": "11m"} for wave in case.plan["waves"]]
    site.write_plan(case.name, {**case.plan, "waves": waves})


def _break(site: Site, case: Case) -> None:
    site.write_plan(case.name, '{"version": 1, "name": "' + case.name + '", "waves": [')


def _delete(site: Site, case: Case) -> None:
    (site.plans_folder / f"{case.name}.yaml").unlink(missing_ok=True)


# People


def _person(act: Callable[[Site, Started, str], None]) -> Any:
    def prepare(fault: Fault, rng: random.Random) -> None:
        fault.exact = False
        fault.allowance = 60.0
        started = fault.started
        assert started is not None

        def tick(site: Site) -> bool:
            tasks = site.api.task_instances(started.case.name, started.run_id)
            states = ("running", "deferred", "success", "up_for_retry", "queued")
            # What a person does to the tasks that clean up and testify cannot be made good by these tasks.
            eligible = [
                task
                for task, instance in sorted(tasks.items())
                if instance["state"] in states and task not in ("terminate", "report")
            ]
            busy = [task for task in eligible if tasks[task]["state"] in ("running", "deferred")]
            if not busy:
                return time.time() > (fault.began or 0) + 60
            task = rng.choice(busy if rng.random() < 0.7 else eligible)
            fault.note = f"{task}, which was {tasks[task]['state']}"
            act(site, started, task)
            fault.struck = True
            return True

        fault.tick = tick

    return prepare


def _clear(site: Site, started: Started, task: str) -> None:
    body = {
        "dry_run": False,
        "dag_run_id": started.run_id,
        "task_ids": [task],
        "include_downstream": True,
        "only_failed": False,
        "reset_dag_runs": True,
    }
    site.api.call("POST", f"/dags/{started.case.name}/clearTaskInstances", json=body)


def _mark(state: str) -> Callable[[Site, Started, str], None]:
    def act(site: Site, started: Started, task: str) -> None:
        path = f"/dags/{started.case.name}/dagRuns/{started.run_id}/taskInstances/{task}"
        site.api.call("PATCH", path, json={"new_state": state})

    return act


def _fail_run(site: Site, started: Started, task: str) -> None:
    path = f"/dags/{started.case.name}/dagRuns/{started.run_id}"
    site.api.call("PATCH", path, json={"state": "failed"})


SITE_FAULTS: dict[str, Callable[[Fault, random.Random], None]] = {
    "kill task": _kill("task"),
    "kill worker": _kill("worker"),
    "kill scheduler": _kill("scheduler"),
    "kill triggerer": _kill("triggerer"),
    "kill dag-processor": _kill("dag-processor"),
    "kill api-server": _kill("api-server"),
    "kill scheduler and triggerer": _kill("scheduler", "triggerer"),
    "kill worker and api-server": _kill("worker", "api-server"),
    "kill triggerer and task": _kill("triggerer", "task"),
    "kill dag-processor and api-server": _kill("dag-processor", "api-server"),
    **{f"kill while {operation} is held": _kill_while_held(operation) for operation in STARTING},
    "restart PostgreSQL": _restart_database,
    **{kind: _aws(body, _LASTING.get(kind, (60.0, 60.0))) for kind, body in AWS_FAULTS.items()},
    "clock step": _clock_step,
    "disk full": _disk_full,
}
CASE_FAULTS: dict[str, Callable[[Fault, random.Random], None]] = {
    "plan edited": _plan_file(_edit, restored=False),
    "plan broken": _plan_file(_break, restored=True),
    "plan deleted": _plan_file(_delete, restored=True),
    "task cleared": _person(_clear),
    "task marked success": _person(_mark("success")),
    "task marked failed": _person(_mark("failed")),
    "run marked failed": _person(_fail_run),
}
