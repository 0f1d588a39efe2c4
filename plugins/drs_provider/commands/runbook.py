"""``drs-plan runbook``: the plan as a document with the commands that do it by hand."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, within

if TYPE_CHECKING:
    from collections.abc import Mapping

    from drs_provider.aws.clients import Clients
    from drs_provider.estimate.forecast import Forecast
    from drs_provider.estimate.site import Site
    from drs_provider.plan import LoadedPlan
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = ["runbook"]


class RunbookFormat(str, Enum):
    """What is printed."""

    html = "html"
    md = "md"


def runbook(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    output: Annotated[
        RunbookFormat, typer.Option("--format", help="html prints well; md is Markdown.")
    ] = RunbookFormat.html,
    out: Annotated[Path | None, typer.Option(help="Write it to this file instead of the terminal.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means those that the plan names.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Give up when AWS gives no answer for so many seconds.", min=1)
    ] = SILENCE,
) -> None:
    """Write the document for the night when Airflow is gone: every step of the plan as AWS CLI commands.

    Looks the servers up in the account, so make it ahead and keep it elsewhere: print it, or store it outside of the
    region. Exit status: 0 written, 1 written, but a wave has no server, 2 the command could not be run.
    """
    from datetime import datetime, timezone

    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import WrongAccountError, connect_targets
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.readiness.resolution import resolve
    from drs_provider.readiness.whereabouts import places_of_run
    from drs_provider.runbook.content import RunbookPlace, make_runbook
    from drs_provider.runbook.html import render_html
    from drs_provider.runbook.markdown import render_markdown

    try:
        loaded = load_plan(plan)
        names = [wave.name for wave in loaded.plan.waves]
        targets = places_of_run(loaded.plan, "recovery", names)
        connected = connect_targets(loaded.plan, targets, profile=profile, aws_conn_id=aws_conn_id)
        sites = within(
            list(connected.values()), timeout, lambda: {one.key: _look(loaded, one, connected) for one in targets}
        )
    except (PlanError, OSError, AwsSilentError, BotoCoreError, ClientError, WrongAccountError) as error:
        say(f"{error}. Nothing was written.", err=True)
        raise typer.Exit(2) from error
    resolved: dict[str, list[ResolvedServer]] = {}
    remarks: list[str] = []
    for target in targets:
        site = sites[target.key]
        here = [wave.name for wave in loaded.plan.waves if loaded.plan.target_of(wave).key == target.key]
        servers, findings = resolve(loaded.plan, here, site.servers)
        resolved |= servers
        remarks += [f"{target}: {remark}" for remark in site.remarks] if len(targets) > 1 else site.remarks
        remarks += [str(finding) for finding in findings]
    made = make_runbook(
        loaded,
        {name: resolved[name] for name in names},
        [
            RunbookPlace(
                target,
                site.place[0] if site.place else None,
                site.servers,
                site.quotas.servers_per_job,
            )
            for target, site in ((target, sites[target.key]) for target in targets)
        ],
        made=datetime.now(timezone.utc),
        forecast=_forecast(loaded, sites),
        remarks=remarks,
    )
    text = render_html(made) if output is RunbookFormat.html else render_markdown(made)
    if out is None:
        typer.echo(text, nl=not text.endswith("\n"))
    else:
        try:
            out.write_text(text, encoding="utf-8")
        except OSError as error:
            say(f"{out} cannot be written: {error.strerror}", err=True)
            raise typer.Exit(2) from error
        regions = " and ".join(dict.fromkeys(target.region for target in targets))
        say(f"Written: {out}. Keep a copy that survives the loss of Airflow and of {regions}.", err=True)
    empty = [name for name, servers in resolved.items() if not servers]
    if empty:
        say(f"No servers were found for: {', '.join(empty)}", err=True)
    raise typer.Exit(1 if empty else 0)


def _look(loaded: LoadedPlan, target: NamedTarget, connected: Mapping[tuple[str, str], Clients]) -> Site:
    from drs_provider.commands.connecting import reached_account
    from drs_provider.estimate.site import Site, account_site

    clients = connected[target.key]
    account = reached_account(loaded.plan, target, clients)
    if any(loaded.plan.target_of(wave).key == target.key for wave in loaded.plan.waves):
        return account_site(clients, account)
    # Scripts run there, and nothing is launched: DRS need not even be initialised.
    return Site("", (), {}, place=(account, target.region) if account else None)


def _forecast(loaded: LoadedPlan, sites: Mapping[tuple[str, str], Site]) -> Forecast | None:
    from drs_provider.estimate.durations import Durations
    from drs_provider.estimate.forecast import NothingToLaunch, forecast
    from drs_provider.estimate.likely import Likely

    try:
        durations = {place: Durations(site, None, Likely.exactly(0.0)) for place, site in sites.items()}
        return forecast(loaded.plan, durations, mode="recovery")
    except NothingToLaunch:
        return None
