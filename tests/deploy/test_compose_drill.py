"""The services of docker-compose.yaml as processes: a drill on two Celery workers, one of them lost in the middle."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES, AirflowApi
from drs_provider.rehearsal.simulator_process import EventLog
from tests.deploy.compose_processes import ComposeProject, load_services

ROOT = Path(__file__).parents[2]
PLAN = "three-tier-web"

pytestmark = [pytest.mark.e2e, pytest.mark.deployment, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    script = ROOT / "scripts" / "system-packages.sh"
    subprocess.run([str(script), "postgresql", "redis-server", "curl"], check=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: the database's own user must be able to enter it.
    made = Path(tempfile.mkdtemp(prefix="drs-compose-"))
    made.chmod(0o755)
    (made / "reports").mkdir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def project(folder: Path) -> Iterator[ComposeProject]:
    missing_lines = runpy.run_path(str(ROOT / "scripts" / "compose_env.py"))["missing_lines"]
    variables = {name: value.strip("'") for name, _, value in (line.partition("=") for line in missing_lines(""))}
    variables["SIMULATOR_SPEED"] = "20"
    # Without the time that people have to look at the drill's instances.
    plan = (ROOT / "plans" / f"{PLAN}.yaml").read_text()
    (folder / "plans").mkdir()
    (folder / "plans" / f"{PLAN}.yaml").write_text(re.sub(r"keep_for: \w+", "keep_for: 0s", plan))
    services = load_services(ROOT / "docker-compose.yaml", variables, ["simulator"])
    made = ComposeProject(
        ROOT,
        services,
        folder,
        scale={"worker-simulator": 2},
        binds={"./reports": folder / "reports", "./plans": folder / "plans"},
    )
    try:
        made.start()
        made.wait_healthy("api-server")
        yield made
    finally:
        made.stop()


@pytest.fixture
def api(project: ComposeProject) -> Iterator[AirflowApi]:
    password = json.loads(project.services["api-server"]["environment"]["AIRFLOW_PASSWORDS"])["admin"]
    client = AirflowApi(f"http://127.0.0.1:{project.port('api-server', '8080')}", "admin", password)
    yield client
    client.close()


def wait_for(what: str, found: Any, timeout: float = 120) -> Any:
    deadline = time.monotonic() + timeout
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(0.3)
    return result


def test_a_drill_survives_the_loss_of_a_worker(project: ComposeProject, api: AirflowApi, folder: Path) -> None:
    log = EventLog(folder / "reports" / "simulator.jsonl")
    wait_for("the DAG", lambda: api.has_dag(PLAN))
    wait_for("the workers", lambda: project.healthy("worker-simulator", 1) and project.healthy("worker-simulator", 2))
    run_id = api.trigger(PLAN)

    def busy() -> tuple[int, str] | None:
        """Return a worker that runs a task of a wave now, and the task."""
        for name, task in api.task_instances(PLAN, run_id).items():
            if task["state"] == "running" and "." in name and task["pid"]:
                for replica, worker in enumerate(project.processes["worker-simulator"], 1):
                    if any(child.pid == task["pid"] for child in worker.descendants()):
                        return replica, name
        return None

    try:
        replica, interrupted = wait_for("a task of a wave on a worker", busy)
    except AssertionError as error:
        states = {name: (task["state"], task["pid"]) for name, task in api.task_instances(PLAN, run_id).items()}
        raise AssertionError(f"{error}: {states}") from None
    project.kill("worker-simulator", replica)

    state = wait_for(
        "the end of the run",
        lambda: state if (state := api.run(PLAN, run_id)["state"]) in FINISHED_STATES else None,
        timeout=420,
    )
    tasks = api.task_instances(PLAN, run_id)
    assert state == "success", {name: task["state"] for name, task in tasks.items() if task["state"] != "success"}
    assert tasks[interrupted]["state"] == "success"
    launched = Counter(
        server["sourceServerID"]
        for call in log.calls("StartRecovery")
        if call["status"] < 300
        for server in call["params"]["sourceServers"]
    )
    assert launched
    assert set(launched.values()) == {1}, "no server is launched twice"
    reports = [path for path in (folder / "reports").rglob("*") if path.suffix in (".html", ".md", ".json")]
    assert reports
