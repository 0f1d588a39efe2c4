"""The import of what a test says, and the command on a file of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from drs_provider.cli import app
from drs_provider.plan import RecoveryPlan, load_plan


@dataclass
class Imported:
    """What the command did: its exit status, its report, and the plans in the files that it wrote."""

    status: int
    report: dict[str, Any]
    texts: dict[str, str]
    plans: dict[str, RecoveryPlan] = field(default_factory=dict)

    @property
    def plan(self) -> RecoveryPlan:
        """The only plan."""
        (plan,) = self.plans.values()
        return plan

    @property
    def text(self) -> str:
        """The only plan file."""
        (text,) = self.texts.values()
        return text

    def graph(self) -> dict[str, list[str]]:
        """What each wave of the only plan depends on."""
        return {wave.name: sorted(wave.depends_on) for wave in self.plan.waves}

    def said(self, part: str) -> str:
        """A part of the report as text."""
        return "\n".join(f"{note['where']}: {note['what']}" for note in self.report[part])


def command(*arguments: str, stdin: str | None = None) -> Result:
    """Run ``drs-plan``."""
    return CliRunner().invoke(app, list(arguments), input=stdin)


def imported(folder: Path, sources: list[str], shape: str, *options: str) -> Imported:
    """Run the import with a JSON report, and read what it wrote as ``drs-plan validate`` would."""
    out = folder / "plans"
    result = command("import", *sources, "--from", shape, "--out", str(out), "--format", "json", *options)
    assert result.exit_code in (0, 1), result.output
    plans = {path.stem: load_plan(path).plan for path in sorted(out.glob("*.yaml"))}
    texts = {path.stem: path.read_text() for path in sorted(out.glob("*.yaml"))}
    return Imported(result.exit_code, json.loads(result.stdout), texts, plans)


@pytest.fixture
def bring(tmp_path: Path) -> Callable[..., Imported]:
    """Import objects, each a file of its own, as the shape's exporter wrote them."""

    def run(shape: str, *documents: Any, options: tuple[str, ...] = ()) -> Imported:
        sources = []
        for number, document in enumerate(documents):
            path = tmp_path / f"source-{number}.json"
            path.write_text(document if isinstance(document, str) else json.dumps(document))
            sources.append(str(path))
        return imported(tmp_path, sources, shape, *options)

    return run
