"""When things were: merged phases of a wave, the critical path as it happened, and what it spent its time on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from drs_provider.evidence.record import (
    CriticalStep,
    Measured,
    Phase,
    PhaseKind,
    RunState,
    Server,
    SpentKind,
    TimeSpent,
    Wave,
)

__all__ = [
    "TURN",
    "clock_seconds",
    "critical_path",
    "exclusive",
    "merge_phases",
    "parts_left_out",
    "recovered_at",
    "rpo_measured",
    "rto_measured",
    "time_spent",
]

Span = tuple[datetime, datetime]

TURN: tuple[PhaseKind, ...] = (
    "approval",
    "scripts",
    "health",
    "settle",
    "snapshot",
    "conversion",
    "launch",
    "drs",
    "preflight",
)
"""Whose time a moment is, where phases overlap: the earlier phase of a launch is what the others wait for."""


def clock_seconds(start: datetime | None, end: datetime | None) -> float | None:
    """Return the seconds between two moments to the millisecond, None where one is not known."""
    return round((end - start).total_seconds(), 3) if start and end else None


def merge_phases(phases: Iterable[Phase]) -> list[Phase]:
    """Join the overlapping phases of a kind, such as the conversions of all servers of a job; gaps stay gaps.

    Phases with a name stand for themselves. A phase without an end is left as it is.
    """
    merged: list[Phase] = []
    for phase in sorted(phases, key=lambda phase: (phase.kind, phase.started.timestamp() if phase.started else 0.0)):
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.kind == phase.kind
            and not last.name
            and not phase.name
            and last.ended
            and phase.started
            and phase.started <= last.ended
        ):
            end = max(last.ended, phase.ended) if phase.ended else None
            merged[-1] = Phase(kind=last.kind, started=last.started, ended=end)
        else:
            merged.append(phase)
    return sorted(merged, key=lambda phase: (phase.started is None, phase.started and phase.started.timestamp()))


def exclusive(phases: Iterable[Phase], start: datetime, end: datetime) -> list[tuple[PhaseKind | None, Span]]:
    """Cut a stretch of time into spans of one kind each, in order; None where no phase was.

    :param phases: may overlap; :data:`TURN` says which one counts.
    :param start: the start of the stretch.
    :param end: its end; nothing is returned when it is not after the start.
    """
    spans = [
        (phase.kind, max(phase.started, start), min(phase.ended or end, end))
        for phase in phases
        if phase.started and phase.kind in TURN
    ]
    spans = [span for span in spans if span[1] < span[2]]
    edges = sorted({start, end, *(edge for _, *both in spans for edge in both)}) if start < end else []
    cut: list[tuple[PhaseKind | None, Span]] = []
    for left, right in zip(edges, edges[1:]):  # noqa: B905, RUF007 - neighbours; itertools.pairwise reads no better
        present = {kind for kind, first, last in spans if first <= left and last >= right}
        kind = next((kind for kind in TURN if kind in present), None)
        if cut and cut[-1][0] == kind:
            cut[-1] = (kind, (cut[-1][1][0], right))
        else:
            cut.append((kind, (left, right)))
    return cut


def critical_path(waves: Sequence[Wave], clock_started: datetime | None) -> list[CriticalStep]:
    """Return the chain of waves that decided when the run's work ended, first to last, as it really happened.

    It ends with the wave that ended last and goes back, from each wave to the one that it really waited for: of those
    that it depends on, the one that ended last. A wave that was left out is looked through. The waits and durations
    of the chain add up to the time from the clock's start to the end of its last wave.

    :param waves: in the order of the plan, which decides between waves that ended at the same moment.
    :param clock_started: the start of the clock; without it the first wave's wait counts as 0.
    """
    by_name = {wave.name: wave for wave in waves}
    done = [wave for wave in waves if wave.started and wave.ended]
    chain: list[CriticalStep] = []
    current = max(done, key=lambda wave: wave.ended, default=None)  # type: ignore[arg-type, return-value]
    while current is not None and all(step.wave != current.name for step in chain):
        before = max(_released_by(current, by_name), key=lambda wave: wave.ended, default=None)  # type: ignore[arg-type, return-value]
        since = before.ended if before else clock_started
        chain.append(
            CriticalStep(
                wave=current.name,
                waited_for=before.name if before else None,
                waited_seconds=clock_seconds(since, current.started) or 0.0,
                started=current.started,
                ended=current.ended,
            )
        )
        current = before
    return chain[::-1]


def _released_by(wave: Wave, by_name: Mapping[str, Wave]) -> list[Wave]:
    """Return the waves that a wave waited for, with those that were left out replaced by what they depend on."""
    found: dict[str, Wave] = {}
    seen: set[str] = set()
    names = list(wave.depends_on)
    while names:
        name = names.pop(0)
        needed = by_name.get(name)
        if needed is None or name in seen:
            continue
        seen.add(name)
        if needed.state == "skipped":
            names += needed.depends_on
        elif needed.started and needed.ended:
            found[name] = needed
    return [found[name] for name in by_name if name in found]


def time_spent(
    path: Sequence[CriticalStep], waves: Sequence[Wave], clock_started: datetime | None, before: Iterable[Phase]
) -> list[TimeSpent]:
    """Say what the critical path spent its time on, most first; the parts add up to the time of the run.

    :param before: phases before the first wave: preflight, and the approval of the run.
    """
    by_name = {wave.name: wave for wave in waves}
    before = list(before)
    total: dict[SpentKind, float] = {}
    reached = clock_started
    for step in path:
        if not step.started or not step.ended:
            continue
        reached = min(reached or step.started, step.ended)
        for kind, (left, right) in exclusive([*before, *by_name[step.wave].phases], reached, step.ended):
            key: SpentKind = "orchestration" if kind is None or kind == "rollback" else kind
            total[key] = total.get(key, 0.0) + (right - left).total_seconds()
        reached = step.ended
    return [
        TimeSpent(kind=kind, seconds=round(seconds, 3))
        for kind, seconds in sorted(total.items(), key=lambda item: (-item[1], item[0]))
    ]


def recovered_at(waves: Sequence[Wave]) -> datetime | None:
    """Return the end of the last wave if every wave that took part succeeded, otherwise None."""
    part = [wave for wave in waves if wave.state != "skipped"]
    if not part or any(wave.state != "success" or wave.ended is None for wave in part):
        return None
    return max(wave.ended for wave in part if wave.ended)


def rto_measured(
    objective: float | None,
    clock_started: datetime | None,
    waves: Sequence[Wave],
    state: RunState,
    *,
    scripts: bool = True,
    around: str = "",
) -> Measured:
    """Compare the time of the run with the objective.

    A run of some of the plan's waves, or without the plan's scripts, can miss the objective, and cannot meet it.

    :param scripts: whether the run ran all scripts that the plan has for it.
    :param around: the gates that the run went around: such a run achieves nothing.
    """
    if around:
        return Measured(
            objective_seconds=objective,
            met=None if objective is None else False,
            remark=f"gates were not passed: {around}",
        )
    achieved = clock_seconds(clock_started, recovered_at(waves))
    left_out = parts_left_out(waves) + ([] if scripts else ["the scripts"])
    remark = None
    met: bool | None = None
    if achieved is None:
        broken = [f"{wave.name} ({wave.state.replace('_', ' ')})" for wave in waves if wave.state not in _FINE]
        if state == "running":
            remark = "the run is still going"
        elif state == "missed":
            remark = "the drill was not held"
        elif broken:
            remark = f"not every wave came up: {', '.join(broken)}"
            met = False if objective is not None else None
        else:
            remark = "no wave took part, or their times are not known"
            met = False if objective is not None and state == "failed" else None
    elif objective is not None:
        met = achieved <= objective
        if left_out and met:
            met = None
    if achieved is not None and left_out:
        remark = f"the run left out {', '.join(left_out)}; the objective is for the whole plan"
    return Measured(objective_seconds=objective, achieved_seconds=achieved, met=met, remark=remark)


_FINE = ("success", "skipped")


def parts_left_out(waves: Iterable[Wave]) -> list[str]:
    """Return what a run left out of its plan: waves, and required servers that a person went on without."""
    found: list[str] = []
    for wave in waves:
        if wave.state == "skipped":
            found.append(wave.name)
        found += [f"{each.server} of {wave.name}" for each in wave.left_out if each.critical]
    return found


def rpo_measured(
    objective: float | None, servers: Iterable[Server], *, recovered: bool, left_out: Sequence[str] = ()
) -> Measured:
    """Compare the oldest data of the launched servers with the objective.

    :param recovered: whether all waves came up: a run that did not recover can miss the objective, and cannot meet it.
    :param left_out: what the run left out, of :func:`parts_left_out`: nor can a run of some of the waves meet it.
    """
    launched = [server for server in servers if server.ec2_instance_id or server.launch_status == "LAUNCHED"]
    known = [server for server in launched if server.rpo_seconds is not None]
    worst = max(known, key=lambda server: server.rpo_seconds or 0.0, default=None)
    unknown = len(launched) - len(known)
    remark = None
    if not launched:
        remark = "no server was launched"
    elif unknown:
        remark = f"the age of the data is not known for {unknown} of {len(launched)} launched servers"
    elif not recovered:
        remark = "only the servers that were launched count, and the run did not recover"
    elif left_out:
        remark = f"the run left out {', '.join(left_out)}; the objective is for the whole plan"
    met: bool | None = None
    if objective is not None and worst is not None and worst.rpo_seconds is not None:
        met = worst.rpo_seconds <= objective
        if met and (unknown or not recovered or left_out):
            met = None
    return Measured(
        objective_seconds=objective,
        achieved_seconds=worst.rpo_seconds if worst else None,
        met=met,
        remark=remark,
        server=worst.source_server_id if worst else None,
    )
