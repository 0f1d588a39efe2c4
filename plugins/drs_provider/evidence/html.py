"""The report as one HTML page that needs nothing else: no script, no font, no address to load anything from."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from drs_provider.durations import ABSENT, duration_text
from drs_provider.evidence.gantt import BAR_HEIGHT, BAR_TOP, KINDS, ROW_HEIGHT, SPINE, gantt, server_strip
from drs_provider.evidence.record import RunRecord
from drs_provider.evidence.verdict import cards, not_tested_title, simulated_text, verdict
from drs_provider.timestamps import clock_text, moment_text

__all__ = ["render_html"]

_IN_DURATION = re.compile(r"(?<=\d) (?=[dhms]\b)|(?<=\d [dhm]) (?=\d)")
_MARKS = {
    "success": "✓",
    "failed": "✕",
    "rollback_failed": "✕",
    "rolled_back": "↺",
    "skipped": "–",
    "not_started": "–",
    "running": "…",
    "kept": "•",
    "not_applicable": "–",
}


def render_html(record: RunRecord) -> str:
    """Return the page.

    :param record: the evidence of a run; every text of it is escaped.
    """
    return _environment().get_template("report.html.j2").render(**_context(record))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("drs_provider.evidence"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=lambda seconds: _tight(duration_text(seconds)),
        tight=_tight,
        clock=clock_text,
        moment=moment_text,
        words=lambda state: str(state).replace("_", " "),
        mark=lambda state: _MARKS.get(str(state), "?"),
        tone=_tone,
    )
    environment.globals.update(
        absent=ABSENT,
        server_strip=server_strip,
        kinds=KINDS,
        simulated_text=simulated_text,
        not_tested_title=not_tested_title,
    )
    return environment


def _tight(text: str) -> str:
    # A duration never breaks between its numbers and units.
    return _IN_DURATION.sub("\u00a0", text)


def _tone(state: str) -> str:
    return {"success": "good", "failed": "bad", "rollback_failed": "bad", "rolled_back": "bad"}.get(state, "open")


def _context(record: RunRecord) -> dict[str, Any]:
    total = sum(part.seconds for part in record.time_spent)
    objective, achieved = record.rto.objective_seconds, record.rto.achieved_seconds
    scale = max(objective or 0.0, achieved or 0.0)
    return {
        "record": record,
        "verdict": verdict(record),
        "cards": cards(record),
        "chart": gantt(record),
        "geometry": {"row": ROW_HEIGHT, "top": BAR_TOP, "bar": BAR_HEIGHT, "spine": SPINE},
        "spent": [
            {"kind": part.kind, "seconds": part.seconds, "percent": round(part.seconds / total * 100, 2)}
            for part in record.time_spent
            if total > 0
        ],
        "spent_total": total,
        "dial": {
            "achieved": round(achieved / scale * 100, 2),
            "objective": round(objective / scale * 100, 2),
        }
        if objective and achieved is not None
        else None,
    }
