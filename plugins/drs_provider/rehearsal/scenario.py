"""A scenario for a plan that has none: every server is there, and everything goes well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from drs_provider.rehearsal.environment import clean_environment

__all__ = ["SimulatorMissing", "write_scenario"]


class SimulatorMissing(RuntimeError):
    """The simulator cannot be run; the message says why."""


def write_scenario(plan_file: Path, scenario_file: Path) -> Path:
    """Have the simulator write a scenario that suits a plan.

    :param plan_file: a valid plan file.
    :param scenario_file: where the scenario goes.
    :returns: the scenario file.
    :raises SimulatorMissing: when the simulator is not installed or refuses the plan.
    """
    scenario_file.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "drs_provider.simulator.cli", "scenario", "--from-plan", str(plan_file)]
    done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SimulatorMissing(
            "no scenario could be made from the plan; is the extra installed (pip install "
            f"'airflow-provider-aws-drs[simulator]')?\n{done.stderr.strip()}"
        )
    scenario_file.write_text(done.stdout, encoding="utf-8")
    return scenario_file
