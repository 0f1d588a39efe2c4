"""An AWS that does not answer for minutes: which operations a run uses, and what becomes of it when they are refused.

The run is of a plan with automations, commands and checks of every kind. Time is AWS's own: the simulator's speed is 1,
and every wait passes at once (:func:`tests.chaos.in_process.quick_aws`), so that twenty minutes take seconds.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import botocore.client
import pytest
import structlog
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from moto import mock_aws

from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, RecoveryPlan, plan_hash
from drs_provider.simulator.simulation import Simulation, activate, deactivate
from tests.chaos.in_process import InProcessRun, quick_aws

__all__ = ["CAUSES", "MINUTES", "Outcome", "Silence", "operations_of", "run_in_silence"]

REGION = "us-west-2"
MINUTES = (1, 5, 20)
SENDING = ("SendCommand", "StartAutomationExecution")
DB, APP1, APP2 = "s-00000000000000001", "s-00000000000000002", "s-00000000000000003"

PLAN: dict[str, Any] = {
    "version": 1,
    "name": "silent",
    "target": {"region": REGION},
    "objectives": {"rto": "2h", "rpo": "1h"},
    "waves": [
        {
            "name": "database",
            "servers": [{"id": DB}],
            "pre_launch": [{"name": "prepare", "automation": "Silent-Prepare"}],
            "health_checks": [{"type": "instance_status", "timeout": "10m"}],
        },
        {
            "name": "app",
            "depends_on": ["database"],
            "servers": [{"id": APP1}, {"id": APP2}],
            "post_launch": [
                {"name": "warm", "run_command": "AWS-RunShellScript", "parameters": {"commands": ["true"]}},
                {"name": "open", "automation": "Silent-Open", "timeout": "10m"},
            ],
            "health_checks": [
                {"type": "ssm_online", "timeout": "10m"},
                {"type": "tcp", "port": 80, "via": "ssm", "timeout": "10m"},
            ],
        },
    ],
}
SCENARIO: dict[str, Any] = {
    "region": REGION,
    "servers": [{"id": one, "hostname": f"host-{one[-1]}"} for one in (DB, APP1, APP2)],
    "documents": {name: {"kind": "Automation", "duration": 30} for name in ("Silent-Prepare", "Silent-Open")},
}


def _error(code: str, status: int) -> Callable[[str], Exception]:
    def make(operation: str) -> Exception:
        answer: Any = {
            "Error": {"Code": code, "Message": "made up by the test"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        }
        return ClientError(answer, operation)

    return make


CAUSES: Mapping[str, Callable[[str], Exception]] = {
    "throttled": _error("ThrottlingException", 429),
    "a 5xx": _error("InternalServerException", 500),
    "expired credentials": _error("ExpiredTokenException", 403),
    "no connection": lambda _: EndpointConnectionError(endpoint_url="https://drs.us-west-2.amazonaws.com"),
    "no answer": lambda _: ReadTimeoutError(endpoint_url="https://drs.us-west-2.amazonaws.com"),
}


@dataclass
class Silence:
    """Refuses operations for some minutes, counted from the first call of each.

    :param operations: the operations; ``*`` means every one, all counted from the first.
    :param minutes: for how long.
    :param cause: one of :data:`CAUSES`.
    :param skip: how many calls pass before it begins.
    """

    operations: frozenset[str]
    minutes: float
    cause: str = "throttled"
    skip: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    _since: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def in_force(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Refuse meanwhile."""
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, parameters: Any) -> Any:
            about = "*" in self.operations or operation in self.operations
            if about and self.skip > 0:
                self.skip -= 1
            elif about:
                since = self._since.setdefault("*" if "*" in self.operations else operation, time.time())
                if time.time() < since + 60 * self.minutes:
                    self.refused[operation] += 1
                    time.sleep(0.2)
                    raise CAUSES[self.cause](operation)
            return original(client, operation, parameters)

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
            yield


@dataclass
class Outcome:
    """What came of a run.

    :param state: the run's state.
    :param launches: how often each server was launched.
    :param sent: how often each script was sent or started.
    :param minutes: how long the run took, in minutes of AWS's time.
    :param operations: what was called, and how often.
    :param failed: the tasks that failed, with the reasons that they left.
    """

    state: str
    launches: Counter[str]
    sent: Counter[str]
    minutes: float
    operations: Counter[str]
    failed: dict[str, Any]

    @property
    def as_it_should_be(self) -> bool:
        """Whether the run succeeded, launched each server once and sent each script once."""
        once = {*self.launches.values(), *self.sent.values()} == {1}
        return self.state == "success" and once and set(self.launches) == {DB, APP1, APP2}


def run_in_silence(
    simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path, silence: Silence | None, mode: str
) -> Outcome:
    """Run the plan while AWS is silent.

    :param silence: None: AWS answers everything.
    :param mode: ``drill`` or ``recovery``.
    """
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER", str(folder))
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__INSTALLATION", "here")
    plan = RecoveryPlan.model_validate(PLAN)
    dag = build_dag(LoadedPlan(plan, folder / "plan.yaml", plan_hash(plan)))
    parameters = {"mode": mode, "confirm": plan.name if mode == "recovery" else ""}
    run = InProcessRun(dag, parameters, random.Random(1))
    with ExitStack() as stack:
        stack.enter_context(quick_aws(monkeypatch))
        if silence is not None:
            stack.enter_context(silence.in_force(monkeypatch))
        simulation.load(SCENARIO, speed=1)
        simulation.events.clear()
        began = time.time()
        state = run.go()
        minutes = (time.time() - began) / 60
        log = simulation.log
    calls = [entry for entry in log if entry.get("operation")]
    started = [entry for entry in calls if entry["operation"] == "StartRecovery" and not entry.get("error")]
    sent = [entry for entry in calls if entry["operation"] in SENDING and not entry.get("error")]
    # An automation that is started again with its token is the same one.
    tokens = {entry["params"]["ClientToken"]: entry for entry in sent if "ClientToken" in entry["params"]}
    commands = [entry for entry in sent if "ClientToken" not in entry["params"]]
    scripts = [entry["params"]["DocumentName"] for entry in tokens.values()]
    scripts += [entry["params"]["Comment"].partition(" silent.")[2] for entry in commands]
    return Outcome(
        state,
        Counter(one["sourceServerID"] for entry in started for one in entry["params"]["sourceServers"]),
        Counter(scripts),
        minutes,
        Counter(entry["operation"] for entry in calls),
        {task: run.xcoms.get(task, {}).get("evidence") for task, how in run.states.items() if how == "failed"},
    )


def operations_of(simulation: Simulation, monkeypatch: pytest.MonkeyPatch, folder: Path, mode: str) -> list[str]:
    """Return the operations that a run uses, as the simulator's log has them."""
    outcome = run_in_silence(simulation, monkeypatch, folder, None, mode)
    assert outcome.as_it_should_be, outcome
    return sorted(outcome.operations)


def main() -> int:
    """Measure every operation for every duration, then all together, and print a table; the exit code is the misses."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--modes", nargs="+", default=["recovery", "drill"])
    parser.add_argument("--operations", nargs="*", help="only these, and not all together")
    parser.add_argument("--minutes", nargs="+", type=float, default=list(MINUTES))
    arguments = parser.parse_args()
    missed = 0
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with mock_aws(), pytest.MonkeyPatch.context() as monkeypatch, tempfile.TemporaryDirectory() as folder:
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        simulation = activate(Simulation())
        try:
            for mode in arguments.modes:
                operations = operations_of(simulation, monkeypatch, Path(folder) / "plain", mode)
                chosen = arguments.operations or operations
                cases = [Silence(frozenset({one}), minutes) for one in chosen for minutes in arguments.minutes]
                if not arguments.operations:
                    cases += [Silence(frozenset({"*"}), 10, cause) for cause in CAUSES]
                for number, silence in enumerate(cases):
                    where = Path(folder) / f"{mode}-{number}"
                    outcome = run_in_silence(simulation, monkeypatch, where, silence, mode)
                    missed += not outcome.as_it_should_be
                    refused = ", ".join(sorted(silence.operations))
                    print(
                        f"{mode:9} {refused:32} {silence.cause:20} {silence.minutes:4g} min"
                        f"  {silence.refused.total():5} refused  {outcome.minutes:6.1f} min"
                        f"  {'ok' if outcome.as_it_should_be else outcome}",
                        flush=True,
                    )
        finally:
            deactivate()
    print(f"{missed} runs missed")
    return min(missed, 1)


if __name__ == "__main__":
    raise SystemExit(main())
