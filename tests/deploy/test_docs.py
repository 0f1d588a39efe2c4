"""Every command of the pages on deployment is run here, or the page says why it is not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from drs_provider.rehearsal.environment import clean_environment

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("deploy-*.md"))
_BLOCK = re.compile(r"(?:<!-- (?P<mark>tested|not tested: .+?) -->\n)?```sh\n(?P<commands>.*?)```", re.DOTALL)


def test_there_is_a_page_for_each_way() -> None:
    assert [page.stem for page in PAGES] == ["deploy-compose", "deploy-kubernetes", "deploy-mwaa", "deploy-pip"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    blocks = list(_BLOCK.finditer(page.read_text()))
    assert blocks
    assert all(block["mark"] for block in blocks), "each block says whether it is tested"
    # What a reader has: the checkout, without what it has of its own.
    for name in ("Makefile", "plans", "scripts"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    commands = "".join(block["commands"] for block in blocks if block["mark"] == "tested")
    env = {**clean_environment(), "AIRFLOW_HOME": str(tmp_path / "airflow"), "HOME": os.environ["HOME"]}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
