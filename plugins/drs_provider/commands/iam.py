"""``drs-plan iam``: the IAM roles that a plan needs in each of its accounts, as files and CloudFormation templates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drs_provider.commands.terminal import say

__all__ = ["iam"]


def iam(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("iam"),
    external_id: Annotated[
        str, typer.Option(help="The external id that each role demands. Default: drs-plan-NAME, by the plan's name.")
    ] = "",
    airflow_role: Annotated[
        str, typer.Option(help="The ARN of Airflow's own role.")
    ] = "arn:aws:iam::111122223333:role/AIRFLOW_EXECUTION_ROLE",
) -> None:
    """Write what a plan's roles need: a folder for each Airflow connection, and one for Airflow's own role.

    Each has the policies, the trust policy with the external id, and a CloudFormation template. Speaks to no account.
    Exit status: 0 written, 1 the plan is not valid, 2 it could not be written.
    """
    import json

    from drs_provider.deploy.iam.plan_roles import connection_extra, files_of, roles_of
    from drs_provider.plan import PlanError, load_plan

    try:
        loaded = load_plan(plan).plan
    except PlanError as error:
        say(str(error), err=True)
        raise typer.Exit(1) from error
    sent = external_id or f"drs-plan-{loaded.name}"
    files = files_of(loaded, sent, airflow_role)
    try:
        for name, text in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        say(f"{error.filename} cannot be written: {error.strerror}", err=True)
        raise typer.Exit(2) from error
    say(f"Written to {out}: {len(files)} files.")
    for role in roles_of(loaded):
        regions = ", ".join(dict.fromkeys(place.region for place in role.places))
        where = f"account {role.account}" if role.account else "its account"
        if role.is_own:
            say(f"{role.connection}: Airflow's own role, in {regions}: deploy {out}/airflow/cloudformation.yaml")
            continue
        extra = json.dumps(connection_extra(loaded, role, sent))
        template = f"{out}/{role.connection}/cloudformation.yaml"
        say(f"{role.connection}: a role in {where}, for {regions}: deploy {template} there")
        say(f"  airflow connections add {role.connection} --conn-type aws --conn-extra '{extra}'")
