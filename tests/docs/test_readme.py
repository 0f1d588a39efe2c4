"""What the README shows is run, and its tables are those of the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main

from drs_provider.cli import app
from drs_provider.commands.rehearse import rehearse
from drs_provider.dag.factory import build_dag
from drs_provider.plan import LoadedPlan, load_plan
from drs_provider.plan.keys_page import keys_page
from drs_provider.rehearsal.environment import clean_environment
from drs_provider.run_parameters import parameters_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The README's only block in a language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return str(found)


def first_cells(header: str) -> list[str]:
    """The first column of the table with this header, with its code marks."""
    rows = README.split(f"| {header} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [row.split("|")[1].strip() for row in rows]


@pytest.fixture
def plan(tmp_path: Path) -> LoadedPlan:
    """The README's plan."""
    path = tmp_path / "shop.yaml"
    path.write_text(block("yaml"), encoding="utf-8")
    return load_plan(path)


def test_the_plan_in_20_lines_is_one_and_becomes_a_dag(plan: LoadedPlan) -> None:
    assert len(block("yaml").splitlines()) <= 20
    assert build_dag(plan).dag_id == "shop"


def test_the_commands_of_the_first_drill_run(tmp_path: Path) -> None:
    blocks = re.findall(r"^ *<!-- (tested|not tested: .+) -->\n *```sh\n(.*?)^ *```", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == README.count("```sh"), "each block says whether it is tested"
    commands = "".join(text for mark, text in blocks if mark == "tested")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "valid dr/plans/first-drill.yaml" in done.stdout


def test_the_operators_on_their_own_make_a_dag() -> None:
    made: dict[str, Any] = {}
    exec(compile(block("python"), "README.md", "exec"), made)  # the README's own code
    assert made["end"].upstream_task_ids == {"wait"}
    assert made["wait"].upstream_task_ids == {"launch"}


def test_every_command_and_every_run_parameter_is_in_its_table() -> None:
    commands = re.findall(r"`drs-plan ([a-z-]+)", " ".join(first_cells("command")))
    assert sorted(commands) == sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    assert parameters_table() in README, f"the README's table is to be:\n{parameters_table()}"


def test_every_option_of_rehearse_is_in_its_table() -> None:
    shown = set(re.findall(r"--([a-z-]+)", " ".join(first_cells("option"))))
    options = {name.replace("_", "-") for name in rehearse.__annotations__ if name not in ("plan", "return")}
    assert shown == options


def test_every_task_of_a_full_plan_is_in_its_table(plan: LoadedPlan) -> None:
    tasks = [task.task_id for task in build_dag(load_plan(ROOT / "plans" / "sap-landscape.yaml")).tasks]
    kinds = {re.sub(r"^[^.]+\.", "<wave>.", task) for task in tasks}
    kinds = {re.sub(r"(?<=_launch\.).*", "<script>", re.sub(r"(?<=health\.).*", "<type>", kind)) for kind in kinds}
    assert {f"`{kind}`" for kind in kinds} == set(first_cells("task"))


def test_links_inside_the_repository_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_page_of_every_key_is_up_to_date() -> None:
    page = (ROOT / "docs" / "plan-keys.md").read_text(encoding="utf-8")
    assert page == keys_page(), "run: drs-plan schema --format markdown > docs/plan-keys.md"
