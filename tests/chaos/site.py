"""Where a campaign takes place: a real Airflow on a real PostgreSQL, the simulator, and a keeper that starts again what
was killed, as systemd, Kubernetes and Compose do.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from drs_provider.rehearsal.airflow_api import AirflowApi
from drs_provider.rehearsal.environment import simulator_credentials
from drs_provider.rehearsal.private_airflow import PrivateAirflow
from drs_provider.rehearsal.simulator_process import SimulatorProcess
from tests.chaos.cases import REGION
from tests.postgres_server import PostgresServer

__all__ = ["CONTINUE_FOR", "USERS", "Disk", "Site"]

USERS = ("admin", "alice", "carol", "dave", "erin", "mallory")
"""The users of Airflow; everybody may edit runs."""
CONTINUE_FOR = 30.0
"""For how many seconds a run that failed may be continued: days pass as seconds."""

_WORKER = "airflow worker -- LocalExecutor"


class Disk:
    """A small file system of its own for task logs and reports, so that it can be filled.

    Mounting takes root; without it nothing is mounted, and :attr:`mounted` is False.
    """

    def __init__(self, folder: Path, megabytes: int = 48) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder)]
        self.mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0

    def fill(self) -> None:
        """Take the last byte."""
        with contextlib.suppress(OSError), (self.folder / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 65536)
        with contextlib.suppress(OSError), (self.folder / "ballast").open("ab", buffering=0) as file:
            while True:
                file.write(b"\0" * 512)

    def free(self) -> None:
        """Give the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)

    def release(self) -> None:
        """Unmount."""
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)


class Site:
    """Airflow, its database, AWS, and the keeper.

    :param speed: how many times faster than real time AWS is.
    :param rng: draws how long a dead component stays dead.
    :param keep: where to leave the folder afterwards; absent: it is deleted.
    """

    def __init__(self, *, speed: float = 60, rng: random.Random | None = None, keep: Path | None = None) -> None:
        # Not a folder of pytest's: the database's own user must be able to enter it.
        self.folder = Path(tempfile.mkdtemp(prefix="drs-chaos-"))
        self.folder.chmod(0o755)
        self._keep = keep
        self._rng = rng or random.Random()
        self.plans_folder = self.folder / "plans"
        self.plans_folder.mkdir()
        self.disk = Disk(self.folder / "disk")
        self.reports = self.disk.folder / "reports"
        self.postgres = PostgresServer(self.folder)
        self.simulator = SimulatorProcess(self.folder / "simulator", {"region": REGION}, speed=speed)
        self.airflow = PrivateAirflow(
            self.folder / "airflow",
            self.plans_folder,
            {
                **simulator_credentials(self.simulator.endpoint_url, REGION),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.postgres.url(),
                "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.disk.folder / "logs"),
                "AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER": str(self.reports),
                "AIRFLOW__CORE__PARALLELISM": "32",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:admin" for name in USERS),
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
                "AIRFLOW__DRS_PROVIDER__INSTALLATION": "north",
                "AIRFLOW__DRS_PROVIDER__CONTINUE_FOR": f"{CONTINUE_FOR:g}s",
            },
        )
        (self.folder / "passwords.json").write_text(json.dumps({name: name for name in USERS}))
        self._users: dict[str, AirflowApi] = {}
        self.api = self.airflow.api = self.as_user("admin")
        self.restarts: Counter[str] = Counter()
        self._orphans: list[psutil.Process] = []
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._restart_the_dead, name="keeper", daemon=True)

    def as_user(self, name: str) -> AirflowApi:
        """Airflow's API for one of :data:`USERS`."""
        if name not in self._users:
            self._users[name] = AirflowApi(self.airflow.url, name, name)
        return self._users[name]

    @contextmanager
    def running(self) -> Iterator[Site]:
        """Start everything on entering; stop it and clear up on leaving, whatever happened."""
        try:
            self.postgres.start()
            self.simulator.start()
            self.airflow.start(timeout=240)
            self._keeper.start()
            yield self
        finally:
            self._stopping.set()
            if self._keeper.ident:
                self._keeper.join(timeout=60)
            self._gather(list(self.airflow.components))
            self.airflow.stop()
            self._end_orphans()
            self.simulator.stop()
            self.postgres.stop()
            if self._keep:
                shutil.copytree(self.folder, self._keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("postgres"))
            self.disk.release()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _restart_the_dead(self) -> None:
        # One thread for the whole life of the site: the kernel ends processes with the thread that started them.
        while not self._stopping.wait(0.3):
            for name, component in self.airflow.components.items():
                if not component.alive and not self._stopping.is_set():
                    self._stopping.wait(self._rng.uniform(0.5, 4.0))
                    if not self._stopping.is_set():
                        self.restarts[name] += 1
                        component.start()

    # Plans

    def write_plan(self, name: str, plan: Any) -> Path:
        """Write a plan file as an editor does: whole, in one step. JSON is YAML."""
        path = self.plans_folder / f"{name}.yaml"
        temporary = path.with_suffix(".tmp")
        temporary.write_text(plan if isinstance(plan, str) else json.dumps(plan, indent=1))
        temporary.replace(path)
        return path

    # Processes

    def _gather(self, names: list[str]) -> list[psutil.Process]:
        family = [process for name in names for process in self.airflow.components[name].descendants()]
        self._orphans += family
        return family

    def _end_orphans(self) -> None:
        # A process of psutil knows when it began: another that was given its number is left alone.
        for process in self._orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self._orphans, timeout=5)
        self._orphans.clear()

    def busy_workers(self) -> list[tuple[psutil.Process, psutil.Process]]:
        """Each worker that runs a task, with the task's own process.

        Idle workers are left alone: one of them holds the lock of LocalExecutor's queue, and when it is killed no
        worker ever gets a task again. That is Airflow's, and does not happen to Celery.
        """
        pairs = []
        for process in self.airflow.components["scheduler"].descendants():
            with contextlib.suppress(psutil.Error):
                if " ".join(process.cmdline()).startswith(_WORKER):
                    pairs += [(process, child) for child in process.children()]
        return pairs

    def kill_task(self, rng: random.Random, *, worker: bool, runner: bool) -> bool:
        """Kill a worker, the process of its task, or both; return whether there was one.

        A worker is killed when its task has begun. One that has taken a task from LocalExecutor's queue and not begun
        it takes the task along, which stays queued until the scheduler starts again: LocalExecutor cannot revoke tasks.
        That too is Airflow's own; on executors that can, ``task_queued_timeout`` helps.
        """
        pairs = self.busy_workers()
        if worker:
            begun = self._processes_of_running_tasks()
            pairs = [pair for pair in pairs if pair[1].pid in begun]
        if not pairs:
            return False
        chosen = rng.choice(pairs)
        self._orphans += chosen
        for process, wanted in zip(chosen, (worker, runner), strict=True):
            if wanted:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        return True

    def _processes_of_running_tasks(self) -> set[int]:
        path = "/dags/~/dagRuns/~/taskInstances"
        running = self.api.call("GET", path, params={"state": "running", "limit": 100})["task_instances"]
        return {instance["pid"] for instance in running}

    def kill_component(self, name: str, *, family: bool) -> None:
        """Kill a component of Airflow; with its descendants, as the loss of a container does, or alone."""
        children = self._gather([name])
        component = self.airflow.components[name]
        if component.alive:
            component.kill()
        for child in children if family else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def wait_until_well(self, timeout: float = 120) -> None:
        """Wait until every component runs and the API server answers."""
        deadline = time.monotonic() + timeout
        while not (all(one.alive for one in self.airflow.components.values()) and self.api.healthy()):
            if time.monotonic() > deadline:
                raise TimeoutError("Airflow does not come back: " + self.tails())
            time.sleep(0.5)

    def tails(self) -> str:
        """The end of each component's log."""
        return "\n".join(f"{name}:\n{one.log_tail(8)}" for name, one in self.airflow.components.items())
