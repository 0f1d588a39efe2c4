"""``drs-plan import``: plan files from the plans that people have elsewhere."""

from __future__ import annotations

from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.importers.plan_file import PlanFile
    from drs_provider.importers.report import ImportReport
    from drs_provider.importers.source_plan import SourcePlan

__all__ = ["Shape", "import_plans"]


class Shape(str, Enum):
    """Where plans come from."""

    orchestrator = "orchestrator"
    drs_tools = "drs-tools"
    drs_native = "drs-native"


def import_plans(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|-...",
            help="JSON files, or - for standard input; drs-native: names or ARNs of recovery plans of DRS.",
            show_default=False,
        ),
    ],
    shape: Annotated[Shape, typer.Option("--from", help="orchestrator, drs-tools or drs-native.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="The folder that takes the plan files. Absent: print them, write nothing.")
    ] = None,
    plan: Annotated[
        list[str] | None, typer.Option(help="Import only the plans of this name, as the source has it. Repeatable.")
    ] = None,
    wave_base: Annotated[
        int | None, typer.Option(help="orchestrator: what number the first wave has, 0 or 1.", min=0, max=1)
    ] = None,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="orchestrator: plans without dependencies run wave after wave.")
    ] = False,
    region: Annotated[
        str | None, typer.Option(help="The recovery region where the source does not say; drs-native: where to look.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace plan files that are there.")] = False,
    output: Annotated[str, typer.Option("--format", help="text, or json: plans and report as one object.")] = "text",
    profile: Annotated[str | None, typer.Option(help="drs-native: a profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[str | None, typer.Option(help="drs-native: an Airflow connection instead.")] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Make plan files of plans of other systems, all or none, and say what could not be carried over.

    Exit status: 0 imported, 1 the source cannot be imported as it is, 2 the command could not be run.
    """
    from drs_provider.importers.naming import LegalNames
    from drs_provider.importers.plan_file import make_plan_file
    from drs_provider.importers.report import ImportRefused, ImportReport

    if output not in ("text", "json"):
        raise _cannot_run(f"--format is {output!r}; expected text or json")
    report = ImportReport()
    files: list[PlanFile] = []
    try:
        if shape is Shape.drs_native:
            found = _read_native(sources, region, profile, aws_conn_id, report, timeout)
        else:
            found = _read_files(sources, shape, wave_base, in_order, region, report)
        if plan:
            known = ", ".join(each.name for each in found)
            for name in set(plan) - {each.name for each in found}:
                report.refuse("", f'there is no plan "{name}"; the source has {known}')
            found = [each for each in found if each.name in plan]
        # What is wrong with its source is not said a second time of a plan made of it.
        report.check()
        names = LegalNames()
        made = [make_plan_file(each, names, report) for each in found]
        report.check()
        files = [each for each in made if each is not None]
        if out is not None:
            _write(files, out, force)
    except ImportRefused as refused:
        report.problems = refused.problems
        _print(output, [], None, report)
        raise typer.Exit(1) from None
    _print(output, files, out, report)


def _read_files(
    sources: list[str], shape: Shape, wave_base: int | None, in_order: bool, region: str | None, report: ImportReport
) -> list[SourcePlan]:
    import sys

    from drs_provider.importers.drs_tools import read_drs_tools
    from drs_provider.importers.json_items import read_items
    from drs_provider.importers.orchestrator import OrchestratorOptions, read_orchestrator

    items: list[tuple[str, dict[str, Any]]] = []
    for source in sources:
        try:
            data = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        except OSError as error:
            raise _cannot_run(f"{source}: {error.strerror or error}") from error
        # A path needs the file's name only where there are several.
        items += read_items(data, ("stdin" if source == "-" else source) if len(sources) > 1 else "", report)
    if shape is Shape.drs_tools:
        return read_drs_tools(items, report)
    return read_orchestrator(items, report, OrchestratorOptions(wave_base, region, in_order))


def _read_native(
    sources: list[str],
    region: str | None,
    profile: str | None,
    aws_conn_id: str | None,
    report: ImportReport,
    timeout: float,
) -> list[SourcePlan]:
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import connect
    from drs_provider.importers.drs_native import NativePlanMissing, NativePlansUnknown, read_drs_native, region_of

    found = []
    for source in sources:
        clients = connect(region or region_of(source), profile=profile, aws_conn_id=aws_conn_id)
        try:
            read = partial(read_drs_native, clients.drs, source, clients.drs.meta.region_name, report)
            found.append(within(clients, timeout, read))
        except AwsSilentError as error:
            raise _cannot_run(f"{error}. Nothing was imported.") from None
        except NativePlanMissing as error:
            report.refuse("", str(error))
        except (NativePlansUnknown, BotoCoreError, ClientError) as error:
            raise _cannot_run(str(error)) from error
    return found


def _write(files: list[PlanFile], out: Path, force: bool) -> None:
    """Write all the files, or none where one is in the way."""
    from drs_provider.plan import read_plans

    in_the_way = [each.file_name for each in files if (out / each.file_name).exists()]
    if in_the_way and not force:
        raise _cannot_run(f"{out} has {', '.join(in_the_way)} already; nothing was written. --force replaces them")
    try:
        out.mkdir(parents=True, exist_ok=True)
        others = read_plans(out).plans
        for each in files:
            other = others.get(each.plan.name)
            if other is not None and other.path.name != each.file_name:
                raise _cannot_run(f"{other.path} is a plan of the name {each.plan.name} already; nothing was written")
        for each in files:
            half = out / f".{each.file_name}.new"
            half.write_text(each.text, encoding="utf-8")
            half.replace(out / each.file_name)
    except OSError as error:
        raise _cannot_run(f"{out}: {error.strerror or error}") from error


def _print(output: str, files: list[PlanFile], out: Path | None, report: ImportReport) -> None:
    if output == "json":
        import json

        plans = [
            {
                "name": each.plan.name,
                "source": each.where,
                "file": str(out / each.file_name) if out else None,
                "waves": len(each.plan.waves),
                "text": each.text,
            }
            for each in files
        ]
        typer.echo(json.dumps({"plans": plans, **report.as_dict()}, indent=2, ensure_ascii=False))
        return
    if report.problems:
        for problem in report.problems:
            say(str(problem), err=True)
        count = len(report.problems)
        say(f"{count} problem{'s' * (count != 1)}; nothing was imported", err=True)
        return
    for each in files:
        if out is None:
            typer.echo(each.text, nl=False)
        waves = len(each.plan.waves)
        place = str(out / each.file_name) if out else f"not written; --out DIR writes {each.file_name}"
        say(f"{each.plan.name}: {waves} wave{'s' * (waves != 1)} ({place})", err=out is None)
    for name, title in (("decided", "Decided, each with a comment in the file"), ("left_out", "Not carried over")):
        lines = report.lines(name)
        if lines:
            say(f"\n{title}:", err=out is None)
            for line in lines:
                say(f"  {line}", err=out is None)


def _cannot_run(why: str) -> typer.Exit:
    say(f"drs-plan import: {why}", err=True)
    return typer.Exit(2)
