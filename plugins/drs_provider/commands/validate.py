"""``drs-plan validate``: check plan files, and say everything that is wrong with them."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from drs_provider.commands.terminal import printable, say

if TYPE_CHECKING:
    from drs_provider.plan import PlanFolder, Problem

__all__ = ["Format", "validate"]


class Format(str, Enum):
    """How problems are written."""

    human = "human"
    json = "json"
    github = "github"


def validate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Plan files, or folders of plan files.", show_default="plans"),
    ] = None,
    output: Annotated[
        Format,
        typer.Option("--format", help="human, json (a list of problems), or github (annotations of a pull request)."),
    ] = Format.human,
) -> None:
    """Check plan files: each by itself, their names against each other, and what this Airflow lets plans name.

    Exit codes: 0 all are valid (there may be warnings), 1 at least one is not, 2 a path is missing or a folder holds no
    plan file.
    """
    from drs_provider.commands.site_rules import refusals
    from drs_provider.plan.loading import read_files
    from drs_provider.plan.warnings import certain_mistakes, remarks

    files: dict[str, Path] = {}
    for path in paths or [Path("plans")]:
        for file in _files(path):
            files.setdefault(os.path.realpath(file), file)
    result = read_files([*files.values()])
    problems = list(result.problems)
    for loaded in result.plans.values():
        problems += [*refusals(loaded), *remarks(loaded.path)]
    for file in files.values():
        problems += remarks(file, certain_mistakes, severity="error")
    problems.sort()
    if output is Format.json:
        _print_json(problems)
    elif output is Format.github:
        _print_github(problems)
    else:
        _print_human(result, problems, len(files))
    raise typer.Exit(1 if any(problem.severity == "error" for problem in problems) else 0)


def _files(path: Path) -> list[Path]:
    """The plan files that a path of the command line means."""
    from drs_provider.plan.loading import plan_files

    try:
        if not path.is_dir():
            path.stat()
            return [path]
        found = plan_files(path)
    except FileNotFoundError:
        _cannot_run(f"{path} does not exist")
    except OSError as error:
        _cannot_run(f"{path} cannot be read: {error.strerror}")
    if not found:
        _cannot_run(f"{path} holds no plan file (*.yaml, *.yml)")
    return found


def _cannot_run(reason: str) -> NoReturn:
    say(f"drs-plan validate: {reason}", err=True)
    raise typer.Exit(2)


def _print_json(problems: list[Problem]) -> None:
    import json

    keys = ("file", "line", "column", "path", "message", "severity")
    typer.echo(json.dumps([{key: getattr(problem, key) for key in keys} for problem in problems], indent=2))


def _print_github(problems: list[Problem]) -> None:
    for problem in problems:
        file = _escaped(problem.file).replace(":", "%3A").replace(",", "%2C")
        text = _escaped(f"{problem.path}: {problem.message}" if problem.path else problem.message)
        say(f"::{problem.severity} file={file},line={problem.line},col={problem.column},title=Recovery plan::{text}")


def _escaped(text: str) -> str:
    """A workflow command ends with its line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _print_human(result: PlanFolder, problems: list[Problem], files: int) -> None:
    from rich.console import Console
    from rich.text import Text

    from drs_provider.commands.problem_view import print_problems
    from drs_provider.plan.upcoming import upcoming_text

    console = Console(highlight=False, soft_wrap=True)
    # Text, not markup: a path may have brackets.
    print_problems(problems, console)
    errors = [problem for problem in problems if problem.severity == "error"]
    refused = {problem.file for problem in errors}
    for loaded in result.plans.values():
        if str(loaded.path) in refused:
            continue
        waves = len(loaded.plan.waves)
        named = f" {printable(str(loaded.path))}: {loaded.plan.name}, {waves} wave{'s' * (waves != 1)}"
        console.print(Text.assemble(("valid", "green"), named))
        if drills := upcoming_text(loaded.plan.drill, datetime.now(timezone.utc)):
            console.print(Text(f"      next drills: {drills}"))
    broken = len(refused)
    if broken:
        count = len(errors)
        console.print(
            f"[bold red]{count} problem{'s' * (count != 1)} in {broken} of {files} file{'s' * (files != 1)}[/bold red]"
        )
