"""``drs-plan runbook``: the plan as a document with the commands that do it by hand."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, within

if TYPE_CHECKING:
    from drs_provider.estimate.forecast import Forecast
    from drs_provider.estimate.site import Site
    from drs_provider.plan import LoadedPlan

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
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means the one that the plan names.")
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

    from drs_provider.commands.connecting import connect, only_target
    from drs_provider.estimate.site import account_site
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.readiness.resolution import resolve
    from drs_provider.runbook.content import make_runbook
    from drs_provider.runbook.html import render_html
    from drs_provider.runbook.markdown import render_markdown

    try:
        loaded = load_plan(plan)
        target = only_target(loaded.plan, "a runbook")
        connection = target.aws_conn_id if aws_conn_id == "plan" else aws_conn_id
        clients = connect(target.region, profile=profile, aws_conn_id=connection)
        site = within(clients, timeout, lambda: account_site(clients))
    except (PlanError, OSError, AwsSilentError, BotoCoreError, ClientError) as error:
        say(f"{error}. Nothing was written.", err=True)
        raise typer.Exit(2) from error
    resolved, findings = resolve(loaded.plan, [wave.name for wave in loaded.plan.waves], site.servers)
    made = make_runbook(
        loaded,
        resolved,
        site.servers,
        made=datetime.now(timezone.utc),
        servers_per_job=site.quotas.servers_per_job,
        forecast=_forecast(loaded, site),
        remarks=[*site.remarks, *(str(finding) for finding in findings)],
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
        say(f"Written: {out}. Keep a copy that survives the loss of Airflow and of {target.region}.", err=True)
    empty = [name for name, servers in resolved.items() if not servers]
    if empty:
        say(f"No servers were found for: {', '.join(empty)}", err=True)
    raise typer.Exit(1 if empty else 0)


def _forecast(loaded: LoadedPlan, site: Site) -> Forecast | None:
    from drs_provider.estimate.durations import Durations
    from drs_provider.estimate.forecast import NothingToLaunch, forecast
    from drs_provider.estimate.likely import Likely

    try:
        return forecast(loaded.plan, Durations(site, None, Likely.exactly(0.0)), mode="recovery")
    except NothingToLaunch:
        return None
