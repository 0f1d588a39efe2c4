"""The geometry of the report's charts, in percent of their width: they fit every screen and paper undistorted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from drs_provider.durations import duration_text
from drs_provider.evidence.record import Phase, RunRecord, Server, Wave
from drs_provider.evidence.timeline import exclusive
from drs_provider.timestamps import clock_text

__all__ = ["KINDS", "Bar", "Chart", "Link", "Row", "Tick", "gantt", "server_strip"]

KINDS = {
    "preflight": "preflight",
    "approval": "approval",
    "scripts": "scripts",
    "snapshot": "snapshot",
    "conversion": "conversion",
    "launch": "launch",
    "drs": "in DRS, between phases",
    "settle": "settling",
    "health": "health checks",
    "rollback": "rollback",
    "orchestration": "orchestration",
}
"""What each kind of phase is called in the report, in the order of the legend."""

ROW_HEIGHT = 46
BAR_TOP = 21
BAR_HEIGHT = 15
AXIS_HEIGHT = 26
SPINE = 2
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 43200, 86400)
_TICKS = 7
# Beyond this part of the width, a label beside its bar's start would run out of the picture.
_RIGHT = 60.0


@dataclass(frozen=True)
class Bar:
    """A stretch of one kind of work."""

    kind: str
    x: float
    width: float
    title: str


@dataclass(frozen=True)
class Row:
    """One wave, or the readiness checks before the first: what it is called and how long it lasted."""

    name: str
    note: str
    state: str
    critical: bool
    y: int
    x: float
    width: float
    bars: list[Bar] = field(default_factory=list)

    @property
    def label_x(self) -> float:
        """Where the label is tied to: the bar's start, or its end where there is more room to the left."""
        return min(self.x + self.width, 100.0) if self.x > _RIGHT else self.x

    @property
    def label_dx(self) -> int:
        """How far from there, in pixels, so that the label keeps clear of the line at the end."""
        return -6 if self.anchor == "end" else 0

    @property
    def anchor(self) -> str:
        """Which end of the label stands there."""
        return "end" if self.x > _RIGHT else "start"


@dataclass(frozen=True)
class Link:
    """A dependency: down from the end of one wave to the start of another."""

    x: float
    y: int
    to_x: float
    to_y: int
    critical: bool


@dataclass(frozen=True)
class Tick:
    """A mark on the time axis."""

    x: float
    text: str

    @property
    def anchor(self) -> str:
        """Which part of the text stands at the mark."""
        return "start" if self.x < 3 else "end" if self.x > 96 else "middle"


@dataclass(frozen=True)
class Chart:
    """The chart of all waves. ``marks`` are the moments that count: recovered, objective."""

    height: int
    rows: list[Row]
    links: list[Link]
    ticks: list[Tick]
    marks: list[Tick]
    kinds: list[str]
    summary: str


class _Scale:
    def __init__(self, start: datetime, end: datetime) -> None:
        self.start = start
        self.span = max((end - start).total_seconds(), 1.0)

    def x(self, moment: datetime) -> float:
        """Return where a moment stands, in percent."""
        return round(min(max((moment - self.start).total_seconds() / self.span, 0.0), 1.0) * 100, 3)

    def bar(self, kind: str, start: datetime, end: datetime, name: str | None = None) -> Bar:
        left, right = self.x(start), self.x(end)
        title = KINDS.get(kind, kind) + (f" {name}" if name else "")
        took = duration_text((end - start).total_seconds())
        return Bar(
            kind, left, round(max(right - left, 0.12), 3), f"{title}: {took}, {clock_text(start)}–{clock_text(end)}"
        )


def gantt(record: RunRecord) -> Chart | None:
    """Return the chart of a run; None when nothing is known of when anything was."""
    start = record.clock_started
    if start is None:
        return None
    ends = [wave.ended for wave in record.waves] + [phase.ended for wave in record.waves for phase in wave.phases]
    ends += [record.preflight.ended, record.generated if record.run.state == "running" else None]
    last = max(filter(None, ends), default=None)
    if last is None or last <= start:
        return None
    span = (last - start).total_seconds()
    objective = record.objectives.rto_seconds
    shown = objective if objective is not None and objective <= span * 1.3 else None
    end = start + timedelta(seconds=max(span, shown or 0.0) * 1.01)
    scale = _Scale(start, end)
    critical = {step.wave for step in record.critical_path}
    rows = []
    if record.preflight.started and record.preflight.ended:
        rows.append(_readiness(record, scale))
    order = sorted(record.waves, key=lambda wave: (wave.started is None, wave.started and wave.started.timestamp()))
    for wave in order:
        rows.append(_wave(wave, scale, len(rows) * ROW_HEIGHT, wave.name in critical, last))
    if not any(row.bars or row.width for row in rows):
        return None
    marks = [Tick(scale.x(record.recovered), "recovered")] if record.recovered else []
    if shown is not None:
        marks.append(Tick(scale.x(start + timedelta(seconds=shown)), f"objective {duration_text(shown)}"))
    used = {bar.kind for row in rows for bar in row.bars}
    return Chart(
        height=len(rows) * ROW_HEIGHT + AXIS_HEIGHT,
        rows=rows,
        links=_links(record, {row.name: row for row in rows}),
        ticks=_ticks(scale),
        marks=marks,
        kinds=[kind for kind in KINDS if kind in used],
        summary=_summary(record, span),
    )


def _readiness(record: RunRecord, scale: _Scale) -> Row:
    phases = [Phase(kind="preflight", started=record.preflight.started, ended=record.preflight.ended)]
    phases += [
        Phase(kind="approval", started=approval.started, ended=approval.ended)
        for approval in record.approvals
        if approval.where == "recovery"
    ]
    known = [(p.kind, p.started, p.ended) for p in phases if p.started and p.ended]
    first, last = min(p[1] for p in known), max(p[2] for p in known)
    left, right = scale.x(first), scale.x(last)
    note = duration_text((last - first).total_seconds())
    bars = [scale.bar(kind, begin, end) for kind, begin, end in known]
    return Row("Preflight", note, record.preflight.state, True, 0, left, right - left, bars)


def _wave(wave: Wave, scale: _Scale, y: int, critical: bool, last: datetime) -> Row:
    words = wave.state.replace("_", " ")
    if wave.started is None:
        return Row(wave.name, words, wave.state, False, y, 0.0, 0.0)
    ended = wave.ended or last
    left, right = scale.x(wave.started), scale.x(ended)
    took = duration_text((ended - wave.started).total_seconds())
    bars = [
        scale.bar(kind, begin, end, _name(wave.phases, kind, begin, end))
        for kind, (begin, end) in exclusive(wave.phases, wave.started, ended)
        if kind is not None
    ]
    bars += [
        scale.bar("rollback", phase.started, phase.ended or last)
        for phase in wave.phases
        if phase.kind == "rollback" and phase.started
    ]
    note = took if wave.state == "success" else f"{took}, {words}"
    return Row(wave.name, note, wave.state, critical, y, left, round(right - left, 3), bars)


def _name(phases: Iterable[Phase], kind: str, begin: datetime, end: datetime) -> str | None:
    names = [
        phase.name
        for phase in phases
        if phase.kind == kind and phase.name and phase.started and phase.started < end and (phase.ended or end) > begin
    ]
    return ", ".join(names) or None


def _links(record: RunRecord, rows: dict[str, Row]) -> list[Link]:
    path = {(step.waited_for, step.wave) for step in record.critical_path}
    found = []
    for wave in record.waves:
        for name in wave.depends_on:
            needed, row = rows.get(name), rows[wave.name]
            if needed is None or not needed.bars or not row.bars:
                continue
            found.append(
                Link(
                    x=round(min(needed.x + needed.width, row.x), 3),
                    y=needed.y + BAR_TOP + BAR_HEIGHT + SPINE,
                    to_x=row.x,
                    to_y=row.y + BAR_TOP + BAR_HEIGHT // 2,
                    critical=(name, wave.name) in path,
                )
            )
    return sorted(found, key=lambda link: link.critical)


def _ticks(scale: _Scale) -> list[Tick]:
    step = next((step for step in _STEPS if scale.span / step <= _TICKS), max(scale.span / _TICKS, 1.0))
    count = int(scale.span / step)
    return [
        Tick(round(i * step / scale.span * 100, 3), duration_text(i * step) if i else "0") for i in range(count + 1)
    ]


def _summary(record: RunRecord, span: float) -> str:
    path = ", then ".join(step.wave for step in record.critical_path)
    return f"{len(record.waves)} waves over {duration_text(span)}." + (f" Critical path: {path}." if path else "")


def server_strip(server: Server, wave: Wave) -> list[Bar]:
    """Return the snapshot, conversion and launch of a server as bars over the time of its wave's jobs."""
    starts = [job.started for job in wave.jobs if job.started]
    ends = [job.ended for job in wave.jobs if job.ended]
    if not starts or not ends or max(ends) <= min(starts):
        return []
    scale = _Scale(min(starts), max(ends))
    return [scale.bar(p.kind, p.started, p.ended) for p in server.phases if p.started and p.ended]
