"""The Dockerfile without Docker: its COPY and RUN steps, in a clean virtual environment of the image's Airflow."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from drs_provider.rehearsal.environment import clean_environment

ROOT = Path(__file__).parents[2]
_INSTRUCTION = re.compile(r"^(FROM|ARG|COPY|RUN|WORKDIR) (.+)$", re.MULTILINE)

pytestmark = [pytest.mark.e2e, pytest.mark.deployment, pytest.mark.timeout(1800)]


def inside(root: Path, text: str) -> str:
    """Return a text with a folder of this test in the place of the image's /tmp."""
    return re.sub(r"(?<![\w.])/tmp(?=/)", str(root), text)


def test_every_step_runs_and_the_image_knows_the_provider(tmp_path: Path) -> None:
    arguments: dict[str, str] = {}
    steps = []
    for instruction, rest in _INSTRUCTION.findall((ROOT / "Dockerfile").read_text()):
        if instruction == "ARG" and "=" in rest:
            name, _, arguments[name] = rest.partition("=")
        steps.append((instruction, re.sub(r"\$\{(\w+)\}", lambda hit: arguments[hit[1]], rest)))

    version, python = arguments["AIRFLOW_VERSION"], arguments["PYTHON_VERSION"]
    find = [str(ROOT / "scripts" / "python.sh"), python]
    interpreter = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run([interpreter, "-m", "venv", str(tmp_path / "image")], check=True)
    programs = tmp_path / "image" / "bin"
    env = {**clean_environment(), "AIRFLOW_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    env["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])

    def run(command: str, folder: Path) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    # What the base image brings: Airflow in this version.
    constraints = ROOT / "constraints" / f"airflow-{version}-py{python}.txt"
    run(f"python -m pip install --quiet --constraint {constraints} apache-airflow=={version}", tmp_path)

    folder, done = tmp_path, []
    for instruction, rest in steps:
        if instruction == "WORKDIR":
            folder = Path(inside(tmp_path, rest))
            folder.mkdir(parents=True, exist_ok=True)
        elif instruction == "COPY" and "--from" not in rest:
            *sources, target = [word for word in rest.split() if not word.startswith("--")]
            for source in sources:
                place = folder / inside(tmp_path, target)
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(ROOT / source, place)
        elif instruction == "RUN":
            run(inside(tmp_path, rest), folder)
            done.append(rest)
    assert len(done) == 5
    run("drs-plan --help > /dev/null && pip check > /dev/null", tmp_path)
