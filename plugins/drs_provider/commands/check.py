"""``drs-plan check``: the preflight of a plan, from a terminal, against AWS or the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import FIRST_WORD, SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.readiness.findings import Mode

__all__ = ["check"]

SHOWN = 8
"""How many servers of a wave the text names; JSON names all."""


def check(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    mode: Annotated[str, typer.Option(help="What to be ready for: drill or recovery.")] = "drill",
    waves: Annotated[str, typer.Option(help="Names of waves, separated by commas. Default: all.")] = "",
    snapshot_time: Annotated[
        str, typer.Option(help="Each server's last snapshot at or before this time, e.g. 2026-03-01T10:00:00Z.")
    ] = "",
    skip_scripts: Annotated[bool, typer.Option("--skip-scripts", help="As the run parameter: no scripts.")] = False,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means those that the plan names.")
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Check whether a plan is ready to run, now, and change nothing.

    Speaks to AWS with the environment's credentials in the plan's region (AWS_ENDPOINT_URL points it at a simulator).
    Exit status: 0 ready (there may be warnings), 1 not ready, 2 the checks could not be run.
    """
    import json

    from drs_provider.commands.connecting import connect_targets
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.readiness.preflight import run_preflight
    from drs_provider.readiness.whereabouts import places_of_run
    from drs_provider.timestamps import parse_timestamp

    if mode not in ("drill", "recovery"):
        raise _cannot_run(f"--mode is {mode!r}; expected drill or recovery")
    if output not in ("text", "json"):
        raise _cannot_run(f"--format is {output!r}; expected text or json")
    try:
        loaded = load_plan(plan)
        moment = parse_timestamp(snapshot_time) if snapshot_time else None
    except (PlanError, OSError, ValueError) as error:
        raise _cannot_run(str(error)) from error
    known = [wave.name for wave in loaded.plan.waves]
    chosen = [name.strip() for name in waves.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in known]:
        raise _cannot_run(f"no such wave: {', '.join(unknown)}; the plan's waves are {', '.join(known)}")
    intent: Mode = "recovery" if mode == "recovery" else "drill"
    places = places_of_run(loaded.plan, intent, chosen or known, skip_scripts=skip_scripts)
    clients = connect_targets(loaded.plan, places, profile=profile, aws_conn_id=aws_conn_id)
    address = ", ".join(dict.fromkeys(one.address for one in clients.values()))

    try:
        result = within(
            list(clients.values()),
            timeout,
            lambda: run_preflight(
                loaded.plan,
                lambda place: clients[place.key],
                mode=intent,
                waves=chosen or None,
                snapshot_time=moment,
                skip_scripts=skip_scripts,
            ),
            # Who reads JSON may read both streams as one.
            first_word=FIRST_WORD if output == "text" else FIRST_WORD * 5,
        )
    except AwsSilentError as error:
        raise _cannot_run(f"{error}. Nothing was checked.") from None
    if result.unanswered is not None and not result.seen:
        raise _cannot_run(f"AWS does not answer ({address}): {result.unanswered}. Nothing was checked.")
    report = result.findings
    if output == "json":
        typer.echo(json.dumps({"plan": loaded.plan.name, "region": places[0].region, **result.as_dict()}, indent=2))
    else:
        if not result.seen:
            say("The source servers could not be read.")
        for wave, servers in result.resolved.items() if result.seen else ():
            names = [server.hostname or server.id for server in servers]
            listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
            say(f"{wave}: {len(servers)} server{'' if len(servers) == 1 else 's'} ({listed or 'none'})")
        if report.findings:
            say(f"\n{report.table()}\n")
        if result.scope and result.seen:
            say(str(result.scope))
        elif len(result.targets) > 1:
            for one in result.targets:
                say(f"{one.identity}. {one.scope or 'Nothing was looked at.'}")
        say(report.message().splitlines()[0])
    # What could not be asked is no answer, whatever else there is.
    raise typer.Exit(2 if result.unanswered is not None else 1 if report.errors else 0)


def _cannot_run(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
