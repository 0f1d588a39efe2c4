"""``drs-plan mwaa-bundle``: everything that an Amazon MWAA environment needs, in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say

__all__ = ["mwaa_bundle"]


def mwaa_bundle(
    airflow: Annotated[str, typer.Option(help="The environment's version of Airflow, such as 3.3.1.")],
    out: Annotated[Path, typer.Option(help="The folder for the bundle.", file_okay=False)],
    plans: Annotated[Path, typer.Option(help="The folder of the plan files.", exists=True, file_okay=False)] = Path(
        "plans"
    ),
    wheel: Annotated[
        list[Path] | None,
        typer.Option(
            help="A further wheel to carry along, such as that of s3fs. May be given many times.", exists=True
        ),
    ] = None,
) -> None:
    """Write plugins.zip, requirements.txt, dags/, IAM policies and the CloudFormation stack. Exit 2: cannot be made."""
    from drs_provider.deploy.mwaa.bundle import BundleError, write_bundle

    try:
        bundle = write_bundle(plans.resolve(), out, airflow, wheel or [])
    except (BundleError, OSError) as error:
        say(f"drs-plan mwaa-bundle: {error}", err=True)
        raise typer.Exit(2) from None
    say(f"{out}: {len(bundle.plans)} plans for Airflow {bundle.airflow}: {', '.join(bundle.plans)}")
    say(f"New environment: deploy {out / 'cloudformation.yaml'} with CreateEnvironment=false for the bucket.")
    say(f"Then: drs-plan mwaa-sync {out} --bucket BUCKET")
