"""The parse of the DAG file in a process of its own: what it imports and touches, and that it always says the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

PARSE = """
import json, sys, tempfile
touched = []

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "sqlite3.connect"):
        touched.append(f"{event} {arguments[1:]}")

import runpy
from airflow.sdk import DAG
sys.addaudithook(watch)
found = runpy.run_path(sys.argv[1])
dags = {name: value for name, value in found.items() if isinstance(value, DAG)}
modules = sorted(sys.modules)
from airflow.serialization.serialized_objects import DagSerialization
from airflow.models.serialized_dag import SerializedDagModel
hashes = {name: SerializedDagModel.hash(DagSerialization.to_dict(dag)) for name, dag in dags.items()}
print(json.dumps({"hashes": hashes, "touched": touched, "modules": modules}))
"""


def parse(folder: Path, **environment: str) -> dict[str, Any]:
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "AWS_", "_AIRFLOW"))},
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
        "AIRFLOW__DRS_PROVIDER__PLANS_FOLDER": str(ROOT / "plans"),
        **environment,
    }
    command = [sys.executable, "-c", PARSE, str(ROOT / "dags" / "recovery_plans.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One parse of the example plans."""
    return parse(tmp_path_factory.mktemp("parse"), PYTHONHASHSEED="1")


def test_every_example_plan_is_there(parsed: dict[str, Any]) -> None:
    assert sorted(parsed["hashes"]) == sorted(path.stem for path in (ROOT / "plans").glob("*.yaml"))


def test_neither_network_nor_database_is_touched(parsed: dict[str, Any]) -> None:
    assert parsed["touched"] == []


def test_nothing_of_aws_and_no_simulator_is_imported(parsed: dict[str, Any]) -> None:
    heavy = ("boto3", "botocore", "aiobotocore", "moto", "airflow.providers.amazon.aws", "drs_provider.simulator")
    assert [name for name in parsed["modules"] if name.startswith(heavy)] == []


def test_two_parses_make_one_version_of_each_dag(parsed: dict[str, Any], tmp_path: Path) -> None:
    assert parse(tmp_path, PYTHONHASHSEED="2")["hashes"] == parsed["hashes"]


def test_a_worker_parses_only_the_plan_that_it_runs(parsed: dict[str, Any], tmp_path: Path) -> None:
    again = parse(tmp_path, _AIRFLOW_PARSING_CONTEXT_DAG_ID="three-tier-web")
    assert again["hashes"] == {"three-tier-web": parsed["hashes"]["three-tier-web"]}
