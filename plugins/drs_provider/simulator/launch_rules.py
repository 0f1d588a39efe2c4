"""How launches behave where AWS says nothing, or where a test wants it otherwise: `launching` of a scenario.

The defaults are what is documented, and where nothing is, what an orchestrator must survive.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from drs_provider.durations import Seconds

__all__ = ["Ec2Rules", "LaunchRules"]


class LaunchRules(BaseModel):
    """The rules of all launches of a scenario."""

    model_config = ConfigDict(extra="forbid")

    replaces: Literal["any", "drills"] = Field(
        default="any", description="Which previous recovery instance of a server a launch deletes first"
    )
    silent_agent: Literal["previous_snapshot", "fail"] = Field(
        default="previous_snapshot", description="A launch of the latest state of a server whose agent is not seen"
    )
    template_read: Literal["job_start", "launch_start"] = Field(
        default="job_start", description="When a job reads the launch template of a server"
    )
    job_version_from: Literal["default", "latest"] = Field(
        default="default", description="The template version that a job copies into its own, and launches"
    )
    update_config_base: Literal["default", "latest"] = Field(
        default="default", description="The template version that UpdateLaunchConfiguration copies into its own"
    )
    deletes_launched_into: bool = Field(
        default=False, description="Whether that goes for an instance, too, that a server was launched into"
    )
    spread: float = Field(
        default=0.08,
        ge=0,
        lt=1,
        description="How far, as a share, the phases of a server differ from those of another; 0: all move in step",
    )
    seed: int = Field(default=0, description="Of the spread")


class Ec2Rules(BaseModel):
    """EC2's limits, and how long instances take from one state to the next."""

    model_config = ConfigDict(extra="forbid")

    starting: Seconds = Field(default=10.0, description="pending, of an instance that is started")
    stopping: Seconds = 30.0
    shutting_down: Seconds = 30.0
    capacity: dict[str, int] = Field(
        default_factory=dict, description="How many instances of a type can run, in each account and region"
    )
    vcpus: int | None = Field(default=None, ge=0, description="The quota of vCPUs of running instances")
