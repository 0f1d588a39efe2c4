"""What a finding means to the person who gets it: the text of ``drs-plan explain`` and of docs/findings.md."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from drs_provider.readiness.findings import CODES

__all__ = ["Guidance", "findings_page", "guidance", "guidance_text"]

_FILE = Path(__file__).with_name("guidance.yaml")
_INTRODUCTION = """\
# Every finding, and what to do about it

Made by `drs-plan explain --format markdown`; a test keeps it up to date. `drs-plan explain CODE` prints the same.

An *error* stops a drill, and a recovery unless a person overrides it (`override_findings`, with `override_reason`). A
*warning* never stops a run. Words in capitals stand for your own values.
"""


class Guidance(BaseModel):
    """The explanation of one finding code.

    :param cause: what is the case, and why it matters.
    :param see: where to see it in the console of AWS or Airflow.
    :param fix: what to do.
    :param commands: commands that show it or fix it; words in capitals stand for values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    cause: str
    see: str
    fix: str
    commands: tuple[str, ...]


@cache
def guidance() -> Mapping[str, Guidance]:
    """Return the explanation of each finding code, in the order of the codes.

    :raises LookupError: if a code has none, or one is explained that does not exist.
    """
    explained = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    if wrong := set(explained) ^ set(CODES):
        raise LookupError(f"finding codes without an explanation, or explanations without a code: {sorted(wrong)}")
    return {code: Guidance.model_validate(explained[code]) for code in CODES}


def guidance_text(code: str) -> str:
    """Return the explanation of a code for a terminal.

    :raises KeyError: if the code does not exist.
    """
    explained = guidance()[code]
    return "\n".join(
        [
            f"{code}: {_standing(code)}",
            "",
            CODES[code].meaning,
            "",
            f"Why         {explained.cause}",
            f"Where       {explained.see}",
            f"What to do  {explained.fix}",
            "",
            *(f"    {command}" for command in explained.commands),
        ]
    )


def findings_page() -> str:
    """Return the page of all codes as Markdown: a table of contents, then a section for each."""
    rows = [f"| [`{code}`](#{code}) | {CODES[code].severity} | {CODES[code].meaning} |" for code in CODES]
    table = ["| code | severity | meaning |", "| --- | --- | --- |", *rows]
    return "\n".join([_INTRODUCTION, *table, "", *(_section(code) for code in CODES)])


def _section(code: str) -> str:
    explained = guidance()[code]
    commands = "\n".join(explained.commands)
    return (
        f"## {code}\n\n*{_standing(code)}.* {explained.cause}\n\n**Where to see it.** {explained.see}\n\n"
        f"**What to do.** {explained.fix}\n\n```sh\n{commands}\n```\n"
    )


def _standing(code: str) -> str:
    known = CODES[code]
    if known.severity == "warning":
        return "a warning"
    return f"an error that {'can' if known.overridable else 'cannot'} be overridden in a recovery"
