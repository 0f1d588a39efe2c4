"""docker-compose.yaml and the Dockerfile as files: valid, without secrets, and of one mind with the package."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from drs_provider.deploy.settings import as_environment
from tests.deploy.compose_processes import interpolate, load_services

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yaml"
SECRETS = ("FERNET_KEY", "JWT_SECRET", "API_SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")
AIRFLOW = {"init", "api-server", "scheduler", "dag-processor"}


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `make compose-env` writes into .env."""
    folder = tmp_path_factory.mktemp("compose")
    (folder / "scripts").mkdir()
    script = folder / "scripts" / "compose_env.py"
    script.write_text((ROOT / "scripts" / "compose_env.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    lines = (folder / ".env").read_text().splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def services(variables: dict[str, str], *profiles: str) -> dict[str, dict[str, Any]]:
    return load_services(COMPOSE, variables, profiles)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    # check-jsonschema carries the specification's own schema.
    schema = resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text()))
    errors = [error.message for error in validator.iter_errors(yaml.safe_load(COMPOSE.read_text()))]
    assert errors == []
    broken = yaml.safe_load(COMPOSE.read_text())
    broken["services"]["redis"]["helthcheck"] = {}
    assert list(validator.iter_errors(broken))


def test_there_is_no_secret_in_the_file_and_none_may_be_missing(variables: dict[str, str]) -> None:
    for secret in SECRETS:
        assert f"${{{secret}:?run make compose-env}}" in COMPOSE.read_text()
        with pytest.raises(KeyError, match=f"{secret}: run make compose-env"):
            services({name: value for name, value in variables.items() if name != secret})
    assert not re.search(r"password\w*: *[\w']", COMPOSE.read_text(), re.IGNORECASE)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_part_of_airflow_waits_for_init_and_init_for_its_stores(variables: dict[str, str]) -> None:
    found = services(variables, "simulator", "aws", "flower", "debug")
    assert found["init"]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }
    for name in found.keys() - {"postgres", "redis", "init", "simulator"}:
        assert found[name]["depends_on"]["init"] == {"condition": "service_completed_successfully"}, name


def test_everything_that_goes_on_running_has_a_health_check(variables: dict[str, str]) -> None:
    found = services(variables, "simulator", "aws", "flower", "debug")
    assert [name for name in found if "healthcheck" not in found[name]] == ["init", "debug"]


def test_only_workers_and_triggerers_know_aws_and_only_under_a_profile(variables: dict[str, str]) -> None:
    def with_aws(*profiles: str) -> set[str]:
        found = services(variables, *profiles)
        return {name for name in found if any("AWS" in variable for variable in found[name].get("environment") or {})}

    assert with_aws() == set()
    assert with_aws("simulator") == {"worker-simulator", "triggerer-simulator"}
    assert with_aws("aws") == {"worker", "triggerer"}
    simulated, real = services(variables, "simulator"), services(variables, "aws")
    assert simulated["worker-simulator"]["environment"]["AWS_ENDPOINT_URL"] == "http://simulator:5000"
    assert "AWS_ENDPOINT_URL" not in real["worker"]["environment"]
    assert real["worker"]["environment"]["AWS_ACCESS_KEY_ID"] is None  # the shell's own value


def test_a_project_with_both_profiles_is_refused_by_one_container_name(variables: dict[str, str]) -> None:
    simulated, real = services(variables, "simulator"), services(variables, "aws")
    assert simulated["triggerer-simulator"]["container_name"] == real["triggerer"]["container_name"]


def test_workers_can_be_scaled(variables: dict[str, str]) -> None:
    for profile, name in (("simulator", "worker-simulator"), ("aws", "worker")):
        worker = services(variables, profile)[name]
        assert "container_name" not in worker
        assert "ports" not in worker


def test_every_part_of_airflow_has_the_recommended_settings(variables: dict[str, str]) -> None:
    found = services(variables, "simulator", "aws", "flower", "debug")
    for name in found.keys() - {"postgres", "redis", "simulator"}:
        assert as_environment().items() <= found[name]["environment"].items(), name


def test_nothing_listens_beyond_this_machine_by_default(variables: dict[str, str]) -> None:
    published = [
        port for service in services(variables, "simulator", "flower").values() for port in service.get("ports", [])
    ]
    assert len(published) == 3
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_compose_env_adds_what_is_missing_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "compose_env.py"
    script.write_text((ROOT / "scripts" / "compose_env.py").read_text())
    (tmp_path / ".env").write_text("# mine\nREDIS_PASSWORD=kept\nAWS_PROFILE=dr")
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
    first = (tmp_path / ".env").read_text()
    assert first.startswith("# mine\nREDIS_PASSWORD=kept\nAWS_PROFILE=dr\n")
    assert {line.partition("=")[0] for line in first.splitlines()} >= set(SECRETS)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    again = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True)
    assert (tmp_path / ".env").read_text() == first
    assert "nothing was changed" in again.stdout


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}-${B:-x}-${C-y}", "1-x-y"),
        ("${A:?must be set}", "1"),
        ("$$HOME ${A}", "$HOME 1"),
    ],
)
def test_interpolation_is_that_of_compose(text: str, result: str) -> None:
    assert interpolate({"k": [text]}, {"A": "1"}) == {"k": [result]}


def test_what_the_dockerfile_copies_reaches_the_docker_daemon() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = re.findall(r"^COPY (?!--from)(.*)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = [word for line in copied for word in line.split()[:-1] if not word.startswith("--")]
    assert {source.split("/")[0] for source in sources} == set(allowed)
    assert all((ROOT / name).exists() for name in allowed)


def test_the_image_is_built_from_constraints_that_are_there() -> None:
    text = (ROOT / "Dockerfile").read_text()
    versions = dict(re.findall(r"^ARG (\w+)=(.+)", text, re.MULTILINE))
    name = f"airflow-{versions['AIRFLOW_VERSION']}-py{versions['PYTHON_VERSION']}.txt"
    constraints = (ROOT / "constraints" / name).read_text()
    assert f"apache-airflow=={versions['AIRFLOW_VERSION']}\n" in constraints
    for target in re.findall(r"target: (\w+)", COMPOSE.read_text()):
        assert f" AS {target}\n" in text
    assert yaml.safe_load(COMPOSE.read_text())["services"].keys() >= AIRFLOW


def test_every_plan_that_is_shipped_has_its_connection_where_aws_is_simulated(variables: dict[str, str]) -> None:
    """A plan whose connection is missing is refused."""
    environment = services(variables, "simulator")["worker-simulator"]["environment"]
    for file in (ROOT / "plans").glob("*.yaml"):
        connection = yaml.safe_load(file.read_text())["target"].get("aws_conn_id", "aws_default")
        assert f"AIRFLOW_CONN_{connection.upper()}" in environment, file.name
