"""``drs-plan schema``: the JSON Schema of plan files, for editors."""

from __future__ import annotations

import typer

__all__ = ["schema"]


def schema() -> None:
    """Print the JSON Schema of plan files: put it beside them, and editors complete and check them."""
    from drs_provider.plan.schema import schema_text

    typer.echo(schema_text(), nl=False)
