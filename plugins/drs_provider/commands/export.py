"""``drs-plan export``: a plan as a recovery plan of DRS itself, and what it cannot say there."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.exporters.drs_native import NativePlan
    from drs_provider.exporters.native_changes import NativeChanges

__all__ = ["Target", "export"]


class Target(str, Enum):
    """What plans are exported to."""

    drs_native = "drs-native"


def export(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    to: Annotated[Target, typer.Option("--to", help="drs-native.", show_default=False)],
    apply: Annotated[
        bool, typer.Option("--apply", help="Create or update the plan in the account. Absent: only say what would be.")
    ] = False,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means the one that the plan names.")
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Make a recovery plan of DRS of a plan that is a row of waves, and list what is lost.

    Looks the servers up in the plan's region with the environment's credentials (AWS_ENDPOINT_URL points it at a
    simulator). Exit status: 0 done, 1 the plan cannot be such a plan, 2 the command could not be run.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.aws.drs.questions import Drs
    from drs_provider.commands.connecting import connect, only_target
    from drs_provider.exporters.drs_native import NotLinear, native_plan
    from drs_provider.exporters.native_changes import apply_changes, find_changes
    from drs_provider.importers.drs_native import NativePlansUnknown, check_client
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.readiness.resolution import resolve

    if output not in ("text", "json"):
        raise _end(2, f"--format is {output!r}; expected text or json")
    try:
        loaded = load_plan(plan).plan
    except PlanError as error:
        raise _end(2, str(error)) from error
    place = only_target(loaded, "a native recovery plan")
    connection = place.aws_conn_id if aws_conn_id == "plan" else aws_conn_id
    clients = connect(place.region, profile=profile, aws_conn_id=connection)

    def ask() -> tuple[NativePlan, NativeChanges, str | None]:
        check_client(clients.drs)
        known = Drs(clients).source_servers()
        servers, findings = resolve(loaded, [wave.name for wave in loaded.waves], known)
        if findings:
            raise _end(1, "\n".join(f"{finding.wave}: {finding.message} {finding.remedy}" for finding in findings))
        arns = {str(server["sourceServerID"]): str(server["arn"]) for server in known}
        wanted = native_plan(loaded, servers, arns)
        changes = find_changes(clients.drs, wanted)
        return wanted, changes, apply_changes(clients.drs, wanted, changes) if apply else changes.arn

    try:
        wanted, changes, arn = within(clients, timeout, ask)
    except AwsSilentError as error:
        done = "What was changed is not known: export again." if apply else "Nothing was changed."
        raise _end(2, f"{error}. {done}") from None
    except NotLinear as error:
        reasons = "\n".join(f"  {reason}" for reason in error.reasons)
        raise _end(1, f"{loaded.name} cannot be a recovery plan of DRS:\n{reasons}") from error
    except (NativePlansUnknown, BotoCoreError, ClientError) as error:
        raise _end(2, str(error)) from error
    _print(output, wanted, changes, arn, applied=apply)


def _print(output: str, wanted: NativePlan, changes: NativeChanges, arn: str | None, *, applied: bool) -> None:
    if output == "json":
        import json

        steps = [{"stepName": step.name, "configuration": step.configuration} for step in wanted.steps]
        shown = {"name": wanted.name, "description": wanted.description, "steps": steps}
        told = {"arn": arn, "changes": changes.lines(), "applied": applied, "lost": list(wanted.lost)}
        typer.echo(json.dumps({**shown, **told}, indent=2, ensure_ascii=False))
        return
    for number, step in enumerate(wanted.steps, 1):
        wait = step.configuration.get("waitStepConfiguration")
        servers = (step.configuration.get("serverStepConfiguration") or {}).get("servers", ())
        optional = sum(server["impactLevel"] == "OPTIONAL" for server in servers)
        what = f"{len(servers)} server{'s' * (len(servers) != 1)}{f', {optional} OPTIONAL' if optional else ''}"
        if wait:
            what = f"wait {wait['waitDurationMinutes']} min"
        say(f"{number:>2}  {step.name}: {what}")
    say("\nLost:")
    for sentence in wanted.lost:
        say(f"  {sentence}")
    lines = changes.lines()
    say("\nDone:" if applied and lines else "\nWould be done with --apply:" if lines else "")
    for line in lines:
        say(f"  {line}")
    if not lines:
        say("The account has this recovery plan already; nothing to do.")
    if arn:
        say(arn)


def _end(status: int, why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(status)
