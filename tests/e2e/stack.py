"""A real Airflow and a simulator for end-to-end tests, and questions to the simulator's log about one run.

Order, duplicates and latency are judged from the simulator's log, never from what the orchestrator says of itself.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from drs_provider.rehearsal.airflow_api import FINISHED_STATES, AirflowApi
from drs_provider.rehearsal.environment import simulator_credentials
from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.simulator_process import SimulatorProcess

REGION = "us-west-2"
USERS = ("admin", "alice", "bob", "carol", "dora")
"""People who may log in to the tests' Airflow, each with their name as password."""


def servers(prefix: str, count: int, **details: Any) -> list[dict[str, Any]]:
    """Source servers for a scenario, with ids that begin alike: ``servers("db", 2)``."""
    code = "".join(f"{ord(letter):02x}" for letter in prefix)[:12]
    return [
        {"id": f"s-{code:0<12}{number:05x}", "hostname": f"{prefix}{number:02d}", "tags": {"Tier": prefix}, **details}
        for number in range(1, count + 1)
    ]


@dataclass
class RunLog:
    """What the simulator saw of one run.

    :param calls: the StartRecovery calls of the run that were accepted, in order.
    :param events: the changes of state of the run's jobs, in order.
    """

    calls: list[dict[str, Any]]
    events: list[dict[str, Any]]

    def launches(self) -> dict[str, list[str]]:
        """Source servers of each wave, as often as they were launched."""
        found: dict[str, list[str]] = {}
        for call in self.calls:
            wave = call["params"]["tags"]["drs-provider:wave"]
            found.setdefault(wave, []).extend(s["sourceServerID"] for s in call["params"]["sourceServers"])
        return found

    def started(self, wave: str) -> float:
        """When the wave's first StartRecovery was made, in epoch seconds."""
        return min(c["t"] for c in self.calls if c["params"]["tags"]["drs-provider:wave"] == wave)

    def ended(self, wave: str) -> float:
        """When the wave's last job ended, in epoch seconds."""
        wanted = set(self.launches()[wave])
        jobs = {e["job"] for e in self.events if e.get("server") in wanted}
        return max(e["t"] for e in self.events if e["event"] == "JOB_END" and e["job"] in jobs)


@dataclass
class Stack:
    """One Airflow and one simulator.

    :param folder: a temporary folder.
    :param scenario: what the simulator serves.
    :param plans: plan files by name.
    :param speed: how many times faster than real time AWS is.
    :param settings: further environment variables for Airflow.
    :param dags: a folder of further DAG files.
    """

    folder: Path
    scenario: Mapping[str, Any]
    plans: Mapping[str, str] = field(default_factory=dict)
    speed: float = 60
    settings: Mapping[str, str] = field(default_factory=dict)
    dags: Path | None = None

    def __post_init__(self) -> None:
        self.plans_folder = self.folder / "airflow" / "plans"
        self.plans_folder.mkdir(parents=True)
        for name, text in self.plans.items():
            self.write_plan(name, text)
        self.simulator = SimulatorProcess(self.folder / "simulator", self.scenario, speed=self.speed)
        self.airflow = PrivateAirflow(
            self.folder / "airflow",
            self.plans_folder,
            {
                **simulator_credentials(self.simulator.endpoint_url, REGION),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in USERS),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
                "AIRFLOW__DRS_PROVIDER__NOTIFIERS": "airflow.sdk.* unittest.*",
                **self.settings,
            },
        )
        (self.folder / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
        self.api = self.airflow.api = self.as_user("admin")
        if self.dags is not None:
            shutil.copytree(self.dags, self.airflow.dags_folder)

    @contextmanager
    def running(self) -> Iterator[Stack]:
        """Start both on entering, stop both on leaving."""
        try:
            self.simulator.process.start()
            self.airflow.start()
            self.simulator.wait_until_ready()
            yield self
        finally:
            self.airflow.stop()
            self.simulator.stop()

    def write_plan(self, name: str, text: str) -> Path:
        """Write a plan file as an editor does: whole, in one step."""
        path = self.plans_folder / f"{name}.yaml"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(text)
        temporary.replace(path)
        return path

    def start(self, dag_id: str, **conf: Any) -> str:
        """Start a run through the REST API, as soon as its DAG is there."""
        self.airflow.wait_for_dag(dag_id)
        return self.api.trigger(dag_id, conf)

    def as_user(self, name: str) -> AirflowApi:
        """Airflow's API for one of :data:`USERS`."""
        return AirflowApi(self.airflow.url, name, name)

    def token(self, name: str) -> str:
        """The token of one of :data:`USERS`: for a browser, the value of the cookie ``_token``."""
        login = {"username": name, "password": name}
        answer = httpx.post(f"{self.airflow.url}/auth/token", json=login, timeout=30, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """Airflow's state of each task."""
        return {task: instance["state"] for task, instance in self.api.task_instances(dag_id, run_id).items()}

    def wait(self, dag_id: str, run_id: str, timeout: float = 180) -> str:
        """Wait until a run has ended and return its state."""
        self.until(lambda: self.api.run(dag_id, run_id)["state"] in FINISHED_STATES, f"the end of {run_id}", timeout)
        return str(self.api.run(dag_id, run_id)["state"])

    def until(self, condition: Callable[[], Any], what: str, timeout: float = 90, pause: float = 0.3) -> None:
        """Wait until a condition holds, with all components looked after.

        :param timeout: seconds after which this fails.
        :param pause: seconds between two looks.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            self.airflow.supervise()
            assert time.monotonic() < deadline, f"{what} did not happen within {timeout} s"
            time.sleep(pause)

    def go_through(self, flows: Mapping[str, Iterator[Callable[[], Any]]], what: str, timeout: float) -> None:
        """Let flows go on side by side to their ends: each yields the condition for its next step.

        They are looked at once a second: the looks of twenty flows would else take half a core of Airflow's API server.
        """
        waiting = {name: next(flow) for name, flow in flows.items()}

        def all_over() -> bool:
            for name, condition in list(waiting.items()):
                if condition():
                    step = next(flows[name], None)
                    if step is None:
                        del waiting[name]
                    else:
                        waiting[name] = step
            return not waiting

        try:
            self.until(all_over, what, timeout, pause=1.0)
        except AssertionError as error:
            raise AssertionError(f"{error}; these did not get on: {', '.join(waiting)}") from error

    def log_of(self, dag_id: str, run_id: str, task_id: str) -> str:
        """The log of a task's last try."""
        instance = self.api.task_instances(dag_id, run_id)[task_id]
        return "\n".join(self.api.task_log(dag_id, run_id, task_id, instance["try_number"]))

    def report(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """The evidence that a run left."""
        folder = self.api.xcom(dag_id, run_id, "report", "report_folder").removeprefix("file://").removeprefix("file:")
        return dict(json.loads((Path(folder) / "report.json").read_text()))

    def seen_of_plan(self, dag_id: str) -> list[dict[str, Any]]:
        """The accepted StartRecovery calls of all runs of a plan."""
        calls = self.simulator.log.calls("StartRecovery")
        return [c for c in calls if not c.get("error") and c["params"]["tags"]["drs-provider:dag"] == dag_id]

    def seen(self, dag_id: str, run_id: str) -> RunLog:
        """What the simulator saw of a run."""
        calls = [
            call
            for call in self.simulator.log.calls("StartRecovery")
            if not call.get("error") and call["params"]["tags"]["drs-provider:run"] == f"{dag_id}/{run_id}"
        ]
        wanted = {s["sourceServerID"] for call in calls for s in call["params"]["sourceServers"]}
        log = self.simulator.log.read()
        # Launches only, not the jobs that end instances, and of this run only: a job begins with its call.
        launches = {e["job"] for e in log if e.get("event") == "SNAPSHOT_START" and e.get("server") in wanted}
        jobs = {
            e["job"]
            for e in log
            if e.get("event") == "JOB_START" and any(-0.5 <= e["t"] - call["t"] <= 2 for call in calls)
        } & launches
        events = [e for e in self.simulator.log.read() if e.get("event") and e.get("job") in jobs]
        return RunLog(calls, events)
