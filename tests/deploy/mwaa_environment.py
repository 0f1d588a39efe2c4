"""An environment of Amazon MWAA on this machine: the versions of its image, its settings, and a bundle in its place.

What is not MWAA's: Redis stands for SQS, and one machine for the containers. The folder /usr/local/airflow is a
temporary one, and is replaced in the bundle's requirements.
"""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drs_provider.rehearsal.environment import clean_environment
from tests.deploy.compose_processes import load_services

__all__ = ["MwaaEnvironment"]

_HOME = "/usr/local/airflow"
_PARTS = {
    "scheduler": ["airflow", "scheduler"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer"],
    "worker": ["airflow", "celery", "worker"],
}


class MwaaEnvironment:
    """The folders, the installed bundle and the services of one environment.

    :param root: the repository.
    :param airflow: the version of Airflow.
    :param folder: stands for the file system of the containers; every user must be able to enter it.
    """

    def __init__(self, root: Path, airflow: str, folder: Path) -> None:
        self.root = root
        self.airflow = airflow
        self.home = folder / "airflow"
        self.installed = folder / "installed"
        self.programs = root / f".venv-mwaa-{airflow}" / "bin"

    def build_image(self) -> None:
        """Make the virtual environment of the image's versions, once."""
        command = ["make", f".venv-mwaa-{self.airflow}/.ready"]
        subprocess.run(command, cwd=self.root, check=True, capture_output=True)

    def take(self, bundle: Path) -> str:
        """Unpack a bundle and install its requirements as MWAA does; return pip's output.

        :raises subprocess.CalledProcessError: when they cannot be installed.
        """
        for file in (bundle / "dags").rglob("*"):
            if file.is_file():
                target = self.home / "dags" / file.relative_to(bundle / "dags")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
        with zipfile.ZipFile(bundle / "plugins.zip") as archive:
            archive.extractall(self.home / "plugins")
        requirements = self.home / "requirements.txt"
        requirements.write_text((bundle / "requirements.txt").read_text().replace(_HOME, str(self.home)))
        essential = self.root / "constraints" / f"mwaa-essential-{self.airflow}.txt"
        command = [str(self.programs / "python"), "-m", "pip", "install", "--prefix", str(self.installed)]
        command += ["--constraint", str(essential), "--requirement", str(requirements)]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def settings(self, aws: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
        """Return the environment variables of every part.

        :param aws: how AWS is reached.
        :param options: the Airflow options of the environment, by MWAA's names.
        """
        packages = next((self.installed / "lib").glob("python*/site-packages"))
        path = [str(self.installed / "bin"), str(self.programs), os.environ["PATH"]]
        chosen = {f"AIRFLOW__{name.replace('.', '__').upper()}": value for name, value in options.items()}
        return {
            **chosen,
            # Forced, whatever the options say.
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__MULTI_TEAM": "False",
            "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800",
            "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
            "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
            "AIRFLOW__API__SERVER_TYPE": "gunicorn",
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            "PYTHONPATH": os.pathsep.join([str(packages), str(self.home / "plugins")]),
            "PATH": os.pathsep.join(path),
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__FERNET_KEY": "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",
            "AIRFLOW__API__SECRET_KEY": "mwaa",
            "AIRFLOW__API_AUTH__JWT_SECRET": "mwaa" * 16,
            **aws,
        }

    def command(self, *words: str, settings: Mapping[str, str]) -> str:
        """Run a program of the environment and return its output."""
        env = {**clean_environment(), **settings}
        done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def services(self, settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
        """Return the environment's services, with the database and the broker of docker-compose.yaml beside them."""
        passwords = {"POSTGRES_PASSWORD": "mwaa", "REDIS_PASSWORD": "mwaa"}
        others = dict.fromkeys(re.findall(r"\$\{(\w+):\?", (self.root / "docker-compose.yaml").read_text()), "unused")
        stores = load_services(self.root / "docker-compose.yaml", others | passwords)
        environment = {
            **settings,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://api-server:8080/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://airflow:mwaa@postgres:5432/airflow",
            "AIRFLOW__CELERY__RESULT_BACKEND": "db+postgresql://airflow:mwaa@postgres:5432/airflow",
            "AIRFLOW__CELERY__BROKER_URL": "redis://:mwaa@redis:6379/0",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "8793",
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": "8794",
        }
        part = {
            "image": "mwaa",
            "environment": environment,
            "expose": ["8793", "8794"],
            "depends_on": {"init": {"condition": "service_completed_successfully"}},
        }
        user = "airflow users create --username admin --password admin --role Admin"
        user += " --firstname A --lastname B --email a@b.c"
        init = {
            **part,
            "command": ["bash", "-c", f"airflow db migrate && {user}"],
            "depends_on": {name: {"condition": "service_healthy"} for name in ("postgres", "redis")},
        }
        serve = ["airflow", "api-server", "--host", "127.0.0.1", "--port", "8080", "--workers", "1"]
        healthy = ["CMD", "curl", "--fail", "--silent", "http://api-server:8080/api/v2/version"]
        api_server = {**part, "command": serve, "expose": ["8080"], "healthcheck": {"test": healthy}}
        return {
            "postgres": stores["postgres"],
            "redis": stores["redis"],
            "init": init,
            "api-server": api_server,
            **{name: {**part, "command": command} for name, command in _PARTS.items()},
        }
