"""A recovery that finds a drill of its plan in the way, wherever that is, on a real Airflow; judged from AWS's log.

All runs go on side by side; each is a flow that acts at the right moments, and a test that judges afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drs_provider.rehearsal.environment import clean_environment
from tests.e2e.stack import Stack
from tests.e2e.stop_plans import PLANS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1500)]

Step = Callable[[], Any]

FINISHED = ("success", "failed")
WAITING = ("deferred", "awaiting_input")


class Flows:
    """Every run of this module."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.drills: dict[str, str] = {}
        self.recoveries: dict[str, str] = {}
        self.triggered: dict[str, float] = {}
        self.command: subprocess.Popen[str] | None = None

    def recover(self, plan: str, **conf: Any) -> str:
        """Trigger a recovery of a plan as alice does."""
        self.triggered[plan] = time.time()
        wanted = {"mode": "recovery", "confirm": plan, **conf}
        self.recoveries[plan] = self.stack.as_user("alice").trigger(plan, wanted, f"recovery__{plan}")
        return self.recoveries[plan]

    def state(self, plan: str, run: str) -> str:
        return str(self.stack.api.run(plan, run)["state"])

    def in_the_way(self, plan: str, task: str, *, stop: bool = True) -> Iterator[Step]:
        """A drill, a recovery once a task of the drill waits, and the recovery's first launch."""
        self.drills[plan] = drill = self.stack.start(plan)
        yield lambda: self.stack.states(plan, drill).get(task) in WAITING
        self.recover(plan, **({"stop_drill": True} if stop else {}))
        yield lambda: self.launches(plan, is_drill=False)

    def by_command(self, plan: str, task: str) -> Iterator[Step]:
        """A drill, and a recovery that the command line starts."""
        self.drills[plan] = drill = self.stack.start(plan)
        yield lambda: self.stack.states(plan, drill).get(task) in WAITING
        self.triggered[plan] = time.time()
        arguments = ["run", plan, "--mode", "recovery", "--confirm", plan, "--stop-drill", "--note", "the site is gone"]
        self.recoveries[plan] = f"recovery__{plan}"
        self.command = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from drs_provider.cli import main; main()",
                *arguments,
                "--run-id",
                self.recoveries[plan],
                "--wait",
                "begun",
            ],
            env={
                **clean_environment(),
                "DRS_PLAN_AIRFLOW_URL": self.stack.airflow.url,
                "DRS_PLAN_AIRFLOW_USERNAME": "alice",
                "DRS_PLAN_AIRFLOW_PASSWORD": "alice",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        yield lambda: self.launches(plan, is_drill=False)

    def frozen(self, plan: str) -> Iterator[Step]:
        """A recovery whose plan is paused in the middle, and unpaused once that has been told."""
        self.stack.airflow.wait_for_dag(plan)
        recovery = self.recover(plan)
        yield lambda: self.stack.states(plan, recovery).get("first.wait_for_launch") == "deferred"
        self.stack.api.call("PATCH", f"/dags/{plan}", json={"is_paused": True})
        yield lambda: "standing still" in self.subjects(plan)
        self.stack.api.call("PATCH", f"/dags/{plan}", json={"is_paused": False})
        yield lambda: self.state(plan, recovery) in FINISHED

    def subjects(self, plan: str) -> list[str]:
        """What the plan's topic was told, in order."""
        calls = [call["params"] for call in self.stack.simulator.log.calls("Publish")]
        return [call["Subject"].partition(f" {plan}: ")[2] for call in calls if f" {plan}: " in call["Subject"]]

    def launches(self, plan: str, *, is_drill: bool) -> list[float]:
        """When StartRecovery was called for the plan's drill, or its recovery."""
        return [call["t"] for call in self.stack.seen_of_plan(plan) if call["params"]["isDrill"] is is_drill]

    def terminated(self, plan: str) -> dict[str, float]:
        """When each instance of the plan's drill was terminated, as TerminateRecoveryInstances was called."""
        report = self.stack.report(plan, self.drills[plan])
        instances = {
            server["recovery_instance_id"]: server["ec2_instance_id"]
            for wave in report["waves"]
            for server in wave["servers"]
        }
        return {
            one: call["t"]
            for call in self.stack.simulator.log.calls("TerminateRecoveryInstances")
            if not call["error"]
            for one in call["params"]["recoveryInstanceIDs"]
            if one in instances or one in instances.values()
        }


@pytest.fixture(scope="module")
def flows(stack: Stack) -> Iterator[Flows]:
    """All runs, as far as they are judged."""
    made = Flows(stack)
    going = {
        "onwire": made.in_the_way("onwire", "first.wait_for_launch"),
        "asking": made.in_the_way("asking", "second.approve"),
        "settling": made.by_command("settling", "first.settle"),
        "keeping": made.in_the_way("keeping", "terminate"),
        "patient": made.in_the_way("patient", "first.wait_for_launch", stop=False),
        "paused": made.frozen("paused"),
    }
    try:
        stack.go_through(going, f"the launches of {', '.join(PLANS)}", 1200)
        yield made
    finally:
        if made.command is not None and made.command.poll() is None:
            made.command.kill()


STOPPED = ("onwire", "asking", "settling", "keeping")


@pytest.mark.parametrize("plan", STOPPED)
def test_the_drill_makes_way_and_the_recovery_launches_after_its_end(flows: Flows, plan: str) -> None:
    drill, real = flows.launches(plan, is_drill=True), flows.launches(plan, is_drill=False)
    assert len(drill) == (2 if plan == "keeping" else 1), "the drill launched nothing more"
    assert max(drill) < flows.triggered[plan] < min(real)
    terminated = flows.terminated(plan)
    assert len(terminated) == len(drill), "what the drill launched is terminated"
    assert max(terminated.values()) < min(real)
    report = flows.stack.report(plan, flows.drills[plan])
    assert (report["termination"]["state"], report["termination"]["left"]) == ("success", [])
    assert min(real) - flows.triggered[plan] < 900, "long before the two hours for which the drill would have waited"
    print(f"{plan}: {min(real) - flows.triggered[plan]:.1f} s from the trigger to the recovery's first StartRecovery")


@pytest.mark.parametrize("plan", ["onwire", "asking", "settling"])
def test_the_report_of_the_drill_says_who_stopped_it(flows: Flows, plan: str) -> None:
    report = flows.stack.report(plan, flows.drills[plan])
    assert flows.state(plan, flows.drills[plan]) == "failed"
    assert report["run"]["stopped"] == f"recovery__{plan}, started by alice"


def test_a_drill_that_was_through_ends_its_pause_and_stays_a_success(flows: Flows) -> None:
    assert flows.state("keeping", flows.drills["keeping"]) == "success"
    assert flows.stack.report("keeping", flows.drills["keeping"])["run"]["stopped"] is None


@pytest.mark.parametrize("plan", [*STOPPED, "patient"])
def test_the_channels_are_told_of_the_wait_and_of_what_it_is_for(flows: Flows, plan: str) -> None:
    subjects = flows.subjects(plan)
    assert "waiting in the queue" in subjects
    assert ("stopping for a recovery" in subjects) is (plan in STOPPED)
    texts = [
        call["params"]["Message"]
        for call in flows.stack.simulator.log.calls("Publish")
        if f" {plan}: waiting in the queue" in call["params"]["Subject"]
    ]
    assert ("it has been asked to stop" in texts[0]) is (plan in STOPPED)


def test_what_the_recovery_still_waits_for_is_shown(flows: Flows) -> None:
    (message,) = {
        call["params"]["Message"]
        for call in flows.stack.simulator.log.calls("Publish")
        if " onwire: stopping for a recovery" in call["params"]["Subject"]
    }
    # On a busy machine the job is over before the drill comes to its end.
    assert "It waits for 1 DRS job on the wire" in message or "No DRS job of it is on the wire" in message
    assert "The recovery waits for: " in flows.stack.log_of("onwire", flows.drills["onwire"], "terminate")


def test_a_drill_that_nobody_asks_to_stop_comes_to_its_end(flows: Flows) -> None:
    drill, real = flows.launches("patient", is_drill=True), flows.launches("patient", is_drill=False)
    assert len(drill) == 2
    assert flows.state("patient", flows.drills["patient"]) == "success"
    assert max(drill) < min(real)


def test_the_command_starts_a_recovery_and_prints_what_it_waits_for(flows: Flows) -> None:
    assert flows.command is not None
    output, _ = flows.command.communicate(timeout=300)
    assert flows.command.returncode == 0, output
    assert "Started recovery__settling of settling" in output
    assert f"Asked to stop: {flows.drills['settling']}" in output
    assert f"recovery__settling: waits for {flows.drills['settling']}" in output
    run = flows.stack.api.run("settling", "recovery__settling")
    assert run["triggering_user_name"] == "alice"
    assert "the site is gone" in run["note"]


def test_a_recovery_whose_plan_is_paused_says_that_it_stands_still_and_goes_on_afterwards(flows: Flows) -> None:
    assert flows.state("paused", flows.recoveries["paused"]) == "success"
    assert flows.subjects("paused").count("standing still") == 1
    told = flows.stack.report("paused", flows.recoveries["paused"])["notifications"]
    assert ("run_frozen", "success") in {(each["event"], each["state"]) for each in told}
