"""What becomes of a command on an instance: the scenario's word on its document, else what the shell text asks for.

Where a scenario says nothing of a shell document, the text of the commands speaks for itself: `sleep N` takes N
seconds, `echo TEXT` prints, and `exit N` (or `throw`, for PowerShell) fails with that code. A test can so fail one
script without a scenario.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from drs_provider.aws.typical import SCRIPT
from drs_provider.simulator.documents import DocumentSpec, InstanceOutcome

__all__ = ["INVOCATION_ENDS", "INVOCATION_HOLDS", "InvocationPlan", "plan_invocation"]

#: How an outcome shows: Status, StatusDetails, and the response code where the scenario names none.
INVOCATION_ENDS: Final[dict[str, tuple[str, str, int]]] = {
    "Success": ("Success", "Success", 0),
    "Failed": ("Failed", "Failed", 1),
    "TimedOut": ("TimedOut", "ExecutionTimedOut", -1),
    "ExecutionTimedOut": ("TimedOut", "ExecutionTimedOut", -1),
    "DeliveryTimedOut": ("TimedOut", "DeliveryTimedOut", -1),
    "Undeliverable": ("Failed", "Undeliverable", -1),
    "InvalidPlatform": ("Failed", "InvalidPlatform", -1),
    "AccessDenied": ("Failed", "AccessDenied", -1),
    "Terminated": ("Cancelled", "Terminated", -1),
    "Cancelled": ("Cancelled", "Cancelled", -1),
}
#: Outcomes that are no end: the status that an invocation keeps until it is cancelled or times out.
INVOCATION_HOLDS: Final[dict[str, str]] = {
    "hangs": "InProgress",
    "InProgress": "InProgress",
    "Pending": "Pending",
    "Delayed": "Delayed",
}
#: `executionTimeout` of the shell documents (seconds).
DEFAULT_EXECUTION_TIMEOUT: Final = 3600.0

_SLEEP = re.compile(r"(?:^|[;&|\s])(?:sleep|Start-Sleep(?:\s+-Seconds)?)\s+(\d+(?:\.\d+)?)", re.MULTILINE)
_EXIT = re.compile(r"(?:^|[;&|{\s])exit\s+(\d+)", re.MULTILINE)
_THROW = re.compile(r"(?:^|[;\s])throw\b", re.MULTILINE)
_ECHO = re.compile(r"(?:^|[;&|]\s*|\n)\s*(?:echo|Write-Output|Write-Host)\s+([^;&|\n]+)")


@dataclass(frozen=True)
class InvocationPlan:
    """What will become of a command on one instance; `duration` and `timeout` in seconds of AWS."""

    outcome: str
    duration: float
    timeout: float
    exit_code: int
    output: str
    error_output: str


def plan_invocation(
    spec: DocumentSpec | None,
    names: Iterable[str],
    parameters: Mapping[str, list[str]],
    turn: int,
) -> InvocationPlan:
    """What a command will do on one instance.

    :param spec: what the scenario says of the document, if anything.
    :param names: the instance's names (instance id, source server id, hostname) that the scenario may know it by.
    :param parameters: the command's parameters; `commands` speaks where the scenario says nothing.
    :param turn: how many commands ran this document on this instance before, for outcomes that are lists.
    """
    host = InstanceOutcome()
    if spec is not None:
        host = next((spec.instances[name] for name in names if name in spec.instances), host)
    text = "\n".join(parameters.get("commands", []))
    shell = _shell(text)
    said = spec.model_fields_set if spec is not None else set()
    base = spec or DocumentSpec()
    outcome: str | None = host.outcome or (
        base.outcome[min(turn, len(base.outcome) - 1)] if "outcome" in said else None
    )
    code = host.exit_code if host.exit_code is not None else base.exit_code
    if outcome is None:
        if code is None:
            code = shell.exit_code
        outcome = "Failed" if code else "Success"
    if code is None or (outcome == "Success" and host.exit_code is None and base.exit_code is None):
        code = INVOCATION_ENDS[outcome][2] if outcome in INVOCATION_ENDS else -1
        if outcome == "Failed" and shell.exit_code:
            code = shell.exit_code
    duration = host.duration
    if duration is None:
        duration = base.duration if "duration" in said else shell.duration
    output = host.output if host.output is not None else (base.output if "output" in said else shell.output)
    error = host.error_output if host.error_output is not None else base.error_output
    if outcome == "Failed" and not error:
        error = f"failed to run commands: exit status {code}"
    return InvocationPlan(outcome, duration, _timeout(parameters), code, output, error)


@dataclass(frozen=True)
class _Shell:
    duration: float
    exit_code: int
    output: str


def _shell(text: str) -> _Shell:
    slept = [float(seconds) for seconds in _SLEEP.findall(text)]
    match = _EXIT.search(text)
    code = int(match.group(1)) % 256 if match else int(bool(_THROW.search(text)))
    lines = [line.strip().strip("'\"") for line in _ECHO.findall(text)]
    return _Shell(sum(slept) if slept else SCRIPT, code, "".join(f"{line}\n" for line in lines))


def _timeout(parameters: Mapping[str, list[str]]) -> float:
    try:
        return float(parameters["executionTimeout"][0])
    except (KeyError, IndexError, ValueError):
        return DEFAULT_EXECUTION_TIMEOUT
