"""Every command of the pages on deployment is run here, or the page says why it is not.

What a reader has is made from what is here: an Airflow without this package, and a copy of the checkout. The package is
built and installed by the commands of `docs/deploy-pip.md`, without any package index.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml

from drs_provider.cli import app
from drs_provider.deploy.mwaa.stack import stack
from drs_provider.deploy.wheel import DISTRIBUTION
from drs_provider.rehearsal.environment import clean_environment

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("deploy-*.md")), ROOT / "docs" / "upgrades.md"]
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>tested|not tested: .+?) -->\n)?```(?:sh|console|bash)\n(?P<commands>.*?)```", re.S
)
_PROGRAMS = ("airflow", "aws", "docker", "drs-plan", "drs-sim", "helm", "make", "pip", "python")
_OURS = re.compile(r"airflow_provider_aws_drs|_editable_impl_airflow_provider", re.I)


def blocks(page: Path) -> list[re.Match[str]]:
    return list(_BLOCK.finditer(page.read_text()))


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command of a page, in blocks and within sentences."""
    text = page.read_text()
    lines = [line for block in blocks(page) for line in block["commands"].replace("\\\n", " ").splitlines()]
    within = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
    for line in [*lines, *within]:
        for part in re.split(r"&&|\||;", line):
            try:
                words = shlex.split(part.replace("…", ""))
            except ValueError:
                # A part of a quoted program of another language.
                continue
            if words and words[0] in _PROGRAMS:
                yield words


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the Airflow of this one, and without this package."""
    made = tmp_path_factory.mktemp("reader") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(made)], check=True)
    (packages,) = (made / "lib").glob("python*/site-packages")
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not _OURS.search(entry.name):
            (packages / entry.name).symlink_to(entry)
    script = Path(sys.executable).with_name("airflow").read_text().partition("\n")[2]
    (made / "bin" / "airflow").write_text(f"#!{made / 'bin' / 'python'}\n{script}")
    (made / "bin" / "airflow").chmod(0o755)
    return made / "bin"


def run(script: str, folder: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    env = {**clean_environment(), "AIRFLOW_HOME": str(folder / "airflow")}
    env["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])
    # Neither an index nor a download: what the wheel needs, the reader's Airflow has; hatchling is there too.
    env |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a reader has in the folder, without what this checkout has of its own."""
    for name in ("Makefile", "README.md", "constraints", "dags", "plans", "plugins", "pyproject.toml", "scripts"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def installed(airflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's Airflow with the package in it, as the page on pip says."""
    (first, *_) = blocks(ROOT / "docs" / "deploy-pip.md")
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("README.md", "constraints", "dags", "plugins", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    done = run(first["commands"], folder, airflow)
    assert done.returncode == 0, done.stdout + done.stderr
    # Nothing else was installed, changed or taken away.
    assert re.findall(r"Successfully installed (.*)", done.stdout) == [f"{DISTRIBUTION}-{version(DISTRIBUTION)}"]
    return airflow


def test_there_is_a_page_for_each_way() -> None:
    names = ["deploy-compose", "deploy-kubernetes", "deploy-mwaa", "deploy-pip", "upgrades"]
    assert [page.stem for page in PAGES] == names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_says_whether_it_is_tested(page: Path) -> None:
    found = blocks(page)
    assert found
    # A module in Python is run by the tests of what it is for.
    fences = page.read_text().count("```") - 2 * page.read_text().count("```python\n")
    assert len(found) == fences / 2, "a block that is no command is not a block of sh"
    assert all(block["mark"] for block in found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, checkout: Path, installed: Path) -> None:
    tested = [block["commands"] for block in blocks(page) if block["mark"] == "tested"]
    if page.stem == "deploy-pip":
        # The fixture has run the first.
        tested = tested[1:]
    done = run("".join(tested), checkout, installed)
    assert done.returncode == 0, done.stdout + done.stderr
    if page.stem == "deploy-pip":
        assert f"imported from {installed.parent}" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_cannot_be_run_names_what_is_there(page: Path) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    profiles = {profile for service in compose.values() for profile in service.get("profiles", [])}
    targets = set(" ".join(re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)).split())
    parameters = stack("3.3.1")["Parameters"]
    ours = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for words in commands(page):
        if words[0] == "drs-plan" and words[1:2] and words[1][0] != "-":
            assert words[1] in ours, words
            options = {option for parameter in ours[words[1]].params for option in parameter.opts}
            assert {word for word in words if word.startswith("--")} <= options, words
        elif words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets, words
        elif words[:2] == ["docker", "compose"]:
            after = dict(pairwise(words))
            assert after.get("--profile", "debug") in profiles, words
            assert after.get("--scale", "worker=2").partition("=")[0] in compose, words
            if "run" in words:
                assert next(word for word in words[words.index("run") + 1 :] if word[:1] != "-") in compose, words
        elif words[:2] == ["aws", "cloudformation"] and "--parameter-overrides" in words:
            given = words[words.index("--parameter-overrides") + 1 :]
            assert {each.partition("=")[0] for each in given} <= parameters.keys(), words
