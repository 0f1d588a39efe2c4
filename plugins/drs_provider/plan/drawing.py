"""A plan's graph as text, Mermaid, Graphviz or JSON."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timezone
from itertools import pairwise

from drs_provider.durations import format_duration
from drs_provider.plan.graph import critical_path, levels, longest_time
from drs_provider.plan.kinds import kinds
from drs_provider.plan.models import RecoveryPlan
from drs_provider.plan.steps import steps_of
from drs_provider.plan.upcoming import upcoming_text
from drs_provider.plan.waves import Wave

__all__ = ["draw", "tree"]


def draw(plan: RecoveryPlan, style: str) -> str:
    """Draw a plan.

    :param plan: a valid plan.
    :param style: ``text``, ``mermaid``, ``dot`` or ``json``.
    :return: the drawing, without a line feed at the end.
    :raises KeyError: there is no such style.
    """
    return {"text": _text, "mermaid": _mermaid, "dot": _dot, "json": _json}[style](plan)


def _text(plan: RecoveryPlan) -> str:
    chain, longest = critical_path(plan)
    width = max(len(wave.name) for wave in plan.waves)
    lines = [plan.name]
    for number, names in enumerate(levels(plan)):
        lines.append(f"level {number}")
        for name in names:
            wave = plan.wave(name)
            after = f"  after {', '.join(wave.depends_on)}" if wave.depends_on else ""
            mark = "*" if name in chain else " "
            lines.append(f"  {mark} {name:<{width}}  {_facts(wave)}{after}{_place(plan, wave)}")
    lines.append(f"* critical path: {' → '.join(chain)}, at most {format_duration(longest)} with every attempt used")
    if plan.objectives.rto is not None:
        rto = plan.objectives.rto
        over = f"{format_duration(longest - rto)} more than" if longest > rto else "within"
        lines.append(f"  {over} the RTO of {format_duration(rto)}")
    if drills := upcoming_text(plan.drill, datetime.now(timezone.utc)):
        lines.append(f"next drills: {drills}")
    return "\n".join(lines)


def tree(plan: RecoveryPlan) -> list[str]:
    """Draw a plan's waves as a tree of text: each stands below the last of the waves that it waits for.

    :param plan: a valid plan.
    :return: a line a wave; one that waits for several names the others behind it.
    """
    level = {name: number for number, names in enumerate(levels(plan)) for name in names}
    below: dict[str | None, list[Wave]] = {}
    for wave in plan.waves:
        below.setdefault(max(wave.depends_on, key=lambda needed: level[needed], default=None), []).append(wave)
    lines: list[str] = []

    def draw_below(parent: str | None, indent: str) -> None:
        found = below.get(parent, [])
        for number, wave in enumerate(found):
            last = number == len(found) - 1
            branch = "" if parent is None else "└─▶ " if last else "├─▶ "
            others = [needed for needed in wave.depends_on if needed != parent]
            also = f"  (also after {', '.join(others)})" if others else ""
            lines.append(f"{indent}{branch}{wave.name}{also}{_place(plan, wave)}")
            draw_below(wave.name, indent + ("" if parent is None else "    " if last else "│   "))

    draw_below(None, "")
    return lines


def _place(plan: RecoveryPlan, wave: Wave) -> str:
    """Return in which target a wave is launched, where the plan has several."""
    return f"  in {plan.target_of(wave)}" if plan.several_targets else ""


def _facts(wave: Wave) -> str:
    facts = [f"{len(wave.servers)} selector{'s' * (len(wave.servers) != 1)}"]
    counts = Counter(step.kind for step in steps_of(wave))
    facts += filter(None, (kind.counted(counts[kind.name]) for kind in kinds() if counts[kind.name]))
    return f"{', '.join(facts)}, ≤ {format_duration(longest_time(wave))}"


def _mermaid(plan: RecoveryPlan) -> str:
    chain, _ = critical_path(plan)
    # A name such as "end" is a word of Mermaid's: the id is a number, the name a label.
    ids = {wave.name: f"w{number}" for number, wave in enumerate(plan.waves)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[wave.name]}["{wave.name}{_place(plan, wave)}"]' for wave in plan.waves]
    lines += [f"  {ids[needed]} --> {ids[wave.name]}" for wave in plan.waves for needed in wave.depends_on]
    lines.append(f"  class {','.join(ids[name] for name in chain)} critical")
    lines.append("  classDef critical stroke-width:3px")
    return "\n".join(lines)


def _dot(plan: RecoveryPlan) -> str:
    chain, _ = critical_path(plan)
    on_path = set(pairwise(chain))
    lines = [f'digraph "{plan.name}" {{', "  rankdir=LR;", "  node [shape=box];"]
    for wave in plan.waves:
        facts = ["penwidth=2"] if wave.name in chain else []
        if place := _place(plan, wave):
            facts.append(f'label="{wave.name}\\n{place.strip()}"')
        shown = f" [{', '.join(facts)}]" if facts else ""
        lines.append(f'  "{wave.name}"{shown};')
    for wave in plan.waves:
        for needed in wave.depends_on:
            bold = " [penwidth=2]" if (needed, wave.name) in on_path else ""
            lines.append(f'  "{needed}" -> "{wave.name}"{bold};')
    return "\n".join([*lines, "}"])


def _json(plan: RecoveryPlan) -> str:
    chain, longest = critical_path(plan)
    several = plan.several_targets
    waves = [
        {
            "name": wave.name,
            "depends_on": list(wave.depends_on),
            "longest_seconds": int(longest_time(wave).total_seconds()),
            **({"target": plan.target_of(wave).name, "region": plan.target_of(wave).region} if several else {}),
        }
        for wave in plan.waves
    ]
    path = {"waves": chain, "longest_seconds": int(longest.total_seconds())}
    rto = plan.objectives.rto
    objective = {"rto_seconds": int(rto.total_seconds()), "within_rto": longest <= rto} if rto is not None else {}
    found = {"name": plan.name, "waves": waves, "levels": levels(plan), "critical_path": {**path, **objective}}
    return json.dumps(found, indent=2)
