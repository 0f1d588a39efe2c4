"""What the statuses of SSM commands and automations mean, and how a whole command or automation is judged by them.

Nothing here calls AWS: the hook reads, this module judges, and operators, sensors and triggers share both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

__all__ = [
    "AUTOMATION_STATUS",
    "INVOCATION_STATUS",
    "Automation",
    "AutomationStep",
    "InstanceResult",
    "Progress",
    "SentCommand",
    "Verdict",
    "allowed_errors",
    "judge",
    "tail",
]

#: How much of an instance's output goes to the log and into the XCom: lines, and characters.
TAIL_LINES = 10
TAIL_CHARACTERS = 2000


class Progress(Enum):
    """How far a command or an automation is."""

    RUNNING = "running"
    WAITING = "waiting"  # for a person, or for a change calendar: nothing goes on until somebody acts
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in (Progress.SUCCEEDED, Progress.FAILED)


#: Every ``AutomationExecutionStatus`` of the service model. `Exited` is documented for a loop that was left early; as
#: the status of an execution it would be an end without success.
AUTOMATION_STATUS: Mapping[str, Progress] = {
    "Pending": Progress.RUNNING,
    "InProgress": Progress.RUNNING,
    "Waiting": Progress.WAITING,
    "Success": Progress.SUCCEEDED,
    "TimedOut": Progress.FAILED,
    "Cancelling": Progress.RUNNING,
    "Cancelled": Progress.FAILED,
    "Failed": Progress.FAILED,
    "PendingApproval": Progress.WAITING,
    "Approved": Progress.RUNNING,
    "Rejected": Progress.FAILED,
    "Scheduled": Progress.RUNNING,
    "RunbookInProgress": Progress.RUNNING,
    "PendingChangeCalendarOverride": Progress.WAITING,
    "ChangeCalendarOverrideApproved": Progress.RUNNING,
    "ChangeCalendarOverrideRejected": Progress.FAILED,
    "CompletedWithSuccess": Progress.SUCCEEDED,
    "CompletedWithFailure": Progress.FAILED,
    "Exited": Progress.FAILED,
}

#: Every ``CommandInvocationStatus`` of the service model; a command's own statuses are among them.
INVOCATION_STATUS: Mapping[str, Progress] = {
    "Pending": Progress.RUNNING,
    "InProgress": Progress.RUNNING,
    "Delayed": Progress.RUNNING,
    "Success": Progress.SUCCEEDED,
    "Cancelled": Progress.FAILED,
    "TimedOut": Progress.FAILED,
    "Failed": Progress.FAILED,
    "Cancelling": Progress.RUNNING,
}


def tail(text: str, lines: int = TAIL_LINES, characters: int = TAIL_CHARACTERS) -> str:
    """Return the last lines of a text, at most so many characters of them."""
    return "\n".join(text.rstrip().splitlines()[-lines:])[-characters:]


@dataclass(frozen=True)
class SentCommand:
    """A command that this task has sent, as ListCommands shows it."""

    command_id: str
    attempt: int
    instance_ids: tuple[str, ...]
    status: str
    requested: float  # epoch seconds
    completed: int = 0
    errors: int = 0

    @property
    def progress(self) -> Progress:
        """How far the command is. A status that nobody knows counts as running: the deadline ends it."""
        return INVOCATION_STATUS.get(self.status, Progress.RUNNING)


@dataclass(frozen=True)
class InstanceResult:
    """What a script did on one instance."""

    status: str
    exit_code: int | None = None
    output_tail: str = ""
    command_id: str = ""
    reason: str = ""

    @property
    def progress(self) -> Progress:
        """How far the script is on this instance."""
        return INVOCATION_STATUS.get(self.status, Progress.RUNNING)

    def __str__(self) -> str:
        detail = f" ({self.reason})" if self.reason and self.reason != self.status else ""
        code = "" if self.exit_code is None or self.exit_code < 0 else f", exit code {self.exit_code}"
        return f"{self.status}{detail}{code}"

    def with_output(self, output_tail: str) -> InstanceResult:
        """Return the same result with another output."""
        return replace(self, output_tail=output_tail)

    def as_xcom(self) -> dict[str, Any]:
        """Return the JSON form of the result."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The judgement over a script on all its instances."""

    results: Mapping[str, InstanceResult]
    allowed: int
    running: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def progress(self) -> Progress:
        """Running while one instance runs; then failed if more instances failed than are allowed to."""
        if self.running:
            return Progress.RUNNING
        return Progress.FAILED if len(self.failed) > self.allowed else Progress.SUCCEEDED

    def summary(self) -> str:
        """Return one line: how many instances succeeded, failed and run."""
        done = len(self.results) - len(self.running) - len(self.failed)
        return f"{done} succeeded, {len(self.failed)} failed, {len(self.running)} running, of {len(self.results)}"


def allowed_errors(max_errors: str | int, instances: int) -> int:
    """Return how many of so many instances may fail, for ``max_errors`` as SSM writes it: a number or a percentage."""
    text = str(max_errors).strip()
    if text.endswith("%"):
        return math.floor(instances * int(text[:-1]) / 100)
    return int(text)


def judge(results: Mapping[str, InstanceResult], max_errors: str | int) -> Verdict:
    """Judge a script by its results on the instances."""
    return Verdict(
        results=results,
        allowed=allowed_errors(max_errors, len(results)),
        running=tuple(i for i, result in results.items() if not result.progress.ended),
        failed=tuple(i for i, result in results.items() if result.progress is Progress.FAILED),
    )


@dataclass(frozen=True)
class AutomationStep:
    """One step of an automation."""

    name: str
    action: str
    status: str
    message: str = ""

    @property
    def progress(self) -> Progress:
        """How far the step is."""
        return AUTOMATION_STATUS.get(self.status, Progress.RUNNING)

    @property
    def awaits_approval(self) -> bool:
        """Whether the step waits for a person."""
        return self.progress is Progress.WAITING


@dataclass(frozen=True)
class Automation:
    """An execution of an automation document, as GetAutomationExecution shows it."""

    execution_id: str
    document_name: str
    status: str
    started: float | None  # epoch seconds
    message: str = ""
    steps: tuple[AutomationStep, ...] = ()
    outputs: Mapping[str, list[str]] = field(default_factory=dict)

    @classmethod
    def from_api(cls, execution: Mapping[str, Any], steps: Iterable[Mapping[str, Any]]) -> Automation:
        """Build it from the answer of GetAutomationExecution and all its steps."""
        started: datetime | None = execution.get("ExecutionStartTime")
        return cls(
            execution_id=execution["AutomationExecutionId"],
            document_name=execution.get("DocumentName", ""),
            status=execution.get("AutomationExecutionStatus", "Pending"),
            started=started.timestamp() if started else None,
            message=execution.get("FailureMessage") or "",
            steps=tuple(
                AutomationStep(
                    name=step.get("StepName", ""),
                    action=step.get("Action", ""),
                    status=step.get("StepStatus", "Pending"),
                    message=step.get("FailureMessage") or "",
                )
                for step in steps
            ),
            outputs=dict(execution.get("Outputs") or {}),
        )

    @property
    def progress(self) -> Progress:
        """How far the automation is. A status that nobody knows counts as running: the deadline ends it."""
        return AUTOMATION_STATUS.get(self.status, Progress.RUNNING)

    def changes(self, before: Automation | None, console_url: str) -> list[str]:
        """Return a log line for each step that changed since `before`, and one if the automation waits for a person."""
        known = {step.name: step.status for step in before.steps} if before else {}
        lines = [
            f"Step {step.name} ({step.action}): {step.status}" + (f": {step.message}" if step.message else "")
            for step in self.steps
            if step.status != known.get(step.name, "Pending")
        ]
        if self.progress is Progress.WAITING and (before is None or before.status != self.status):
            waiting = ", ".join(step.name for step in self.steps if step.awaits_approval)
            lines.append(
                f"Automation {self.execution_id} waits ({self.status})"
                + (f" at step {waiting}" if waiting else "")
                + f": approve, reject or resume it at {console_url}"
            )
        return lines

    def failure(self) -> str:
        """Return why the automation failed: its own message, and that of each step that failed."""
        parts = [f"Automation {self.execution_id} of {self.document_name} ended as {self.status}"]
        if self.message:
            parts.append(self.message)
        parts += [
            f"step {step.name} ({step.action}) is {step.status}" + (f": {step.message}" if step.message else "")
            for step in self.steps
            if step.progress is Progress.FAILED
        ]
        return ". ".join(part.rstrip(".") for part in parts) + "."

    def as_xcom(self) -> dict[str, Any]:
        """Return the JSON form of the result."""
        return {
            "automation_execution_id": self.execution_id,
            "status": self.status,
            "instances": {},
            "outputs": {name: list(values) for name, values in self.outputs.items()},
        }
