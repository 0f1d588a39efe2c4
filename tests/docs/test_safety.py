"""The page on safety names tests: each of them exists, and every row of its tables names one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "safety.md").read_text()
THREATS = PAGE.partition("## Threats\n")[2].partition("### What is left\n")[0]
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::([\w:]+)`", THREATS)))


def names_of(path: Path) -> set[str]:
    """The tests of a file, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {prefix + one.name for one in inside if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return {name for name in found if name.rpartition("::")[2].startswith("test")}


@pytest.mark.parametrize(("file", "test"), NAMED, ids=["::".join(each) for each in NAMED])
def test_it_exists(file: str, test: str) -> None:
    assert test in names_of(ROOT / "tests" / file)


def test_every_threat_names_a_test() -> None:
    rows = [line for line in THREATS.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    threats = [row for row in rows if not row.rstrip(" |").endswith("| test")]
    assert len(threats) > 50
    for row in threats:
        *_, tests = row.strip("| ").split(" | ")
        assert re.fullmatch(r"`[\w/]+\.py::[\w:]+`(, `[\w/]+\.py::[\w:]+`)*", tests), row
