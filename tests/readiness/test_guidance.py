"""Each finding code is explained, and the commands of the explanations are commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drs_provider.cli import app
from drs_provider.readiness.findings import CODES, Finding, FindingsReport
from drs_provider.readiness.guidance import findings_page, guidance
from tests.simulator.test_aws_cli import program  # noqa: F401

ROOT = Path(__file__).parents[2]


def test_every_code_is_explained_and_the_page_is_up_to_date() -> None:
    assert list(guidance()) == list(CODES)
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    assert page == findings_page(), "run: drs-plan explain --format markdown > docs/findings.md"


@pytest.mark.parametrize("code", CODES)
def test_the_command_explains_a_code(code: str) -> None:
    done = CliRunner().invoke(app, ["explain", code])
    assert done.exit_code == 0
    can = "a warning" if CODES[code].severity == "warning" else "can" if CODES[code].overridable else "cannot"
    assert done.stdout.startswith(f"{code}: ") and can in done.stdout.splitlines()[0]
    assert all(f"    {command}\n" in done.stdout for command in guidance()[code].commands)


def test_a_code_that_does_not_exist_is_refused_with_the_nearest() -> None:
    done = CliRunner().invoke(app, ["explain", "replication-lga"])
    assert (done.exit_code, "did you mean replication-lag" in done.stderr) == (2, True)


def test_all_codes_are_listed() -> None:
    lines = CliRunner().invoke(app, ["explain"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(CODES)


def test_a_list_of_findings_says_where_they_are_explained() -> None:
    found = FindingsReport("drill", (Finding.of("no-snapshot", "None.", "Wait."),))
    assert "drs-plan explain CODE, such as no-snapshot" in found.message()


@pytest.mark.slow
def test_the_aws_commands_are_those_of_the_cli(program: subprocess.Popen[str]) -> None:  # noqa: F811
    """The CLI itself reads the words of each, and calls nothing."""
    assert program.stdin is not None and program.stdout is not None
    commands = [command for each in guidance().values() for command in each.commands if command.startswith("aws ")]
    assert len(commands) > 30
    for command in dict.fromkeys(commands):
        words = shlex.split(re.sub(r"\b[A-Z]+_ARN\b", "arn:aws:iam::123456789012:role/x", command))[1:]
        print(
            json.dumps([[*words, "--generate-cli-skeleton", "--region", "us-west-2"], dict(os.environ)]),
            file=program.stdin,
            flush=True,
        )
        code, _, error = json.loads(program.stdout.readline())
        assert code == 0, f"{command}\n{error}"
