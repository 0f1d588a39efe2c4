"""The runbook as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from drs_provider.runbook.content import Chapter, Part, Runbook
from drs_provider.timestamps import moment_text

__all__ = ["render_markdown"]


def render_markdown(runbook: Runbook) -> str:
    """Return the document; its commands stand in blocks of sh."""
    lines = [
        f"# Runbook: {runbook.plan}",
        "",
        *([runbook.description, ""] if runbook.description else []),
        f"Made {moment_text(runbook.made)} from the plan with the hash `{runbook.plan_hash}`.",
        "For a real recovery by hand, when Airflow is not there.",
        "",
        *_table(("fact", "value"), runbook.facts),
    ]
    if runbook.contacts:
        lines += ["## Whom to call", "", *_table(("name", "role", "phone"), runbook.contacts)]
    if runbook.remarks:
        lines += ["## What could not be found out", "", *(f"- {remark}" for remark in runbook.remarks), ""]
    lines += ["## Before the first wave", "", *_parts(runbook.before)]
    several = any(one.where for one in runbook.chapters)
    rows = [
        (
            one.name,
            *((one.where,) if several else ()),
            ", ".join(one.after) or "–",
            str(len(one.servers)),
            one.starts,
            one.ends,
        )
        for one in runbook.chapters
    ]
    head = ("wave", *(("where",) if several else ()), "after", "servers", "usually starts", "usually up")
    lines += ["## The waves", "", *_table(head, rows)]
    for chapter in runbook.chapters:
        lines += _chapter(chapter)
    return "\n".join(lines)


def _chapter(chapter: Chapter) -> list[str]:
    rows = [
        (one.hostname, one.id, one.addresses, one.source, "" if one.critical else "may fail") for one in chapter.servers
    ]
    return [
        f"## Wave {chapter.name}",
        "",
        *([chapter.description, ""] if chapter.description else []),
        *([f"In {chapter.where}.", ""] if chapter.where else []),
        chapter.start,
        "",
        *_table(("host", "source server", "source addresses", "source machine", ""), rows),
        *_parts(chapter.parts),
    ]


def _parts(parts: Iterable[Part]) -> list[str]:
    lines = []
    for number, part in enumerate(parts, start=1):
        lines += [f"**{number}. {part.title}.** {' '.join(part.text)}", ""]
        if part.commands:
            lines += ["```sh", *part.commands, "```", ""]
    return lines


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    cells = [head, tuple("---" for _ in head), *rows]
    return [*(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in cells), ""]
