"""``drs-plan launch-settings``: the launch settings of a plan against those of the account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.launch_settings_view import as_data, differing, server_text, summary
from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import FIRST_WORD, SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.plan import LoadedPlan
    from drs_provider.plan.launch_origins import LaunchOrigins
    from drs_provider.readiness.launch_drift import Looked

__all__ = ["app"]

app = typer.Typer(
    help="Compare the launch settings of a plan with the account's, apply them, or adopt the account's.",
    no_args_is_help=True,
    add_completion=False,
)

PlanFile = Annotated[Path, typer.Argument(help="The plan file.", show_default=False)]
Waves = Annotated[str, typer.Option(help="Names of waves, separated by commas. Default: all.")]
Output = Annotated[str, typer.Option("--format", help="text or json.")]
Profile = Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")]
Connection = Annotated[
    str | None, typer.Option(help="An Airflow connection instead; 'plan' means the one that the plan names.")
]


@dataclass
class _Place:
    """The servers of a plan in one account and region, and what a look at them found."""

    region: str
    clients: Clients
    looked: list[Looked]
    missing: list[str]


@app.command("diff")
def diff(
    plan: PlanFile,
    waves: Waves = "",
    output: Output = "text",
    profile: Profile = None,
    aws_conn_id: Connection = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Show which launch settings of the account are not those of the plan. Changes nothing.

    Exit status: 0 nothing differs, 1 something differs, 2 could not look.
    """
    loaded, origins = _load(plan, output)
    places = _look(loaded, waves, profile, aws_conn_id, timeout, output)
    if output == "json":
        _echo(loaded, places, origins)
    else:
        _show(loaded, places, origins)
    raise typer.Exit(_status(places))


@app.command("apply")
def apply(
    plan: PlanFile,
    waves: Waves = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Apply without asking.")] = False,
    output: Output = "text",
    profile: Profile = None,
    aws_conn_id: Connection = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Give the servers of a plan the launch settings that the plan gives them, and nothing else.

    Shows what will change and asks. DRS's launch configuration is changed first, then the EC2 launch template, in a new
    version that becomes the default. What somebody changes meanwhile is not overwritten. A second time nothing changes.
    Exit status: 0 nothing differs any more, 1 something still differs, 2 could not look.
    """
    import json

    loaded, origins = _load(plan, output)
    if output == "json" and not yes:
        raise _cannot("--format json needs --yes: there is nobody to ask")
    places = _look(loaded, waves, profile, aws_conn_id, timeout, output)
    if output == "text":
        _show(loaded, places, origins)
    count = sum(len(differing(place.looked)) for place in places)
    if not count or not (yes or _agreed(count)):
        if output == "json":
            _echo(loaded, places, origins)
        raise typer.Exit(_status(places))
    failed: list[dict[str, Any]] = []
    applied: list[str] = []
    for place in places:
        for one in differing(place.looked):
            if refused := _apply_one(place, one, timeout, output):
                failed.append({"server": one.wanted.server, "wave": one.wanted.wave, "reason": refused})
                if output == "text":
                    say(f"{one.wanted.name}: not applied: {refused}", err=True)
            else:
                applied.append(one.wanted.server)
                if output == "text":
                    say(f"{one.wanted.name}: applied")
    if output == "json":
        typer.echo(json.dumps({"plan": loaded.plan.name, "applied": applied, "not_applied": failed}, indent=2))
    else:
        say(f"Applied at {len(applied)} of {count} servers.")
    unseen = any(place.missing or any(one.comparison is None for one in place.looked) for place in places)
    raise typer.Exit(2 if unseen else 1 if failed else 0)


@app.command("adopt")
def adopt(
    plan: PlanFile,
    waves: Waves = "",
    keys: Annotated[str, typer.Option(help="Settings to adopt, separated by commas. Default: all.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    profile: Profile = None,
    aws_conn_id: Connection = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Write the launch settings that the account has into the plan file; comments and order stay.

    What all servers of a wave have in common stands at the wave, the rest at each server.
    Exit status: 0 the plan says what the account has, 1 something cannot be said by the plan, 2 could not look.
    """
    from drs_provider.commands.launch_settings_adoption import written
    from drs_provider.plan.launch import LAUNCH_KEYS
    from drs_provider.readiness.launch_adoption import adopted

    loaded, _ = _load(plan, "text")
    named = [key.strip() for key in keys.split(",") if key.strip()]
    if unknown := [key for key in named if key not in LAUNCH_KEYS]:
        raise _cannot(f"no such setting: {', '.join(unknown)}; expected some of {', '.join(LAUNCH_KEYS)}")
    places = _look(loaded, waves, profile, aws_conn_id, timeout, "text", every=True)
    looked = [one for place in places for one in place.looked]
    changes, remarks = adopted(loaded.plan, looked, named or LAUNCH_KEYS)
    for place in places:
        remarks += [f"{one.wanted.name}: {one.problem}" for one in place.looked if one.comparison is None]
        for missing in place.missing:
            say(missing, err=True)
    refused = written(plan, loaded.plan, changes, dry_run=dry_run)
    for remark in dict.fromkeys([*remarks, *([refused] if refused else [])]):
        say(f"not adopted: {remark}", err=True)
    if any(place.missing or any(one.comparison is None for one in place.looked) for place in places):
        raise typer.Exit(2)
    raise typer.Exit(1 if remarks or refused else 0)


def _agreed(servers: int) -> bool:
    try:
        return typer.confirm(f"Apply the plan's settings at {servers} server{'' if servers == 1 else 's'}?")
    except typer.Abort:
        say("Nothing was applied.", err=True)
        return False


def _apply_one(place: _Place, looked: Looked, timeout: float, output: str) -> str:
    """Apply one server's settings; returns why not, or an empty text."""
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.aws.launch_settings import ChangedError, NotAppliedError, NoTemplateError
    from drs_provider.aws.launch_settings import apply as apply_settings

    comparison = looked.comparison
    if comparison is None:
        return looked.problem
    try:
        _patiently(place.clients, timeout, lambda: apply_settings(place.clients, comparison), output)
    except (ChangedError, NoTemplateError, NotAppliedError, ClientError, BotoCoreError, AwsSilentError) as error:
        return str(error)
    return ""


def _load(plan: Path, output: str) -> tuple[LoadedPlan, LaunchOrigins]:
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.plan.launch_origins import LaunchOrigins

    if output not in ("text", "json"):
        raise _cannot(f"--format is {output!r}; expected text or json")
    try:
        return load_plan(plan), LaunchOrigins(plan)
    except (PlanError, OSError) as error:
        raise _cannot(str(error)) from error


def _look(
    loaded: LoadedPlan,
    waves: str,
    profile: str | None,
    aws_conn_id: str | None,
    timeout: float,
    output: str,
    *,
    every: bool = False,
) -> list[_Place]:
    """Look at every server of some waves, target by target.

    :param every: also at servers that the plan gives no settings.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import connect_targets

    plan = loaded.plan
    known = [wave.name for wave in plan.waves]
    names = [name.strip() for name in waves.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise _cannot(f"no such wave: {', '.join(unknown)}; the plan's waves are {', '.join(known)}")
    chosen = [wave for wave in plan.waves if not names or wave.name in names]
    targets = plan.targets_of(chosen)
    connected = connect_targets(plan, targets, profile=profile, aws_conn_id=aws_conn_id)
    places = []
    for target in targets:
        here = [wave.name for wave in chosen if plan.target_of(wave).key == target.key]
        clients = connected[target.key]
        try:
            _same_account(clients, plan.account_of(target), timeout, output)
            looked, missing = _patiently(clients, timeout, lambda: _compare(plan, clients, here, every), output)  # noqa: B023
        except AwsSilentError as error:
            raise _cannot(f"{error}. Nothing was looked at.") from None
        except (ClientError, BotoCoreError) as error:
            raise _cannot(str(error)) from error
        places.append(_Place(target.region, clients, looked, missing))
    return places


def _same_account(clients: Clients, account: str | None, timeout: float, output: str) -> None:
    """End the command where the credentials are those of another account than the plan says."""
    if account is None:
        return
    found = str(_patiently(clients, timeout, lambda: clients.sts.get_caller_identity()["Account"], output))
    if found != account:
        raise _cannot(f"these credentials are of account {found}, and the plan's target is account {account}")


def _compare(plan: Any, clients: Clients, waves: list[str], every: bool) -> tuple[list[Looked], list[str]]:
    from dataclasses import replace

    from drs_provider.aws.drs.questions import Drs
    from drs_provider.readiness.jobs import active_jobs
    from drs_provider.readiness.launch_drift import look, wanted_launches
    from drs_provider.readiness.resolution import resolve

    drs = Drs(clients)
    servers = drs.source_servers()
    missing = [finding.message for finding in resolve(plan, waves, servers)[1] if finding.severity == "error"]
    wanted = wanted_launches(plan, waves, servers).values()
    looked = look(clients, [each for each in wanted if every or each.settings])
    holders = {
        str(participant["sourceServerID"]): str(job["jobID"])
        for job in active_jobs(drs.jobs_since(None), None)
        for participant in job.get("participatingServers") or ()
    }
    for index, one in enumerate(looked):
        # DRS writes versions of the template inside of a job: what is written meanwhile may be lost.
        if one.comparison is not None and one.comparison.changes and (job := holders.get(one.wanted.server)):
            obstacles = (*one.comparison.obstacles, f"the job {job} holds the server: apply again when it has ended")
            looked[index] = replace(one, comparison=replace(one.comparison, obstacles=obstacles))
    return looked, missing


def _patiently(clients: Clients, timeout: float, work: Callable[[], Any], output: str) -> Any:
    # Who reads JSON may read both streams as one.
    return within(clients, timeout, work, first_word=FIRST_WORD if output == "text" else FIRST_WORD * 5)


def _show(loaded: LoadedPlan, places: Sequence[_Place], origins: LaunchOrigins) -> None:
    for place in places:
        for one in place.looked:
            if one.comparison is not None and not (one.comparison.changes or one.comparison.warnings):
                continue
            say(server_text(one, origins, loaded.path) + "\n")
        for missing in place.missing:
            say(missing, err=True)
        if place.looked:
            say(summary(place.looked, place.region))
        elif not place.missing:
            say(
                f"The plan gives no launch settings in {place.region}. "
                f"`drs-plan launch-settings adopt {loaded.path}` writes those of the account into it."
            )


def _echo(loaded: LoadedPlan, places: Sequence[_Place], origins: LaunchOrigins) -> None:
    import json

    servers = [as_data(one, origins, loaded.path) for place in places for one in place.looked]
    answer = {
        "plan": loaded.plan.name,
        "differs": any(server["differs"] for server in servers),
        "servers": servers,
        "not_found": [message for place in places for message in place.missing],
    }
    typer.echo(json.dumps(answer, indent=2))


def _status(places: Sequence[_Place]) -> int:
    if any(place.missing or any(one.comparison is None for one in place.looked) for place in places):
        return 2
    return 1 if any(differing(place.looked) for place in places) else 0


def _cannot(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
