"""A PostgreSQL of a benchmark's own: Debian's programs, a cluster in a temporary folder, an unprivileged user."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from drs_provider.rehearsal.environment import clean_environment
from drs_provider.rehearsal.processes import ChildProcess, free_port, stop_all, wait_until

__all__ = ["running_postgres"]


@contextmanager
def running_postgres(folder: Path) -> Iterator[str]:
    """Serve a new cluster, with PostgreSQL's own settings; yield the address of an empty database for SQLAlchemy.

    :param folder: an empty folder, which the unprivileged user must be able to reach.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    data, port = folder / "data", free_port()
    data.mkdir(parents=True)
    as_user: list[str] = []
    if os.geteuid() == 0:
        # The server refuses to run as root.
        shutil.chown(data, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig", "TERM"]
        folder.chmod(0o755)
        for parent in folder.parents[:-2]:
            parent.chmod(0o755)
    initdb = [*as_user, str(programs / "initdb"), "--pgdata", str(data), "--username", "airflow", "--auth=trust"]
    subprocess.run([*initdb, "--no-sync", "--encoding=UTF8"], check=True, capture_output=True, cwd="/")
    command = [*as_user, str(programs / "postgres"), "-D", str(data), "-h", "127.0.0.1", "-k", "", "-p", str(port)]
    server = ChildProcess("PostgreSQL", command, clean_environment(), folder / "postgres.log")
    psql = ["psql", f"postgresql://airflow@127.0.0.1:{port}/postgres", "--quiet", "--command"]

    def answers() -> bool:
        return subprocess.run([*psql, "SELECT 1"], capture_output=True, check=False).returncode == 0

    server.start()
    try:
        wait_until(answers, "PostgreSQL's first answer", timeout=60, children=[server])
        subprocess.run([*psql, "CREATE DATABASE airflow"], check=True, capture_output=True)
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/airflow"
    finally:
        stop_all([server])
