"""``drs-plan estimate``: how long a drill will take, before the first one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import say
from drs_provider.commands.waiting import SILENCE, AwsSilentError, Timeout, within

if TYPE_CHECKING:
    from drs_provider.estimate.forecast import Forecast
    from drs_provider.estimate.history import History
    from drs_provider.estimate.site import Site
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget

__all__ = ["estimate"]


def estimate(
    plan: Annotated[Path, typer.Argument(help="The plan file.", show_default=False)],
    scenario: Annotated[
        Path | None,
        typer.Option(help="A scenario of the simulator, instead of the account: no network. See drs-sim scenario."),
    ] = None,
    history: Annotated[
        str | None, typer.Option(help="A folder of reports: times are taken from these runs where they tell.")
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Learn from the reports of rehearsals too (--history).")
    ] = False,
    mode: Annotated[str, typer.Option(help="drill or recovery.")] = "drill",
    approval: Annotated[str, typer.Option(help="How long a person takes to approve, such as 10m.")] = "0s",
    speed: Annotated[
        float, typer.Option(help="Predict a rehearsal at this speed of the simulator, not AWS.", min=0.01)
    ] = 1.0,
    output: Annotated[str, typer.Option("--format", help="text or json.")] = "text",
    profile: Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")] = None,
    aws_conn_id: Annotated[
        str | None, typer.Option(help="An Airflow connection instead; 'plan' means those that the plan names.")
    ] = None,
    timeout: Timeout = SILENCE,
) -> None:
    """Predict the RTO of a run in which everything goes well, and say which wave to shorten first.

    Looks the servers up in the account, with the environment's credentials, unless there is a scenario. Exit status: 0
    the plan's RTO will be met or it has none, 1 it will be missed, or a wave will give up before its servers are up,
    2 the command could not be run.
    """
    from drs_provider.commands.connecting import airflow_apart
    from drs_provider.durations import parse_duration
    from drs_provider.estimate.advice import judge
    from drs_provider.estimate.durations import Durations
    from drs_provider.estimate.forecast import NothingToLaunch, forecast
    from drs_provider.estimate.likely import Likely
    from drs_provider.plan import PlanError, load_plan

    for name, value, allowed in (("--mode", mode, ("drill", "recovery")), ("--format", output, ("text", "json"))):
        if value not in allowed:
            raise _cannot_run(f"{name} is {value!r}; expected {' or '.join(allowed)}")
    try:
        answer = parse_duration(approval).total_seconds()
    except ValueError as error:
        raise _cannot_run(f"--approval {approval}: {error}") from error
    try:
        loaded = load_plan(plan).plan
        sites = _sites(loaded, scenario, profile, aws_conn_id, timeout)
        systems = {server: facts.system for site in sites.values() for server, facts in site.facts.items()}
        with airflow_apart():
            known = _history(history, loaded.name, systems, simulated=simulated) if history else None
        durations = {place: Durations(site, known, Likely.exactly(answer)) for place, site in sites.items()}
        found = forecast(loaded, durations, mode=mode, speed=speed)
    except (PlanError, NothingToLaunch, OSError) as error:
        raise _cannot_run(str(error)) from error
    if output == "json":
        import json

        typer.echo(json.dumps(_as_dict(found), indent=2))
    else:
        _print(found)
    judged = judge(found)
    missed = judged is not None and judged[0] in ("missed", "impossible")
    raise typer.Exit(1 if missed or any(one.fails for one in found.timeouts) else 0)


def _history(folder: str, plan: str, systems: dict[str, str], *, simulated: bool) -> History:
    from drs_provider.estimate.history import read_history

    try:
        return read_history(folder, plan, systems, simulated=simulated)
    except OSError:
        raise
    except Exception as error:
        # An object store raises errors of its own: no credentials, no way there, no such kind of store.
        raise _cannot_run(f"{folder} cannot be read: {type(error).__name__}: {error}") from error


def _sites(
    plan: RecoveryPlan, scenario: Path | None, profile: str | None, aws_conn_id: str | None, timeout: float
) -> dict[tuple[str, str], Site]:
    """Return what each target of a plan meets, by connection and region."""
    from drs_provider.estimate.site import ScenarioUnreadable, account_site, scenario_sites

    if scenario is not None:
        try:
            return scenario_sites(scenario, plan)
        except ScenarioUnreadable as error:
            raise _cannot_run(str(error)) from error
    from botocore.exceptions import BotoCoreError, ClientError

    from drs_provider.commands.connecting import WrongAccountError, connect_targets, reached_account

    places = plan.targets_of(plan.waves)
    connected = connect_targets(plan, places, profile=profile, aws_conn_id=aws_conn_id)

    def look(place: NamedTarget) -> Site:
        clients = connected[place.key]
        return account_site(clients, reached_account(plan, place, clients))

    try:
        return within(list(connected.values()), timeout, lambda: {place.key: look(place) for place in places})
    except AwsSilentError as error:
        raise _cannot_run(f"{error}; --scenario FILE estimates without an account") from None
    except (BotoCoreError, ClientError, WrongAccountError) as error:
        raise _cannot_run(f"{error}; --scenario FILE estimates without an account") from error


def _as_dict(found: Forecast) -> dict[str, Any]:
    from dataclasses import asdict

    from drs_provider.estimate.advice import first_to_shorten, judge

    judged, advice = judge(found), first_to_shorten(found)
    waves = [
        {
            "name": wave.name,
            "servers": wave.servers,
            "jobs": wave.jobs,
            "slowest_server": wave.slowest,
            "starts": round(wave.times.started, 1),
            "launches": round(wave.times.launched, 1),
            "ends": round(wave.times.ended, 1),
            "waited_for": wave.times.waited_for,
            "critical": wave.name in found.critical_path,
            **({"target": wave.target} if wave.target else {}),
            "spent": {kind: round(seconds, 1) for kind, seconds in wave.times.spent.items()},
        }
        for wave in found.waves
    ]
    return {
        "plan": found.plan,
        "mode": found.mode,
        "rto_seconds": {case: round(seconds, 1) for case, seconds in asdict(found.rto).items()},
        "objective_seconds": found.objective,
        "judgement": judged[0] if judged else None,
        "judgement_text": judged[1] if judged else None,
        "least_seconds": {"with_dependencies": round(found.needed, 1), "slowest_server": round(found.slowest, 1)},
        "critical_path": list(found.critical_path),
        "shorten_first": {"wave": advice.wave, "saves_seconds": round(advice.saves, 1), "text": advice.text}
        if advice
        else None,
        "gains_seconds": {name: round(seconds, 1) for name, seconds in found.gains.items()},
        "waves": waves,
        "short_timeouts": [
            {
                "wave": one.wave,
                "what": one.what,
                "limit_seconds": one.limit,
                "takes_seconds": {case: round(seconds, 1) for case, seconds in asdict(one.takes).items()},
                "gives_up": one.fails,
                "text": one.text,
            }
            for one in found.timeouts
        ],
        "basis": list(found.basis),
        "remarks": list(found.remarks),
    }


def _print(found: Forecast) -> None:
    from drs_provider.estimate.advice import first_to_shorten, judge, time_text

    low, typical, high = (time_text(seconds) for seconds in (found.rto.low, found.rto.typical, found.rto.high))
    say(f"{found.plan}: a {found.mode} recovers in about {typical}, {low} to {high}\n")
    rows = [("", "wave", "servers", "jobs", "starts", "ends", "spends most on")]
    for wave in sorted(found.waves, key=lambda each: (each.times.started, each.times.ended)):
        spent = sorted(wave.times.spent.items(), key=lambda item: -item[1])[:3]
        most = ", ".join(f"{kind} {time_text(seconds)}" for kind, seconds in spent)
        mark = "*" if wave.name in found.critical_path else ""
        starts, ends = time_text(wave.times.started), time_text(wave.times.ended)
        name = f"{wave.name} in {wave.target}" if wave.target else wave.name
        rows.append((mark, name, str(wave.servers), str(wave.jobs), starts, ends, most))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if 2 <= column <= 5 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        say("  ".join(cells).rstrip())
    say(f"* critical path: {' → '.join(found.critical_path)}\n")
    judged, advice = judge(found), first_to_shorten(found)
    for text in (judged[1] if judged else None, advice.text if advice else None):
        if text:
            say(text)
    for short in found.timeouts:
        say(f"{'Time-out' if short.fails else 'Note'}: {short.text}. Give it {time_text(short.takes.high)} or more.")
    say(f"\nFrom {'; '.join(found.basis)}. Everything goes well in it.")
    for remark in found.remarks:
        say(f"Note: {remark}")


def _cannot_run(why: str) -> typer.Exit:
    say(why, err=True)
    return typer.Exit(2)
