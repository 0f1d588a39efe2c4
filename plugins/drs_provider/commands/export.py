"""``drs-plan export``: a plan as a recovery plan of DRS itself, and what it cannot say there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.exporters.drs_native import NativePlan
    from drs_provider.exporters.native_changes import NativeChanges
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

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
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means those that the plan names.")
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Make a recovery plan of DRS of a plan that is a row of waves, and list what is lost.

    Of a plan with several targets it makes one in each account and region, where no wave waits for one of another.
    Looks the servers up there with the environment's credentials (AWS_ENDPOINT_URL points it at a simulator), or with
    those of the plan's connections. Exit status: 0 done, 1 the plan cannot be such a plan, 2 the command could not be
    run.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import WrongAccountError, connect_targets
    from drs_provider.exporters.drs_native import NotLinear
    from drs_provider.exporters.native_changes import apply_changes
    from drs_provider.importers.drs_native import NativePlansUnknown
    from drs_provider.plan import PlanError, load_plan

    if output not in ("text", "json"):
        raise _end(2, f"--format is {output!r}; expected text or json")
    try:
        loaded = load_plan(plan).plan
    except PlanError as error:
        raise _end(2, str(error)) from error
    places = loaded.targets_of(loaded.waves)
    connected = connect_targets(loaded, places, profile=profile, aws_conn_id=aws_conn_id)

    def ask() -> list[_Exported]:
        # Every target is looked at before anything is changed in one.
        found = _one_in_each([_compare(loaded, place, connected[place.key]) for place in places])
        if not apply:
            return found
        return [replace(one, arn=apply_changes(one.clients.drs, one.wanted, one.changes)) for one in found]

    try:
        exported = within(list(connected.values()), timeout, ask)
    except AwsSilentError as error:
        done = "What was changed is not known: export again." if apply else "Nothing was changed."
        raise _end(2, f"{error}. {done}") from None
    except NotLinear as error:
        reasons = "\n".join(f"  {reason}" for reason in error.reasons)
        raise _end(1, f"{loaded.name} cannot be a recovery plan of DRS:\n{reasons}") from error
    except (NativePlansUnknown, BotoCoreError, ClientError, WrongAccountError) as error:
        raise _end(2, str(error)) from error
    if output == "json":
        import json

        told = [one.as_dict(applied=apply, several=loaded.several_targets) for one in exported]
        typer.echo(json.dumps(told[0] if len(told) == 1 else {"plans": told}, indent=2, ensure_ascii=False))
        return
    for number, one in enumerate(exported):
        if len(exported) > 1:
            say(f"{chr(10) * bool(number)}In {one.place}, account {one.account}:")
        _print(one, applied=apply)


@dataclass(frozen=True)
class _Exported:
    """What one target gets.

    :param account: its account id; None where nobody had to ask.
    :param arn: the recovery plan; None where there is none yet.
    """

    place: NamedTarget
    account: str | None
    clients: Clients
    wanted: NativePlan
    changes: NativeChanges
    arn: str | None

    def as_dict(self, *, applied: bool, several: bool) -> dict[str, Any]:
        """Return it as a JSON object.

        :param several: whether it has to say which target it speaks of.
        """
        where = {"target": self.place.name, "account": self.account, "region": self.place.region}
        wanted = self.wanted
        return {
            **(where if several else {}),
            "name": wanted.name,
            "description": wanted.description,
            "steps": [{"stepName": step.name, "configuration": step.configuration} for step in wanted.steps],
            "arn": self.arn,
            "changes": self.changes.lines(),
            "applied": applied,
            "lost": list(wanted.lost),
        }


def _compare(plan: RecoveryPlan, place: NamedTarget, clients: Clients) -> _Exported:
    """Compare what a target should have with what it has."""
    from drs_provider.aws.drs.questions import Drs
    from drs_provider.commands.connecting import reached_account
    from drs_provider.exporters.drs_native import native_plan
    from drs_provider.exporters.native_changes import find_changes
    from drs_provider.importers.drs_native import check_client
    from drs_provider.readiness.resolution import resolve

    check_client(clients.drs)
    account = reached_account(plan, place, clients)
    known = Drs(clients).source_servers()
    servers, findings = resolve(
        plan, [wave.name for wave in plan.waves if plan.target_of(wave).key == place.key], known
    )
    if findings:
        raise _end(1, "\n".join(f"{finding.wave}: {finding.message} {finding.remedy}" for finding in findings))
    wanted = native_plan(plan, servers, {str(server["sourceServerID"]): str(server["arn"]) for server in known}, place)
    changes = find_changes(clients.drs, wanted)
    return _Exported(place, account, clients, wanted, changes, changes.arn)


def _one_in_each(found: list[_Exported]) -> list[_Exported]:
    """Refuse two targets in one place: they would be one recovery plan there, and overwrite each other.

    :raises NotLinear: two targets are one account and region.
    """
    from drs_provider.exporters.drs_native import NotLinear

    first: dict[tuple[str | None, str], NamedTarget] = {}
    for one in found:
        other = first.setdefault((one.account, one.place.region), one.place)
        if other is not one.place:
            raise NotLinear([f"the targets {other} and {one.place} are one: account {one.account}; use one of them"])
    return found


def _print(one: _Exported, *, applied: bool) -> None:
    for number, step in enumerate(one.wanted.steps, 1):
        wait = step.configuration.get("waitStepConfiguration")
        servers = (step.configuration.get("serverStepConfiguration") or {}).get("servers", ())
        optional = sum(server["impactLevel"] == "OPTIONAL" for server in servers)
        what = f"{len(servers)} server{'s' * (len(servers) != 1)}{f', {optional} OPTIONAL' if optional else ''}"
        if wait:
            what = f"wait {wait['waitDurationMinutes']} min"
        say(f"{number:>2}  {step.name}: {what}")
    say("\nLost:")
    for sentence in one.wanted.lost:
        say(f"  {sentence}")
    lines = one.changes.lines()
    say("\nDone:" if applied and lines else "\nWould be done with --apply:" if lines else "")
    for line in lines:
        say(f"  {line}")
    if not lines:
        say("The account has this recovery plan already; nothing to do.")
    if one.arn:
        say(one.arn)


def _end(status: int, why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(status)
