"""Every command that a page shows has the name and the options that it is shown with."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from drs_provider import cli
from drs_provider.simulator import cli as simulator_cli

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "DEVELOPERS.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {"drs-plan": cli.app, "drs-sim": simulator_cli.app}


def shown_commands(page: Path) -> list[list[str]]:
    """The words of each command of ours in the shell blocks of a page."""
    blocks = re.findall(
        r"^ *```(?:sh|console)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    parts = [part for line in lines for part in re.split(r" [|] | && |; ", line)]
    commands = [re.sub(r"^\s*(\$ |\w+=\S* |export |timeout \w+ )*", "", part) for part in parts]
    return [shlex.split(text.rstrip("&) "), comments=True) for text in commands if re.match(r"drs-(plan|sim)\b", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_those_of_the_program(page: Path) -> None:
    for program, *words in shown_commands(page):
        command = typer.main.get_command(PROGRAMS[program])
        if words and words[0] in command.commands:  # type: ignore[attr-defined]
            command, words = command.commands[words[0]], words[1:]  # type: ignore[attr-defined]
        else:
            assert all(word.startswith("-") for word in words) or program == "drs-sim", f"no command {words[0]}"
        context = command.context_class(command)
        command.make_parser(context).parse_args(args=words)


def test_there_are_commands_to_look_at() -> None:
    assert sum(len(shown_commands(page)) for page in PAGES) >= 15
