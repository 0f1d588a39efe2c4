"""The words of a plan's notifications: what happened, in which run, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import conf

from drs_provider.durations import format_duration
from drs_provider.notifications.message import EventName, Message

if TYPE_CHECKING:
    from drs_provider.evidence.record import RunRecord
    from drs_provider.plan import Approval, RecoveryPlan
    from drs_provider.requests.model import RunRequest
    from drs_provider.runs.missed_drills import NotHeld
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = [
    "approval_wanted",
    "drill_missed",
    "drill_stopping",
    "ended",
    "glass_broken",
    "mode_of",
    "rto_alarm",
    "run_frozen",
    "run_url",
    "started",
    "waiting_for_aws",
    "waiting_for_run",
    "wave_failed",
]

_LONGEST_REASON = 2000


def started(plan: RecoveryPlan, run: RecoveryRun, *, by: str) -> Message:
    """Return the message that a run began.

    :param by: who, or what, started it.
    """
    waves = [wave.name for wave in plan.waves if run.selects(wave.name)]
    objectives = (("RTO", plan.objectives.rto), ("RPO", plan.objectives.rpo))
    lines = [
        f"{_what(run.mode)} of {plan.name} has started{': ' + plan.description if plan.description else ''}.",
        f"Started by: {by}",
        f"Waves: {', '.join(waves)}",
        f"Into: {plan.regions_text}",
        *(f"{name} objective: {format_duration(value)}" for name, value in objectives if value),
    ]
    if run.override:
        lines.append(f"Overridden: {', '.join(sorted(run.overridden))}, because: {run.override.reason}")
    return _message("started", run.dag_id, run.run_id, run.mode, "started", lines)


def drill_missed(plan: RecoveryPlan, run: RecoveryRun, missed: NotHeld) -> Message:
    """Return the message that a scheduled drill is not held.

    :param missed: why, and for which moments of the schedule.
    """
    zone = ZoneInfo(plan.drill.timezone)
    moments = [f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in missed.moments]
    lines = [
        f"The scheduled drill of {plan.name} was not held: {missed.reason}. Nothing was launched.",
        f"Drills missed ({plan.drill.timezone}): {', '.join(moments)}",
        "The next one starts by the schedule. To hold one now, trigger the plan, or clear this run.",
    ]
    return _message("drill_missed", run.dag_id, run.run_id, run.mode, "drill missed", lines)


def approval_wanted(
    plan: RecoveryPlan,
    run: RecoveryRun,
    approval: Approval,
    *,
    question: str,
    before: str,
    wave: str = "",
    url: str,
) -> Message:
    """Return the message that a person has to decide.

    :param question: what the person is asked.
    :param before: what waits for the answer, such as ``before the recovery starts``.
    :param wave: the wave that waits, empty where it is the whole recovery.
    :param url: the page where the answer is given.
    """
    lines = [
        f"{_what(run.mode)} of {plan.name} waits for an approval {before}.",
        question,
        f"Who may answer: {', '.join(approval.approvers) or 'anyone who may edit the DAG run'}"
        + (", but not the person who started the run" if approval.approvers else ""),
        f"Within: {format_duration(approval.timeout)}; after that it counts as refused",
        *([f"Answer: {url}"] if url else []),
    ]
    return _message("approval_wanted", run.dag_id, run.run_id, run.mode, f"approval wanted {before}", lines, wave)


def waiting_for_run(plan: str, run_id: str, mode: str, *, running: int, stop_asked: bool, why_not: str = "") -> Message:
    """Return the message that a run waits in the queue.

    :param running: how many runs of the plan are in progress.
    :param stop_asked: whether the drill in progress has been asked to stop.
    :param why_not: why it has not.
    """
    if running:
        lines = [
            f"{_what(mode)} of {plan} waits: another run of the plan is in progress, and a plan has one at a time."
        ]
        if stop_asked:
            lines.append(
                "If that is a drill, it has been asked to stop: it starts nothing more, waits for its jobs that are on "
                "the wire, terminates what it launched and writes its report. Then this run begins."
            )
        elif mode == "recovery":
            lines.append(f"No drill was asked to stop: {why_not}. To stop one, mark its run as failed, or run:")
            lines.append(f"drs-plan run {plan} --mode recovery --stop-drill")
    else:
        lines = [
            f"{_what(mode)} of {plan} was queued and has not begun, and no other run of the plan is in progress: the "
            "plan is paused in Airflow, or Airflow's scheduler is behind. Unpause the plan."
        ]
    return _message("waiting_for_run", plan, run_id, mode, "waiting in the queue", lines)


def run_frozen(plan: str, run_id: str, mode: str, state: str, since: timedelta) -> Message:
    """Return the message that a run stands still.

    :param state: Airflow's state of the run, queued or running.
    :param since: for how long.
    """
    what = "it has not begun" if state == "queued" else "there are tasks to start, and Airflow has started none of them"
    lines = [
        f"{_what(mode)} of {plan} stands still: for {format_duration(since)} {what}.",
        "Either the plan is paused in Airflow, and unpausing it lets the run go on; or the plan's file is broken or "
        "gone; or the scheduler is down or has no free slots.",
    ]
    return _message("run_frozen", plan, run_id, mode, "standing still", lines)


def waiting_for_aws(plan: str, run_id: str, mode: str, *, wave: str, task: str, wait: str) -> Message:
    """Return the message that a task waits for an AWS that does not answer.

    :param wave: the wave, empty for a task of the whole run.
    :param wait: for what it waits, since when and until when, in words.
    """
    lines = [
        f"{_what(mode)} of {plan} waits for AWS in the task {task}.",
        f"{wait}.",
        "It goes on by itself when AWS answers. If AWS says that credentials expired, renew them.",
    ]
    return _message("waiting_for_aws", plan, run_id, mode, "waiting for AWS", lines, wave)


def drill_stopping(plan: str, run_id: str, request: RunRequest, jobs: Iterable[str]) -> Message:
    """Return the message that a drill stops, and what the recovery that asked for it still waits for.

    :param request: who asked.
    :param jobs: the DRS jobs that are on the wire, each in words.
    """
    waits = list(jobs)
    lines = [
        f"The drill of {plan} stops: {request}.",
        f"It waits for {len(waits)} DRS job{'s' * (len(waits) != 1)} on the wire, which DRS cannot cancel:"
        if waits
        else "No DRS job of it is on the wire. Its instances are terminated now.",
        *(f"- {job}" for job in waits),
        "Then its instances are terminated, its report is written, and the recovery begins.",
    ]
    return _message("drill_stopping", plan, run_id, "drill", "stopping for a recovery", lines)


def glass_broken(plan: RecoveryPlan, run: RecoveryRun, *, by: str, reason: str, what: str, wave: str = "") -> Message:
    """Return the message that somebody went on without the plan's approvals.

    :param by: who.
    :param reason: why, in that person's words.
    :param what: what goes on, such as ``the recovery shop``.
    :param wave: the wave, empty where it is the whole recovery.
    """
    lines = [
        f"BREAK GLASS: {by} started {what} WITHOUT the approvals that the plan asks for.",
        f"Why: {reason[:_LONGEST_REASON]}",
        "It goes on now. To stop it, mark the run as failed in Airflow.",
    ]
    return _message("break_glass", run.dag_id, run.run_id, run.mode, "BREAK GLASS, no approval", lines, wave)


def wave_failed(plan: str, run_id: str, mode: str, *, wave: str, task: str, reason: str) -> Message:
    """Return the message that a wave failed for good.

    :param task: the task that failed.
    :param reason: why.
    """
    lines = [
        f"{_what(mode)} of {plan}: the wave {wave} failed. Waves that depend on it do not start; the others go on.",
        f"Task: {task}",
        f"Why: {reason[:_LONGEST_REASON] or 'the task did not say; see its log'}",
    ]
    return _message("wave_failed", plan, run_id, mode, f"wave {wave} failed", lines, wave)


def rto_alarm(
    plan: str, run_id: str, mode: str, *, rto: timedelta, passed: timedelta, unfinished: Iterable[str]
) -> Message:
    """Return the message that the objective is near, or gone by, while waves are still to come.

    :param passed: how much time has passed.
    :param unfinished: the waves that are not up; none where that is not known.
    """
    missed = passed >= rto
    waves = ", ".join(unfinished)
    lines = [
        f"{_what(mode)} of {plan} is still going, {format_duration(passed)} after its start. "
        f"The RTO objective is {format_duration(rto)}" + (" and is missed." if missed else "."),
        f"Not up yet: {waves}" if waves else "Which waves are not up could not be read.",
    ]
    subject = "RTO missed" if missed else "RTO at risk"
    return _message("rto_missed" if missed else "rto_at_risk", plan, run_id, mode, subject, lines)


def ended(record: RunRecord, *, state: str, report: str) -> Message:
    """Return the message that a run has ended.

    :param record: its evidence.
    :param state: ``success`` or ``failed``.
    :param report: where the report lies; empty where it could not be written.
    """
    from drs_provider.evidence.verdict import cards, verdict

    run = record.run
    found = verdict(record)
    outcome = ("succeeded" if state == "success" else "FAILED") + (f" ({run.simulation})" if run.simulation else "")
    lines = [
        f"{_what(run.mode)} of {run.dag_id} has ended: it {outcome}. {found.title}. {found.detail}",
        *(f"{card.label}: {card.value}, {card.note}" for card in cards(record)),
        f"Report: {report}" if report else "The report could not be written; the log of the task report says why.",
    ]
    return _message("ended", run.dag_id, run.run_id, run.mode, outcome, lines)


def run_url(dag_id: str, run_id: str) -> str:
    """Return the page of a run in Airflow's UI; empty where ``[api] base_url`` is not set."""
    base = conf.get("api", "base_url", fallback="") or ""
    return f"{base.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(run_id, safe='')}" if base else ""


def mode_of(parameters: Mapping[str, object] | None) -> str:
    """Return the mode of a run from its parameters, as far as they can be trusted to hold one."""
    return "recovery" if (parameters or {}).get("mode") == "recovery" else "drill"


def _what(mode: str) -> str:
    return "The RECOVERY" if mode == "recovery" else "The drill"


def _message(
    event: EventName, plan: str, run_id: str, mode: str, what: str, lines: Iterable[str], wave: str = ""
) -> Message:
    url = run_url(plan, run_id)
    mark = "RECOVERY" if mode == "recovery" else "drill"
    text = [*lines, f"Run: {run_id}", *([f"Airflow: {url}"] if url else [])]
    return Message(
        event=event,
        subject=f"[{mark}] {plan}: {what}",
        text="\n".join(line for line in text if line),
        plan=plan,
        run_id=run_id,
        mode=mode,
        wave=wave,
        url=url,
    )
