"""docker-compose.yaml without Docker: its services as processes of this machine.

Commands, environment, dependencies, health checks and mounts are the file's own. Three things are translated: the host
name of a service and its port become the loopback address and a free port, a path of a container becomes a folder, and
PostgreSQL and Redis come from Debian's packages (so PostgreSQL has Debian's version, not the image's).
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from drs_provider.rehearsal.environment import clean_environment
from drs_provider.rehearsal.processes import ChildProcess, free_port, stop_all, wait_until
from tests.postgres_server import make_cluster

__all__ = ["ComposeProject", "interpolate", "load_services"]

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:?[-?])([^}]*))?\})")
_AIRFLOW_HOME = "/opt/airflow"


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """Replace ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` and ``$$`` in every string, as Compose does.

    :raises KeyError: for a variable that must be set and is not; the message is the file's own.
    """
    if isinstance(value, Mapping):
        return {key: interpolate(item, variables) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolate(item, variables) for item in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        dollar, name, operator, argument = match.groups()
        if dollar:
            return "$"
        found = variables.get(name, "")
        if not found and operator in (":?", "?"):
            raise KeyError(f"{name}: {argument}")
        return found or (argument if operator in (":-", "-") else "")

    return _VARIABLE.sub(replace, value)


def load_services(file: Path, variables: Mapping[str, str], profiles: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the services of a Compose file that these profiles enable, interpolated."""
    chosen = set(profiles)
    services = yaml.safe_load(file.read_text())["services"]
    return {
        name: interpolate(service, variables)
        for name, service in services.items()
        if not service.get("profiles") or chosen & set(service["profiles"])
    }


class ComposeProject:
    """The services of a Compose file as processes.

    :param root: the folder of the Compose file, which its relative paths start from.
    :param services: the services, as :func:`load_services` returns them.
    :param folder: for everything that the services write; every user must be able to enter it.
    :param scale: how many processes a service has, where it is not one.
    :param binds: other folders for the file's bind mounts, such as ``{"./reports": tmp_path}``.
    """

    def __init__(
        self,
        root: Path,
        services: Mapping[str, Mapping[str, Any]],
        folder: Path,
        *,
        scale: Mapping[str, int] | None = None,
        binds: Mapping[str, Path] | None = None,
    ) -> None:
        self.root = root
        self.services = dict(services)
        self.folder = folder
        self._scale = dict(scale or {})
        self._binds = dict(binds or {})
        self._ports: dict[tuple[str, int, str], int] = {}
        self.processes: dict[str, list[ChildProcess]] = {}

    # Addresses and paths

    def port(self, service: str, container_port: str, replica: int = 1) -> int:
        """Return the port of this machine that stands for a port of a service's container."""
        key = (service, replica, container_port)
        if key not in self._ports:
            self._ports[key] = free_port()
        return self._ports[key]

    def _own_ports(self, service: str) -> list[str]:
        declared = self.services[service]
        return [str(port).split(":")[-1] for port in [*declared.get("expose", []), *declared.get("ports", [])]]

    def _mounts(self, service: str, replica: int) -> dict[str, Path]:
        home = self.folder / "homes" / f"{service}-{replica}"
        home.mkdir(parents=True, exist_ok=True)
        mounts = {_AIRFLOW_HOME: home}
        for volume in self.services[service].get("volumes", []):
            source, target = volume.split(":")[:2]
            if source in self._binds:
                mounts[target] = self._binds[source]
            elif source.startswith("."):
                mounts[target] = (self.root / source).resolve()
            elif not source.startswith(("/", "~")):
                mounts[target] = self.folder / "volumes" / source
                mounts[target].mkdir(parents=True, exist_ok=True)
        return mounts

    def translate(self, service: str, replica: int, text: str) -> str:
        """Return a text of a service with this machine's addresses, ports and paths."""
        names = "|".join(map(re.escape, self.services))
        text = re.sub(rf"\b({names}):(\d+)\b", lambda hit: f"127.0.0.1:{self.port(hit[1], hit[2])}", text)
        for own in self._own_ports(service):
            text = re.sub(rf"(?<![\w.:]){own}(?![\w.])", str(self.port(service, own, replica)), text)
        mounts = self._mounts(service, replica)
        for target in sorted(mounts, key=len, reverse=True):
            text = re.sub(rf"{re.escape(target)}(?![\w-])", str(mounts[target]), text)
        return text.replace("0.0.0.0", "127.0.0.1")

    def environment(self, service: str, replica: int = 1) -> dict[str, str]:
        """Return the whole environment of one process of a service."""
        declared = self.services[service].get("environment") or {}
        home = self._mounts(service, replica)[_AIRFLOW_HOME]
        return {
            **clean_environment(),
            "AIRFLOW_HOME": str(home),
            # A container has a host name of its own; processes of one machine only have this variable.
            "HOSTNAME": f"{service}-{replica}",
            **{
                name: self.translate(service, replica, str(value))
                for name, value in declared.items()
                if value is not None
            },
        }

    # Processes

    def _command(self, service: str, replica: int) -> list[str]:
        declared = self.services[service]
        image = str(declared["image"]).partition(":")[0]
        words = [*declared.get("entrypoint", []), *declared.get("command", [])]
        command = [self.translate(service, replica, str(word)) for word in words]
        if image == "postgres":
            return self._postgres(service)
        if image == "redis":
            return [*command, "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return command

    def _postgres(self, service: str) -> list[str]:
        """Make a database cluster as the image's entry point does; return the command that serves it."""
        declared = self.services[service]["environment"]
        data = self._mounts(service, 1)["/var/lib/postgresql/data"]
        port = self.port(service, "5432")
        return make_cluster(self.folder, data, declared["POSTGRES_USER"], declared["POSTGRES_PASSWORD"], port)

    def start(self, services: Iterable[str] = (), *, timeout: float = 300) -> None:
        """Start services, each when what it depends on has come to the state that it names.

        :param services: their names; by default all.
        :param timeout: seconds that each dependency has.
        :raises ProcessDied: when a service ends that should go on.
        :raises TimeoutError: when a dependency does not come to its state.
        """
        waiting = {name: self.services[name] for name in services or self.services}
        while waiting:
            ready = [name for name, service in waiting.items() if not waiting.keys() & _dependencies(service).keys()]
            if not ready:
                raise ValueError(f"the services {', '.join(waiting)} depend on each other in a circle")
            for name in ready:
                for dependency, condition in _dependencies(waiting.pop(name)).items():
                    self._wait_for(dependency, condition, timeout)
                self._start(name)

    def _start(self, service: str) -> None:
        processes = self.processes.setdefault(service, [])
        for replica in range(1, self._scale.get(service, 1) + 1):
            process = ChildProcess(
                f"{service}-{replica}",
                self._command(service, replica),
                self.environment(service, replica),
                self.folder / "output" / f"{service}-{replica}.log",
            )
            process.start()
            processes.append(process)
        if service == "postgres":
            self.wait_healthy(service)
            self._create_database(service)

    def _create_database(self, service: str) -> None:
        declared = self.services[service]["environment"]
        address = f"postgresql://{declared['POSTGRES_USER']}:{declared['POSTGRES_PASSWORD']}@127.0.0.1"
        address += f":{self.port(service, '5432')}/postgres"
        statement = f'CREATE DATABASE "{declared["POSTGRES_DB"]}"'
        subprocess.run(["psql", "--dbname", address, "--command", statement], check=True, capture_output=True)

    def _wait_for(self, service: str, condition: str, timeout: float) -> None:
        if condition == "service_healthy":
            self.wait_healthy(service, timeout)
        elif condition == "service_completed_successfully":
            process = self.processes[service][0]
            wait_until(lambda: not process.alive, f"the end of {service}", timeout=timeout)
            if process.exit_code != 0:
                process.check()

    def wait_healthy(self, service: str, timeout: float = 300, replica: int = 1) -> None:
        """Wait until a service's health check says that it is well.

        :raises TimeoutError: when it does not in time; the message holds the end of the service's output.
        """
        process = self.processes[service][replica - 1]
        deadline = time.monotonic() + timeout
        while not self.healthy(service, replica):
            process.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{service} is not healthy after {timeout:g} s:\n{process.log_tail()}")
            time.sleep(0.5)

    def healthy(self, service: str, replica: int = 1) -> bool:
        """Run a service's health check once and return what it says."""
        kind, *words = [
            self.translate(service, replica, word) for word in self.services[service]["healthcheck"]["test"]
        ]
        command = words if kind == "CMD" else ["/bin/sh", "-c", words[0]]
        done = subprocess.run(
            command, env=self.environment(service, replica), capture_output=True, timeout=60, check=False
        )
        return done.returncode == 0

    def run(self, service: str, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of its own of a service, as ``docker compose run --rm`` does."""
        return subprocess.run(
            words, env=self.environment(service, replica=99), capture_output=True, text=True, timeout=180, check=False
        )

    def kill(self, service: str, replica: int) -> None:
        """End all processes of one container at once, as the loss of its machine does."""
        process = self.processes[service][replica - 1]
        family = process.descendants()
        process.kill()
        for child in family:
            if child.is_running():
                child.kill()

    def stop(self) -> None:
        """End every process; the database last, which waits for its clients."""
        stop_all([process for name, group in self.processes.items() if name != "postgres" for process in group])
        stop_all(self.processes.get("postgres", []))


def _dependencies(service: Mapping[str, Any]) -> dict[str, str]:
    declared = service.get("depends_on") or {}
    if isinstance(declared, list):
        return dict.fromkeys(declared, "service_started")
    return {name: condition["condition"] for name, condition in declared.items()}
