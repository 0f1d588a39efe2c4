"""What an execution of a runbook is made of: the runbook, its steps, and what it was started with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from drs_provider.simulator.documents import StepSpec
from drs_provider.simulator.ssm.agents import Node
from drs_provider.simulator.ssm.runbook_content import StepDefinition

if TYPE_CHECKING:
    from drs_provider.simulator.ssm.targeted_executions import TargetedExecution

__all__ = ["ENDED", "NEVER_ENDING", "SUCCEEDED", "Runbook", "RunningSince", "Start", "Step"]

#: Since when an instance runs (epoch seconds) whose agent answers at this moment; None where it does not.
RunningSince = Callable[[str], float | None]

ENDED: Final = frozenset(
    {
        "Success",
        "TimedOut",
        "Cancelled",
        "Failed",
        "Rejected",
        "ChangeCalendarOverrideRejected",
        "CompletedWithSuccess",
        "CompletedWithFailure",
        "Exited",
    }
)
SUCCEEDED: Final = frozenset({"Success", "CompletedWithSuccess", "Exited"})
NEVER_ENDING: Final = {"hangs": "InProgress", "InProgress": "InProgress", "RunbookInProgress": "RunbookInProgress"}


@dataclass(frozen=True)
class Runbook:
    """What an execution will do: its steps, how it ends once they are through, and what it says and puts out.

    :param on_instances: whether its steps run on the instances that its parameters name, whatever their action: so it
        is taken where nobody says what the steps do.
    :param declared: the outputs that the document names, as `step.Output`.
    """

    name: str
    version: str
    steps: tuple[StepSpec, ...]
    outcome: str
    message: str | None
    outputs: Mapping[str, list[str]]
    on_instances: bool = False
    declared: tuple[str, ...] = ()


@dataclass
class Step:
    """One step; times are epoch seconds."""

    spec: StepSpec
    step_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "Pending"
    started: float | None = None
    ended: float | None = None
    message: str | None = None
    approvals: int = 0
    outputs: dict[str, list[str]] = field(default_factory=dict)
    #: What the document's content says of it, where that is known.
    definition: StepDefinition | None = None
    inputs: dict[str, Any] = field(default_factory=dict)
    attempts: int = 0
    #: Where a branch goes on to.
    chosen: str | None = None


@dataclass(frozen=True)
class Start:
    """What an execution is started with.

    :param request: the request of StartAutomationExecution.
    :param executed_by: the ARN of the caller.
    :param nodes: the instances that its parameters name; the log names them too.
    :param parent: the execution that runs this one for one of its targets.
    :param target: the target's value, where there is a parent.
    :param running_since: tells whether the agents of instances are there.
    """

    request: Mapping[str, Any]
    executed_by: str
    nodes: tuple[Node, ...] = ()
    parent: TargetedExecution | None = None
    target: str | None = None
    running_since: RunningSince = lambda instance: None
