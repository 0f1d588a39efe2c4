"""``drs-plan schema``: the JSON Schema of plan files, for editors, and the page of their keys, for people."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

__all__ = ["schema"]


class SchemaFormat(str, Enum):
    """What is printed."""

    json = "json"
    markdown = "markdown"


def schema(
    output: Annotated[
        SchemaFormat, typer.Option("--format", help="json for editors, markdown for people.")
    ] = SchemaFormat.json,
) -> None:
    """Print the JSON Schema of plan files: put it beside them, and editors complete and check them."""
    if output is SchemaFormat.markdown:
        from drs_provider.plan.keys_page import keys_page

        typer.echo(keys_page(), nl=False)
        return
    from drs_provider.plan.schema import schema_text

    typer.echo(schema_text(), nl=False)
