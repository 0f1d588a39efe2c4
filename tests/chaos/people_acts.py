"""What people do to runs, and what AWS does meanwhile: before a run, in the middle of it, and after its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3

from tests.chaos.cases import REGION
from tests.chaos.people_judge import live_instances

if TYPE_CHECKING:
    from tests.chaos.people import Run, Teller

__all__ = ["ACTS", "AFTERWARDS", "BEFORE", "MIDDLE", "launch_in_console"]

_STALE = (
    ("DescribeJobs", "drs", 120),
    ("DescribeRecoveryInstances", "drs", 120),
    ("DescribeInstances", "ec2", 60),
    ("*", "ssm", 60),
    ("*", "drs", 30),
)
_THROTTLED = ("*", "DescribeJobs", "DescribeSourceServers", "DescribeRecoveryInstances", "StartRecovery",
              "DescribeInstances", "TerminateRecoveryInstances", "StartAutomationExecution")  # fmt: skip


def _tasks(run: Run, *, of: tuple[str | None, ...] | None = None) -> list[str]:
    return [task for task, state in sorted(run.states.items()) if of is None or state in of]


def _gates(run: Run) -> list[str]:
    return [task for task in run.states if task == "confirm" or task.endswith(".approve")]


def launch_in_console(teller: Teller) -> None:
    """Recover, or drill, a server in the console, and wait until it is up."""
    server = teller.rng.choice(teller.servers)["id"]
    drill = teller.rng.random() < 0.2
    with contextlib.suppress(Exception):  # A server in a job, or one that fails: as in the console.
        boto3.client("drs", REGION).start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=drill)
        teller.story.acts.append(f"  {'drills' if drill else 'recovers'} {server} in the console")
        time.sleep(teller.rng.choice((5, 1800)))


# Before a run, and while it goes on


def _mark_gates(teller: Teller, run: Run) -> None:
    teller.mark(run, _gates(run), "success")


def _mark_gates_and_preflight(teller: Teller, run: Run) -> None:
    teller.mark(run, [*_gates(run), "preflight"], "success")


def _mark(state: str) -> Callable[[Teller, Run], None]:
    def act(teller: Teller, run: Run) -> None:
        teller.mark(run, [teller.rng.choice(_tasks(run))], state)

    return act


def _mark_at_call(teller: Teller, run: Run) -> None:
    operation = teller.rng.choice(("StartRecovery", "StartAutomationExecution", "TerminateRecoveryInstances"))
    teller.judge.strike = (operation, teller.rng.choice(("before", "after")))
    teller.story.acts.append(f"  at {teller.judge.strike}")


def _throttle(teller: Teller, run: Run) -> None:
    minutes = teller.rng.choice((1, 5, 12, 25))
    teller.judge.refused = (teller.rng.choice(_THROTTLED), time.time() + 60 * minutes)
    teller.story.acts.append(f"  {teller.judge.refused[0]} for {minutes} minutes")


def _lag(teller: Teller, run: Run) -> None:
    operation, service, seconds = teller.rng.choice(_STALE)
    teller.simulation.add_fault(operation=operation, service=service, stale=seconds)
    # The simulator keeps its whole state of each moment meanwhile.
    teller.lags_for = teller.rng.randint(2, 8)
    teller.story.acts.append(f"  {service} {operation} by {seconds} s")


def _clear_in_the_middle(teller: Teller, run: Run) -> None:
    done = _tasks(run, of=("success", "failed", "skipped", "upstream_failed"))
    teller.clear(run, teller.rng.choice(done or ["confirm"]), downstream=teller.rng.random() < 0.7)


def _end(teller: Teller, run: Run) -> None:
    run.end_by_hand()


def _delete(teller: Teller, run: Run) -> None:
    from tests.chaos.people import Deleted

    raise Deleted


def _pause(teller: Teller, run: Run) -> None:
    teller.wait(teller.rng.choice((0.02, 0.5, 3)))


MIDDLE: dict[str, Callable[[Teller, Run], None]] = {
    "marks every gate as success": _mark_gates,
    "marks a task as success": _mark("success"),
    "marks a task as failed": _mark("failed"),
    "marks a task as failed at a call of AWS": _mark_at_call,
    "marks the run as failed": _end,
    "clears a task": _clear_in_the_middle,
    "deletes the run": _delete,
    "pauses the plan, and unpauses it": _pause,
    "recovers a server in the console": lambda teller, run: launch_in_console(teller),
    "AWS throttles for minutes": _throttle,
    "lists lag": _lag,
}


def _before(act: Callable[[Teller, Run], None]) -> Callable[[Teller], None]:
    return lambda teller: act(teller, teller.run)


BEFORE: dict[str, Callable[[Teller], None]] = {
    "marks every gate as success": _before(_mark_gates),
    "marks every gate and preflight as success": _before(_mark_gates_and_preflight),
    "marks a task as success": _before(_mark("success")),
    "marks a task as failed": _before(_mark("failed")),
    "marks a task as failed at a call of AWS": _before(_mark_at_call),
    "AWS throttles for minutes": _before(_throttle),
    "lists lag": _before(_lag),
}


# After its end


def _clear(*days: float) -> Callable[[Teller], None]:
    def act(teller: Teller) -> None:
        teller.wait(teller.rng.choice(days))
        teller.clear(teller.run, teller.rng.choice(_tasks(teller.run)), downstream=teller.rng.random() < 0.8)

    return act


def _clear_all(teller: Teller) -> None:
    teller.wait(teller.rng.choice((0.01, 2, 100)))
    teller.clear(teller.run, "confirm")


def _clear_and_mark(teller: Teller) -> None:
    _clear_all(teller)
    _mark_gates(teller, teller.run)


def _clear_and_mark_a_task(teller: Teller) -> None:
    _clear(0.01, 2)(teller)
    open_tasks = _tasks(teller.run, of=(None,))
    teller.mark(teller.run, [teller.rng.choice(open_tasks)], teller.rng.choice(("success", "failed")))


def _start_again(teller: Teller, **more: Any) -> None:
    teller.run = teller.begin(real=teller.rng.random() < 0.5, **more)


def _delete_and_start_again(teller: Teller) -> None:
    teller.wait(teller.rng.choice((0.0, 0.02, 3)))
    teller.story.acts.append("  the run of the same id is gone")
    _start_again(teller)


def _scheduled(teller: Teller) -> None:
    teller.run = teller.begin(real=False, due=teller.rng.choice((10.0, 600.0, 7200.0, 200000.0)))


def _another_airflow(teller: Teller) -> None:
    other = "south" if teller.installation == "north" else "north"
    more = {"take_over": teller.installation} if teller.rng.random() < 0.3 else {}
    teller.installation = other
    _start_again(teller, **more)


def _second_plan(teller: Teller) -> None:
    teller.run = teller.begin(teller.plans.second, real=teller.rng.random() < 0.4)


def _console(teller: Teller) -> None:
    launch_in_console(teller)
    teller.clear(teller.run, teller.rng.choice(_tasks(teller.run)))


def _replace(teller: Teller) -> None:
    named = [one.id for one in live_instances() if teller.rng.random() < 0.7]
    teller.run = teller.begin(real=True, replace_instances=named)


def _throttled(teller: Teller) -> None:
    _throttle(teller, teller.run)
    _delete_and_start_again(teller)


def _stale_lists(teller: Teller) -> None:
    _lag(teller, teller.run)
    _delete_and_start_again(teller)


AFTERWARDS: dict[str, Callable[[Teller], None]] = {
    "clears a task at once": _clear(0.0, 0.01),
    "clears a task within a day": _clear(0.3, 0.9),
    "clears a task days later": _clear(1.5, 3, 120),
    "clears the whole run": _clear_all,
    "clears the whole run and marks its gates": _clear_and_mark,
    "clears a task and marks one": _clear_and_mark_a_task,
    "deletes the run and starts another of the same id": _delete_and_start_again,
    "the schedule starts a drill, late or in time": _scheduled,
    "another Airflow runs the same plan": _another_airflow,
    "a second plan with the same servers runs": _second_plan,
    "recovers a server in the console": _console,
    "starts a recovery that names instances to replace": _replace,
    "starts again while AWS throttles": _throttled,
    "starts again while lists lag": _stale_lists,
}
ACTS = sorted({*BEFORE, *MIDDLE, *AFTERWARDS})
"""Everything that people do."""
