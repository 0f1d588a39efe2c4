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

import httpx
import pytest

from drs_provider.rehearsal.airflow_api import FINISHED_STATES, AirflowApi
from drs_provider.rehearsal.simulator_process import EventLog
from tests.deploy.compose_processes import ComposeProject, load_services

ROOT = Path(__file__).parents[2]
PLAN = "three-tier-web"

# The time of a fixture counts as that of the first test that asks for it.
pytestmark = [pytest.mark.e2e, pytest.mark.deployment, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not tmp_path: the database's own user must be able to enter it.
    made = Path(tempfile.mkdtemp(prefix="drs-compose-"))
    made.chmod(0o755)
    (made / "reports").mkdir()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def project(folder: Path) -> Iterator[ComposeProject]:
    """What `docker compose --profile simulator up --scale worker-simulator=2` starts."""
    subprocess.run([str(ROOT / "scripts" / "system-packages.sh"), "postgresql", "redis-server", "curl"], check=True)
    missing_lines = runpy.run_path(str(ROOT / "scripts" / "compose_env.py"))["missing_lines"]
    variables = {name: value.strip("'") for name, _, value in (line.partition("=") for line in missing_lines(""))}
    variables["SIMULATOR_SPEED"] = "20"
    # Without the time that people have to look at the drill's instances.
    plan = (ROOT / "plans" / f"{PLAN}.yaml").read_text()
    (folder / "plans").mkdir()
    (folder / "plans" / f"{PLAN}.yaml").write_text(re.sub(r"keep_for: \w+", "keep_for: 0s", plan))
    services = load_services(ROOT / "docker-compose.yaml", variables, ["simulator", "flower", "debug"])
    for service in services.values():
        # A lost worker is noticed after a third of the minute that the file has.
        if "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT" in (service.get("environment") or {}):
            service["environment"]["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "20"
    made = ComposeProject(
        ROOT,
        services,
        folder,
        scale={"worker-simulator": 2},
        binds={"./reports": folder / "reports", "./plans": folder / "plans"},
    )
    try:
        made.start(services.keys() - {"flower", "debug"})
        made.wait_healthy("api-server")
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def api(project: ComposeProject) -> Iterator[AirflowApi]:
    password = json.loads(project.services["api-server"]["environment"]["AIRFLOW_PASSWORDS"])["admin"]
    client = AirflowApi(f"http://127.0.0.1:{project.port('api-server', '8080')}", "admin", password)
    yield client
    client.close()


def wait_for(what: str, found: Any, timeout: float = 300) -> Any:
    deadline = time.monotonic() + timeout
    while not (result := found()):
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout:g} s"
        time.sleep(0.3)
    return result


def check_health(project: ComposeProject, *, lost: int) -> None:
    """The health checks tell the living from the dead."""
    assert [project.healthy("worker-simulator", replica) for replica in (1, 2)] == [lost != 1, lost != 2]
    for name in ("postgres", "redis", "simulator", "api-server", "scheduler", "dag-processor", "triggerer-simulator"):
        assert project.healthy(name), name


def test_a_drill_survives_the_loss_of_a_worker(project: ComposeProject, api: AirflowApi, folder: Path) -> None:
    log = EventLog(folder / "reports" / "simulator.jsonl")
    wait_for("the DAG", lambda: api.has_dag(PLAN))
    wait_for("the workers", lambda: all(project.healthy("worker-simulator", replica) for replica in (1, 2)))
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
    # While Airflow waits for a sign of life from the lost worker.
    check_health(project, lost=replica)

    state = wait_for(
        "the end of the run",
        lambda: state if (state := api.run(PLAN, run_id)["state"]) in FINISHED_STATES else None,
        timeout=720,
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


def test_flower_shows_the_workers_to_who_knows_the_password(project: ComposeProject) -> None:
    project.start(["flower"])
    project.wait_healthy("flower")
    url = f"http://127.0.0.1:{project.port('flower', '5555')}/api/workers?refresh=1"
    password = project.services["flower"]["environment"]["AIRFLOW__CELERY__FLOWER_BASIC_AUTH"].split(":")[1]
    assert httpx.get(url, timeout=30).status_code == httpx.codes.UNAUTHORIZED
    assert "celery@worker-simulator" in httpx.get(url, auth=("admin", password), timeout=30).text


def test_the_doctor_is_content_in_the_containers(project: ComposeProject) -> None:
    worker = project.run("worker-simulator", ["drs-plan", "doctor"])
    assert worker.returncode == 0, worker.stdout + worker.stderr
    assert f"connection aws_default, us-west-2 ({PLAN}): DRS answers" in worker.stdout
    for part in ("metadatabase", "scheduler", "dag_processor", "triggerer"):
        assert f"{part} is healthy" in worker.stdout
    debug = project.run("debug", ["drs-plan", "doctor", "--offline"])
    assert debug.returncode == 0, debug.stdout + debug.stderr
