"""``drs-plan mwaa-sync``: upload a bundle, and say whether the environment must be updated for it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, Timeout, impatient, meanwhile

if TYPE_CHECKING:
    from drs_provider.deploy.mwaa.sync import EnvironmentUpdate

__all__ = ["mwaa_sync"]


def mwaa_sync(
    bundle: Annotated[Path, typer.Argument(help="The folder that mwaa-bundle wrote.", exists=True, file_okay=False)],
    bucket: Annotated[str, typer.Option(help="The environment's bucket.")],
    environment: Annotated[
        str, typer.Option(help="The environment's name: then what it has installed and its options are compared too.")
    ] = "",
    region: Annotated[str | None, typer.Option(help="The environment's region.")] = None,
    delete: Annotated[bool, typer.Option(help="Remove what is under dags/ and not in the bundle.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Change nothing.")] = False,
    timeout: Timeout = SILENCE,
) -> None:
    """Upload what changed, and print what the environment must be updated for: never a plan. Exit 2: AWS refused."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.deploy.mwaa.sync import EnvironmentUpdate, bundle_version, read_environment, synchronise

    # Every bundle has it, and what is no bundle must not reach the bucket.
    if not (bundle / "airflow-options.json").is_file():
        say(f"{bundle} is no bundle: make one with drs-plan mwaa-bundle", err=True)
        raise typer.Exit(2)

    try:
        with meanwhile(f"comparing {bundle} with s3://{bucket}, and uploading"):
            present = None
            if environment:
                present = read_environment(
                    boto3.client("mwaa", region_name=region, config=impatient(timeout)), environment
                )
                if present.airflow != (made_for := bundle_version(bundle)):
                    say(
                        f"{environment} runs Airflow {present.airflow}, and the bundle is for {made_for}: nothing was "
                        f"sent. Make it with drs-plan mwaa-bundle --airflow {present.airflow}",
                        err=True,
                    )
                    raise typer.Exit(2)
            s3 = boto3.client("s3", region_name=region, config=impatient(timeout))
            done = synchronise(s3, bundle, bucket, delete=delete, dry_run=dry_run)
    except (BotoCoreError, ClientError) as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None
    sent, removed = ("would be sent", "would be removed") if dry_run else ("sent", "removed")
    for key in done.sent:
        say(f"{sent}: {key}")
    for key in done.extra:
        say(f"{removed}: {key}" if key in done.removed else f"not in the bundle: {key} (--delete removes it)")
    say(f"unchanged: {len(done.same)}")
    if any(key.startswith("dags/") for key in done.sent):
        say("Plans and DAG files: Airflow reads them within about a minute, without an update.")
    update = EnvironmentUpdate.between(bundle, done, present)
    _print_update(update, environment or "NAME")


def _print_update(update: EnvironmentUpdate, environment: str) -> None:
    if not update.needed:
        say("No update of the environment is needed.")
        return
    say("An update of the environment is needed; it takes 20 to 30 minutes, and not while a plan runs:")
    # The default strategy stops the tasks that run.
    command = ["aws", "mwaa", "update-environment", "--name", environment, "--worker-replacement-strategy", "GRACEFUL"]
    for key, version in update.files.items():
        say(f"  {key} is to be installed")
        command += [f"--{key.partition('.')[0]}-s3-object-version", version or "VERSION"]
    for name, value in update.options.items():
        say(f"  the option {name} should be {value}")
    if update.options:
        # An update replaces all options: those that are right must be said again.
        command += ["--airflow-configuration-options", json.dumps(update.all_options)]
    if any("REPORTS_BUCKET" in word for word in command):
        say("  REPORTS_BUCKET stands for the bucket that takes the reports")
    say(shlex.join(command))
