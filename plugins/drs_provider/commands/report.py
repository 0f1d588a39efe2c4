"""``drs-plan report``: makes the HTML page and the summary of a run again from its JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say

__all__ = ["report"]


def report(
    run: Annotated[
        str, typer.Argument(help="A report.json or its folder; or, with RUN_ID, the plan's name.", show_default=False)
    ],
    run_id: Annotated[str | None, typer.Argument(help="Airflow's run id.", show_default=False)] = None,
    reports_folder: Annotated[
        str | None, typer.Option(help="Where reports lie: a folder or URL. Default: Airflow's configuration.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write into this folder. Default: beside the JSON.", file_okay=False)
    ] = None,
    output: Annotated[
        str, typer.Option("--format", help="files: write them; markdown or json: print it and write nothing.")
    ] = "files",
) -> None:
    """Make the report of a run again from the evidence in its JSON.

    Exit status: 0 the run recovered, 1 it did not, 2 there is no such report.
    """
    from drs_provider.commands.connecting import airflow_apart
    from drs_provider.evidence.markdown import render_markdown
    from drs_provider.evidence.storage import (
        JSON_NAME,
        UnreadableReport,
        existing_report_folder,
        read_evidence,
        write_files,
    )
    from drs_provider.evidence.storage import reports_folder as configured

    if output not in ("files", "markdown", "json"):
        raise _cannot_run(f"--format is {output!r}; expected files, markdown or json")
    folder = run
    try:
        with airflow_apart():
            if run_id:
                folder = existing_report_folder(reports_folder or configured(), run, run_id)
            record, text = read_evidence(folder)
        if output == "markdown":
            typer.echo(render_markdown(record), nl=False)
        elif output == "json":
            typer.echo(record.to_json(), nl=False)
        else:
            beside = folder.rpartition("/")[0] or "." if folder.endswith(".json") else folder
            written = write_files(record, str(into) if into else beside, evidence=into is not None, of=text)
            for path in (written.html, written.markdown):
                say(path.removeprefix("file://"))
    except (FileNotFoundError, NotADirectoryError):
        raise _cannot_run(f"no report at {folder}: expected a folder with {JSON_NAME}, or that file") from None
    except (UnreadableReport, UnicodeDecodeError, OSError) as error:
        raise _cannot_run(str(error)) from error
    except Exception as error:
        # An object store raises errors of its own: no credentials, no way there, no such kind of store.
        raise _cannot_run(f"{folder} cannot be read: {type(error).__name__}: {error}") from error
    raise typer.Exit(0 if record.run.state in ("success", "missed") else 1)


def _cannot_run(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
