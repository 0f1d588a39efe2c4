"""``drs-plan run``: start a run of a plan through Airflow's REST API, as a user of Airflow."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.run_parameters import run_parameter, unknown_parameter

if TYPE_CHECKING:
    from drs_provider.rehearsal.airflow_api import AirflowApi

__all__ = ["run"]


def _help(name: str) -> str:
    return run_parameter(name).help_text()


_POLL_SECONDS = 2.0
_FINISHED = ("success", "failed")


def run(
    plan: Annotated[str, typer.Argument(help="The plan's name.", show_default=False)],
    mode: Annotated[str, typer.Option(help=_help("mode"))] = "drill",
    confirm: Annotated[
        str | None, typer.Option(help=f"For a recovery. {_help('confirm')} Absent: the terminal asks.")
    ] = None,
    wave: Annotated[list[str] | None, typer.Option(help=f"{_help('waves')} Once for each.")] = None,
    snapshot_time: Annotated[str | None, typer.Option(help=_help("snapshot_time"))] = None,
    skip_scripts: Annotated[bool, typer.Option("--skip-scripts", help=_help("skip_scripts"))] = False,
    keep_drill_instances: Annotated[
        bool, typer.Option("--keep-drill-instances", help=_help("keep_drill_instances"))
    ] = False,
    stop_drill: Annotated[
        bool, typer.Option("--stop-drill", help=f"For a recovery. {_help('stop_drill')} It is asked at once.")
    ] = False,
    override_finding: Annotated[
        list[str] | None, typer.Option(help=f"For a recovery. {_help('override_findings')} Once for each.")
    ] = None,
    override_reason: Annotated[str | None, typer.Option(help=_help("override_reason"))] = None,
    ticket: Annotated[str | None, typer.Option(help=_help("ticket"))] = None,
    param: Annotated[list[str] | None, typer.Option(help="Any run parameter, as NAME=JSON; once for each.")] = None,
    run_id: Annotated[str | None, typer.Option(help="The run's id. Absent: made of the mode and the time.")] = None,
    note: Annotated[str | None, typer.Option(help="Why; it stands beside the run in Airflow.")] = None,
    wait: Annotated[str, typer.Option(help="Until what to wait: no, begun, or ended.")] = "begun",
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most.", min=0)] = 86400,
    url: Annotated[
        str, typer.Option(envvar="DRS_PLAN_AIRFLOW_URL", help="The address of Airflow's API server.")
    ] = "http://localhost:8080",
    username: Annotated[str | None, typer.Option(envvar="DRS_PLAN_AIRFLOW_USERNAME", help="Your user name.")] = None,
    password: Annotated[
        str | None, typer.Option(envvar="DRS_PLAN_AIRFLOW_PASSWORD", help="Your password; better in the environment.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="DRS_PLAN_AIRFLOW_TOKEN", help="A token (JWT) instead of name and password.")
    ] = None,
) -> None:
    """Start a run, and print what it waits for.

    Exit status: 0 it was started, and went as far as --wait says; 1 it failed, or did not get so far in time; 2 it
    could not be started.
    """
    import httpx

    from drs_provider.rehearsal.airflow_api import AirflowApi

    for name, value, allowed in (("--mode", mode, ("drill", "recovery")), ("--wait", wait, ("no", "begun", "ended"))):
        if value not in allowed:
            raise _cannot(f"{name} is {value!r}; expected {', '.join(allowed)}")
    if stop_drill and mode != "recovery":
        raise _cannot("--stop-drill is for recoveries; a drill waits for the one before it")
    given: dict[str, Any] = {
        "mode": mode,
        "waves": wave or None,
        "snapshot_time": snapshot_time,
        "skip_scripts": skip_scripts or None,
        "keep_drill_instances": keep_drill_instances or None,
        "stop_drill": stop_drill or None,
        "override_findings": override_finding or None,
        "override_reason": override_reason,
        "ticket": ticket,
        **_parameters(param or ()),
    }
    conf = {name: value for name, value in given.items() if value is not None}
    if mode == "recovery":
        conf["confirm"] = confirm if confirm is not None else _typed(plan)
        if conf["confirm"] != plan:
            raise _cannot(f"not confirmed: expected the plan's name, {plan}")
    api = AirflowApi(url.rstrip("/"), username, password, token=token)
    try:
        started = _start(api, plan, mode, conf, run_id, note)
        typer.echo(f"Started {started} of {plan}: {url.rstrip('/')}/dags/{plan}/runs/{started}")
        if stop_drill:
            _ask_drills_to_stop(api, plan, started, username)
        state = _wait(api, plan, started, wait, time.monotonic() + timeout)
    except httpx.HTTPStatusError as error:
        raise _cannot(_explained(error, plan)) from None
    except httpx.HTTPError as error:
        raise _cannot(f"Airflow at {url} does not answer: {error!r}") from None
    finally:
        api.close()
    reached = {"no": True, "begun": state != "queued", "ended": state == "success"}[wait] and state != "failed"
    if not reached:
        typer.echo(f"The run {started} is {state}.", err=True)
    raise typer.Exit(0 if reached else 1)


def _parameters(given: Iterable[str]) -> dict[str, Any]:
    found = {}
    for each in given:
        name, equals, value = each.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            raise _cannot(f"--param {each}: expected NAME=JSON, such as 'ticket=\"CHG-1\"'") from None
        if not equals or not name or name in ("mode", "confirm"):
            raise _cannot(f"--param {each}: expected NAME=JSON; mode and confirm have options of their own")
        if wrong := unknown_parameter(name):
            raise _cannot(f"--param {each}: {wrong}")
    return found


def _typed(plan: str) -> str:
    """Ask for the confirmation; without a terminal there is none."""
    if not sys.stdin.isatty():
        raise _cannot(f"a recovery is real: give --confirm {plan}")
    return str(typer.prompt(f"This is a REAL recovery. Type the plan's name, {plan}, to start it"))


def _start(api: AirflowApi, plan: str, mode: str, conf: dict[str, Any], run_id: str | None, note: str | None) -> str:
    from datetime import datetime, timezone

    made = run_id or f"{mode}__{datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%S.%f}+00:00"
    body = {
        "logical_date": None,
        "dag_run_id": made,
        "conf": conf,
        "note": f"{'RECOVERY' if mode == 'recovery' else 'Drill'}, started by drs-plan run"
        + (f", {ticket}" if (ticket := conf.get("ticket")) else "")
        + (f": {note}" if note else ""),
    }
    return str(api.call("POST", f"/dags/{plan}/dagRuns", json=body)["dag_run_id"])


def _ask_drills_to_stop(api: AirflowApi, plan: str, run_id: str, username: str | None) -> None:
    """Leave the request at once that the waiting run's own watch would leave a quarter of a minute later.

    A user who may not write Variables marks the drill's run as failed instead: it terminates and reports anyway.
    """
    import httpx

    drills = [each for each in _running(api, plan) if (each.get("conf") or {}).get("mode", "drill") == "drill"]
    if not drills:
        typer.echo("No drill of the plan is in progress.")
        return
    names = ", ".join(str(each["dag_run_id"]) for each in drills)
    try:
        _send_request(api, plan, run_id, username)
    except httpx.HTTPStatusError as error:
        typer.echo(f"The drill cannot be asked to stop ({error.response.status_code}); marking its run as failed.")
        for drill in drills:
            _mark_failed(api, plan, str(drill["dag_run_id"]), run_id)
    else:
        typer.echo(f"Asked to stop: {names}. It starts nothing more, terminates what it launched, and reports.")


def _send_request(api: AirflowApi, plan: str, run_id: str, username: str | None) -> None:
    from datetime import datetime, timezone
    from uuid import uuid4

    from drs_provider.requests.model import BELL, RunRequest, request_key

    request = RunRequest(
        kind="stop_drill",
        dag_id=plan,
        from_run=run_id,
        by=username or "a user with a token",
        at=datetime.now(timezone.utc),
        reason=f"a recovery of {plan} waits for this drill to end",
    )
    _set_variable(api, request_key("stop_drill", plan), request.model_dump_json())
    _set_variable(api, BELL, uuid4().hex)


def _set_variable(api: AirflowApi, key: str, value: str) -> None:
    import httpx

    body = {"key": key, "value": value, "description": "Requests of runs of recovery plans"}
    try:
        api.call("PATCH", f"/variables/{key}", json=body)
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        api.call("POST", "/variables", json=body)


def _mark_failed(api: AirflowApi, plan: str, drill: str, run_id: str) -> None:
    import httpx

    body = {"state": "failed", "note": f"Stopped for {run_id}"}
    try:
        api.call("PATCH", f"/dags/{plan}/dagRuns/{_quoted(drill)}", json=body)
    except httpx.HTTPStatusError as error:
        typer.echo(f"{drill} could not be marked either: {error.response.status_code}. The recovery asks it by itself.")
    else:
        typer.echo(f"Marked as failed: {drill}. It terminates what it launched, and reports.")


def _running(api: AirflowApi, plan: str) -> list[dict[str, Any]]:
    answer = api.call("GET", f"/dags/{plan}/dagRuns", params={"state": "running", "limit": 100})
    return list(answer["dag_runs"])


def _wait(api: AirflowApi, plan: str, run_id: str, until: str, deadline: float) -> str:
    """Wait as long as is wanted, and print each time that what is waited for changes; return the run's state."""
    printed = ""
    while True:
        state = str(api.run(plan, _quoted(run_id))["state"])
        if until == "no" or state in _FINISHED or (until == "begun" and state == "running"):
            typer.echo(f"{run_id}: {state}")
            return state
        now = _what_for(api, plan, run_id, state)
        if now != printed:
            typer.echo(now)
        printed = now
        if time.monotonic() >= deadline:
            return state
        time.sleep(_POLL_SECONDS)


def _what_for(api: AirflowApi, plan: str, run_id: str, state: str) -> str:
    """Return what a run waits for: the run before it, and the tasks that this is at; or its own tasks."""
    of = [{"dag_run_id": run_id}] if state == "running" else _running(api, plan)
    if not of:
        return f"{run_id}: queued, and no other run of the plan is in progress. Is the plan paused?"
    lines = []
    for each in of:
        other = str(each["dag_run_id"])
        tasks = api.task_instances(plan, _quoted(other))
        busy = sorted(
            f"{task} (AWS does not answer)" if _waits_for_aws(one) else task
            for task, one in tasks.items()
            if one["state"] in ("running", "deferred", "awaiting_input")
        )
        at = f", at {', '.join(busy)}" if busy else ""
        lines.append(f"{run_id}: {state}{at}" if state == "running" else f"{run_id}: waits for {other}{at}")
    return "\n".join(lines)


def _waits_for_aws(task: Mapping[str, Any]) -> bool:
    """Return whether a task waits in the triggerer for an AWS that does not answer; its log says for what."""
    return str((task.get("trigger") or {}).get("classpath")).endswith(".AwsAvailableTrigger")


def _quoted(run_id: str) -> str:
    from urllib.parse import quote

    return quote(run_id, safe="")


def _explained(error: Any, plan: str) -> str:
    status = error.response.status_code
    if status in (401, 403):
        return (
            f"Airflow refuses: {status}. Give --username and a password, or a --token, of a user who may start {plan}"
        )
    if status == 404:
        return f"Airflow has no DAG {plan}, or it is stale: {error}"
    return str(error)


def _cannot(why: str) -> typer.Exit:
    typer.echo(why, err=True)
    return typer.Exit(2)
