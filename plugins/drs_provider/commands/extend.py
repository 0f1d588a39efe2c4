"""``drs-plan extend``: make what staging accounts replicate launchable in the accounts that a plan recovers into."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import FIRST_WORD, SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drs_provider.aws.drs.extensions import ExtensibleServer
    from drs_provider.aws.drs.questions import Drs
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.extensions import WantedExtension

__all__ = ["extend"]


@dataclass
class _Place:
    """An account and region that waves are launched in.

    :param unread: why a staging account could not be looked at.
    """

    target: NamedTarget
    drs: Drs
    wanted: list[WantedExtension]
    unread: list[str]
    extended: list[dict[str, str]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)

    @property
    def missing(self) -> list[tuple[WantedExtension, ExtensibleServer]]:
        """What is to be extended."""
        return [(one, one.server) for one in self.wanted if one.server is not None and not one.problem]

    @property
    def problems(self) -> list[str]:
        """What a person has to do first."""
        return [*(f"{one.wave}: {one.name}: {one.problem}" for one in self.wanted if one.problem), *self.renamed]

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        done = {one["arn"] for one in (*self.extended, *self.failed)}
        missing = [(one, server) for one, server in self.missing if server.arn not in done]
        return {
            "target": self.target.name,
            "region": self.target.region,
            "missing": [{"wave": one.wave, "hostname": server.hostname, "arn": server.arn} for one, server in missing],
            "extended": self.extended,
            "failed": self.failed,
            "problems": self.problems,
            "not_looked_at": self.unread,
        }


def extend(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    staging_account: Annotated[
        list[str] | None,
        typer.Option(help="A staging account, beside those of the plan and those that DRS knows. Can be repeated."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Extend without asking.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be extended, and change nothing.")
    ] = False,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means those that the plan names.")
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Extend the servers that a plan selects and that a staging account replicates, each once.

    Asks each account that waves are launched in what its staging accounts have (staging_accounts of the target), shows
    what is missing, and asks. An extension gets the tags that the server has in the staging account, and an id and
    launch settings of its own. A second time nothing changes. Exit status: 0 nothing is missing any more, 1 something
    is, 2 could not look.
    """
    import json

    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import WrongAccountError, connect_targets, reached_account
    from drs_provider.plan import PlanError, load_plan

    if output not in ("text", "json"):
        raise _cannot(f"--format is {output!r}; expected text or json")
    if output == "json" and not (yes or dry_run):
        raise _cannot("--format json needs --yes or --dry-run: there is nobody to ask")
    try:
        loaded = load_plan(plan).plan
    except (PlanError, OSError) as error:
        raise _cannot(str(error)) from error
    targets = loaded.targets_of(loaded.waves)
    connected = connect_targets(loaded, targets, profile=profile, aws_conn_id=aws_conn_id)

    def look() -> list[_Place]:
        places = []
        for target in targets:
            clients = connected[target.key]
            reached_account(loaded, target, clients)
            places.append(_look(loaded, target, clients, staging_account or ()))
        return places

    # Who reads JSON may read both streams as one.
    word = FIRST_WORD if output == "text" else FIRST_WORD * 5
    try:
        places = within(list(connected.values()), timeout, look, first_word=word)
    except (AwsSilentError, WrongAccountError, ClientError, BotoCoreError) as error:
        raise _cannot(f"{error}. Nothing was extended.") from error
    if output == "text":
        for place in places:
            _show(place)
    count = sum(len(place.missing) for place in places)
    if count and not dry_run and (yes or _agreed(count)):
        try:
            within(list(connected.values()), timeout, lambda: _extend(places, loud=output == "text"), first_word=word)
        except AwsSilentError as error:
            raise _cannot(f"{error}. What was extended is not known: extend again.") from error
    if output == "json":
        typer.echo(json.dumps({"plan": loaded.name, "targets": [place.as_dict() for place in places]}, indent=2))
    elif any(place.extended for place in places):
        say("Their launch settings are new ones: see drs-plan launch-settings diff.")
    if any(place.unread for place in places):
        raise typer.Exit(2)
    left = any(place.problems or place.failed or place.as_dict()["missing"] for place in places)
    raise typer.Exit(1 if left else 0)


def _look(plan: RecoveryPlan, target: NamedTarget, clients: Any, more: Sequence[str]) -> _Place:
    """Ask what the staging accounts of a target have that its waves select."""
    from botocore.exceptions import ClientError

    from drs_provider.aws.drs.extensions import extensible_servers, staging_accounts
    from drs_provider.aws.drs.questions import Drs
    from drs_provider.aws.faults import error_text
    from drs_provider.readiness.extensions import wanted_extensions

    drs = Drs(clients)
    known = drs.source_servers()
    accounts = dict.fromkeys((*target.target.staging_accounts, *more, *staging_accounts(drs)))
    found: list[ExtensibleServer] = []
    unread: list[str] = []
    if not accounts:
        unread.append("no staging account is known: give --staging-account, or staging_accounts of the target")
    for account in accounts:
        try:
            found += extensible_servers(drs, account)
        except ClientError as error:
            unread.append(f"staging account {account}: {error_text(error)}")
    here = [wave.name for wave in plan.waves if plan.target_of(wave).key == target.key]
    return _Place(target, drs, wanted_extensions(plan, here, known, found), unread)


def _extend(places: Sequence[_Place], *, loud: bool) -> None:
    """Extend what is missing; one that is refused keeps no other from it."""
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.aws.drs.extensions import extend as extend_server
    from drs_provider.aws.drs.extensions import extension_error
    from drs_provider.aws.faults import error_text
    from drs_provider.readiness.extensions import DEFAULT_KEY, renamed

    for place in places:
        for one, server in place.missing:
            told = {"wave": one.wave, "hostname": one.name, "arn": server.arn}
            try:
                made = extend_server(place.drs, server)
            except (ClientError, BotoCoreError) as error:
                place.failed.append({**told, "reason": error_text(error)})
            else:
                told["id"] = str(made["sourceServerID"])
                if reason := extension_error(made):
                    place.failed.append({**told, "reason": f"{reason}. {DEFAULT_KEY}"})
                else:
                    place.extended.append(told)
                    if loud:
                        say(f"{one.name}: extended, its id here is {told['id']}")
                    if one.selection == f"id {server.id}":
                        place.renamed.append(renamed(one.wave, one.selection, told["id"]).problem)
                        if loud:
                            say(f"{one.name}: {place.renamed[-1]}", err=True)
                    continue
            if loud:
                say(f"{one.name}: not extended: {place.failed[-1]['reason']}", err=True)


def _show(place: _Place) -> None:
    for why in place.unread:
        say(f"{place.target}: {why}", err=True)
    for problem in place.problems:
        say(f"{place.target}: {problem}", err=True)
    for one, server in place.missing:
        say(f"{place.target}: {one.wave}: {one.name} is to be extended from account {server.account} ({server.id})")
    if not (place.unread or place.problems or place.missing):
        say(f"{place.target}: nothing to extend")


def _agreed(count: int) -> bool:
    try:
        return typer.confirm(f"Extend {count} server{'' if count == 1 else 's'}?")
    except typer.Abort:
        say("Nothing was extended.", err=True)
        return False


def _cannot(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
