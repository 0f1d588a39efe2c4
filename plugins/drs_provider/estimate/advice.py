"""What an estimate means for the plan: whether the objective can be met, and which wave to shorten first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from drs_provider.durations import format_duration
from drs_provider.estimate.forecast import Forecast, WaveForecast

__all__ = ["Advice", "Judgement", "first_to_shorten", "judge", "time_text"]

Judgement = Literal["met", "tight", "missed", "impossible"]

_HOW = {
    "drs": "give that server a larger instance type in its launch template, or let part of the wave start earlier",
    "slots": "let fewer waves run side by side, or ask AWS for larger quotas",
    "health": "look whether every check is needed before the next wave may start",
    "scripts": "look whether its scripts can run in another wave, or side by side in one runbook",
    "settle": "replace the pause by a health check, which ends as soon as it may",
    "approval": "ask earlier: before the first wave, or not at all",
    "orchestration": "it has many short tasks: join scripts into one runbook",
}


@dataclass(frozen=True)
class Advice:
    """The wave that is worth most.

    :param saves: seconds that the RTO falls if the wave takes half its time.
    :param kind: what it spends most time on, as :class:`~drs_provider.estimate.schedule.WaveTimes` calls it.
    :param text: for people.
    """

    wave: str
    saves: float
    kind: str
    seconds: float
    text: str


def time_text(seconds: float) -> str:
    """Return seconds as a person says them: whole, and above an hour without the seconds."""
    whole = round(seconds) if seconds < 3600 else round(seconds / 60) * 60
    return format_duration(timedelta(seconds=whole))


def first_to_shorten(estimate: Forecast) -> Advice | None:
    """Return the wave of the critical path that is worth shortening first; None where none is."""
    name, saves = next(iter(estimate.gains.items()), (None, 0.0))
    if name is None or saves < 1:
        return None
    wave = estimate.wave(name)
    kind, seconds = max(wave.times.spent.items(), key=lambda item: item[1])
    text = (
        f"Shorten {name} first: half its time saves {time_text(saves)}. Of its {time_text(wave.times.seconds)} it "
        f"spends {time_text(seconds)} on {_words(kind, wave)}: {_HOW[kind]}."
    )
    return Advice(name, saves, kind, seconds, text)


def _words(kind: str, wave: WaveForecast) -> str:
    if kind != "drs":
        return {"slots": "waiting for a free job", "health": "health checks", "settle": "its pause"}.get(kind, kind)
    phase = max(wave.phases, key=lambda name: wave.phases[name])
    return f"DRS jobs, {time_text(wave.phases[phase])} of that on the {phase} of {wave.slowest}"


def judge(estimate: Forecast) -> tuple[Judgement, str] | None:
    """Say whether the plan's RTO can be met; None where it has none.

    :return: ``met`` (in every case), ``tight`` (most likely, not at worst), ``missed`` (but it can be met), or
        ``impossible`` (whatever becomes of scripts, checks and dependencies), and why in a sentence.
    """
    objective, rto = estimate.objective, estimate.rto
    if objective is None:
        return None
    wanted = time_text(objective)
    if rto.high <= objective:
        return "met", f"The objective of {wanted} is met, with {time_text(objective - rto.high)} to spare at worst."
    if rto.typical <= objective:
        return "tight", (
            f"The objective of {wanted} is met with {time_text(objective - rto.typical)} to spare, and missed by "
            f"{time_text(rto.high - objective)} at worst."
        )
    missed = f"The objective of {wanted} is missed by {time_text(rto.typical - objective)}."
    if estimate.slowest > objective:
        return "impossible", (
            f"{missed} It cannot be met at all: one server alone takes DRS {time_text(estimate.slowest)} at best."
        )
    if estimate.needed > objective:
        chain = " → ".join(estimate.critical_path)
        return "missed", (
            f"{missed} It can be met with other dependencies only: for {chain}, DRS alone takes "
            f"{time_text(estimate.needed)} at best; for all waves at once, {time_text(estimate.slowest)}."
        )
    return "missed", (
        f"{missed} It can be met: DRS alone takes {time_text(estimate.needed)} at best; the rest is scripts, checks, "
        "pauses, approvals and Airflow."
    )
