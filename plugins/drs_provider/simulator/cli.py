"""`drs-sim`: a whole AWS recovery region on this machine, behind one endpoint."""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

__all__ = ["app", "main"]

app = typer.Typer(add_completion=False, no_args_is_help=False)


@app.callback(invoke_without_command=True)
def serve(
    context: typer.Context,
    scenario: Annotated[Path | None, typer.Option(help="The scenario file; absent: an empty region")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free port")] = 5555,
    host: Annotated[str, typer.Option(help="The address to listen on")] = "127.0.0.1",
    speed: Annotated[float, typer.Option(help="How much faster than AWS phases pass")] = 1.0,
    log: Annotated[Path | None, typer.Option(help="Append a JSON line for each call and change of state")] = None,
) -> None:
    """Serve a simulated DRS recovery region, and print its endpoint.

    Exit codes: 0 ended by a signal, 2 it could not start.
    """
    if context.invoked_subcommand is not None:
        return
    from drs_provider.simulator.scenario_file import ScenarioError, load_scenario

    if not 0 < speed < math.inf:
        raise typer.BadParameter("must be above 0", param_hint="--speed")
    try:
        region = load_scenario(scenario if scenario is not None else {})
    except ScenarioError as error:
        _cannot_start(str(error))
    # After the scenario: a bad one is refused without the seconds that moto takes to import.
    from drs_provider.simulator.server import SimulatorServer
    from drs_provider.simulator.simulation import Simulation

    try:
        simulation = Simulation(speed=speed, log=log)
    except OSError as error:
        _cannot_start(f"the log cannot be written: {error}")
    try:
        server = SimulatorServer(simulation, host=host, port=port)
    except (OSError, SystemExit):  # werkzeug leaves, where the port is taken
        _cannot_start(f"cannot listen on {host}:{port}: choose another --port, or 0 for a free one")
    simulation.load(region)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    typer.echo(server.endpoint_url)
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        for fault in simulation.faults.never_struck():
            typer.echo(f"drs-sim: fault {fault.id} never struck: {fault}", err=True)
        simulation.close()


@app.command("scenario")
def scenario_command(
    from_plan: Annotated[Path, typer.Option(help="The recovery plan file")],
    output: Annotated[Path | None, typer.Option(help="Where to write; absent: standard output")] = None,
) -> None:
    """Write a scenario in which a plan's drill succeeds: its servers, documents, targets and topics."""
    import yaml

    from drs_provider.plan import PlanError, load_plan
    from drs_provider.simulator.plan_scenario import scenario_from_plan

    try:
        scenario = scenario_from_plan(load_plan(from_plan))
    except PlanError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    text = yaml.safe_dump(scenario, sort_keys=False, allow_unicode=True)
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _cannot_start(f"{output} cannot be written: {error.strerror}")


def _cannot_start(reason: str) -> NoReturn:
    typer.echo(f"drs-sim: {reason}", err=True)
    raise typer.Exit(2)


def main() -> None:
    """The entry point of the `drs-sim` command."""
    app()


if __name__ == "__main__":
    main()
