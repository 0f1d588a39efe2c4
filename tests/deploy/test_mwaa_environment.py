"""The bundle in environments with the versions and the forced settings of MWAA: it installs, and a drill ends well."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from drs_provider.deploy.mwaa.bundle import mwaa_versions, write_bundle
from drs_provider.rehearsal.airflow_api import FINISHED_STATES, AirflowApi
from drs_provider.rehearsal.environment import simulator_credentials
from drs_provider.rehearsal.processes import wait_until
from drs_provider.rehearsal.scenario import write_scenario
from drs_provider.rehearsal.simulator_process import SimulatorProcess
from tests.deploy.compose_processes import ComposeProject
from tests.deploy.mwaa_environment import MwaaEnvironment

ROOT = Path(__file__).parents[2]
PLAN = "three-tier-web"

pytestmark = [pytest.mark.e2e, pytest.mark.deployment, pytest.mark.timeout(1800)]


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path: the database's own user must be able to enter it.
    made = Path(tempfile.mkdtemp(prefix="drs-mwaa-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def plans(folder: Path) -> Path:
    plan = (ROOT / "plans" / f"{PLAN}.yaml").read_text()
    (folder / "plans").mkdir()
    # Without the time that people have to look at the drill's instances.
    (folder / "plans" / f"{PLAN}.yaml").write_text(re.sub(r"keep_for: \w+", "keep_for: 0s", plan))
    return folder / "plans"


@pytest.mark.parametrize("airflow", mwaa_versions())
def test_the_bundle_installs_and_a_drill_ends_well(airflow: str, folder: Path, plans: Path) -> None:
    subprocess.run([str(ROOT / "scripts" / "system-packages.sh"), "postgresql", "redis-server", "curl"], check=True)
    environment = MwaaEnvironment(ROOT, airflow, folder)
    environment.build_image()
    bundle = write_bundle(plans, folder / "bundle", airflow).folder
    said = environment.take(bundle)
    installed = re.search(r"^Successfully installed (.*)$", said, re.MULTILINE)
    assert installed, said
    # Nothing that the image has is changed, and nothing is missing that the requirements do not name.
    assert {name.rpartition("-")[0] for name in installed[1].split()} == {"airflow-provider-aws-drs", "s3fs"}

    simulator = SimulatorProcess(
        folder / "simulator", write_scenario(plans / f"{PLAN}.yaml", folder / "scenario.yaml"), speed=20
    )
    options = json.loads((bundle / "airflow-options.json").read_text())
    options["drs_provider.reports_folder"] = str(folder / "reports")
    settings = environment.settings(simulator_credentials(simulator.endpoint_url, "us-west-2"), options)
    assert "airflow-provider-aws-drs" in environment.command("airflow", "providers", "list", settings=settings)
    project = ComposeProject(ROOT, environment.services(settings), folder)
    try:
        simulator.start()
        project.start()
        project.wait_healthy("api-server")
        api = AirflowApi(f"http://127.0.0.1:{project.port('api-server', '8080')}", "admin", "admin")
        parts = [
            process
            for name in ("scheduler", "dag-processor", "triggerer", "worker")
            for process in project.processes[name]
        ]
        wait_until(lambda: api.has_dag(PLAN), "the DAG", timeout=300, children=parts)
        run_id = api.trigger(PLAN)
        wait_until(
            lambda: api.run(PLAN, run_id)["state"] in FINISHED_STATES,
            "the end of the run",
            timeout=720,
            children=parts,
            poll=1,
        )
        tasks = api.task_instances(PLAN, run_id)
        failed = {
            name: api.task_log(PLAN, run_id, name, task["try_number"])[-15:]
            for name, task in tasks.items()
            if task["state"] == "failed"
        }
        assert api.run(PLAN, run_id)["state"] == "success", failed
        links = api.call("GET", f"/dags/{PLAN}/dagRuns/{run_id}/taskInstances/database.launch/links")
        assert any((url or "").startswith("https://") for url in links["extra_links"].values()), links
        assert list((folder / "reports").rglob("*.html"))
        api.close()
    finally:
        project.stop()
        simulator.stop()
