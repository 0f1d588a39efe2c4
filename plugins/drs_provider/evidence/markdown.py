"""The report as a Markdown summary, for a chat, a ticket or a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drs_provider.durations import ABSENT, duration_text
from drs_provider.evidence.gantt import KINDS
from drs_provider.evidence.record import Gate, Run, RunRecord, Script
from drs_provider.evidence.verdict import cards, not_tested_title, simulated_text, verdict
from drs_provider.markdown import code, escape
from drs_provider.timestamps import moment_text

__all__ = ["render_markdown"]


def render_markdown(record: RunRecord, *, digest: str | None = None) -> str:
    """Return the summary.

    :param record: the evidence of a run; every text of it is escaped.
    :param digest: SHA-256 of the report's JSON, in hexadecimal digits.
    """
    found = verdict(record)
    run = record.run
    parts = [
        f"# {escape(record.plan.name)}: {escape(found.phrase)}",
        f"**{found.badge}.** {escape(found.detail)}",
        *([f"**AWS was simulated** {escape(simulated_text(run))}"] if run.simulated_by else []),
        *(
            f"**BREAK GLASS** by {escape(_names(gate))} at {escape(gate.gate)}, {moment_text(gate.at)}, "
            f"without the plan's approvals: {escape(gate.reason)}"
            for gate in record.glass_broken
        ),
        _table(["", "", ""], [[card.label, f"**{card.value}**", card.note] for card in cards(record)]),
        "\n".join(
            [
                f"- {'Recovery drill' if run.mode == 'drill' else 'Recovery'} {code(run.run_id)}, "
                f"{escape(run.trigger)}, started by {escape(_by(run))}"
                + (f", ticket {escape(run.ticket)}" if run.ticket else ""),
                f"- {moment_text(run.started)} to {moment_text(record.recovered or run.ended)}",
                f"- Plan hash {code(record.plan.hash)}"
                + (f", **changed during the run** to {code(record.plan.changed_to)}" if record.plan.changed_to else ""),
            ]
        ),
        *_not_tested(record),
        "## Waves",
        _waves(record),
    ]
    if record.critical_path:
        chain = " → ".join(
            f"{duration_text(step.waited_seconds)} → **{escape(step.wave)}** {duration_text(step.seconds)}"
            for step in record.critical_path
        )
        spent = ", ".join(f"{KINDS[part.kind]} {duration_text(part.seconds)}" for part in record.time_spent)
        parts += ["## Critical path", f"start → {chain}", f"Spent on: {spent}."]
    if troubles := _troubles(record):
        parts += ["## What went wrong", _list(troubles)]
    if record.gates:
        parts += ["## Gates", _gates(record)]
    if people := _people(record):
        parts += ["## Approvals and overrides", _list(people)]
    if record.unread:
        parts += ["## Not known", _list(f"{escape(gap.what)}: {escape(gap.why)}" for gap in record.unread)]
    if digest:
        parts.append(f"SHA-256 of `report.json`: `{digest}`")
    return "\n\n".join(parts) + "\n"


def _not_tested(record: RunRecord) -> list[str]:
    lines = [f"{escape(each.label)}: {escape(each.reason)}" for each in record.not_tested]
    return [f"## {not_tested_title(record)}", _list(lines)] if lines else []


def _gates(record: RunRecord) -> str:
    rows = [
        [
            escape(gate.gate),
            "required" if gate.required else "not required",
            f"**{gate.state}**" if gate in record.gone_around or gate in record.glass_broken else gate.state,
            escape(_names(gate)),
            moment_text(gate.at),
            escape(gate.reason),
        ]
        for gate in record.gates
    ]
    return _table(["Gate", "", "State", "Who", "When", "Why"], rows)


def _names(gate: Gate) -> str:
    return ", ".join(gate.by) or ABSENT


def _by(run: Run) -> str:
    return run.triggered_by or ("the schedule" if run.trigger == "scheduled" else ABSENT)


def _waves(record: RunRecord) -> str:
    rows = []
    for wave in record.waves:
        up = sum(1 for server in wave.servers if server.ec2_instance_id or server.launch_status == "LAUNCHED")
        ages = [server.rpo_seconds for server in wave.servers if server.rpo_seconds is not None]
        rows.append(
            [
                escape(wave.name) + (f" in {escape(wave.target)}" if wave.target else ""),
                escape(", ".join(wave.depends_on)) or ABSENT,
                wave.state.replace("_", " "),
                f"{up} of {len(wave.servers)}",
                duration_text(wave.seconds),
                duration_text(wave.reached_seconds),
                duration_text(max(ages, default=None)),
            ]
        )
    return _table(["Wave", "After", "State", "Servers", "Took", "Up after", "Oldest data"], rows)


def _troubles(record: RunRecord) -> list[str]:
    found = [f"Wave {escape(wave.name)}: {escape(wave.reason)}" for wave in record.waves if wave.reason]
    for wave in record.waves:
        found += [
            f"Server {escape(server.hostname or server.source_server_id)} of {escape(wave.name)}: "
            f"{escape(server.reason)}"
            for server in wave.servers
            if server.reason
        ]
        found += [
            f"Not launched in {escape(wave.name)}, {'required' if each.critical else 'optional'}: "
            f"{escape(each.server)}: {escape(each.reason)}"
            for each in wave.left_out
        ]
        scripts = [*wave.scripts, *(wave.rollback.scripts if wave.rollback else ())]
        found += [f"Script {escape(script.name)}: {_ended(script)}" for script in scripts if script.state == "failed"]
    found += [
        f"The launch of the wave {escape(wave.name)} replaced the live instance {escape(one.what)}"
        for wave in record.waves
        for one in wave.replaced
    ]
    found += [f"Preflight: {escape(f.message)}" for f in record.preflight.findings if f.severity == "error"]
    found += [f"Step {escape(each.problem)}" for each in record.steps if each.state == "failed"]
    left = [*record.termination.left, *(each for wave in record.waves if wave.rollback for each in wave.rollback.left)]
    found += [f"Instance {code(each.instance_id)} is still there: {escape(each.reason)}" for each in left]
    found += [f"Instance {code(each)}: stopped, was there before" for each in record.termination.stopped]
    found += [
        f"{code(each.task)} waited for AWS ({escape(each.operation)}) from {moment_text(each.since)} to "
        f"{moment_text(each.until)}: {escape(each.reason)}"
        for each in record.aws_waits
    ]
    return found + [
        f"Notification of {escape(each.event.replace('_', ' '))} to {code(each.to)} was not sent: {escape(each.reason)}"
        for each in record.notifications
        if each.state == "failed"
    ]


def _ended(script: Script) -> str:
    codes = [
        f"{each.instance_id} exit {each.exit_code}" for each in script.instances if each.exit_code not in (0, None)
    ]
    return escape("; ".join(filter(None, [script.reason or script.status or "failed", *codes])))


def _people(record: RunRecord) -> list[str]:
    found = [
        f"{escape(each.where)}: {escape(each.decision)} by {escape(each.approver or ABSENT)}, "
        f"{moment_text(each.ended)}, after {duration_text(each.seconds)}"
        for each in record.approvals
    ]
    return found + [
        f"{escape(each.by or ABSENT)} went on in spite of {code(each.finding)}, {moment_text(each.at)}: "
        f"{escape(each.reason)}"
        for each in record.overrides
    ]


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
