"""The live data of one task that waits: what it waits for, how far that is, since when, and when it gives up.

``live/<task id>.json`` in the folder of the run's report. A field that is added later has a default, and a reader
leaves alone what it does not know.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["SCHEMA_VERSION", "LiveItem", "LiveServer", "LiveTask", "LiveWait", "PhaseTimes", "ServerPhase"]

SCHEMA_VERSION: Final = 1

ServerPhase = Literal["waiting", "cleanup", "snapshot", "conversion", "launch", "launched", "failed", "terminated"]
Outcome = Literal["success", "failed", "stopped"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PhaseTimes(_Frozen):
    """When a server was in a phase of its job, by the job's log."""

    phase: Literal["cleanup", "snapshot", "conversion", "launch"]
    started: datetime
    ended: datetime | None = Field(None, description="Null while the phase goes on.")


class LiveServer(_Frozen):
    """A source server that is being launched."""

    id: str = Field(description="The source server's id.")
    hostname: str | None = None
    job_id: str | None = Field(None, description="The newest DRS job that it is in.")
    phase: ServerPhase = "waiting"
    since: datetime | None = Field(None, description="When the phase began.")
    launch_status: str | None = Field(None, description="launchStatus of the job's participating server.")
    instance_id: str | None = Field(None, description="The EC2 instance, as soon as the job's log has it.")
    phases: list[PhaseTimes] = Field([], description="The phases that the job's log shows, oldest first.")
    error: str | None = Field(None, description="What the job's log says went wrong.")


class LiveItem(_Frozen):
    """Anything else that is waited for: an instance, a person's answer."""

    id: str
    status: str


class LiveTask(_Frozen):
    """Which task waits: what the task says of itself before it does."""

    dag_id: str
    run_id: str
    task_id: str
    try_number: int = 1
    kind: str = Field(description="The kind of step: wait_for_launch, script, health, settle, approve, terminate, …")
    wave: str | None = Field(None, description="The wave; null for a task of the whole run.")
    waiting_since: datetime = Field(description="When the task of this try first began to wait.")


class LiveWait(LiveTask):
    """The file of a task."""

    schema_version: Literal[1] = SCHEMA_VERSION
    state: Literal["waiting", "ended"] = "waiting"
    outcome: Outcome | None = Field(
        None, description="How the wait ended; null while it goes on. The task may go on after it."
    )
    gives_up_at: datetime | None = Field(None, description="When the wait ends without success; null: never.")
    what: str = Field("", description="What is waited for, in words.")
    counts: dict[str, int] = Field({}, description="How many servers, instances or commands are in which state.")
    servers: list[LiveServer] = Field([], description="The servers of a wait for a launch.")
    items: list[LiveItem] = Field([], description="What is waited for in any other wait, as far as it is not done.")
    written_at: datetime
    written_every: float | None = Field(
        None,
        description="Seconds after which the file is written again although nothing changed; one that is three times "
        "as old has lost its writer. Null: it is written at a change only.",
    )
