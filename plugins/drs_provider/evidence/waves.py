"""One wave's evidence, put together from its tasks' states and events and from the DRS jobs that it ran."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from drs_provider.evidence.facts import RunFacts, TaskFacts, step_state
from drs_provider.evidence.jobs import JobFacts, Reading
from drs_provider.evidence.not_tested import why_left_out
from drs_provider.evidence.reading import mapping, texts
from drs_provider.evidence.record import (
    HealthCheck,
    Job,
    LeftOut,
    Phase,
    PhaseKind,
    ReplacedInstance,
    Rollback,
    Script,
    Server,
    Wave,
    WaveState,
)
from drs_provider.evidence.servers import collect_servers
from drs_provider.evidence.steps import collect_check, collect_rollback, collect_script
from drs_provider.evidence.timeline import clock_seconds, merge_phases
from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH, activity_of, kind_of, steps_of, work_of
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.health.event import HealthEvent
from drs_provider.steps.launch.event import LaunchEvent
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.steps.wait_for_launch.event import WaitEvent

if TYPE_CHECKING:
    from drs_provider.plan import Wave as PlanWave
    from drs_provider.plan.steps import Step

__all__ = ["collect_wave", "wave_phases", "wave_state"]


def collect_wave(
    wave: PlanWave, facts: RunFacts, jobs: Sequence[JobFacts], reading: Reading, clock_started: datetime | None
) -> Wave:
    """Put one wave together.

    :param wave: the wave of the plan.
    :param jobs: the launch jobs of this wave, oldest first.
    :param reading: asks for the snapshots whose time nobody told.
    :param clock_started: where the RTO counts from.
    """
    tasks = [task for task in facts.tasks_of(wave.name) if not task.task_id.endswith(".rollback")]
    rollback = collect_rollback(facts.task(f"{wave.name}.rollback"))
    steps = [(step, facts.task(f"{wave.name}.{step.name}")) for step in steps_of(wave)]
    parameters = mapping(facts.parameters)
    mode, skip = str(parameters.get("mode") or "drill"), parameters.get("skip_scripts") is True
    scripts = [
        collect_script(step.script, step.section, task, why_left_out(step.script, mode, skip_scripts=skip))
        for step, task in steps
        if step.script is not None
    ]
    checked = {step.title: task for step, task in steps if step.check is not None}
    checks = [collect_check(name, check, checked[name]) for name, check in wave.checks_by_name().items()]
    failed = _failed([step for step, _ in steps], scripts, checks)
    servers = collect_servers(facts, wave.name, jobs, reading)
    launched = facts.task(f"{wave.name}.{LAUNCH}").last(LaunchEvent)
    left_out = [
        LeftOut(server=each.server, critical=each.critical, reason=each.reason)
        for each in (launched.left_out if launched else ())
    ]
    work = wave_state(wave.name, facts, tasks)
    wrong = _not_done(wave, facts, servers, left_out) if work == "success" else None
    if wrong:
        work = "failed"
    state: WaveState = work
    if rollback and rollback.state in ("success", "failed"):
        state = "rolled_back" if rollback.state == "success" else "rollback_failed"
    took_part = [task for task in tasks if task.step not in ("skipped", "not_started")]
    began = min(filter(None, (task.began for task in took_part)), default=None)
    finished = max(filter(None, (task.finished for task in took_part)), default=None)
    began = began or min((job.started for job in jobs if job.started), default=None)
    wait = facts.task(f"{wave.name}.{WAIT_FOR_LAUNCH}")
    if finished is None or (wait.step == "success" and wait.finished is None):
        # A wait that ended in the triggerer may not have told when; it did not end before its jobs. One that told did,
        # where a server hangs that may fail.
        finished = max(filter(None, [finished, *(job.ended for job in jobs)]), default=None)
    ended = finished if work in ("success", "failed", "unknown") else None
    if began and ended and ended < began:
        ended = began
    return Wave(
        name=wave.name,
        description=wave.description or "",
        depends_on=list(wave.depends_on),
        state=state,
        reason=_reason(took_part, servers, failed, wrong) or _cut_short(wave, facts) if work == "failed" else None,
        started=began if work != "skipped" else None,
        ended=ended,
        reached_seconds=clock_seconds(clock_started, ended) if state == "success" else None,
        phases=wave_phases(tasks, jobs, rollback),
        jobs=[
            Job(
                job_id=job.job_id,
                attempt=job.attempt,
                adopted=job.adopted,
                status=job.status,
                source_servers=list(job.source_servers),
                started=job.started,
                ended=job.ended,
            )
            for job in jobs
        ],
        servers=servers,
        replaced=[
            ReplacedInstance(server=one.server, instance_id=one.instance_id, what=one.what)
            for one in (launched.replaced if launched else ())
        ],
        left_out=left_out,
        scripts=scripts,
        health_checks=checks,
        rollback=rollback,
    )


def wave_state(name: str, facts: RunFacts, tasks: Sequence[TaskFacts]) -> WaveState:
    """Judge a wave by its tasks, rollback aside. Nothing that is not known passes for a success."""
    selected = texts(mapping(facts.parameters).get("waves"))
    if selected and name not in selected:
        return "skipped"
    # A script may fail and the plan go on: then Airflow's word counts, for this question alone.
    steps = [step_state(task.state or "none") if task.known else task.step for task in tasks]
    if "failed" in steps:
        return "failed"
    if "running" in steps:
        return "running"
    if not steps or "unknown" in steps:
        return "unknown"
    launched = step_state(facts.task(f"{name}.{WAIT_FOR_LAUNCH}").state)
    if launched == "success" and "not_started" not in steps:
        return "success"
    if "success" not in steps:
        # Airflow skips what is left of a run that a person ends: that is not a wave that the run was told to leave out.
        return "not_started"
    waiting = any(task.known and task.state is None for task in tasks)
    return "running" if waiting and facts.state == "running" else "failed"


def _not_done(wave: PlanWave, facts: RunFacts, servers: Sequence[Server], left_out: Sequence[LeftOut]) -> str | None:
    """Say what a wave lacks that counts as done by its tasks; None where it lacks nothing.

    A person can mark the wait as done, and the run goes on; that launches nothing. And a person can end a run in the
    middle of a wave: Airflow then skips the tasks that are left.
    """
    if not servers and not left_out:
        return "the launch and the wait were marked as a success, and no server was launched"
    if missing := _missing(wave, servers):
        return f"the wait was marked as a success, and did not launch: {', '.join(missing)}"
    return _cut_short(wave, facts)


def _cut_short(wave: PlanWave, facts: RunFacts) -> str | None:
    """Say which tasks of a wave were skipped that the run was not told to leave out; None where none was."""
    parameters = mapping(facts.parameters)
    work = work_of(wave, str(parameters.get("mode") or "drill"), skip_scripts=parameters.get("skip_scripts") is True)
    left = [task for task in work if step_state(facts.task(f"{wave.name}.{task}").state) == "skipped"]
    return f"it was ended before these tasks were done: {', '.join(left)}" if left else None


def _missing(wave: PlanWave, servers: Sequence[Server]) -> list[str]:
    """Return the servers that a wave which counts as done lacks. One of which nobody says anything was not launched."""
    down = [
        server
        for server in servers
        if server.launch_status not in ("LAUNCHED", "TERMINATED")
        and not (server.launch_status is None and server.ec2_instance_id)
    ]
    least = wave.required_launched(len(servers))
    enough = len(servers) - len(down) >= least if least is not None else not any(server.critical for server in down)
    return [] if enough else [server.hostname or server.source_server_id for server in down]


def _failed(steps: Sequence[Step], scripts: Sequence[Script], checks: Sequence[HealthCheck]) -> list[tuple[str, str]]:
    """Return the names of the scripts' and checks' steps that failed, each with why."""
    of_scripts = zip((step for step in steps if step.script is not None), scripts, strict=True)
    by_name = {check.name: check for check in checks}
    found = [(step.name, script.reason or script.status) for step, script in of_scripts if script.state == "failed"]
    found += [
        (step.name, by_name[step.title].reason)
        for step in steps
        if step.check is not None and by_name[step.title].state == "failed"
    ]
    return [(name, reason or "failed") for name, reason in found]


def _reason(
    tasks: Iterable[TaskFacts],
    servers: Iterable[Server],
    steps: Iterable[tuple[str, str]],
    wrong: str | None,
) -> str:
    """Say what made a wave fail, from the most telling to the least."""
    reasons = [wrong] if wrong else []
    failed = [task for task in tasks if task.step == "failed"]
    for task in failed:
        event = task.events[-1] if task.events else None
        if isinstance(event, ApprovalEvent):
            reasons.append(f"approval {event.status}")
        elif isinstance(event, (LaunchEvent, WaitEvent)) and event.reason:
            reasons.append(event.reason)
        elif not isinstance(event, (ScriptEvent, HealthEvent)) and (reason := getattr(event, "reason", None)):
            reasons.append(f"{activity_of(task.task_id.partition('.')[2])}: {reason}")
    reasons += [
        f"{server.hostname or server.source_server_id}: {server.reason}"
        for server in servers
        if server.critical and server.launch_status == "FAILED" and server.reason
    ]
    for step, reason in steps:
        reasons.append(f"{activity_of(step)}: {reason}")
    return "; ".join(dict.fromkeys(reasons)) or ", ".join(f"the task {task.task_id} failed" for task in failed)


def wave_phases(tasks: Iterable[TaskFacts], jobs: Iterable[JobFacts], rollback: Rollback | None) -> list[Phase]:
    """Return the phases of a wave: its jobs' by their logs, all others by its tasks."""
    phases = [
        Phase(kind=kind, name=name, started=task.began, ended=task.finished)
        for task in tasks
        if task.step not in ("skipped", "not_started")
        for kind, name in [_phase_of(task)]
        if kind and task.began and (task.finished or task.step == "running")
    ]
    for job in jobs:
        phases += [phase for each in job.phases.values() for phase in each]
        if job.started:
            phases.append(Phase(kind="drs", started=job.started, ended=job.ended))
    if rollback and rollback.started:
        phases.append(Phase(kind="rollback", started=rollback.started, ended=rollback.ended))
    return merge_phases(phase for phase in phases if phase.started)


def _phase_of(task: TaskFacts) -> tuple[PhaseKind | None, str | None]:
    """Return which phase of a wave a task is, and the name of its script or check."""
    step = task.task_id.partition(".")[2]
    kind = kind_of(step)
    phase: Any = kind.phase if kind else None
    return phase or None, step.partition(".")[2] or None
