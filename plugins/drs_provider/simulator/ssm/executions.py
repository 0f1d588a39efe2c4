"""Automation: one execution of a runbook and its steps, moved on by the clock, by signals and by a stop.

A runbook of the scenario has the steps that it names, else one step. An approval waits for a signal. An outcome that
is no end (`Scheduled`, `PendingApproval`, `hangs` and such) lasts until the execution is stopped or signalled. A step
that runs on an instance which is lost, stopped or terminated meanwhile never succeeds: it times out.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from drs_provider.simulator.clock import Timer
from drs_provider.simulator.runtime import Runtime
from drs_provider.simulator.ssm.exceptions import InvalidAutomationSignal, InvalidAutomationStatusUpdate
from drs_provider.simulator.ssm.runbook_steps import ENDED, NEVER_ENDING, SUCCEEDED, Runbook, Start, Step

__all__ = ["Execution"]

#: Seconds of AWS until an execution leaves Pending, and until an approval that nobody answers times out.
_STARTS_AFTER: Final = 0.5
_APPROVAL_TIMEOUT: Final = 604800.0
#: After which a step on an instance that is gone times out, where nothing else is said.
_COMMAND_TIMEOUT: Final = 3600.0
_RUN_COMMAND: Final = "aws:runCommand"
#: Outcomes whose status stands instead of any step.
_HELD: Final = frozenset(
    {
        "Pending",
        "Waiting",
        "Cancelling",
        "PendingApproval",
        "Approved",
        "Scheduled",
        "PendingChangeCalendarOverride",
        "ChangeCalendarOverrideApproved",
    }
)


class Execution:
    """One automation execution."""

    def __init__(self, simulation: Runtime, runbook: Runbook, start: Start) -> None:
        self.execution_id = str(uuid.uuid4())
        self.runbook = runbook
        self.request = dict(start.request)
        self.executed_by = start.executed_by
        self.parent = start.parent
        self.target = start.target
        self.steps = [Step(spec) for spec in runbook.steps]
        self.status = "Pending"
        self.message: str | None = None
        self.started = simulation.clock.now()
        self.ended: float | None = None
        self._simulation = simulation
        self._nodes = start.nodes
        self._running_since = start.running_since
        self._timers: list[Timer] = []
        self._completing = False
        self._log("AUTOMATION_START")
        self._later(_STARTS_AFTER, self.begin)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDED

    @property
    def current(self) -> Step | None:
        """The step that runs or waits."""
        return next((step for step in self.steps if step.status in ("InProgress", "Waiting", "Cancelling")), None)

    def begin(self) -> None:
        """Leave Pending: run the first step, or take on the status that the scenario holds it in."""
        outcome = self.runbook.outcome
        if outcome in _HELD:
            self.status = outcome
        else:
            self._run_next()

    def stop(self, kind: str) -> None:
        """StopAutomationExecution: `Cancel` ends the running step too; `Complete` lets it finish first.

        :raises InvalidAutomationStatusUpdate: it has ended.
        """
        if self.over:
            raise InvalidAutomationStatusUpdate(execution=self.execution_id, status=self.status)
        if kind == "Complete":
            self._completing = True
            if self.current is None or self.current.status == "Waiting":
                self._finish("Success")
            return
        self._drop_timers()
        step = self.current
        if step is not None:
            step.status = "Cancelling"
        self.status = "Cancelling"
        self._later(self._simulation.scenario.ssm.cancel_takes, self._cancelled)

    def signal(self, kind: str, payload: Mapping[str, list[str]]) -> None:
        """SendAutomationSignal: `Approve` or `Reject` what waits for it.

        :raises InvalidAutomationSignal: nothing waits for this signal.
        """
        step = self.current
        if kind not in ("Approve", "Reject"):
            raise InvalidAutomationSignal(signal=kind, execution=self.execution_id)
        if self.status == "PendingApproval":
            if kind == "Reject":
                self._finish("Rejected", "The change request was rejected")
            else:
                self.status = "Approved"
                self._later(_STARTS_AFTER, self._run_next)
        elif self.status == "Waiting" and step is not None and step.spec.waits_for_approval:
            self._decide(step, kind, payload)
        else:
            raise InvalidAutomationSignal(signal=kind, execution=self.execution_id)

    def _decide(self, step: Step, kind: str, payload: Mapping[str, list[str]]) -> None:
        comment = " ".join(payload.get("Comment", []))
        if kind == "Reject":
            step.outputs = {"ApprovalStatus": ["Rejected"]}
            self._end_step(step, "Failed", f"The approval was rejected. {comment}".strip())
            return
        step.approvals += 1
        if step.approvals >= step.spec.approvals:
            step.outputs = {"ApprovalStatus": ["Approved"]}
            self._end_step(step, "Success")

    def _run_next(self) -> None:
        step = next((each for each in self.steps if each.status == "Pending"), None)
        if step is None or self._completing:
            self._finish_as_told()
            return
        self._begin_step(step)

    def _begin_step(self, step: Step) -> None:
        """Let a step take the time, and come to the end, that the scenario gives it."""
        step.started = self._simulation.clock.now()
        self._log("STEP_START", step)
        if step.spec.waits_for_approval:
            self._await_approval(step)
            return
        never = self.runbook.outcome in NEVER_ENDING or step.spec.outcome == "hangs"
        step.status = "InProgress"
        self.status = NEVER_ENDING.get(self.runbook.outcome, "InProgress")
        timeout = step.spec.timeout
        boots = {one: self._running_since(one) for one in self._on_instances(step)}
        if step.spec.action == _RUN_COMMAND and None in boots.values():
            away = ", ".join(one for one, boot in boots.items() if boot is None)
            self._later(0.0, lambda: self._end_step(step, "Failed", f"Instances [[{away}]] not in a valid state"))
            return
        if timeout is not None and (never or step.spec.duration > timeout):
            self._later(timeout, lambda: self._end_step(step, "TimedOut", "The step took too long"))
        elif not never:
            self._later(step.spec.duration, lambda: self._report(step, boots))

    def _await_approval(self, step: Step) -> None:
        step.status = self.status = "Waiting"
        patience = _APPROVAL_TIMEOUT if step.spec.timeout is None else step.spec.timeout
        self._later(patience, lambda: self._end_step(step, "TimedOut", "Nobody answered the approval in time"))

    def _on_instances(self, step: Step) -> list[str]:
        """The instances that a step runs on."""
        on_them = self.runbook.on_instances or step.spec.action == _RUN_COMMAND
        return [node.instance_id for node in self._nodes] if on_them else []

    def _report(self, step: Step, boots: Mapping[str, float | None]) -> None:
        """The step is through, unless an instance that it ran on was lost meanwhile: then nobody says so."""
        gone = [one for one, boot in boots.items() if boot is not None and self._running_since(one) != boot]
        if not gone:
            self._end_step(step, step.spec.outcome, step.spec.message)
            return
        limit = step.spec.timeout if step.spec.timeout is not None else _COMMAND_TIMEOUT
        rest = max(0.0, limit - step.spec.duration)
        self._later(rest, lambda: self._end_step(step, "TimedOut", f"{', '.join(gone)} did not answer any more"))

    def _end_step(self, step: Step, status: str, message: str | None = None) -> None:
        self._drop_timers()
        step.status, step.ended = status, self._simulation.clock.now()
        if status == "Success":
            step.outputs = step.outputs or dict(step.spec.outputs)
        else:
            step.message = message or f"Step {step.spec.name} ended with status {status}"
        self._log("STEP_END", step)
        self._after(step, status, step.message)

    def _after(self, step: Step, status: str, message: str | None) -> None:
        if status == "Success" or (step.spec.on_failure == "Continue" and status != "Cancelled"):
            self._run_next()
        else:
            self._finish(status, f"Step {step.spec.name} did not succeed. {message}")

    def _finish_as_told(self) -> None:
        outcome = self.runbook.outcome
        if outcome == "PendingApproval":
            outcome = "CompletedWithSuccess"
        bad = outcome not in SUCCEEDED
        self._finish(outcome, self.runbook.message if bad else None)

    def _cancelled(self) -> None:
        step = self.current
        if step is not None:
            step.status, step.ended = "Cancelled", self._simulation.clock.now()
            self._log("STEP_END", step)
        self._finish("Cancelled")

    def _finish(self, status: str, message: str | None = None) -> None:
        self._drop_timers()
        self.status, self.ended, self.message = status, self._simulation.clock.now(), message
        self._log("AUTOMATION_END")
        if self.parent is not None:
            self.parent.child_ended()

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append(self._simulation.clock.call_in(seconds, call))

    def _drop_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _log(self, event: str, step: Step | None = None) -> None:
        more: dict[str, Any] = {"execution": self.execution_id, "document": self.runbook.name}
        if step is not None:
            more["step"] = step.spec.name
        if event.endswith("END"):
            more["status"] = step.status if step else self.status
        if self._nodes:
            more["instances"] = [node.instance_id for node in self._nodes]
        if self.target is not None:
            more["target"] = self.target
        server = next((node.server_id for node in self._nodes if node.server_id), None)
        self._simulation.record(event, server=server, **more)
