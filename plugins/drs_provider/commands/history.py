"""``drs-plan history``: how long the runs of a plan took, one after the other, against its objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say

if TYPE_CHECKING:
    from drs_provider.evidence.record import RunRecord

__all__ = ["history", "sparkline"]

_LEVELS = "▁▂▃▄▅▆▇█"


def history(
    plan: Annotated[str, typer.Argument(help="The plan's name.", show_default=False)],
    reports_folder: Annotated[
        str | None, typer.Option(help="Where reports lie: a folder or URL. Default: Airflow's configuration.")
    ] = None,
    mode: Annotated[str, typer.Option(help="drill, recovery or all.")] = "drill",
    last: Annotated[int, typer.Option(help="Show so many runs, the newest.", min=1)] = 20,
    simulated: Annotated[bool, typer.Option("--simulated", help="Show rehearsals too.")] = False,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
) -> None:
    """Show the trend of RTO and RPO over the runs of a plan, oldest first.

    Rehearsals are not shown unless --simulated is given. Runs that were refused before they launched anything, and
    scheduled drills that were not held, are counted below the trend.

    Exit status: 0 the last run recovered and met the plan's objectives as far as they can be judged, 1 it did not, 2
    there is no report.
    """
    import json

    from drs_provider.commands.connecting import airflow_apart
    from drs_provider.evidence.storage import reports_folder as configured
    from drs_provider.evidence.storage import reports_of
    from drs_provider.timestamps import moment_text

    for name, value, allowed in (
        ("--mode", mode, ("drill", "recovery", "all")),
        ("--format", output, ("text", "json")),
    ):
        if value not in allowed:
            say(f"{name} is {value!r}; expected {', '.join(allowed)}", err=True)
            raise typer.Exit(2)
    with airflow_apart():
        folder = reports_folder or configured()
        try:
            records, problems = reports_of(plan, folder)
        except Exception as error:
            # An object store raises errors of its own: no credentials, no way there, no such kind of store.
            say(f"{folder} cannot be read: {type(error).__name__}: {error}", err=True)
            raise typer.Exit(2) from error
    for problem in problems:
        say(problem, err=True)
    records = [record for record in records if mode in ("all", record.run.mode)]
    missed = sorted({moment for record in records for moment in record.run.missed})
    rehearsals = 0 if simulated else sum(record.run.simulation is not None for record in records)
    records = [record for record in records if simulated or record.run.simulation is None]
    refused = [record for record in records if record.refused]
    records = [record for record in records if record.run.state != "missed" and not record.refused][-last:]
    left_out = [f"{rehearsals} rehearsal{'s' * (rehearsals != 1)} (--simulated shows them)"] if rehearsals else []
    if not records:
        left_out += [f"{len(refused)} refused run{'s' * (len(refused) != 1)}"] if refused else []
        more = f"; not counted: {', '.join(left_out)}" if left_out else ""
        say(f"no report of a {'run' if mode == 'all' else mode} of {plan} in {folder}{more}", err=True)
        raise typer.Exit(2)
    if output == "json":
        found: dict[str, Any] = {"plan": plan, "runs": [_row(record) for record in records], "unreadable": problems}
        found["missed"] = [moment.isoformat() for moment in missed]
        found["refused"] = [
            {"run_id": record.run.run_id, "started": _moment(record), "reason": record.run.refused}
            for record in refused
        ]
        found["simulated_left_out"] = rehearsals
        typer.echo(json.dumps(found, indent=2))
    else:
        _print(plan, records)
        _print_not_tested(records[-1])
        if missed:
            moments = ", ".join(moment_text(moment) for moment in missed[-last:])
            typer.echo(f"Scheduled drills that were not held: {len(missed)} ({moments})")
        if refused:
            moments = ", ".join(moment_text(record.run.started) for record in refused[-last:])
            typer.echo(f"Runs that were refused, and launched nothing: {len(refused)} ({moments})")
        if left_out:
            typer.echo(f"Not shown: {', '.join(left_out)}")
    newest = records[-1]
    good = newest.run.state == "success" and newest.rto.met is not False and newest.rpo.met is not False
    raise typer.Exit(0 if good else 1)


def sparkline(values: Sequence[float | None]) -> str:
    """Return a line of blocks, from the least to the most; ``·`` for a run without a value.

    :param values: not negative.
    """
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    # Equal values are drawn in the middle: there is neither a least nor a most.
    return "".join(
        "·"
        if value is None
        else _LEVELS[round((value - low) / (high - low) * (len(_LEVELS) - 1)) if high > low else len(_LEVELS) // 2]
        for value in values
    )


def _row(record: RunRecord) -> dict[str, Any]:
    return {
        "run_id": record.run.run_id,
        "mode": record.run.mode,
        "state": record.run.state,
        "started": _moment(record),
        "simulated": record.run.simulation is not None,
        "simulated_speed": record.run.simulated_speed,
        "plan_hash": record.plan.hash,
        "rto": record.rto.model_dump(exclude={"server"}),
        "rpo": record.rpo.model_dump(),
        "not_tested": [{"label": each.label, **each.model_dump()} for each in record.not_tested],
    }


def _moment(record: RunRecord) -> str | None:
    return record.run.started.isoformat() if record.run.started else None


def _print_not_tested(newest: RunRecord) -> None:
    """Say what the figures of the newest run do not stand for."""
    if newest.not_tested:
        which = "Not tested in the newest drill" if newest.run.mode == "drill" else "Not done in the newest recovery"
        typer.echo(f"{which}: {len(newest.not_tested)}")
        for each in newest.not_tested:
            typer.echo(f"  {each.label}: {each.reason}")


def _print(plan: str, records: Sequence[RunRecord]) -> None:
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    from drs_provider.durations import ABSENT, duration_text
    from drs_provider.timestamps import moment_text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Started", "Mode", "State", "Plan"):
        table.add_column(heading, no_wrap=True)
    for heading in ("RTO", "Objective", "Change", "RPO"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Verdict")
    before: float | None = None
    for record in records:
        achieved = record.rto.achieved_seconds
        change = None if achieved is None or before is None else achieved - before
        met = {True: ("met", "green"), False: ("missed", "red"), None: ("not judged", "dim")}[record.rto.met]
        if record.run.simulation:
            met = (f"not judged ({record.run.simulation})", "yellow")
        table.add_row(
            moment_text(record.run.started),
            record.run.mode,
            Text(record.run.state, style="red" if record.run.state == "failed" else ""),
            record.plan.hash[:8],
            duration_text(achieved),
            duration_text(record.rto.objective_seconds),
            ABSENT if change is None else f"{'+' if change > 0 else ''}{duration_text(change)}",
            duration_text(record.rpo.achieved_seconds),
            Text(*met),
        )
        before = achieved if achieved is not None else before
    # A row that is too long goes on in the next line. Rich would cut its cells, and leave out the verdict.
    console.width = max(console.width, Measurement.get(console, console.options.update(max_width=1000), table).maximum)
    console.print(Text(plan, style="bold"), Text(sparkline([record.rto.achieved_seconds for record in records])))
    console.print(table)
