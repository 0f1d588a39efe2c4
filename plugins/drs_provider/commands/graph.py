"""``drs-plan graph``: the waves of a plan in levels, and the critical path."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say

__all__ = ["Format", "graph"]


class Format(str, Enum):
    """How the graph is drawn."""

    text = "text"
    mermaid = "mermaid"
    dot = "dot"
    json = "json"


def graph(
    path: Annotated[Path, typer.Argument(metavar="PLAN", help="A plan file.")],
    output: Annotated[
        Format, typer.Option("--format", help="text, mermaid (for Markdown), dot (for Graphviz), or json.")
    ] = Format.text,
) -> None:
    """Draw a plan's waves in levels, and its critical path by the longest that each wave may take.

    Exit codes: 0 drawn, 1 the plan is not valid, 2 there is no such file.
    """
    from drs_provider.plan.drawing import draw
    from drs_provider.plan.loading import load_plan
    from drs_provider.plan.problems import PlanError

    try:
        there = path.is_file()
    except OSError:  # Such as a name that is too long.
        there = False
    if not there:
        say(f"drs-plan graph: {path} is not a file", err=True)
        raise typer.Exit(2)
    try:
        plan = load_plan(path).plan
    except PlanError as error:
        from rich.console import Console

        from drs_provider.commands.problem_view import print_problems

        print_problems(error.problems, Console(stderr=True, highlight=False, soft_wrap=True))
        raise typer.Exit(1) from None
    say(draw(plan, output.value))
