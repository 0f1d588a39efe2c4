"""PostgreSQL for tests: a cluster in a folder, on a free port, from Debian's packages."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

from drs_provider.rehearsal.environment import clean_environment
from drs_provider.rehearsal.processes import ChildProcess, free_port, stop_all, wait_until

__all__ = ["PostgresServer", "make_cluster"]


def make_cluster(folder: Path, data: Path, user: str, password: str, port: int) -> list[str]:
    """Make a database cluster; return the command that serves it on the loopback interface.

    :param folder: for the password; the database's own user must be able to enter it.
    :param data: the cluster's folder, which exists and is empty.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    password_file = folder / "postgres-password"
    password_file.write_text(password)
    as_user: list[str] = []
    if os.geteuid() == 0:
        # The server refuses to run as root. The signal on the parent's death does not survive the change of user.
        shutil.chown(data, "postgres")
        shutil.chown(password_file, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig", "TERM"]
    initdb = [*as_user, str(programs / "initdb"), "--pgdata", str(data), "--username", user]
    initdb += ["--auth=scram-sha-256", "--pwfile", str(password_file), "--no-sync", "--encoding=UTF8"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
    server = [*as_user, str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-k", ""]
    return [*server, "-p", str(port), "-c", "fsync=off"]


class PostgresServer:
    """A PostgreSQL server with one empty database, ``airflow``.

    :param folder: for everything that it writes; every user must be able to enter it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._password = secrets.token_hex(16)
        self._server: ChildProcess | None = None

    def url(self, driver: str = "postgresql+psycopg2") -> str:
        """Return the database's SQLAlchemy address."""
        return f"{driver}://airflow:{self._password}@127.0.0.1:{self.port}/airflow"

    def start(self) -> None:
        """Make the cluster and the database, and serve it."""
        data = self.folder / "postgres"
        data.mkdir(parents=True)
        command = make_cluster(self.folder, data, "airflow", self._password, self.port)
        command += ["-c", "max_connections=300"]
        self._server = ChildProcess("postgres", command, clean_environment(), self.folder / "postgres.log")
        self._server.start()
        wait_until(lambda: self._psql("SELECT 1"), "PostgreSQL", timeout=60, children=[self._server])
        assert self._psql("CREATE DATABASE airflow"), "the database airflow could not be made"

    def restart(self, pause: float = 0.0) -> None:
        """End the server at once, as a crash of its machine would, and start it again.

        :param pause: seconds in which there is no database.
        """
        assert self._server is not None
        os.kill(self._server.pid, signal.SIGQUIT)
        wait_until(lambda: self._server is not None and not self._server.alive, "the end of PostgreSQL", timeout=30)
        time.sleep(pause)
        self._server.start()
        wait_until(lambda: self._psql("SELECT 1"), "PostgreSQL", timeout=60)

    def stop(self) -> None:
        """End the server; its clients have to be gone."""
        if self._server is not None:
            stop_all([self._server])

    def _psql(self, statement: str) -> bool:
        address = self.url("postgresql").rpartition("/")[0] + "/postgres"
        done = subprocess.run(
            ["psql", "--dbname", address, "--command", statement], capture_output=True, timeout=30, check=False
        )
        return done.returncode == 0
