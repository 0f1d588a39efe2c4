"""Run Command: one command and its invocations, moved on by the clock from Pending to an end.

A command is accepted at once. Its invocations exist a moment later, run under MaxConcurrency, are handed out until
MaxErrors is passed, and end as the scenario says, by a delivery timeout, by an execution timeout, or by a cancel. An
agent that is lost while a script runs, or whose instance is stopped or terminated, never reports: the script ends in
ExecutionTimedOut, when its time is over.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drs_provider.simulator.clock import Timer
from drs_provider.simulator.runtime import Runtime
from drs_provider.simulator.ssm.agents import Node
from drs_provider.simulator.ssm.outcomes import INVOCATION_ENDS, INVOCATION_HOLDS, InvocationPlan

__all__ = ["ENDED", "Command", "Invocation", "share"]

ENDED: Final = frozenset({"Success", "Failed", "TimedOut", "Cancelled"})
#: Seconds of AWS between two tries to reach an agent that is lost.
_REDELIVERY: Final = 10.0
#: Details that do not count against MaxErrors.
_UNCOUNTED: Final = frozenset({"DeliveryTimedOut", "Undeliverable", "Terminated", "Cancelled"})


@dataclass
class Invocation:
    """One command on one instance; times are epoch seconds."""

    node: Node
    plan: InvocationPlan
    requested: float
    status: str = "Pending"
    details: str = "Pending"
    response_code: int = -1
    started: float | None = None
    ended: float | None = None
    output: str = ""
    error_output: str = ""
    deliver_by: float | None = None
    #: Since when the instance that runs it has been running.
    boot: float | None = None
    timers: list[Timer] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED


class Command:
    """A command that was sent.

    :param resolve: called when the invocations come to exist; gives the nodes and what will become of each.
    :param running_since: since when an instance runs (epoch seconds) whose agent answers at this moment, else None.
    """

    def __init__(
        self,
        simulation: Runtime,
        request: Mapping[str, Any],
        document_version: str,
        plugin: str,
        resolve: Callable[[], list[tuple[Node, InvocationPlan]]],
        running_since: Callable[[str], float | None],
    ) -> None:
        self.command_id = str(uuid.uuid4())
        self.request = dict(request)
        self.document_name: str = request["DocumentName"]
        self.document_version = document_version
        self.plugin = plugin
        self.requested = simulation.clock.now()
        self.timeout = int(request.get("TimeoutSeconds") or 3600)
        self.max_concurrency = str(request.get("MaxConcurrency") or "50")
        self.max_errors = str(request.get("MaxErrors") or "0")
        self.invocations: list[Invocation] = []
        self.exists = False
        self.cancelled = False
        self._cancelled_early: set[str] = set()
        self.status = self.details = "Pending"
        self._simulation = simulation
        self._resolve = resolve
        self._running_since = running_since
        self._log("COMMAND_START")
        simulation.clock.call_in(simulation.scenario.ssm.invocations_after, self._begin)

    @property
    def expires(self) -> float:
        """When no invocation of it can run any more (epoch seconds)."""
        longest = max((invocation.plan.timeout for invocation in self.invocations), default=3600.0)
        return self.requested + self._simulation.clock.scaled(self.timeout + longest)

    @property
    def over(self) -> bool:
        """Whether every invocation has ended."""
        return self.status in ENDED

    def invocation(self, instance_id: str) -> Invocation | None:
        """Its invocation on an instance."""
        return next((each for each in self.invocations if each.node.instance_id == instance_id), None)

    def cancel(self, instance_ids: list[str]) -> None:
        """End what has not ended, on these instances or on all: waiting ones at once, running ones a little later."""
        if self.over:
            return
        if not instance_ids:
            self.cancelled = True
        elif not self.exists:
            self._cancelled_early.update(instance_ids)
        for invocation in self.invocations:
            if invocation.over or (instance_ids and invocation.node.instance_id not in instance_ids):
                continue
            if invocation.status == "InProgress":
                self._stop_timers(invocation)
                invocation.status = invocation.details = "Cancelling"
                self._later(invocation, self._simulation.scenario.ssm.cancel_takes, "Cancelled")
            elif invocation.status != "Cancelling":
                self._end(invocation, "Cancelled")
        self._hand_out()

    def _begin(self) -> None:
        self.exists = True
        for node, plan in self._resolve():
            self.invocations.append(Invocation(node, plan, self._simulation.clock.now()))
        for invocation in self.invocations:
            if self.cancelled or invocation.node.instance_id in self._cancelled_early:
                self._end(invocation, "Cancelled")
        self._hand_out()

    def _hand_out(self) -> None:
        total = len(self.invocations)
        for invocation in self.invocations:
            if invocation.status != "Pending" or invocation.deliver_by is not None:
                continue
            if self._errors() > share(self.max_errors, total):
                self._end(invocation, "Terminated")
            elif self._active() < max(1, share(self.max_concurrency, total)):
                clock = self._simulation.clock
                invocation.deliver_by = clock.now() + clock.scaled(self.timeout)
                self._deliver(invocation)
        self._settle()

    def _deliver(self, invocation: Invocation) -> None:
        """Hand a command to its agent, and try again while the agent does not answer."""
        clock = self._simulation.clock
        plan = invocation.plan
        hold = INVOCATION_HOLDS.get(plan.outcome)
        if plan.outcome in ("Undeliverable", "InvalidPlatform", "AccessDenied", "Terminated"):
            self._end(invocation, plan.outcome)
        elif (
            hold in ("Pending", "Delayed")
            or plan.outcome == "DeliveryTimedOut"
            or self._running_since(invocation.node.instance_id) is None
        ):
            if invocation.deliver_by is not None and clock.now() >= invocation.deliver_by:
                self._finish(invocation, "DeliveryTimedOut")
                return
            if hold != "Pending":
                invocation.status = invocation.details = "Delayed"
            due = min(clock.now() + clock.scaled(_REDELIVERY), invocation.deliver_by or clock.now())
            invocation.timers.append(clock.call_at(due, lambda: self._deliver(invocation)))
        else:
            self._run(invocation)

    def _run(self, invocation: Invocation) -> None:
        plan = invocation.plan
        invocation.status = invocation.details = "InProgress"
        invocation.started = self._simulation.clock.now()
        invocation.boot = self._running_since(invocation.node.instance_id)
        self._log("INVOCATION_START", invocation)
        if plan.outcome in ("TimedOut", "ExecutionTimedOut"):
            self._later(invocation, plan.duration, "ExecutionTimedOut")
        elif plan.outcome not in INVOCATION_HOLDS and plan.duration <= plan.timeout:
            clock = self._simulation.clock
            invocation.timers.append(clock.call_in(plan.duration, lambda: self._report(invocation)))
        # After the report, so that a script that takes its whole time is in time.
        self._later(invocation, plan.timeout, "ExecutionTimedOut")

    def _report(self, invocation: Invocation) -> None:
        """The script is through: its agent says so, unless it was lost meanwhile, or the instance was stopped."""
        if not invocation.over and self._survived(invocation):
            self._finish(invocation, invocation.plan.outcome)

    def _survived(self, invocation: Invocation) -> bool:
        return self._running_since(invocation.node.instance_id) == invocation.boot

    def _later(self, invocation: Invocation, seconds: float, outcome: str) -> None:
        invocation.timers.append(
            self._simulation.clock.call_in(seconds, lambda: self._finish(invocation, outcome)),
        )

    def _finish(self, invocation: Invocation, outcome: str) -> None:
        if not invocation.over:
            self._end(invocation, outcome)
            self._hand_out()

    def _end(self, invocation: Invocation, outcome: str) -> None:
        if invocation.over:
            return
        self._stop_timers(invocation)
        invocation.status, invocation.details, invocation.response_code = INVOCATION_ENDS[outcome]
        invocation.ended = self._simulation.clock.now()
        if invocation.started is not None and outcome != "Cancelled" and self._survived(invocation):
            invocation.output = invocation.plan.output
            invocation.error_output = invocation.plan.error_output
            if outcome in ("Success", "Failed"):
                invocation.response_code = invocation.plan.exit_code
        self._log("INVOCATION_END", invocation)

    def _stop_timers(self, invocation: Invocation) -> None:
        for timer in invocation.timers:
            timer.cancel()
        invocation.timers.clear()

    def _active(self) -> int:
        return sum(1 for each in self.invocations if not each.over and each.deliver_by is not None)

    def _errors(self) -> int:
        return sum(
            1 for each in self.invocations if each.over and each.status != "Success" and each.details not in _UNCOUNTED
        )

    def _settle(self) -> None:
        """Put the command's own status together from its invocations."""
        if self.over or not self.exists:
            return
        if any(not each.over for each in self.invocations):
            started = any(each.status != "Pending" for each in self.invocations)
            self.status = self.details = "Cancelling" if self.cancelled else "InProgress" if started else "Pending"
            return
        self.status, self.details = self._rolled_up()
        self._log("COMMAND_END")

    def _rolled_up(self) -> tuple[str, str]:
        details = [each.details for each in self.invocations]
        if not details:
            return ("Cancelled", "Cancelled") if self.cancelled else ("Success", "NoInstancesInTag")
        if all(each == "Success" for each in details):
            return "Success", "Success"
        if "Cancelled" in details and (self.cancelled or set(details) <= {"Cancelled", "Success"}):
            return "Cancelled", "Cancelled"
        if self._errors() > share(self.max_errors, len(details)):
            if any(each not in ("ExecutionTimedOut", "Success", *_UNCOUNTED) for each in details):
                return "Failed", "Failed"
            return "TimedOut", "ExecutionTimedOut"
        if set(details) <= {"DeliveryTimedOut"}:
            return "TimedOut", "DeliveryTimedOut"
        return "Failed", "Incomplete"

    def _log(self, event: str, invocation: Invocation | None = None) -> None:
        more: dict[str, Any] = {"command": self.command_id, "document": self.document_name}
        if event.endswith("END"):
            more["status"] = invocation.status if invocation else self.status
            more["details"] = invocation.details if invocation else self.details
        if invocation is None:
            known = [each.node.instance_id for each in self.invocations]
            more["instances"] = known or list(self.request.get("InstanceIds") or [])
            self._simulation.record(event, **more)
        else:
            more["instance"] = invocation.node.instance_id
            self._simulation.record(event, server=invocation.node.server_id, **more)


def share(limit: str, total: int) -> int:
    """MaxConcurrency or MaxErrors, a number or a percentage of `total`, as a number; a percentage is rounded down."""
    return total * int(limit[:-1]) // 100 if limit.endswith("%") else int(limit)
