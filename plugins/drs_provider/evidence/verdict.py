"""What the report says first: whether the run recovered, how long it took, and how the objectives compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from drs_provider.durations import duration_text
from drs_provider.evidence.record import NOT_JUDGED, Measured, Run, RunRecord, Server, Wave
from drs_provider.timestamps import moment_text

__all__ = ["Card", "Tone", "Verdict", "cards", "compared", "not_tested_title", "simulated_text", "verdict"]

Tone = Literal["good", "bad", "open"]


@dataclass(frozen=True)
class Verdict:
    """The verdict in words.

    :param title: such as ``Recovered in 11 m 32 s``.
    :param detail: one or two sentences.
    :param badge: two or three words.
    :param tone: ``good``, ``bad``, or ``open`` where it cannot be said.
    """

    title: str
    detail: str
    badge: str
    tone: Tone

    @property
    def phrase(self) -> str:
        """The title as it goes on in a sentence."""
        return self.title[:1].lower() + self.title[1:]


@dataclass(frozen=True)
class Card:
    """One figure of the summary."""

    label: str
    value: str
    note: str
    tone: Tone


def simulated_text(run: Run) -> str:
    """Say by what AWS was simulated, how fast, and what that means; it goes on from ``AWS was simulated``."""
    speed = f", {run.simulated_speed:g} times as fast as AWS" if run.simulated_speed else ""
    return f"by {run.simulated_by}{speed}: no real server was launched. This is no drill, and no objective is judged."


def not_tested_title(record: RunRecord) -> str:
    """Return the heading of what a recovery does and the run did not do."""
    return "Not tested in this drill" if record.run.mode == "drill" else "Not done in this recovery"


def compared(measured: Measured) -> str:
    """Say how what was achieved compares with the objective: ``met, with 33 m 28 s to spare``."""
    if measured.objective_seconds is None:
        return "the plan sets no objective"
    objective = duration_text(measured.objective_seconds)
    if _is_simulated(measured):
        return f"objective {objective}, {measured.remark}"
    if measured.achieved_seconds is None:
        return f"objective {objective}, {'missed' if measured.met is False else 'cannot be judged'}"
    spare = measured.objective_seconds - measured.achieved_seconds
    if measured.met is None:
        return f"objective {objective}, cannot be judged"
    if measured.met:
        return f"objective {objective}, met with {duration_text(spare)} to spare"
    return f"objective {objective}, missed by {duration_text(-spare)}"


def verdict(record: RunRecord) -> Verdict:
    """Return the verdict on a run."""
    rto = record.rto
    if record.run.state == "running":
        return Verdict("Still going", f"{_sentence(compared(rto))}.", "In progress", "open")
    if record.run.state == "missed":
        return Verdict("Drill missed", _missed(record), "Missed", "open")
    if rto.achieved_seconds is None:
        # What a reason says of each server stands with the wave.
        problems = [f"the wave {wave.name} failed: {_cause(wave)}" for wave in record.waves if wave.reason]
        problems = [
            f"the gate {gate.gate} was {'marked by hand' if gate.state == 'marked by hand' else 'not passed'}"
            + (f": {gate.reason}" if gate.reason else "")
            for gate in record.gone_around
        ] + problems
        if record.run.refused and not problems:
            problems = [record.run.refused]
        asked = [each for each in record.approvals if each.where == "recovery"]
        if asked and asked[-1].decision not in ("approved", "break glass") and not problems:
            problems = [f"the approval of the recovery: {asked[-1].decision}"]
        if record.preflight.state == "failed" and not problems:
            problems = ["preflight found what stands in the way, and nothing was launched"]
        problems = problems or _failed_steps(record)
        if record.run.stopped:
            why = f"a recovery of the plan waited, and had this drill stop: {record.run.stopped}"
            return Verdict("Stopped for a recovery", f"{_sentence(why)}.", "Stopped", "open")
        if record.run.cancelled:
            why = "a person ended the run in Airflow before its work was done"
            note = [f"{_sentence(f'Note on the run: {record.run.note}')}."] if record.run.note else []
            marked = [why for why in problems if "was marked by hand" in why]
            lines = [
                f"{_sentence(why)}. {_sentence(record.run.cancelled)}.",
                *note,
                *(f"{_sentence(each)}." for each in marked),
            ]
            return Verdict("Cancelled", "\n".join(lines), _marked("Cancelled", record), "bad")
        problems = problems or [rto.remark or "the run failed"]
        detail = "\n".join(f"{_sentence(why)}." for why in problems)
        what = next(filter(None, map(_what_failed, record.waves)), None)
        title = f"Not recovered: {what}" if what and not record.gone_around else "Not recovered"
        return Verdict(title, _with_hosts(detail, record), _marked("Failed", record), "bad")
    title = f"Recovered in {duration_text(rto.achieved_seconds)}"
    details = [_sentence(compared(rto)) + "."]
    if rto.remark and not _is_simulated(rto):
        details.append(_sentence(rto.remark) + ".")
    if record.run.state == "failed":
        left = len(record.termination.left)
        steps = "; ".join(_failed_steps(record))
        fault = (
            f"{left} drill {'instance was' if left == 1 else 'instances were'} left behind"
            if left
            else steps or "a task failed after the last wave"
        )
        return Verdict(title, " ".join([*details, f"But {fault}."]), _marked("Recovered, run failed", record), "bad")
    if record.run.simulation:
        return Verdict(title, " ".join(details), f"Not judged ({record.run.simulation})", "open")
    if rto.met is None:
        badge = "Recovered" if rto.objective_seconds is None else "Recovered, not judged"
        return Verdict(title, " ".join(details), badge, "good" if rto.objective_seconds is None else "open")
    return Verdict(title, " ".join(details), f"RTO {'met' if rto.met else 'missed'}", "good" if rto.met else "bad")


def _what_failed(wave: Wave) -> str | None:
    """Say in a few words what made a wave fail: which server, script or health check."""
    if not wave.reason:
        return None
    if down := _down(wave):
        more = f" and {len(down) - 1} more" if len(down) > 1 else ""
        return f"{down[0].hostname or down[0].source_server_id}{more} did not launch"
    failed = [f"script {script.name} failed" for script in wave.scripts if script.state == "failed"]
    checks = [check.name for check in wave.health_checks if check.state == "failed"]
    failed += [f"health check {name} of {wave.name} failed" for name in checks]
    return failed[0] if failed else None


def _cause(wave: Wave) -> str:
    """Return why a wave failed, the server that did not launch first, and by its host name."""
    if down := [server for server in _down(wave) if server.reason]:
        first = down[0]
        more = f", and {len(down) - 1} more" if len(down) > 1 else ""
        return f"{first.hostname or first.source_server_id}: {(first.reason or '').splitlines()[0]}{more}"
    return (wave.reason or "").splitlines()[0]


def _down(wave: Wave) -> list[Server]:
    return [server for server in wave.servers if server.critical and server.launch_status == "FAILED"]


def _with_hosts(text: str, record: RunRecord) -> str:
    """Put its host name before the id of each instance that a text names."""
    for server in (server for wave in record.waves for server in wave.servers):
        if server.hostname and server.ec2_instance_id and server.hostname not in text:
            text = text.replace(server.ec2_instance_id, f"{server.hostname} ({server.ec2_instance_id})")
    return text


def cards(record: RunRecord) -> list[Card]:
    """Return the figures of the summary: RTO, RPO, waves, servers, and what became of the drill's instances."""
    if record.run.state == "missed":
        return [Card("Drills missed", str(max(len(record.run.missed), 1)), "nothing was launched", "open")]
    part = [wave for wave in record.waves if wave.state != "skipped"]
    up = [wave for wave in part if wave.state == "success"]
    servers = [server for wave in part for server in wave.servers]
    launched = [server for server in servers if server.ec2_instance_id or server.launch_status == "LAUNCHED"]
    lost = [server for server in servers if server not in launched]
    left_out = len(record.waves) - len(part)
    found = [
        Card("RTO achieved", duration_text(record.rto.achieved_seconds), compared(record.rto), _tone(record.rto)),
        Card("RPO achieved", duration_text(record.rpo.achieved_seconds), _with_remark(record.rpo), _tone(record.rpo)),
        Card(
            "Waves",
            f"{len(up)} of {len(part)}",
            "came up" + (f", {left_out} left out" if left_out else ""),
            "good" if len(up) == len(part) else "open" if record.run.state == "running" else "bad",
        ),
        Card(
            "Servers",
            f"{len(launched)} of {len(servers)}",
            "launched" + (f", {len(lost)} did not" if lost else ""),
            "bad" if any(server.critical for server in lost) else "open" if lost else "good",
        ),
    ]
    end = record.termination
    if end.state != "not_applicable":
        notes = {"kept": "kept running on request", "success": "terminated, none left", "skipped": "was skipped"}
        note = f"{len(end.left)} left over" if end.left and end.state != "kept" else notes.get(end.state, "not ended")
        if end.stopped:
            note += f", {len(end.stopped)} stopped that {'was' if len(end.stopped) == 1 else 'were'} there before"
        tones: dict[str, Tone] = {"success": "good", "failed": "bad"}
        value = f"{len(end.terminated)} of {len(end.terminated) + len(end.left)}"
        found.append(Card("Clean-up", value, note, "bad" if end.state == "failed" else tones.get(end.state, "open")))
    return found


def _failed_steps(record: RunRecord) -> list[str]:
    return [f"the step {each.problem}" for each in record.steps if each.state == "failed"]


def _marked(badge: str, record: RunRecord) -> str:
    return f"{badge} ({record.run.simulation})" if record.run.simulation else badge


def _missed(record: RunRecord) -> str:
    others = [moment_text(moment) for moment in record.run.missed[:-1]]
    more = f" Missed before it: {', '.join(others)}." if others else ""
    return f"{_sentence(f'this scheduled drill was not held: {record.run.not_held}')}.{more}"


def _with_remark(measured: Measured) -> str:
    # The verdict above says why the RTO cannot be judged; of the RPO nothing else does.
    unclear = measured.met is None and measured.objective_seconds is not None and not _is_simulated(measured)
    return f"{compared(measured)}: {measured.remark}" if unclear and measured.remark else compared(measured)


def _is_simulated(measured: Measured) -> bool:
    return measured.met is None and (measured.remark or "").startswith(NOT_JUDGED)


def _tone(measured: Measured) -> Tone:
    return "open" if measured.met is None else "good" if measured.met else "bad"


def _sentence(text: str) -> str:
    return (text[:1].upper() + text[1:]).rstrip(".")
