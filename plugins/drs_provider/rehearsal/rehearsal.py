"""One run of one plan from start to end on a private Airflow against the simulator."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drs_provider.pace import Pace
from drs_provider.plan import Approval, LoadedPlan, RecoveryPlan
from drs_provider.plan.references import references_in
from drs_provider.plan.targets import simulated_accounts, simulated_role
from drs_provider.rehearsal.airflow_api import FINISHED_STATES, AirflowApi
from drs_provider.rehearsal.ending import FailedTask, failed_tasks, lines_for_people
from drs_provider.rehearsal.environment import simulator_credentials
from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.processes import stop_all
from drs_provider.rehearsal.progress import RunProgress
from drs_provider.rehearsal.scenario import write_scenario
from drs_provider.rehearsal.simulator_process import SimulatorProcess
from drs_provider.timestamps import parse_timestamp

__all__ = ["FailedTask", "Rehearsal", "RehearsalResult"]

_POLL_SECONDS = 0.5
_LOG_LINES = 6


@dataclass(frozen=True)
class RehearsalResult:
    """How a rehearsal ended.

    :param run_id: Airflow's run id.
    :param state: ``success`` or ``failed``.
    :param failed: the tasks that failed, the first failure first.
    :param report: the folder of the report, None when none was written.
    :param unstruck: the scenario's faults that hit no call, in words: what they were to show was not shown.
    """

    run_id: str
    state: str
    failed: tuple[FailedTask, ...]
    report: Path | None
    unstruck: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.state == "success"


class Rehearsal:
    """A private Airflow and a simulator for one plan file.

    :param loaded: the plan.
    :param folder: a folder for everything that the rehearsal writes.
    :param scenario: what the simulator serves: a mapping or the path of a scenario file; None: made from the plan,
        everything goes well.
    :param speed: how many times faster than real time AWS is.
    :param log_path: the simulator's log; absent: in the folder.
    :param settings: further environment variables for Airflow.
    :param port: the port of Airflow's UI; 0 takes a free one.
    :param airflow_home: the AIRFLOW_HOME; absent: in the folder.
    :param real_pauses: keep the plan's pauses and deadlines as long as it says, instead of as fast as AWS.
    """

    def __init__(
        self,
        loaded: LoadedPlan,
        folder: Path,
        scenario: Mapping[str, Any] | Path | None = None,
        *,
        speed: float = 60,
        log_path: Path | None = None,
        settings: Mapping[str, str] | None = None,
        port: int = 0,
        airflow_home: Path | None = None,
        real_pauses: bool = False,
    ) -> None:
        self.loaded = loaded
        self.pace = Pace.of_rehearsal(speed, real_pauses=real_pauses)
        self.folder = folder
        plans = folder / "plans"
        plans.mkdir(parents=True, exist_ok=True)
        # Airflow reads *.yaml and *.yml only; and of two files of one name the one that is called so is the plan, where
        # an earlier rehearsal in this folder left another.
        self.plan_file = plans / f"{loaded.plan.name}.yaml"
        shutil.copy(loaded.path, self.plan_file)
        self._scenario_to_write: Path | None = None
        if scenario is None:
            scenario = self._scenario_to_write = folder / "simulator" / "scenario.yaml"
        self.simulator = SimulatorProcess(folder / "simulator", scenario, speed=speed, log_path=log_path)
        self._parameters: dict[str, Mapping[str, Any]] = {}
        self._answered: Counter[str] = Counter()
        self._passwords = {name: secrets.token_urlsafe(12) for name in _approvers(loaded.plan)}
        self.airflow = PrivateAirflow(
            airflow_home or folder / "airflow",
            plans,
            {
                **simulator_credentials(self.simulator.endpoint_url, loaded.plan.default_target.region),
                f"AIRFLOW_CONN_{loaded.plan.default_target.aws_conn_id.upper()}": "aws://",
                **_connections(loaded.plan),
                **_stand_ins(loaded.plan),
                "AIRFLOW__DRS_PROVIDER__REHEARSAL_SPEED": f"{speed:g}",
                "AIRFLOW__DRS_PROVIDER__REHEARSAL_PAUSES": "real" if real_pauses else "scaled",
                **self._users(),
                **(settings or {}),
            },
            port=port,
        )
        if self._passwords:
            self.airflow.api = AirflowApi(self.airflow.url, "admin", self._passwords["admin"])

    def _users(self) -> dict[str, str]:
        """Return the settings that let the plan's approvers in, each under their own name."""
        if not self._passwords:
            return {}
        passwords = self.folder / "passwords.json"
        passwords.write_text(json.dumps(self._passwords))
        passwords.chmod(0o600)
        return {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in self._passwords),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        }

    @property
    def login(self) -> str:
        """How a person gets into the UI, for the terminal."""
        return f"user admin, password {self._passwords['admin']}" if self._passwords else "no login needed"

    @contextmanager
    def running(self) -> Iterator[Rehearsal]:
        """Start the simulator and Airflow side by side on entering; stop both on leaving, whatever happened."""
        from drs_provider.rehearsal.simulated_network import install

        try:
            install(self.airflow.home / "plugins")
            self.airflow.launch()
            if self._scenario_to_write:
                write_scenario(self.loaded.path, self._scenario_to_write)
            self.simulator.process.start()
            self.airflow.wait_until_ready()
            self.simulator.wait_until_ready()
            self.airflow.wait_for_dag(self.loaded.plan.name)
            yield self
        finally:
            # All at once: a second Ctrl-C must find no moment between the end of one and that of the other.
            stop_all([*self.airflow.components.values(), self.simulator.process])
            self.airflow.api.close()

    def start_run(self, conf: Mapping[str, Any]) -> str:
        """Start a run with these run parameters and return its run id."""
        run_id = self.airflow.api.trigger(self.loaded.plan.name, dict(conf))
        self._parameters[run_id] = conf
        return run_id

    def watch(
        self,
        run_id: str,
        show: Callable[[RunProgress], None] = lambda progress: None,
        *,
        approve: bool = False,
        timeout: float = 3600,
    ) -> RehearsalResult:
        """Follow a run to its end.

        :param run_id: the run.
        :param show: called with the progress, about twice a second.
        :param approve: whether questions to a person are answered with yes, in an approver's name.
        :param timeout: seconds until the run must have ended.
        :raises TimeoutError: when it has not.
        :raises ProcessDied: when a component of Airflow ends meanwhile.
        """
        api, dag_id = self.airflow.api, self.loaded.plan.name
        progress = RunProgress(
            self.loaded.plan,
            self._parameters.get(run_id, {}),
            self.pace,
            {} if approve else self._how_to_approve(),
        )
        deadline = time.monotonic() + timeout
        while True:
            run = api.run(dag_id, run_id)
            tasks = api.task_instances(dag_id, run_id)
            progress.update(
                {task: instance["state"] for task, instance in tasks.items()},
                self.simulator.log.read(),
                {task: parse_timestamp(began) for task, one in tasks.items() if (began := one.get("start_date"))},
            )
            show(progress)
            if run["state"] in FINISHED_STATES:
                break
            if approve:
                self._approve_pending(run_id)
            self.airflow.supervise()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the run {run_id} did not end within {timeout:g} s")
            time.sleep(_POLL_SECONDS)
        failed = tuple(
            FailedTask(instance["task_id"], self._last_lines(run_id, instance))
            for instance in failed_tasks(tasks.values())
        )
        # The report task fails when the run did, and a failed task has no return value: it has a key of its own.
        written = api.xcom(dag_id, run_id, "report", "report_folder")
        report = Path(str(written).removeprefix("file://")) if written else None
        unstruck = tuple(self.simulator.unstruck_faults())
        return RehearsalResult(run_id, run["state"], failed, report, unstruck)

    def _last_lines(self, run_id: str, instance: Mapping[str, Any]) -> tuple[str, ...]:
        log = self.airflow.api.task_log(self.loaded.plan.name, run_id, instance["task_id"], instance["try_number"])
        return lines_for_people(log, _LOG_LINES)

    def _how_to_approve(self) -> dict[str, str]:
        """Return what a person has to do for each approval of the plan, by the task that asks."""
        asking = {"confirm": self.loaded.plan.recovery.approval}
        asking |= {f"{wave.name}.approve": wave.approval for wave in self.loaded.plan.waves}
        return {task: self._answer_as(_people_of(approval)) for task, approval in asking.items() if approval}

    def _answer_as(self, people: tuple[str, ...]) -> str:
        users = people or tuple(list(self._passwords)[:1])
        logins = " or ".join(f"user {user}, password {self._passwords[user]}" for user in users)
        return f"answer it in Airflow at {self.airflow.url} ({logins or 'no login needed'})"

    def _approve_pending(self, run_id: str) -> None:
        dag_id = self.loaded.plan.name
        for task_id in self.airflow.api.pending_approvals(dag_id, run_id):
            api = self.airflow.api
            approvers = _approvers_of(self.loaded.plan, task_id)
            if approvers:
                # Each question of a task is put to somebody else.
                number = self._answered[task_id] % len(approvers)
                api = AirflowApi(self.airflow.url, approvers[number], self._passwords[approvers[number]])
            api.answer_approval(dag_id, run_id, task_id, "Approve")
            self._answered[task_id] += 1


def _approvers(plan: RecoveryPlan) -> list[str]:
    """Return everybody who approves in a rehearsal, after ``admin``; nobody when anybody may."""
    approvals = [plan.recovery.approval, *(wave.approval for wave in plan.waves)]
    names = dict.fromkeys(name for approval in approvals for name in _people_of(approval))
    return ["admin", *(name for name in names if name != "admin")] if names else []


def _connections(plan: RecoveryPlan) -> dict[str, str]:
    """Return the connections to the simulated accounts beside the first: each by a role, as in AWS."""
    return {
        f"AIRFLOW_CONN_{connection.upper()}": json.dumps(
            {"conn_type": "aws", "extra": {"role_arn": simulated_role(account)}}
        )
        for connection, account in simulated_accounts(plan).items()
    }


def _stand_ins(plan: RecoveryPlan) -> dict[str, str]:
    """Return a connection in the place of each that scripts refer to: a rehearsal knows no secrets, and needs none."""
    scripts = [one for wave in plan.waves for one in (*wave.pre_launch, *wave.post_launch, *wave.rollback)]
    wanted = {
        found.connection_id for script in scripts for given in script.every_parameters for found in references_in(given)
    }
    return {f"AIRFLOW_CONN_{name.upper()}": "generic://stand-in:stand-in@stand-in:1/stand-in" for name in wanted}


def _approvers_of(plan: RecoveryPlan, task_id: str) -> tuple[str, ...]:
    wave_name, _, task = task_id.rpartition(".")
    own = next((wave.approval for wave in plan.waves if wave.name == wave_name), None)
    approval = own if task == "approve" else plan.recovery.approval
    return _people_of(approval)


def _people_of(approval: Approval | None) -> tuple[str, ...]:
    """Return who answers: the named approvers, or stand-ins where the plan asks for several people."""
    if approval is None or approval.approvers or approval.count == 1:
        return approval.approvers if approval else ()
    return tuple(f"approver-{number}" for number in range(1, approval.count + 1))
