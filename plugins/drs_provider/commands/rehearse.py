"""``drs-plan rehearse``: run a plan on a private Airflow against the simulator, before it reaches production."""

from __future__ import annotations

import contextlib
import json
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from drs_provider.commands.terminal import printable, say

if TYPE_CHECKING:
    from rich.console import Console

    from drs_provider.evidence.record import RunRecord
    from drs_provider.pace import Pace
    from drs_provider.rehearsal.progress import RunProgress
    from drs_provider.rehearsal.rehearsal import Rehearsal, RehearsalResult

__all__ = ["rehearse"]


def rehearse(
    plan: Annotated[Path, typer.Argument(help="The plan file.", exists=True, dir_okay=False)],
    scenario: Annotated[
        Path | None, typer.Option(help="What the simulator serves. Absent: made from the plan, everything goes well.")
    ] = None,
    speed: Annotated[float, typer.Option(help="How many times faster than real time AWS is.", min=0.01)] = 60,
    mode: Annotated[str, typer.Option(help="drill or recovery.")] = "drill",
    conf: Annotated[str, typer.Option(help="Run parameters as JSON, over the defaults.")] = "{}",
    log: Annotated[Path | None, typer.Option(help="The simulator's log: API calls and changes of state.")] = None,
    airflow_home: Annotated[
        Path | None,
        typer.Option(help="The AIRFLOW_HOME, new or of a rehearsal; it is kept. Absent: a temporary one."),
    ] = None,
    reports: Annotated[Path, typer.Option(help="The folder that takes the report, apart from those of drills.")] = Path(
        "rehearsals"
    ),
    real_pauses: Annotated[
        bool,
        typer.Option("--real-pauses", help="Keep the plan's pauses and deadlines as long as it says. They are scaled."),
    ] = False,
    approve: Annotated[bool, typer.Option(help="Answer the plan's approvals with yes, in an approver's name.")] = True,
    keep: Annotated[bool, typer.Option(help="Leave Airflow's UI open afterwards, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="The port of Airflow's UI; 0 takes a free one.")] = 0,
) -> None:
    """Run a plan on a real Airflow against a simulated AWS. Exit 0: it succeeded, 1: it failed, 2: cannot run."""
    from httpx import HTTPError
    from rich.console import Console

    from drs_provider.airflow_compat import AirflowChangedError
    from drs_provider.plan import PlanError, load_plan
    from drs_provider.rehearsal.processes import PortTaken, ProcessDied

    console = Console()
    try:
        loaded = load_plan(plan)
    except PlanError as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None
    parameters = _parameters(conf, mode, loaded.plan.name)
    if scenario:
        _require_scenario(scenario)
    from drs_provider.rehearsal.rehearsal import Rehearsal
    from drs_provider.rehearsal.scenario import SimulatorMissing

    # A terminal that is closed ends the rehearsal as Ctrl-C does, and leaves no process behind either.
    for number in _INTERRUPTS:
        signal.signal(number, _interrupt)
    with ExitStack() as stack:
        if airflow_home:
            folder = _own_folder(airflow_home.resolve())
        else:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="drs-rehearsal-", ignore_cleanup_errors=True))
            )
        try:
            rehearsal = Rehearsal(
                loaded,
                folder,
                scenario.resolve() if scenario else None,
                speed=speed,
                log_path=log.resolve() if log else None,
                settings={"AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER": str(reports.resolve())},
                real_pauses=real_pauses,
                port=port,
                airflow_home=folder,
            )
            console.print(f"Starting Airflow and a simulated AWS for [bold]{loaded.plan.name}[/] …")
            console.print(_pace_text(speed, rehearsal.pace), soft_wrap=True)
            with rehearsal.running():
                console.print(f"Airflow: {rehearsal.airflow.url} ({rehearsal.login})")
                run_id = rehearsal.start_run(parameters)
                result = _watch(console, rehearsal, run_id, approve=approve)
                _print_result(console, result)
                if keep:
                    _wait_for_ctrl_c(console, rehearsal)
        except KeyboardInterrupt:
            # Everything is ended by now, and one more Ctrl-C must not change the exit code.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            console.print("Stopped.")
            raise typer.Exit(130) from None
        except (
            AirflowChangedError,
            SimulatorMissing,
            PortTaken,
            ProcessDied,
            TimeoutError,
            HTTPError,
            OSError,
        ) as error:
            say(f"The rehearsal could not be run: {error}", err=True)
            raise typer.Exit(2) from None
    raise typer.Exit(0 if result.succeeded else 1)


_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _interrupt(*_: object) -> None:
    """End the rehearsal, once: a second Ctrl-C changes nothing, also where all is over but the exit code."""
    for number in _INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _require_scenario(scenario: Path) -> None:
    """Refuse a scenario that the simulator could not load, before anything is started for it.

    :raises typer.Exit: with 2; the message names the file and each line that is wrong.
    """
    if not scenario.is_file():
        say(f"--scenario {scenario}: {'a folder' if scenario.is_dir() else 'no such file'}", err=True)
        raise typer.Exit(2)
    try:
        from drs_provider.simulator.scenario_file import ScenarioError, load_scenario
    except ImportError:
        # The simulator is not installed; its process says so, and what to install.
        return
    try:
        load_scenario(scenario)
    except (ScenarioError, OSError) as error:
        say(str(error), err=True)
        raise typer.Exit(2) from None


def _pace_text(speed: float, pace: Pace) -> str:
    pauses = "are shortened likewise; --real-pauses keeps them" if pace.speed > 1 else "are as long as the plan says"
    return f"The simulated AWS is {speed:g} times as fast as AWS. The plan's pauses and deadlines {pauses}."


def _own_folder(folder: Path) -> Path:
    """Return a folder that a rehearsal may fill: never that of an Airflow that somebody uses."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "simulator").is_dir():
        say(f"--airflow-home {folder} is not empty and not of a rehearsal; name a new folder", err=True)
        raise typer.Exit(2)
    return folder


def _parameters(conf: str, mode: str, plan_name: str) -> dict[str, Any]:
    try:
        parameters = json.loads(conf)
    except ValueError as error:
        say(f"--conf is not JSON: {error}", err=True)
        raise typer.Exit(2) from None
    if not isinstance(parameters, dict) or mode not in ("drill", "recovery"):
        say("--conf must be a JSON object, and --mode drill or recovery", err=True)
        raise typer.Exit(2)
    defaults = {"mode": mode} | ({"confirm": plan_name} if mode == "recovery" else {})
    return defaults | parameters


def _watch(console: Console, rehearsal: Rehearsal, run_id: str, *, approve: bool) -> RehearsalResult:
    """Follow the run: a table that lives in a terminal, a line for each change elsewhere."""
    if console.is_terminal:
        from rich.live import Live

        with Live(console=console, refresh_per_second=4) as live:
            return rehearsal.watch(run_id, lambda progress: live.update(progress.render()), approve=approve)
    shown: dict[str, str] = {}

    def print_changes(progress: RunProgress) -> None:
        for wave, line in progress.named_lines():
            if shown.get(wave) != line:
                shown[wave] = line
                console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    return rehearsal.watch(run_id, print_changes, approve=approve)


def _print_result(console: Console, result: RehearsalResult) -> None:
    console.print()
    record = _record_of(result)
    if record and result.failed:
        # The summary lists the same causes; here each stands once.
        from drs_provider.evidence.verdict import verdict

        found = verdict(record)
        console.print(f"{record.plan.name}: {found.title.lower()}. {found.badge}.", markup=False, soft_wrap=True)
    elif result.report and (summary := result.report / "summary.md").exists():
        from rich.markdown import Markdown

        console.print(Markdown(summary.read_text(encoding="utf-8")))
        console.print("Whether the objectives are met, only a drill on AWS tells.", soft_wrap=True)
    if result.report:
        console.print(f"Report: {result.report / 'report.html'}", soft_wrap=True, markup=False, emoji=False)
    _print_failures(console, result, record)
    for fault in result.unstruck:
        console.print(
            f"\nThe fault {fault} never struck: the run does not show how the plan copes with it.",
            markup=False,
            soft_wrap=True,
        )
    outcome = "[bold green]The run succeeded.[/]" if result.succeeded else "[bold red]The run failed.[/]"
    console.print(f"\n{outcome}")


def _print_failures(console: Console, result: RehearsalResult, record: RunRecord | None) -> None:
    """Print each cause once, the first failure first, and what to do next."""
    from drs_provider.rehearsal.ending import causes_of

    for number, (task_id, lines) in enumerate(causes_of(record, result.failed)):
        console.print(
            f"\n[bold red]{task_id} failed[/]{'' if number else ', first of all' * (len(result.failed) > 1)}:"
        )
        for line in lines:
            console.print(f"  {printable(line)}", markup=False, highlight=False, soft_wrap=True)
    if result.failed:
        console.print(
            "\nNext: change the plan, or the scenario where the simulated fault was not meant, and rehearse again. "
            "--airflow-home DIR keeps every log; --keep leaves Airflow open.",
            soft_wrap=True,
        )


def _record_of(result: RehearsalResult) -> RunRecord | None:
    from drs_provider.evidence.record import RunRecord

    try:
        return RunRecord.model_validate_json((result.report / "report.json").read_bytes()) if result.report else None
    except (OSError, ValueError):
        return None


def _wait_for_ctrl_c(console: Console, rehearsal: Rehearsal) -> None:
    from drs_provider.rehearsal.processes import ProcessDied

    console.print(f"Airflow stays open at {rehearsal.airflow.url} ({rehearsal.login}). Ctrl-C ends it.")
    # The run is over and judged: the end of the visit changes nothing about the exit code.
    with contextlib.suppress(KeyboardInterrupt):
        try:
            while True:
                rehearsal.airflow.supervise()
                time.sleep(1)
        except ProcessDied as error:
            say(f"Airflow does not stay open: {error}", err=True)
