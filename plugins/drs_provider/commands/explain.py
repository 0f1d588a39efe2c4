"""``drs-plan explain``: what a finding means, where to see it in the console, and what to do."""

from __future__ import annotations

import textwrap
from enum import Enum
from typing import Annotated

import typer

__all__ = ["explain"]

_WIDTH = 100
_INDENT = 12


class ExplanationFormat(str, Enum):
    """What is printed."""

    text = "text"
    markdown = "markdown"


def explain(
    code: Annotated[
        str, typer.Argument(help="A finding code, such as replication-lag. All are listed without one.")
    ] = "",
    output: Annotated[
        ExplanationFormat, typer.Option("--format", help="markdown prints the page of all codes.")
    ] = ExplanationFormat.text,
) -> None:
    """Explain a finding: its cause, where to see it in the console, and the commands that fix it."""
    from drs_provider.plan.nearest import nearest
    from drs_provider.readiness.findings import CODES
    from drs_provider.readiness.guidance import findings_page, guidance_text

    if output is ExplanationFormat.markdown:
        typer.echo(findings_page(), nl=False)
    elif not code:
        width = max(map(len, CODES))
        for name, known in CODES.items():
            typer.echo(f"{name:{width}}  {known.severity:7}  {known.meaning}")
    elif code in CODES:
        typer.echo("\n".join(_wrapped(line) for line in guidance_text(code).splitlines()))
    else:
        typer.echo(
            f"{code!r} is not a finding code{nearest(code, CODES) or '. drs-plan explain lists them.'}", err=True
        )
        raise typer.Exit(2)


def _wrapped(line: str) -> str:
    if line.startswith(" "):
        return line  # A command is copied whole.
    labelled = line[:_INDENT].rstrip() in ("Why", "Where", "What to do")
    indent = " " * _INDENT if labelled else ""
    return textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
