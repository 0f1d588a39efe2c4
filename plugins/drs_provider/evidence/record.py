"""The evidence of one run of a recovery plan: the models behind ``report.json``, whose JSON Schema is published.

How the figures are defined:

- The clock starts with the run: at Airflow's start of the run, or at the first thing that a task or a DRS job of it did
  where that is earlier (Airflow moves a run's start when the run is cleared and goes on; the clock does not).
- **RTO achieved** is the time from then until the last wave of the run has ended, its scripts and health checks
  included. Readiness checks and the time that people took to approve count; termination of a drill's instances and
  rollback do not. A run that failed achieved no RTO; one that left out waves or scripts cannot meet the objective.
- **RPO achieved** of a server is the time between the moment to which its data goes back and the start of the job that
  launched it: the job's start minus the snapshot's timestamp, or, where the newest data was asked for, the
  replication lag at the launch, if that was within five minutes of it. The run's is that of its worst launched server.
- Times of jobs and of the phases snapshot, conversion and launch are those of the DRS job log.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

__all__ = [
    "NOT_JUDGED",
    "SCHEMA_VERSION",
    "Approval",
    "CriticalStep",
    "Finding",
    "Gate",
    "HealthCheck",
    "Instance",
    "Job",
    "LeftInstance",
    "Measured",
    "NotTested",
    "Notification",
    "Objectives",
    "Override",
    "Phase",
    "PhaseKind",
    "Plan",
    "Preflight",
    "Previous",
    "ReplacedInstance",
    "Rollback",
    "Run",
    "RunRecord",
    "RunState",
    "Script",
    "ScriptInstance",
    "Server",
    "Target",
    "Termination",
    "TimeSpent",
    "Unread",
    "Wave",
    "WaveBefore",
    "WaveState",
    "schema_text",
]

SCHEMA_VERSION = 1

NOT_JUDGED = "not judged"
"""How the remark of an objective begins that is not judged, because the run was simulated."""

Seconds = Annotated[float, Field(description="seconds")]
RunState = Literal["success", "failed", "running", "missed"]
WaveState = Literal[
    "success", "failed", "skipped", "not_started", "running", "rolled_back", "rollback_failed", "unknown"
]
StepState = Literal["success", "failed", "skipped", "not_started", "running", "unknown"]
PhaseKind = Literal[
    "approval", "scripts", "snapshot", "conversion", "launch", "drs", "settle", "health", "preflight", "rollback"
]
SpentKind = Literal[
    "approval", "scripts", "snapshot", "conversion", "launch", "drs", "settle", "health", "preflight", "orchestration"
]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Timed(_Fact):
    started: AwareDatetime | None = None
    ended: AwareDatetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, None where a time is not known."""
        return round((self.ended - self.started).total_seconds(), 3) if self.started and self.ended else None


class Plan(_Fact):
    """The plan as the run used it."""

    name: str
    description: str = ""
    owner: str = ""
    file: str
    hash: str = Field(description="SHA-256 of the plan's meaning, as the run recorded it when it began")
    changed_to: str | None = Field(None, description="hash of the plan file at the report, where it differs by then")
    region: str = Field(description="the recovery region")


class Objectives(_Fact):
    """What the plan promises."""

    rto_seconds: Seconds | None = None
    rpo_seconds: Seconds | None = None


class Run(_Timed):
    """The run itself. ``state`` is judged from the waves and the termination, not from Airflow alone."""

    dag_id: str
    run_id: str
    mode: Literal["drill", "recovery"]
    state: RunState
    trigger: str = Field(description="Airflow's run type: manual, scheduled, …")
    triggered_by: str | None = None
    ticket: str | None = Field(None, description="the change or incident that the run belongs to")
    refused: str | None = Field(None, description="why the run was refused before it looked at anything")
    note: str | None = Field(None, description="the note on the run in Airflow, as it stood when the report began")
    cancelled: str | None = Field(
        None, description="which tasks a person ended, where the run was ended in Airflow before its work was done"
    )
    url: str | None = Field(None, description="the run in Airflow, where [api] base_url is set")
    stopped: str | None = Field(None, description="which recovery had this drill stop, and who started that")
    not_held: str | None = Field(None, description="why a scheduled drill was not held; its state is then missed")
    missed: list[AwareDatetime] = Field(
        default_factory=list, description="the moments of the schedule at which no drill was held, this run's last"
    )
    simulated_by: str | None = Field(None, description="the address of the simulator that answered for DRS")
    simulated_speed: float | None = Field(None, description="how many times faster than real time that simulator was")
    parameters: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def simulation(self) -> str | None:
        """What a simulated run is called, such as ``simulated, 60×``; None where AWS itself answered."""
        if self.simulated_by is None:
            return None
        return f"simulated, {self.simulated_speed:g}×" if self.simulated_speed else "simulated"


class Measured(_Fact):
    """An objective and what was achieved. ``met`` is None where it cannot be said; ``remark`` says why."""

    objective_seconds: Seconds | None = None
    achieved_seconds: Seconds | None = None
    met: bool | None = None
    remark: str | None = None
    server: str | None = Field(None, description="for the RPO: the source server with the oldest data")


class TimeSpent(_Fact):
    """A part of the RTO, by what the critical path spent it on."""

    kind: SpentKind
    seconds: Seconds


class CriticalStep(_Timed):
    """A wave on the critical path. All ``waited_seconds`` and wave times of the path add up to the time of the run."""

    wave: str
    waited_for: str | None = Field(None, description="the wave whose end released this one; null: preflight")
    waited_seconds: Seconds = Field(description="from that end, or the start of the clock, to this wave's start")


class Phase(_Timed):
    """A stretch of a wave's or a server's time. ``drs`` is time in a job outside snapshot, conversion and launch."""

    kind: PhaseKind
    name: str | None = None


class Job(_Timed):
    """A DRS launch job. Times are those of its log."""

    job_id: str
    attempt: int
    adopted: bool = Field(description="an earlier try of the task had started it")
    status: str | None = None
    source_servers: list[str] = Field(default_factory=list)


class Server(_Fact):
    """One source server of a wave."""

    source_server_id: str
    account: str | None = Field(None, description="the AWS account that it was launched in, where it is known")
    region: str | None = Field(None, description="the AWS region that it was launched in")
    hostname: str | None = None
    critical: bool = True
    launch_status: str | None = Field(None, description="LAUNCHED, FAILED, … as DRS says")
    recovery_instance_id: str | None = None
    ec2_instance_id: str | None = None
    instance_type: str | None = Field(None, description="of the EC2 instance, as the launch template or DRS chose it")
    subnet_id: str | None = None
    availability_zone: str | None = None
    private_ip: str | None = None
    public_ip: str | None = None
    reason: str | None = None
    taken: str | None = Field(None, description="which job of another deleted its instance before the run ended")
    attempts: int = Field(0, description="how many jobs tried to launch it")
    job_id: str | None = Field(None, description="the last job that launched it")
    snapshot_id: str | None = Field(None, description="null: the newest data")
    data_time: AwareDatetime | None = Field(None, description="the moment to which its data goes back")
    rpo_seconds: Seconds | None = None
    rpo_source: Literal["snapshot", "replication lag", "job log"] | None = None
    phases: list[Phase] = Field(default_factory=list)


class ReplacedInstance(_Fact):
    """A live instance that a launch of this run replaced: DRS deletes a server's previous instance."""

    server: str
    instance_id: str
    what: str = Field(description="whose it was")


class ScriptInstance(_Fact):
    """How a command ended on one EC2 instance."""

    instance_id: str
    status: str | None = None
    exit_code: int | None = None
    output_tail: str | None = None


class Script(_Timed):
    """A script of a wave. ``status`` is SSM's own word, ``state`` what it means."""

    name: str
    section: Literal["pre_launch", "post_launch", "rollback"]
    kind: Literal["automation", "run_command"]
    document: str
    execution_id: str | None = None
    state: StepState
    status: str | None = None
    instances: list[ScriptInstance] = Field(default_factory=list)
    output_tail: str | None = None
    reason: str | None = None


class Instance(_Fact):
    """What a health check said of one EC2 instance."""

    instance_id: str
    status: str | None = None
    detail: str | None = None


class HealthCheck(_Timed):
    """A health check of a wave."""

    name: str
    check: str
    state: StepState
    instances: list[Instance] = Field(default_factory=list)
    reason: str | None = None


class LeftOut(_Fact):
    """What a wave selects and did not launch: a source server, or a selection that matches none, and why."""

    server: str = Field(description="the source server's id, or the selection as a person would write it")
    critical: bool = Field(description="the wave needs it, and a person went on without it")
    reason: str


class LeftInstance(_Fact):
    """An EC2 instance that still runs, or of which nobody knows, and why."""

    instance_id: str
    reason: str


class Rollback(_Timed):
    """The unwinding of a wave."""

    state: StepState
    terminated: list[str] = Field(default_factory=list)
    stopped: list[str] = Field(default_factory=list, description="stopped: was there before, and was launched into")
    left: list[LeftInstance] = Field(default_factory=list)
    scripts: list[Script] = Field(default_factory=list)
    reason: str | None = None


class Wave(_Timed):
    """One wave. Its end is that of its last task; rollback is not part of it."""

    name: str
    description: str = ""
    target: str | None = Field(None, description="the plan's name for where it is launched, where it has several")
    depends_on: list[str] = Field(default_factory=list)
    state: WaveState
    reason: str | None = Field(None, description="what made it fail")
    reached_seconds: Seconds | None = Field(
        None, description="from the start of the clock to the wave's successful end"
    )
    phases: list[Phase] = Field(default_factory=list)
    jobs: list[Job] = Field(default_factory=list)
    servers: list[Server] = Field(default_factory=list)
    replaced: list[ReplacedInstance] = Field(default_factory=list)
    left_out: list[LeftOut] = Field(default_factory=list)
    scripts: list[Script] = Field(default_factory=list)
    health_checks: list[HealthCheck] = Field(default_factory=list)
    rollback: Rollback | None = None


class Gate(_Fact):
    """What a person, or preflight, had to say before the run went on."""

    gate: str = Field(description="the task")
    where: str = Field(description="recovery, preflight, or the wave")
    required: bool
    asks: bool = Field(False, description="whether the plan asks people here, beyond the typed name")
    state: Literal[
        "passed", "break glass", "marked by hand", "not passed", "refused", "not required", "not reached"
    ] = Field(description="marked by hand: the task is a success and did not do its work")
    by: list[str] = Field(default_factory=list)
    at: AwareDatetime | None = None
    reason: str | None = None


class Approval(_Timed):
    """A person's decision: ``where`` is a wave, or ``recovery`` for the whole run."""

    where: str
    approver: str | None = None
    decision: str
    comment: str | None = None


class Override(_Fact):
    """A preflight finding that a person decided to go on with."""

    finding: str
    reason: str
    by: str | None = None
    at: AwareDatetime | None = Field(None, description="when preflight, or else a launch, went on in spite of it")


class Notification(_Fact):
    """What became of one message on one channel of the plan's ``notify``."""

    event: str = Field(
        description="started, drill_missed, waiting_for_run, run_frozen, drill_stopping, approval_wanted, break_glass, "
        "waiting_for_aws, wave_failed, rto_at_risk, rto_missed or ended"
    )
    wave: str | None = None
    to: str = Field(description="the SNS topic, or the notifier's dotted path")
    sent: AwareDatetime | None = None
    state: StepState
    reason: str | None = Field(None, description="why it could not be sent")


class AwsWait(_Fact):
    """A wait of a task for an AWS that did not answer: throttled, a 5xx, no connection or expired credentials."""

    task: str
    operation: str
    reason: str = Field(description="what AWS said last")
    since: AwareDatetime
    until: AwareDatetime = Field(description="when it was noticed last; afterwards AWS answered, or the task failed")


class Finding(_Fact):
    """What preflight found."""

    code: str
    severity: str
    wave: str | None = None
    server: str | None = None
    message: str
    remedy: str = ""
    overridden: bool = False
    target: str | None = Field(None, description="the plan's name for the account and region, where it has several")


class Target(_Fact):
    """An account and region that the run acts in, and who it is there."""

    name: str = Field(description="the plan's name for it; default: the plan's own target")
    region: str | None = None
    account: str | None = None
    caller: str | None = Field(None, description="the ARN of the role or user, as STS says")


class Preflight(_Timed):
    """The readiness checks."""

    state: StepState
    targets: list[Target] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)


class RunStep(_Timed):
    """A step of the whole run that has no part of its own in the report."""

    name: str = Field(description="the task's id")
    label: str = Field(description="what it does, for people")
    state: StepState
    reason: str | None = None

    @property
    def problem(self) -> str:
        """How it failed, for people: ``dns (switching DNS) failed: the zone is absent``."""
        return f"{self.name} ({self.label}) failed" + (f": {self.reason}" if self.reason else "")


class Termination(_Timed):
    """The end of a drill's instances; ``not_applicable`` for a recovery."""

    state: Literal["success", "failed", "skipped", "not_started", "running", "unknown", "kept", "not_applicable"]
    terminated: list[str] = Field(default_factory=list)
    stopped: list[str] = Field(default_factory=list, description="stopped: was there before, and was launched into")
    left: list[LeftInstance] = Field(default_factory=list)
    ended_before: dict[str, AwareDatetime] = Field(
        default_factory=dict,
        description="by id: instances that this or a rollback had ended before it was cleared, and when that began",
    )
    reason: str | None = None


class NotTested(_Fact):
    """Something that a recovery of the whole plan does, and that this run did not do."""

    what: Literal["wave", "approval", "server", "script", "parameters", "health_check"] = Field(
        description="parameters: the script ran, with other parameters than in a recovery"
    )
    wave: str | None = Field(None, description="null: the whole run")
    name: str | None = Field(None, description="of the server, the script or the health check")
    reason: str

    @property
    def label(self) -> str:
        """What it is, for people: ``script seize-roles of directory``."""
        kind = {"health_check": "health check", "parameters": "script"}.get(self.what, self.what)
        if self.name is None:
            return f"{kind} of {self.wave or 'the recovery'}" if kind == "approval" else f"{kind} {self.wave}"
        return f"{kind} {self.name} of {self.wave}" + (", as in a recovery" if self.what == "parameters" else "")


class WaveBefore(_Fact):
    """A wave of the earlier run."""

    name: str
    seconds: Seconds | None = None


class Previous(_Fact):
    """The run that this one is compared with: the last one before it of the same mode that recovered."""

    run_id: str
    started: AwareDatetime
    plan_hash: str
    rto_seconds: Seconds
    rpo_seconds: Seconds | None = None
    servers: int = Field(description="how many were launched")
    waves: list[WaveBefore] = Field(default_factory=list)


class Unread(_Fact):
    """Something that the report could not read, and why. What depends on it is absent, not guessed."""

    what: str
    why: str


class RunRecord(_Fact):
    """The evidence of one run."""

    schema_version: Literal[1] = 1
    generated: AwareDatetime
    plan: Plan
    run: Run
    objectives: Objectives
    clock_started: AwareDatetime | None = Field(None, description="from where the RTO counts")
    recovered: AwareDatetime | None = Field(None, description="the end of the last wave, where all of them succeeded")
    rto: Measured
    rpo: Measured
    critical_path: list[CriticalStep] = Field(default_factory=list)
    time_spent: list[TimeSpent] = Field(default_factory=list)
    previous: Previous | None = None
    not_tested: list[NotTested] = Field(
        default_factory=list, description="what a recovery of the whole plan does and this run did not do"
    )
    preflight: Preflight
    steps: list[RunStep] = Field(
        default_factory=list, description="steps of the whole run that have no part of their own here, in their order"
    )
    gates: list[Gate] = Field(default_factory=list, description="absent in a report of a version without gates")
    approvals: list[Approval] = Field(default_factory=list)
    overrides: list[Override] = Field(default_factory=list)
    waves: list[Wave] = Field(default_factory=list)
    termination: Termination
    notifications: list[Notification] = Field(default_factory=list)
    aws_waits: list[AwsWait] = Field(default_factory=list, description="in the order in which they began")
    unread: list[Unread] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _judge_no_simulation(self) -> RunRecord:
        """Judge no objective of a simulated run, whoever made or copied its record: its times are not AWS's."""
        if (simulation := self.run.simulation) is not None:
            for name in ("rto", "rpo"):
                measured: Measured = getattr(self, name)
                if measured.met is not None:
                    remark = f"{NOT_JUDGED} ({simulation})" + (f"; {measured.remark}" if measured.remark else "")
                    # The model is frozen for everybody else.
                    self.__dict__[name] = measured.model_copy(update={"met": None, "remark": remark})
        return self

    @property
    def refused(self) -> bool:
        """Whether the run was refused before it launched anything: it is no drill and no recovery."""
        return self.run.refused is not None and not any(wave.jobs for wave in self.waves)

    @property
    def gone_around(self) -> list[Gate]:
        """The gates that the run needed and did not pass, although it went on."""
        return [gate for gate in self.gates if gate.required and gate.state in ("marked by hand", "not passed")]

    @property
    def glass_broken(self) -> list[Gate]:
        """The gates that somebody who may went around, with a reason."""
        return [gate for gate in self.gates if gate.state == "break glass"]

    def to_json(self) -> str:
        """Return the published JSON, indented, with every key."""
        return self.model_dump_json(indent=2) + "\n"


def schema_text() -> str:
    """Return the JSON Schema of :class:`RunRecord` as it is checked in beside this module."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **RunRecord.model_json_schema(mode="serialization"),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
