"""What a person is asked before a recovery or a wave starts: everything that the decision rests on, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from drs_provider.durations import format_duration
from drs_provider.markdown import escape

if TYPE_CHECKING:
    from drs_provider.plan import Approval, LoadedPlan, RecoveryPlan, ServerSelector, Wave
    from drs_provider.runs.custody import Answer
    from drs_provider.runs.recovery_run import RecoveryRun
    from drs_provider.steps.preflight.event import PreflightEvent

__all__ = ["escaped", "question"]

# Airflow makes links of bare addresses too; those have a scheme, or begin with www., or are for mail.
_ADDRESS = re.compile(r":(?=//)|@|(?<=www)\.", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_MOST_SERVERS = 50
_MOST_FINDINGS = 30
_LONGEST = 300


def escaped(text: object) -> str:
    """Return a text of a plan, a run or AWS that Markdown shows as it is: no link, no picture, no line of its own."""
    shown = " ".join(_UNPRINTABLE.sub(" ", str(text)).split())
    shown = shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"
    return _ADDRESS.sub(r"\\\g<0>", escape(shown))


def question(
    loaded: LoadedPlan,
    run: RecoveryRun,
    *,
    approval: Approval,
    wave: Wave | None = None,
    started_by: str,
    needed: int = 1,
    given: Sequence[Answer] = (),
    resolved: Mapping[str, Any] | None = None,
    preflight: PreflightEvent | None = None,
    glass: bool = False,
) -> str:
    """Return the question.

    :param approval: whom the plan asks.
    :param wave: the wave that waits; None for the whole run.
    :param started_by: who, or what, started the run.
    :param needed: how many people have to approve.
    :param given: the approvals that there are.
    :param resolved: wave name → servers, as the last preflight found them.
    :param preflight: the event of the last preflight.
    :param glass: whether people may break the glass.
    """
    plan = loaded.plan
    what = "a **REAL RECOVERY**" if run.mode == "recovery" else "a drill"
    lines = [f"This is {what} of **{escaped(plan.name)}** into {escaped(plan.regions_text)}."]
    if approval.message:
        lines += ["", f"**{escaped(approval.message)}**"]
    lines += ["", *_facts(loaded, run, wave, started_by)]
    lines += ["", "Servers:", "", *_servers(plan, run, wave, resolved or {})]
    if preflight:
        lines += ["", *_findings(preflight)]
    lines += ["", *_who(approval, needed, given)]
    if glass:
        lines += [
            "",
            "*Break glass* goes on without the plan's approvals. It is for the installation's break_glass_users, takes "
            "a reason, notifies every channel, and stands at the top of the report.",
        ]
    return "\n".join(lines)


def _facts(loaded: LoadedPlan, run: RecoveryRun, wave: Wave | None, started_by: str) -> Iterator[str]:
    plan = loaded.plan
    chosen = [each for each in plan.waves if run.selects(each.name)]
    about = wave.description if wave else plan.description
    if about:
        yield f"- About: {escaped(about)}"
    yield f"- Started by: {escaped(started_by)}"
    if run.ticket:
        yield f"- Ticket: {escaped(run.ticket)}"
    if wave:
        yield f"- Wave: {escaped(wave.name)}, one of {', '.join(escaped(each.name) for each in chosen)}"
    else:
        left_out = [escaped(each.name) for each in plan.waves if each not in chosen]
        without = f"; without {', '.join(left_out)}" if left_out else ""
        yield f"- Waves: {', '.join(escaped(each.name) for each in chosen)}{without}"
    moment = run.snapshot_time
    yield f"- Data: {'as of ' + escaped(moment.isoformat()) if moment else 'the latest'}"
    if run.skip_scripts:
        skipped = [
            escaped(script.name)
            for each in ([wave] if wave else chosen)
            for script in (*each.pre_launch, *each.post_launch)
            if run.mode in script.modes
        ]
        yield f"- Scripts that are **skipped**: {', '.join(skipped) or 'the plan has none'}"
    if run.override:
        codes = ", ".join(escaped(code) for code in sorted(run.override.findings))
        yield f"- Findings that are **overridden**: {codes}, because: {escaped(run.override.reason)}"
    if run.break_glass:
        yield f"- The run asks to go on without approvals, because: {escaped(run.break_glass)}. That does not count."
    yield f"- Plan: {escaped(loaded.path)}, hash {loaded.hash[:12]}"


def _servers(plan: RecoveryPlan, run: RecoveryRun, wave: Wave | None, resolved: Mapping[str, Any]) -> Iterator[str]:
    for each in [wave] if wave else [one for one in plan.waves if run.selects(one.name)]:
        found = resolved.get(each.name)
        if isinstance(found, Sequence) and found:
            names = [f"{server.get('hostname') or 'no hostname'} ({server.get('id')})" for server in found]
        else:
            names = [_selected(selector, plan) for selector in each.servers]
        shown = ", ".join(escaped(name) for name in names[:_MOST_SERVERS])
        more = f", and {len(names) - _MOST_SERVERS} more" if len(names) > _MOST_SERVERS else ""
        yield f"- {escaped(each.name)}: {shown}{more}"


def _selected(selector: ServerSelector, plan: RecoveryPlan) -> str:
    if selector.group:
        group = plan.protection_groups.get(selector.group)
        inside = ", ".join(group.servers) if group and group.servers else _tags(group.tags if group else None)
        return f"group {selector.group} ({inside})"
    return selector.id or selector.instance or selector.name or selector.hostname or _tags(selector.tags)


def _tags(tags: Mapping[str, str] | None) -> str:
    return "all with " + ", ".join(f"{key}={value}" for key, value in sorted((tags or {}).items()))


def _findings(preflight: PreflightEvent) -> Iterator[str]:
    findings = preflight.findings
    when = escaped(preflight.ended.isoformat())
    if not findings:
        yield f"Preflight at {when} found nothing."
        return
    yield f"Preflight at {when} found:"
    yield ""
    for finding in findings[:_MOST_FINDINGS]:
        gone_on = ", overridden" if finding.code in preflight.overridden else ""
        yield f"- {escaped(finding.severity)} {escaped(finding.code)}{gone_on}: {escaped(finding.message)}"
    if len(findings) > _MOST_FINDINGS:
        yield f"- and {len(findings) - _MOST_FINDINGS} more; the log of preflight lists them"


def _who(approval: Approval, needed: int, given: Sequence[Answer]) -> Iterator[str]:
    names = ", ".join(escaped(name) for name in approval.approvers)
    who = f"{names}, but not the person who started the run" if names else "anyone who may edit the DAG run"
    yield f"Approvers: {who}. Without an answer within {format_duration(approval.timeout)} it counts as refused."
    if needed > 1:
        so_far = ", ".join(escaped(answer.name) for answer in given) or "nobody yet"
        yield ""
        yield f"{needed} people have to approve, each in turn. So far: {so_far}."
