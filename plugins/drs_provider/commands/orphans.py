"""``drs-plan orphans``: drill instances that nobody is going to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, Timeout, within

__all__ = ["orphans"]


def orphans(
    region: Annotated[str | None, typer.Option(help="The recovery region. Default: the environment's.")] = None,
    older_than: Annotated[
        str, typer.Option(help="Leave out what was launched later than this ago, e.g. 90m or 2d.")
    ] = "24h",
    airflow: Annotated[
        bool, typer.Option("--airflow", help="Ask this machine's Airflow which runs are still going.")
    ] = False,
    installation: Annotated[
        str | None, typer.Option(help="Judge drills of this Airflow only. Default: the one that is set here.")
    ] = None,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[str | None, typer.Option(help="An Airflow connection instead.")] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Look in every account and region of this plan, through the connections that it names."),
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """List drill instances that recovery plans launched and that no run owns any more.

    Runs are known by the tags of their jobs, and DRS keeps jobs for a limited time: an older drill instance is listed
    as unknown. Without --airflow, a run that keeps its instances up looks like a dead one, hence --older-than.
    Exit status: 0 no orphans, 1 some, 2 could not look. Nothing is ended: check each, then end it in the DRS console
    or with TerminateRecoveryInstances.
    """
    import json
    from datetime import datetime, timezone

    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import connect, connect_targets
    from drs_provider.durations import parse_duration
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.readiness.orphans import find_drill_instances

    if output not in ("text", "json"):
        say(f"--format is {output!r}; expected text or json", err=True)
        raise typer.Exit(2)
    try:
        age = parse_duration(older_than)
    except ValueError as error:
        say(f"--older-than {older_than} {error}", err=True)
        raise typer.Exit(2) from error
    try:
        if plan is not None:
            loaded = load_plan(plan).plan
            places = loaded.targets_of(loaded.waves)
            sites = list(connect_targets(loaded, places, aws_conn_id="plan").values())
        else:
            sites = [connect(region, profile=profile, aws_conn_id=aws_conn_id)]
        own = installation if installation is not None else _installation(ask=airflow)
        found = within(
            sites,
            timeout,
            lambda: [
                one
                for clients in sites
                for one in find_drill_instances(
                    clients,
                    now=datetime.now(timezone.utc),
                    older_than=age,
                    is_alive=_is_alive if airflow else None,
                    installation=own,
                )
            ],
        )
    except AwsSilentError as error:
        say(f"{error}. Nothing was looked at.", err=True)
        raise typer.Exit(2) from None
    except (BotoCoreError, ClientError, PlanError, ValueError) as error:
        say(str(error), err=True)
        raise typer.Exit(2) from error
    lost = [instance for instance in found if instance.verdict == "orphan"]
    listed = [instance for instance in found if instance.verdict != "owned"]
    if output == "json":
        typer.echo(json.dumps({"orphans": len(lost), "instances": [one.as_dict() for one in listed]}, indent=2))
    else:
        for one in listed:
            run = one.run or "unknown run"
            what = f"{one.ec2_instance_id or one.recovery_instance_id} ({one.state}) of {one.source_server_id}"
            say(f"{one.verdict:<8} {what}  {run}  {one.job_id}  {one.launched or ''}  {one.reason}")
        owned = len(found) - len(listed)
        say(f"{len(lost)} orphans, {len(listed) - len(lost)} unknown, {owned} owned.")
    raise typer.Exit(1 if lost else 0)


def _installation(*, ask: bool) -> str:
    """Return the name of this machine's Airflow; empty where none is set, or kept in a database that is not asked."""
    from drs_provider.airflow_compat import stored_variable
    from drs_provider.hooks.installation import VARIABLE, configured_installation

    if (configured := configured_installation()) or not ask:
        return configured
    from sqlalchemy.exc import SQLAlchemyError

    try:
        return stored_variable(VARIABLE)
    except SQLAlchemyError as error:
        typer.echo(f"Airflow's metadata database cannot be asked: {error}", err=True)
        raise typer.Exit(2) from error


def _is_alive(run: str) -> bool | None:
    """Whether Airflow's metadata database knows the run as queued or running; None where it has no such run."""
    from sqlalchemy.exc import SQLAlchemyError

    from drs_provider.airflow_compat import run_is_alive

    dag_id, _, run_id = run.partition("/")
    try:
        return run_is_alive(dag_id, run_id)
    except SQLAlchemyError as error:
        say(f"Airflow's metadata database cannot be asked: {error}", err=True)
        raise typer.Exit(2) from error
