"""What a scenario says of SSM: how documents behave, and when agents come online."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from drs_provider.simulator.durations import Duration

__all__ = ["AgentSpec", "DocumentSpec", "InstanceOutcome", "StepSpec"]


class AgentSpec(BaseModel):
    """The SSM agent of a launched instance."""

    model_config = ConfigDict(extra="forbid")

    online_after: Duration = Field(default=45.0, description="After the instance runs, before the speed factor")
    never: bool = Field(default=False, description="The agent never comes online")
    lost_after: Duration | None = Field(default=None, description="The agent is lost this long after the instance runs")


class InstanceOutcome(BaseModel):
    """How a command ends on one instance; what is absent is as the document says."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["Success", "Failed", "TimedOut", "Cancelled", "hangs"] | None = None
    duration: Duration | None = None
    exit_code: int | None = None
    output: str | None = None
    error_output: str | None = None


class StepSpec(BaseModel):
    """One step of an automation."""

    model_config = ConfigDict(extra="forbid")

    name: str
    action: str = "aws:executeAwsApi"
    duration: Duration = 1.0
    outcome: Literal["Success", "Failed", "TimedOut", "Cancelled", "hangs"] = "Success"
    message: str | None = None
    outputs: dict[str, list[str]] = Field(default_factory=dict)
    approvers: list[str] = Field(default_factory=list)


class DocumentSpec(BaseModel):
    """How an SSM document behaves, a command document or an automation runbook.

    A document of moto's own or of AWS that the scenario does not name succeeds after `duration`'s default.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Literal["Command", "Automation", "any"] = "any"
    duration: Duration = 5.0
    outcome: (
        Literal["Success", "Failed", "TimedOut", "Cancelled", "hangs"]
        | list[Literal["Success", "Failed", "TimedOut", "Cancelled", "hangs"]]
    ) = Field(default="Success", description="One outcome, or one for each execution in turn, the last one repeating")
    exit_code: int | None = None
    output: str = ""
    error_output: str = ""
    message: str | None = None
    instances: dict[str, InstanceOutcome] = Field(
        default_factory=dict, description="By instance id, source server id or hostname"
    )
    steps: list[StepSpec] = Field(default_factory=list)
    outputs: dict[str, list[str]] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
