"""``drs-plan``: the command line of recovery plans. Only registers the commands, each a function of its own module.

A command's module imports what it needs inside its function, so that ``drs-plan validate`` starts without Airflow and boto3.
Exit codes: 0 done, 1 the answer is no, 2 the command could not run.
"""

from __future__ import annotations

import typer

from drs_provider.commands.graph import graph
from drs_provider.commands.schema import schema
from drs_provider.commands.validate import validate

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


@app.callback()
def _commands() -> None:
    """With a callback, one registered command stays a command."""


def main() -> None:
    """The console script ``drs-plan``."""
    app()
