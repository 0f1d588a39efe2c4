"""Puts the evidence of one run together, from the plan, from what Airflow knows of the run, and from AWS.

It never raises for what it is given: a report is wanted most when things went wrong. What could not be read stands in
the record's ``unread``, with the reason, and what would depend on it is absent, not guessed.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import JsonValue, ValidationError

from drs_provider.aws.ec2.instances import Ec2Instance
from drs_provider.evidence.aws_waits import collect_aws_waits
from drs_provider.evidence.cancelled import cancelled_by_hand
from drs_provider.evidence.events import GONE_KEY, INSTANCES_KEY, STOPPED_KEY
from drs_provider.evidence.facts import RunFacts, TaskFacts
from drs_provider.evidence.jobs import AnnouncedJob, DrsReader, JobFacts, Reading
from drs_provider.evidence.not_tested import collect_not_tested
from drs_provider.evidence.people import all_approvals, collect_approvals, collect_notifications, collect_overrides
from drs_provider.evidence.reading import first, mapping, moment, number, text
from drs_provider.evidence.record import (
    Approval,
    Finding,
    Gate,
    LeftInstance,
    Objectives,
    Phase,
    Plan,
    Preflight,
    Run,
    RunRecord,
    RunState,
    Target,
    Termination,
    Wave,
)
from drs_provider.evidence.servers import with_instances
from drs_provider.evidence.sites import sites_of
from drs_provider.evidence.steps import collect_run_steps, left_instances
from drs_provider.evidence.taken import is_gone, without_taken
from drs_provider.evidence.timeline import (
    critical_path,
    parts_left_out,
    recovered_at,
    rpo_measured,
    rto_measured,
    time_spent,
)
from drs_provider.plan.steps import LAUNCH, WAIT_FOR_LAUNCH
from drs_provider.steps.confirm.event import ConfirmEvent, ConfirmResult
from drs_provider.steps.launch.event import LaunchedJob, LaunchEvent, LaunchResult
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.terminate.event import TerminateEvent
from drs_provider.steps.wait_for_launch.event import WaitEvent, WaitResult
from drs_provider.timestamps import moment_text

if TYPE_CHECKING:
    from drs_provider.aws.faults import TransientError
    from drs_provider.plan import LoadedPlan, RecoveryPlan

__all__ = ["RunFacts", "collect_record", "versions"]


def versions() -> dict[str, str]:
    """Return the versions that matter to a run: this package, Airflow, the amazon provider, botocore, Python."""
    names = ("airflow-provider-aws-drs", "apache-airflow", "apache-airflow-providers-amazon", "botocore")
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "python": platform.python_version()}


def collect_record(
    loaded: LoadedPlan,
    facts: RunFacts,
    drs: DrsReader | Mapping[tuple[str, str], DrsReader] | None,
    *,
    generated: datetime | None = None,
    earlier: RunRecord | None = None,
    unanswered: list[TransientError] | None = None,
) -> RunRecord:
    """Put the evidence of a run together.

    :param loaded: the plan with its file and hash, as it is now.
    :param facts: the run and its tasks as Airflow knows them.
    :param drs: asked for the run's jobs, their logs, and snapshots; where the plan has several targets, one for each by
        connection and region; None when there is no connection.
    :param generated: the moment of the report; now by default.
    :param earlier: what was reported of this run before tasks of it were cleared.
    :param unanswered: gets why AWS could not be read, where that passes by itself: ask again later.
    """
    plan = loaded.plan
    sites = sites_of(plan, drs)
    everything = [facts.task(task_id) for task_id in dict.fromkeys([*mapping(facts.tasks), *mapping(facts.xcoms)])]
    clock = min(filter(None, [moment(facts.started), *(task.began for task in everything)]), default=None)
    since = min(filter(None, [clock, moment(facts.due)]), default=None)
    for site in sites:
        site.read(facts.identity, since, _announced(site.waves, facts))
    jobs = [job for site in sites for job in site.jobs]
    # A run that is cleared as a whole forgets what its tasks did before; DRS does not.
    clock = min(filter(None, [clock, *(job.started for job in jobs)]), default=None)
    preflight = collect_preflight(facts.task("preflight"))
    by_name = {wave.name: site.placed(wave, facts, clock, preflight) for site in sites for wave in site.waves}
    waves = [by_name[wave.name] for wave in plan.waves]
    for site in sites:
        _note_strays(site.reading, site.jobs, waves)
    _note_silence(sites[0].reading, everything)
    _note_left_out(sites[0].reading, everything)
    mode = "recovery" if _mode(facts) == "recovery" else "drill"
    began_with = facts.task("confirm").last(ConfirmEvent)
    ended_before = _ended_before(facts, earlier)
    waves = _still_there(waves, ended_before)
    until = _until(facts, mode, earlier)
    for site in sites:
        instances = _instances(facts, site.jobs, site.reading)
        gone = _gone(facts, site.jobs, instances) if mode == "drill" or until is None else {}
        here = {wave.name for wave in site.waves}
        kept = without_taken(
            site.reading, [wave for wave in waves if wave.name in here], site.jobs, site.others, until, gone
        )
        judged = {wave.name: wave for wave in with_instances(kept, instances or {})}
        waves = [judged.get(wave.name, wave) for wave in waves]
    termination = collect_termination(facts.task("terminate"), mode, waves, ended_before)
    approvals = all_approvals(collect_approvals(everything), earlier.approvals if earlier else (), since)
    gates = collect_gates(facts)
    around = ", ".join(f"{gate.gate} ({gate.state})" for gate in gates if gate.required and gate.state in _AROUND)
    state = "failed" if around else run_state(facts, waves, preflight, termination)
    recovered = None if around else recovered_at(waves)
    skip_scripts = mapping(facts.parameters).get("skip_scripts") is True
    cancelled = (
        cancelled_by_hand(plan, facts, waves, mode, skip_scripts=skip_scripts)
        if state == "failed" and _stopped(facts) is None
        else None
    )
    path = critical_path(waves, clock)
    # A report that is made again, of a run that is cleared against another endpoint, stays one of a simulation.
    simulated_by = _simulated_by(facts) or (earlier.run.simulated_by if earlier else None)
    if unanswered is not None:
        unanswered += [site.reading.unanswered for site in sites if site.reading.unanswered is not None]
    return RunRecord(
        generated=moment(generated) or datetime.now(timezone.utc),
        plan=_plan(loaded, facts),
        objectives=Objectives(
            rto_seconds=plan.objectives.rto.total_seconds() if plan.objectives.rto else None,
            rpo_seconds=plan.objectives.rpo.total_seconds() if plan.objectives.rpo else None,
        ),
        run=Run(
            dag_id=facts.dag_id,
            run_id=facts.run_id,
            mode=mode,
            state=state,
            trigger=text(facts.run_type) or "unknown",
            triggered_by=text(facts.triggered_by),
            ticket=text(mapping(facts.parameters).get("ticket")),
            note=(text(facts.note) or "").strip()[:_LONGEST_NOTE] or None,
            cancelled=cancelled,
            url=text(facts.url),
            refused=None if state == "missed" else _refused(facts),
            stopped=_stopped(facts),
            not_held=_not_held(facts) if state == "missed" else None,
            missed=began_with.missed if began_with and state == "missed" else [],
            simulated_by=simulated_by,
            simulated_speed=first(facts.simulated_speed, earlier.run.simulated_speed if earlier else None),
            parameters={key: _json(value) for key, value in mapping(facts.parameters).items()},
            started=clock,
            ended=first(moment(facts.ended), max(filter(None, (task.finished for task in everything)), default=None))
            if state != "running"
            else None,
        ),
        clock_started=clock,
        recovered=recovered,
        rto=rto_measured(
            plan.objectives.rto.total_seconds() if plan.objectives.rto else None,
            clock,
            waves,
            state,
            scripts=not _left_scripts_out(plan, facts, mode, waves),
            around=around,
        ),
        rpo=rpo_measured(
            plan.objectives.rpo.total_seconds() if plan.objectives.rpo else None,
            [server for wave in waves for server in wave.servers],
            recovered=recovered is not None,
            left_out=parts_left_out(waves),
        ),
        critical_path=path,
        time_spent=time_spent(path, waves, clock, _before_the_waves(preflight, approvals)),
        not_tested=collect_not_tested(plan, waves, mode, state, mapping(facts.parameters)),
        preflight=preflight,
        steps=collect_run_steps(plan, facts),
        gates=gates,
        approvals=approvals,
        overrides=collect_overrides(facts),
        waves=waves,
        termination=termination,
        notifications=collect_notifications(facts),
        aws_waits=collect_aws_waits(facts),
        unread=[one for site in sites for one in site.unread],
        versions={str(key): str(value) for key, value in (facts.versions or versions()).items()},
    )


def _until(facts: RunFacts, mode: str, earlier: RunRecord | None) -> datetime | None:
    """Return when the run had no claim to its instances any more; None where it still has.

    A drill begins to terminate them; a recovery that succeeded has ended, and what is launched later is no fault of it.
    """
    if mode == "drill":
        return facts.task("terminate").began
    return earlier.run.ended if earlier is not None and earlier.run.state == "success" else None


def _instances(facts: RunFacts, jobs: Sequence[JobFacts], reading: Reading) -> dict[str, Ec2Instance] | None:
    """Return what EC2 says of the run's instances, by id; None where it could not be asked.

    A drill looks before it terminates its instances, and leaves what it saw. Of all others EC2 is asked now.
    """
    left = mapping(mapping(mapping(facts.xcoms).get("confirm")).get(INSTANCES_KEY))
    seen = {one: instance for one, told in left.items() if (instance := _seen(told)) is not None}
    unseen = sorted({instance for job in jobs for instance in job.instances.values()} - set(seen))
    if not unseen:
        return seen
    answer = reading.ask("the run's instances (DescribeInstances)", lambda reader: [reader.instances(unseen)])
    return {**answer[0], **seen} if answer else seen or None


def _seen(told: Any) -> Ec2Instance | None:
    values = {name: text(mapping(told).get(name)) for name in Ec2Instance._fields}
    state = values.pop("state")
    return Ec2Instance(state, **values) if state else None


def _gone(facts: RunFacts, jobs: Sequence[JobFacts], instances: Mapping[str, Ec2Instance] | None) -> dict[str, str]:
    """Return what EC2 says of the run's instances that are gone, and that the run did not terminate at its end.

    :param instances: of a recovery, whose instances stay, as EC2 knows them now; None where it could not be asked.
    """
    if _mode(facts) != "recovery":
        seen = mapping(mapping(mapping(facts.xcoms).get("confirm")).get(GONE_KEY))
        return {one: state for one, state in seen.items() if isinstance(state, str)}
    if instances is None:
        return {}
    launched = {instance: job.ended for job in jobs for instance in job.instances.values()}
    states = {one: instance.state for one, instance in instances.items()}
    now = datetime.now(timezone.utc)
    return {one: states.get(one, "unknown") for one, ended in launched.items() if is_gone(states.get(one), ended, now)}


_LONGEST_NOTE = 2000

_MOST_LEFT_OUT = 10
"""Of one task; a report is for people."""

_AROUND = ("marked by hand", "not passed")


def collect_gates(facts: RunFacts) -> list[Gate]:
    """Return the run's gates as they were judged, those that can be read."""
    found = []
    for gate in map(mapping, facts.gates):
        with contextlib.suppress(ValidationError):
            found.append(Gate.model_validate(dict(gate)))
    return found


def run_state(facts: RunFacts, waves: Sequence[Wave], preflight: Preflight, termination: Termination) -> RunState:
    """Judge the run by its parts. Airflow's own word can only make it worse: a run marked as a success is none."""
    parts = [wave.state for wave in waves]
    confirm = facts.task("confirm").step
    if _not_held(facts) and facts.state != "failed" and not any(wave.jobs for wave in waves):
        return "missed"
    if (
        facts.state == "failed"
        or "failed" in (confirm, preflight.state, termination.state)
        or any(state in ("failed", "rolled_back", "rollback_failed") for state in parts)
    ):
        return "failed"
    if all(state in ("success", "skipped") for state in parts) and termination.state not in ("running", "unknown"):
        return "success"
    return "running" if facts.state not in ("success", "failed") else "failed"


def _left_scripts_out(plan: RecoveryPlan, facts: RunFacts, mode: str, waves: Sequence[Wave]) -> bool:
    """Whether the run was told to leave out scripts that the plan has for it."""
    part = {wave.name for wave in waves if wave.state != "skipped"}
    return mapping(facts.parameters).get("skip_scripts") is True and any(
        mode in script.modes
        for wave in plan.waves
        if wave.name in part
        for script in (*wave.pre_launch, *wave.post_launch)
    )


def _mode(facts: RunFacts) -> str | None:
    confirm = facts.task("confirm")
    event = confirm.last(ConfirmEvent)
    asked = text(mapping(facts.parameters).get("mode"))
    return asked or confirm.result(ConfirmResult).mode or (event.mode if event else None)


def _refused(facts: RunFacts) -> str | None:
    """Return why the run's parameters could not be used."""
    confirm, preflight = facts.task("confirm").last(ConfirmEvent), facts.task("preflight").last(PreflightEvent)
    return (confirm.reason if confirm else None) or (preflight.reason if preflight else None)


def _stopped(facts: RunFacts) -> str | None:
    """Return who had the drill stop, None where nobody had."""
    request = mapping(mapping(mapping(facts.xcoms).get("confirm")).get(STOPPED_KEY))
    run, by = text(request.get("from_run")), text(request.get("by"))
    return f"{run}, started by {by or 'an unknown user'}" if run else None


def _not_held(facts: RunFacts) -> str | None:
    """Return why the run is a scheduled drill that was not held; None where it is none."""
    event = facts.task("confirm").last(ConfirmEvent)
    return (event.reason or "not held") if event and event.status == "missed" else None


def _simulated_by(facts: RunFacts) -> str | None:
    """Return the address of a simulator: what it says happened to no real server.

    DRS on this machine or beside it is one, whatever it says; elsewhere it is one where it said so itself, or where the
    Airflow of the run is a rehearsal's.
    """
    endpoint = facts.endpoint
    if facts.simulated_speed is not None:
        return endpoint or "an unknown address"
    host = urlsplit(endpoint or "").hostname or ""
    loopback = host == "::1" or host.startswith("127.")
    return endpoint if loopback or (host and "." not in host) or host.endswith((".local", ".localhost")) else None


def _plan(loaded: LoadedPlan, facts: RunFacts) -> Plan:
    xcoms = mapping(mapping(facts.xcoms).get("confirm"))
    recorded = mapping(xcoms.get("plan"))
    began_with = text(recorded.get("hash")) or facts.task("confirm").result(ConfirmResult).plan_hash
    same = began_with in (None, loaded.hash) or loaded.is_recorded(recorded)
    plan = loaded.plan
    return Plan(
        name=plan.name,
        description=plan.description or "",
        owner=plan.owner or "",
        file=str(loaded.path),
        hash=began_with or loaded.hash,
        changed_to=None if same else loaded.hash,
        region=", ".join(dict.fromkeys(place.region for place in plan.targets_of(plan.waves))),
    )


def _announced(waves: Sequence[Any], facts: RunFacts) -> dict[str, AnnouncedJob]:
    """Return the jobs that the tasks of the run told of, by job id."""
    found: dict[str, AnnouncedJob] = {}
    for wave in waves:
        launch, wait = facts.task(f"{wave.name}.{LAUNCH}"), facts.task(f"{wave.name}.{WAIT_FOR_LAUNCH}")
        launched, waited = launch.last(LaunchEvent), wait.last(WaitEvent)
        # The launch knows which jobs it started itself; the wait finds them by their tags.
        for told in (waited, launch.result(LaunchResult), launched):
            found |= {job.job_id: AnnouncedJob(wave.name, job) for job in (told.jobs if told else ())}
        for ended in (wait.result(WaitResult), waited):
            for server_id, result in (ended.servers if ended else {}).items():
                if result.job_id is None:
                    continue
                known = found.get(result.job_id)
                job = known.job if known else LaunchedJob(job_id=result.job_id)
                servers = [*dict.fromkeys([*job.source_servers, server_id])]
                found[result.job_id] = AnnouncedJob(
                    known.wave if known else wave.name, job.model_copy(update={"source_servers": servers})
                )
    return found


def _note_strays(reading: Reading, jobs: Sequence[JobFacts], waves: Sequence[Wave]) -> None:
    names = {wave.name for wave in waves}
    for job in jobs:
        if job.wave not in names:
            reading.note(f"the wave of job {job.job_id}", f"its tag names {job.wave!r}, which is no wave of the plan")


def _note_silence(reading: Reading, tasks: Sequence[TaskFacts]) -> None:
    ended = [
        task
        for task in tasks
        if task.state in ("success", "failed")
        and task.task_id.partition(".")[2] not in ("", "rollback")
        and task.task_id.rpartition(".")[2] != LAUNCH
    ]
    if untimed := sorted(task.task_id for task in ended if task.finished is None):
        reading.note(f"when {', '.join(untimed)} ended", "the task did not tell")
    if silent := sorted(task.task_id for task in ended if task.state == "failed" and not task.events):
        reading.note(f"why {', '.join(silent)} failed", "the task ended without saying what it did")


def _note_left_out(reading: Reading, tasks: Sequence[TaskFacts]) -> None:
    """Name what a task said and this version cannot read."""
    for task in tasks:
        if task.left_out:
            reading.note(f"the evidence of {task.task_id}", "; ".join(task.left_out[:_MOST_LEFT_OUT]))


def collect_preflight(task: TaskFacts) -> Preflight:
    """Put the readiness checks together."""
    event = task.last(PreflightEvent)
    overridden = event.overridden if event else []
    findings = [
        Finding(
            code=found.code,
            severity=found.severity,
            wave=found.wave,
            server=found.server,
            message=found.message,
            remedy=found.remedy,
            overridden=found.code in overridden,
            target=found.target,
        )
        for found in (event.findings if event else ())
    ]
    targets = [
        Target(name=one.name, region=one.region, account=one.account, caller=one.caller)
        for one in (event.targets if event else ())
    ]
    return Preflight(state=task.step, targets=targets, findings=findings, started=task.began, ended=task.finished)


def _ended_before(facts: RunFacts, earlier: RunRecord | None) -> dict[str, datetime]:
    """Return when instances were ended by rollbacks, and by the end of the drill, before these were cleared."""
    if earlier is None:
        return {}
    before: dict[str, datetime] = {}
    task, began = facts.task("terminate"), earlier.termination.started
    if began is not None and task.began is not None and began < task.began:
        before = dict.fromkeys(earlier.termination.terminated, began)
    for wave in earlier.waves:
        rollback = wave.rollback
        if (
            rollback is None
            or rollback.started is None
            or rollback.started == facts.task(f"{wave.name}.rollback").began
        ):
            continue
        before |= dict.fromkeys(rollback.terminated, rollback.started)
    return {**before, **earlier.termination.ended_before}


def _still_there(waves: Sequence[Wave], ended_before: Mapping[str, datetime]) -> list[Wave]:
    """Let waves fail whose instances were ended before all waves were up: a person cleared a task after the end.

    That of the rollbacks and of the drill's end went with it, and what they had ended counts as up by their tasks.
    """
    up = max((wave.ended for wave in waves if wave.ended), default=None)
    found = []
    for wave in waves:
        gone = [ended_before.get(server.ec2_instance_id or "") for server in wave.servers]
        first = min(filter(None, gone), default=None)
        if wave.state == "success" and first is not None and up is not None and first < up:
            reason = f"its instances were ended at {moment_text(first)}, before every wave was up"
            wave = wave.model_copy(update={"state": "failed", "reason": reason, "reached_seconds": None})
        found.append(wave)
    return found


def collect_termination(
    task: TaskFacts, mode: str, waves: Sequence[Wave], ended_before: Mapping[str, datetime] | None = None
) -> Termination:
    """Put the end of the drill's instances together. Without evidence that an instance is gone, it is left over.

    :param ended_before: when instances were ended, where this was done before.
    """
    if mode == "recovery":
        return Termination(
            state="not_applicable", reason="the instances of a recovery stay", ended_before=dict(ended_before or {})
        )
    event = task.last(TerminateEvent)
    gone = [
        *(event.terminated if event else ()),
        *(each for wave in waves if wave.rollback for each in wave.rollback.terminated),
    ]
    left = left_instances(event.left if event else ())
    stopped = [
        *(event.stopped if event else ()),
        *(each for wave in waves if wave.rollback for each in wave.rollback.stopped),
    ]
    spoken_of = {*gone, *stopped, *(instance.instance_id for instance in left)}
    launched = [server.ec2_instance_id for wave in waves for server in wave.servers if server.ec2_instance_id]
    unproven = [instance for instance in dict.fromkeys(launched) if instance not in spoken_of]
    kept = event is not None and event.status == "kept"
    if event or task.step != "running":
        why = "kept" if kept else "no evidence that it was terminated"
        left += [LeftInstance(instance_id=instance, reason=why) for instance in unproven]
    state = "kept" if kept else task.step
    if state in ("success", "skipped") and left:
        # A person can mark the task as either; that ends nothing.
        state = "failed"
    return Termination(
        state=state,
        terminated=list(dict.fromkeys(gone)),
        stopped=list(dict.fromkeys(stopped)),
        left=left,
        ended_before=dict(ended_before or {}),
        reason=event.reason if event else None,
        started=task.began,
        ended=task.finished,
    )


def _before_the_waves(preflight: Preflight, approvals: Sequence[Approval]) -> list[Phase]:
    phases = [Phase(kind="preflight", started=preflight.started, ended=preflight.ended)] if preflight.ended else []
    return phases + [
        Phase(kind="approval", started=approval.started, ended=approval.ended)
        for approval in approvals
        if approval.where == "recovery" and approval.ended
    ]


def _json(value: Any) -> JsonValue:
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_json(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value
    return number(value) if isinstance(value, float) else text(value) or ""
