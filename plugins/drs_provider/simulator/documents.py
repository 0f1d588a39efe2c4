"""What a scenario says of SSM: how documents behave, and when agents come online."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from drs_provider.aws.typical import SCRIPT, STEP
from drs_provider.durations import Seconds
from drs_provider.simulator.runbook_syntax import parse_content

__all__ = [
    "AgentSpec",
    "AutomationOutcome",
    "CommandOutcome",
    "DocumentSpec",
    "InstanceOutcome",
    "SsmSpec",
    "StepSpec",
]

#: How a command ends on an instance; `hangs` and the statuses that are no end last until a timeout or a cancel.
CommandOutcome = Literal[
    "Success",
    "Failed",
    "TimedOut",
    "ExecutionTimedOut",
    "DeliveryTimedOut",
    "Undeliverable",
    "InvalidPlatform",
    "AccessDenied",
    "Terminated",
    "Cancelled",
    "hangs",
    "Pending",
    "Delayed",
    "InProgress",
]
#: How an automation ends, by AutomationExecutionStatus; one that is no end lasts until it is stopped or signalled.
AutomationOutcome = Literal[
    "Success",
    "Failed",
    "TimedOut",
    "Cancelled",
    "Rejected",
    "ChangeCalendarOverrideRejected",
    "CompletedWithSuccess",
    "CompletedWithFailure",
    "Exited",
    "hangs",
    "Pending",
    "InProgress",
    "Waiting",
    "Cancelling",
    "PendingApproval",
    "Approved",
    "Scheduled",
    "RunbookInProgress",
    "PendingChangeCalendarOverride",
    "ChangeCalendarOverrideApproved",
]
PlatformName = Literal["Linux", "Windows", "MacOS"]
#: One, or one for each execution in turn; the last one repeats.
DocumentOutcomes = Annotated[
    list[Literal[CommandOutcome, AutomationOutcome]],
    BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    Field(min_length=1),
]


class AgentSpec(BaseModel):
    """The SSM agent of a launched instance."""

    model_config = ConfigDict(extra="forbid")

    online_after: Seconds | None = Field(
        default=None, description="After the instance runs; absent: 30 s on Linux, 90 s on Windows"
    )
    never: bool = Field(default=False, description="The agent never comes online")
    lost_after: Seconds | None = Field(default=None, description="The agent is lost this long after the instance runs")


class SsmSpec(BaseModel):
    """How quick SSM itself is."""

    model_config = ConfigDict(extra="forbid")

    invocations_after: Seconds = Field(
        default=1.0, description="SendCommand to its invocations; until then GetCommandInvocation knows none"
    )
    connection_lost_after: Seconds = Field(
        default=300.0, description="The PingStatus of an agent that is gone is Online for so long, then ConnectionLost"
    )
    cancel_takes: Seconds = Field(default=2.0, description="How long a running command or automation is Cancelling")


class InstanceOutcome(BaseModel):
    """How a command ends on one instance; what is absent is as the document says."""

    model_config = ConfigDict(extra="forbid")

    outcome: CommandOutcome | None = None
    duration: Seconds | None = None
    exit_code: int | None = None
    output: str | None = None
    error_output: str | None = None


class StepSpec(BaseModel):
    """One step of an automation. One with approvers, or whose action is `aws:approve`, waits for a signal."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-zA-Z0-9_]{3,128}$")
    action: str = Field(default="aws:executeAwsApi", pattern=r"^aws:[a-zA-Z]{3,30}$")
    duration: Seconds = STEP
    outcome: Literal["Success", "Failed", "TimedOut", "Cancelled", "hangs"] = "Success"
    message: str | None = Field(default=None, description="The FailureMessage of a step that fails")
    outputs: dict[str, list[str]] = Field(default_factory=dict)
    on_failure: Literal["Abort", "Continue"] = "Abort"
    timeout: Seconds | None = Field(default=None, description="After which the step is TimedOut")
    approvers: list[str] = Field(default_factory=list)
    approvals: int = Field(default=1, ge=1, description="How many Approve signals an approval needs")

    @property
    def waits_for_approval(self) -> bool:
        """Whether the step is an approval."""
        return bool(self.approvers) or self.action == "aws:approve"


class DocumentSpec(BaseModel):
    """How an SSM document behaves, a command document or an automation runbook.

    A document of moto's own or of AWS that the scenario does not name succeeds after `duration`'s default.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["Command", "Automation", "any"] = "any"
    duration: Seconds = SCRIPT
    outcome: DocumentOutcomes = ["Success"]
    exit_code: int | None = None
    output: str = ""
    error_output: str = ""
    message: str | None = Field(default=None, description="The FailureMessage of an automation that fails")
    instances: dict[str, InstanceOutcome] = Field(
        default_factory=dict,
        description="By instance id, source server id or hostname; of automations, by a parameter's value too",
    )
    steps: list[StepSpec] = Field(default_factory=list)
    outputs: dict[str, list[str]] = Field(default_factory=dict, description="Such as {step.Output: [value]}")
    content: Any = Field(
        default=None,
        description="The runbook itself, of schema 0.3, as a mapping or as JSON or YAML text: its API calls, waits, "
        "branches and approvals are carried out; steps that `steps` names go on as they say there",
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="By name: null for a required one, a default, or a mapping with type, default, allowedValues. "
        "Absent: any parameters are taken",
    )
    platforms: list[PlatformName] = ["Linux", "Windows"]

    @model_validator(mode="after")
    def _outcomes_suit_the_kind(self) -> DocumentSpec:
        for outcome in self.outcome:
            if self.kind == "Command" and outcome not in get_args(CommandOutcome):
                raise ValueError(
                    f"a command cannot end as {outcome}; {', '.join(get_args(CommandOutcome))} are possible"
                )
            if self.kind == "Automation" and outcome not in get_args(AutomationOutcome):
                raise ValueError(
                    f"an automation cannot end as {outcome}; {', '.join(get_args(AutomationOutcome))} are possible"
                )
        if self.content is not None:
            if self.kind == "Command":
                raise ValueError("content is that of a runbook; a Command document has none")
            self.content = parse_content(self.content)
            unknown = {step.name for step in self.steps} - {str(step["name"]) for step in self.content["mainSteps"]}
            if unknown:
                raise ValueError(f"steps names {', '.join(sorted(unknown))}, which the content does not have")
        return self

    @property
    def is_command(self) -> bool:
        """Whether SendCommand takes it."""
        if self.kind == "any":
            return (
                not self.steps
                and self.content is None
                and all(outcome in get_args(CommandOutcome) for outcome in self.outcome)
            )
        return self.kind == "Command"

    @property
    def is_automation(self) -> bool:
        """Whether StartAutomationExecution takes it."""
        if self.kind == "any":
            return all(outcome in get_args(AutomationOutcome) for outcome in self.outcome)
        return self.kind == "Automation"
