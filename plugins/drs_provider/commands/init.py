"""``drs-plan init``: the files to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say

__all__ = ["init"]


def init(
    folder: Annotated[Path, typer.Argument(help="Where dags/, plans/ and airflow-settings.env go.", file_okay=False)],
) -> None:
    """Write the two DAG files, a first plan and the settings to add. Files that are there already stay."""
    from drs_provider.deploy.starter import write_starter

    try:
        done = write_starter(folder)
    except OSError as error:
        say(f"drs-plan init: {error}", err=True)
        raise typer.Exit(2) from None
    for path in done.written:
        say(f"written: {path}")
    for path in done.kept:
        say(f"kept:    {path}")
    say(f"""
1. Copy {folder / "dags"} and {folder / "plans"} into Airflow's DAG folder (plans/ inside it), or set
   AIRFLOW__CORE__DAGS_FOLDER={(folder / "dags").resolve()}
   AIRFLOW__DRS_PROVIDER__PLANS_FOLDER={(folder / "plans").resolve()}
2. Add the lines of {folder / "airflow-settings.env"} to the environment of every part of Airflow.
3. drs-plan rehearse {folder / "plans" / "first-drill.yaml"}
4. drs-plan doctor""")
