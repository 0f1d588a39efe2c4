"""A case in its world: a folder is a plan and what it meets, the tests beside it say what is right."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation
from tests.chaos.in_process import InProcessRun, quick_aws

CASES = Path(__file__).parent
REGION = "us-west-2"
ONE, TWO, THREE, FOUR = (f"s-{number:017x}" for number in range(1, 5))
STANDBY = "i-0aaaaaaaaaaaaaaa1"


@dataclass
class Case:
    """A case in its world.

    :param folder: where its files are.
    :param simulation: AWS.
    :param reports: where reports are written.
    """

    folder: Path
    simulation: Simulation
    reports: Path
    monkeypatch: pytest.MonkeyPatch

    def plan(self, **changes: Any) -> LoadedPlan:
        """Return the plan, with top-level keys in the place of the file's."""
        data = {**yaml.safe_load((self.folder / "plan.yaml").read_text()), **changes}
        plan = RecoveryPlan.model_validate(data)
        return LoadedPlan(plan, self.folder / "plan.yaml", plan_hash(plan))

    def run(self, mode: str = "drill", plan: LoadedPlan | None = None, run_id: str = "run0", **more: Any) -> Run:
        """Run the plan to its end."""
        loaded = plan or self.plan()
        parameters = {"mode": mode, "confirm": loaded.plan.name if mode == "recovery" else "", **more}
        run = InProcessRun(build_dag(loaded), parameters, random.Random(1))
        run.run_id = run._dag_run.run_id = run_id
        with quick_aws(self.monkeypatch):
            state = run.go()
        folder = run.xcoms.get("report", {}).get("report_folder", "").removeprefix("file://")
        report = json.loads((Path(folder) / "report.json").read_text()) if folder else {}
        text = "\n".join((Path(folder) / name).read_text() for name in ("report.html", "summary.md")) if folder else ""
        return Run(state, run, report, text)

    def check(self, *options: str) -> tuple[int, dict[str, Any]]:
        """Return exit code and answer of ``drs-plan check``."""
        result = CliRunner().invoke(app, ["check", str(self.folder / "plan.yaml"), "--format", "json", *options])
        return result.exit_code, json.loads(result.stdout)

    def calls(self, operation: str) -> list[dict[str, Any]]:
        """Return the parameters of the calls of an operation that AWS carried out."""
        return [
            entry["params"]
            for entry in self.simulation.log
            if entry.get("operation") == operation and not entry.get("error")
        ]

    @property
    def launched(self) -> list[str]:
        """The servers that were launched, in order."""
        return [one["sourceServerID"] for call in self.calls("StartRecovery") for one in call["sourceServers"]]


@dataclass
class Run:
    """A run that has ended.

    :param state: its state.
    :param tasks: what its tasks left.
    :param report: report.json.
    :param text: the page and the summary.
    """

    state: str
    tasks: InProcessRun
    report: dict[str, Any]
    text: str

    def wave(self, name: str) -> dict[str, Any]:
        """Return a wave of the report."""
        return next(wave for wave in self.report["waves"] if wave["name"] == name)

    @property
    def findings(self) -> set[tuple[str, str, str]]:
        """Code, severity and server of what preflight found."""
        return {(one["code"], one["severity"], one["server"]) for one in self.report["preflight"]["findings"]}


def of(name: str) -> pytest.MarkDecorator:
    """Run a test in a case."""
    return pytest.mark.parametrize("case", [name], indirect=True)
