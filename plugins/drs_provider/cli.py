"""``drs-plan``: the command line of recovery plans. Only registers the commands, each a function of its own module.

A command's module imports what it needs inside its function, so that ``drs-plan validate`` starts without Airflow and
boto3. Exit codes: 0 done, 1 the answer is no, 2 the command could not run.
"""

from __future__ import annotations

import sys
import traceback
from io import TextIOWrapper
from typing import Annotated

import typer

from drs_provider.commands.check import check
from drs_provider.commands.doctor import doctor
from drs_provider.commands.estimate import estimate
from drs_provider.commands.explain import explain
from drs_provider.commands.export import export
from drs_provider.commands.extend import extend
from drs_provider.commands.graph import graph
from drs_provider.commands.history import history
from drs_provider.commands.iam import iam
from drs_provider.commands.import_plans import import_plans
from drs_provider.commands.init import init
from drs_provider.commands.launch_settings import app as launch_settings
from drs_provider.commands.mwaa_bundle import mwaa_bundle
from drs_provider.commands.mwaa_sync import mwaa_sync
from drs_provider.commands.orphans import orphans
from drs_provider.commands.rehearse import rehearse
from drs_provider.commands.report import report
from drs_provider.commands.run import run
from drs_provider.commands.runbook import runbook
from drs_provider.commands.schema import schema
from drs_provider.commands.validate import validate
from drs_provider.commands.waiting import end_now

__all__ = ["app", "main"]

app = typer.Typer(
    name="drs-plan",
    help="Check, draw and run recovery plans for AWS Elastic Disaster Recovery.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command("validate")(validate)
app.command("graph")(graph)
app.command("schema")(schema)
app.command("check")(check)
app.command("explain")(explain)
app.command("run")(run)
app.command("orphans")(orphans)
app.add_typer(launch_settings, name="launch-settings")
app.command("extend")(extend)
app.command("runbook")(runbook)
app.command("report")(report)
app.command("history")(history)

app.command("import")(import_plans)
app.command("export")(export)
app.command("estimate")(estimate)

app.command("iam")(iam)
app.command("doctor")(doctor)
app.command("init")(init)
app.command("rehearse")(rehearse)
app.command("mwaa-bundle")(mwaa_bundle)
app.command("mwaa-sync")(mwaa_sync)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("airflow-provider-aws-drs"))
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """The console script ``drs-plan``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character of a plan shows a ? for it, and the rest.
            stream.reconfigure(errors="replace")
    try:
        app()
    except SystemExit as ended:
        end_now(ended.code)
        raise
    except OSError as error:
        typer.echo(f"drs-plan: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        # Exit code 1 is an answer, such as "not ready". This is none.
        if type(error).__module__ == "botocore.exceptions":  # Not imported here: most commands do without.
            typer.echo(f"drs-plan: {error}", err=True)
        else:
            traceback.print_exc()
        sys.exit(2)
