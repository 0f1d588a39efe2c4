"""A real Airflow for one rehearsal: scheduler, triggerer, dag-processor and API server on SQLite, on free ports, in a
folder of its own. The same components as in production, only smaller.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from importlib import resources
from pathlib import Path

from drs_provider.deploy.settings import as_environment
from drs_provider.rehearsal.airflow_api import AirflowApi
from drs_provider.rehearsal.airflow_on_sqlite import (
    copy_empty_database,
    install_one_writer,
    keep_empty_database,
    never_reuse_trigger_ids,
)
from drs_provider.rehearsal.environment import clean_environment
from drs_provider.rehearsal.processes import ChildProcess, free_port, require_free_port, stop_all, wait_until

__all__ = ["COMPONENTS", "PrivateAirflow", "dag_files"]

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}

# When a person clears a task, Airflow gives it a new id. On PostgreSQL the scheduler locks the rows that it is about to
# change; SQLite has no such locks, and a scheduler that still had the old id ends with this error.
_CHANGED_MEANWHILE = "StaleDataError"
_MAX_SCHEDULER_RESTARTS = 3

# Nothing defers in a run's first seconds, and the processors have enough to do until the API server answers.
_LAST = "triggerer"


def dag_files() -> list[Path]:
    """Return the two DAG files that turn plan files into DAGs: inside an installed package, or in the repository."""
    package = Path(str(resources.files("drs_provider")))
    for folder in (package / "dags", package.parent.parent / "dags"):
        if (folder / "recovery_plans.py").is_file():
            return sorted(folder.glob("recovery_plan*.py"))
    raise FileNotFoundError(
        "the DAG file recovery_plans.py is neither in the package nor beside it; reinstall the package"
    )


class PrivateAirflow:
    """An Airflow in a folder, with its processes.

    :param home: the AIRFLOW_HOME; made where it is missing.
    :param plans_folder: the folder of the plan files.
    :param settings: environment variables that go over the defaults (``AIRFLOW__SECTION__KEY``, ``AWS_…``).
    :param port: the API server's port; 0 takes a free one.
    """

    def __init__(
        self, home: Path, plans_folder: Path, settings: Mapping[str, str] | None = None, *, port: int = 0
    ) -> None:
        self.home = home
        self.plans_folder = plans_folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.dags_folder = home / "dags"
        self.env = self._environment(settings or {})
        self.components = {name: self._component(name, arguments) for name, arguments in COMPONENTS.items()}
        self.api = AirflowApi(self.url)
        self.scheduler_restarts = 0
        self._launched: datetime | None = None

    def _environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        return {
            **clean_environment(),
            **as_environment(),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags_folder),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # SQLite lets one process write at a time; on a busy machine its default patience of 5 s becomes errors.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}?timeout=60",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DRS_PROVIDER__PLANS_FOLDER": str(self.plans_folder),
            "AIRFLOW__DRS_PROVIDER__REPORTS_FOLDER": str(self.home / "reports"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **settings,
        }

    def _component(self, name: str, arguments: tuple[str, ...]) -> ChildProcess:
        command = [sys.executable, "-m", "airflow", *arguments]
        if name == "api-server":
            # Everything else waits for it.
            command[2] = "drs_provider.rehearsal.quick_start"
            command += ["--port", str(self.port)]
        return ChildProcess(name, command, self.env, self.home / "logs" / f"{name}.log")

    @property
    def has_own_database(self) -> bool:
        """Whether the database is the SQLite file in the home, and no other that the settings name."""
        address = self.env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].partition("?")[0]
        return address == f"sqlite:///{self.home / 'airflow.db'}"

    def start(self, timeout: float = 120) -> None:
        """Make the database and start the components; return when the API server answers.

        :param timeout: seconds until the API server must answer.
        :raises ProcessDied: when a component ends.
        :raises PortTaken: when somebody else listens on the API server's port.
        """
        self.launch(timeout)
        self.wait_until_ready(timeout)

    def launch(self, timeout: float = 120) -> None:
        """Make the database, start the components, and return while they still come up.

        :param timeout: seconds until the database must be made.
        :raises ProcessDied: when it cannot be made.
        :raises AirflowChangedError: when it is not as it is known.
        :raises PortTaken: when somebody else listens on the API server's port.
        """
        require_free_port(self.port)
        self._launched = datetime.now(timezone.utc)
        self.dags_folder.mkdir(parents=True, exist_ok=True)
        if self.has_own_database:
            install_one_writer(self.home / "plugins")
        for file in dag_files():
            shutil.copy(file, self.dags_folder / file.name)
        database = self.home / "airflow.db"
        new = self.has_own_database and not database.exists()
        if not new or not copy_empty_database(database):
            self._migrate(timeout)
            if new:
                never_reuse_trigger_ids(database)
                keep_empty_database(database)
        for name, component in self.components.items():
            if name != _LAST:
                component.start()

    def wait_until_ready(self, timeout: float = 120) -> None:
        """Return when the API server answers; parameters and errors are those of :meth:`start`."""
        wait_until(
            self.api.healthy,
            "the API server's first answer",
            timeout=timeout,
            children=self.components.values(),
        )
        self.components[_LAST].start()

    def _migrate(self, timeout: float) -> None:
        migrate = ChildProcess(
            "db migrate",
            [sys.executable, "-m", "airflow", "db", "migrate"],
            self.env,
            self.home / "logs" / "migrate.log",
        )
        migrate.start()
        try:
            wait_until(lambda: not migrate.alive, "airflow db migrate", timeout=timeout)
            if migrate.exit_code != 0:
                migrate.check()
        finally:
            stop_all([migrate])

    def stop(self) -> None:
        """End every process of this Airflow."""
        self.api.close()
        # Somebody waits, and nothing of this Airflow is needed afterwards: who takes longer is killed.
        stop_all(self.components.values(), grace=3.0)

    def restart(self, name: str) -> None:
        """Start one component again after it was killed."""
        self.components[name].start()

    def supervise(self) -> None:
        """Look after the components, as a supervisor of services does; to be called again and again.

        A scheduler that SQLite let run into somebody else's change is started again, some times. Anything else that
        ended is a fault.

        :raises ProcessDied: when a component ended for another reason, or the scheduler once too often.
        """
        for name, component in self.components.items():
            if (
                name == "scheduler"
                and component.exit_code not in (None, 0)
                and _CHANGED_MEANWHILE in component.log_tail()
                and self.scheduler_restarts < _MAX_SCHEDULER_RESTARTS
            ):
                self.scheduler_restarts += 1
                self.restart(name)
            component.check()

    @contextmanager
    def running(self, timeout: float = 120) -> Iterator[PrivateAirflow]:
        """Start on entering, and stop on leaving, whatever happened."""
        try:
            self.start(timeout)
            yield self
        finally:
            self.stop()

    def wait_for_dag(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until a DAG can be triggered.

        :raises TimeoutError: when it cannot in time; the message holds Airflow's import errors.
        """
        try:
            wait_until(
                # A home that is kept has the DAG of its last time, and the plan may be another since.
                lambda: self.api.has_dag(dag_id, self._launched),
                f"DAG {dag_id}",
                timeout=timeout,
                children=self.components.values(),
            )
        except TimeoutError as error:
            errors = json.dumps(self.api.import_errors(), indent=2)
            raise TimeoutError(f"{error}. Import errors: {errors}") from None
