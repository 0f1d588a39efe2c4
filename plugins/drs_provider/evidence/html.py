"""The report as one HTML page that needs nothing else: no script, no font, no address to load anything from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from drs_provider.durations import ABSENT, duration_text
from drs_provider.evidence.gantt import BAR_HEIGHT, BAR_TOP, KINDS, ROW_HEIGHT, SPINE, gantt, server_strip
from drs_provider.evidence.record import RunRecord
from drs_provider.evidence.verdict import cards, not_tested_title, simulated_text, verdict
from drs_provider.timestamps import clock_text, moment_text

if TYPE_CHECKING:
    from drs_provider.evidence.audit import Change

__all__ = ["render_html"]

_IN_DURATION = re.compile(r"(?<=\d) (?=[dhms]\b)|(?<=\d [dhm]) (?=\d)")
_TABLE = re.compile(r"(<thead>.*?</thead>)(.*?</tbody>)", re.DOTALL)
_HEADING = re.compile(r"<th(?:>| [^>]*>)(.*?)</th>", re.DOTALL)
_ROW = re.compile(r"<tr>.*?</tr>", re.DOTALL)
_CELL = re.compile(r"<td([ >])")
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


def render_html(record: RunRecord, *, digest: str | None = None, changes: Sequence[Change] = ()) -> str:
    """Return the page.

    :param record: the evidence of a run; every text of it is escaped.
    :param digest: SHA-256 of the report's JSON, in hexadecimal digits.
    :param changes: what people did to the run in Airflow, for a reader who may see that.
    """
    template = _environment().get_template("report.html.j2")
    return _with_labels(template.render(**_context(record), digest=digest, changes=changes))


def _with_labels(page: str) -> str:
    """Give each cell of a table the heading of its column: on a phone a row is shown as a card.

    Every tag of the page is the template's own, since the texts of the record are escaped.
    """

    def row(match: re.Match[str], labels: list[str]) -> str:
        left = iter(labels)
        return _CELL.sub(lambda cell: f'<td data-label="{next(left, "")}"{cell.group(1)}', match.group())

    def table(match: re.Match[str]) -> str:
        labels = _HEADING.findall(match.group(1))
        return match.group(1) + _ROW.sub(lambda found: row(found, labels), match.group(2))

    return _TABLE.sub(table, page)


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


def _comparison(record: RunRecord) -> list[dict[str, str]]:
    """Return the figures of this run beside those of the last one; waves of both only."""
    before = record.previous
    if before is None or record.rto.achieved_seconds is None:
        return []
    launched = sum(server.launch_status == "LAUNCHED" for wave in record.waves for server in wave.servers)
    waves = {wave.name: wave.seconds for wave in before.waves}
    figures: list[tuple[str, float | None, float | None]] = [
        ("RTO achieved", record.rto.achieved_seconds, before.rto_seconds),
        ("RPO achieved", record.rpo.achieved_seconds, before.rpo_seconds),
        *((f"Wave {wave.name}", wave.seconds, waves[wave.name]) for wave in record.waves if wave.name in waves),
    ]
    rows = [
        {"what": what, "now": duration_text(now), "then": duration_text(then), "change": _change(now, then)}
        for what, now, then in figures
    ]
    change = launched - before.servers
    return [
        *rows,
        {
            "what": "Servers launched",
            "now": str(launched),
            "then": str(before.servers),
            "change": f"{change:+d}".replace("-", "−") if change else "same",
        },
    ]


def _change(now: float | None, then: float | None) -> str:
    if now is None or then is None:
        return ABSENT
    seconds = round(now - then)
    return f"{'+' if seconds > 0 else ''}{duration_text(seconds)}" if seconds else "same"


def _context(record: RunRecord) -> dict[str, Any]:
    total = sum(part.seconds for part in record.time_spent)
    objective, achieved = record.rto.objective_seconds, record.rto.achieved_seconds
    scale = max(objective or 0.0, achieved or 0.0)
    return {
        "record": record,
        "verdict": verdict(record),
        "cards": cards(record),
        "chart": gantt(record),
        "compared_with": _comparison(record),
        # Airflow's own configuration names the address; anything else would be no page.
        "link": record.run.url if (record.run.url or "").startswith(("https://", "http://")) else None,
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
