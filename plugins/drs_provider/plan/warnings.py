"""What is valid in a plan file and still deserves a second look: shown by ``drs-plan validate``, never an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from drs_provider.plan.document import read_document
from drs_provider.plan.explain import Objection, located
from drs_provider.plan.problems import Problem
from drs_provider.plan.rules import Finding, get, items, text

__all__ = ["look_twice", "remarks"]

Rule = Callable[[Any], Iterable[Finding]]


def look_twice(plan: Any) -> Iterator[Finding]:
    """Yield the warnings of a plan.

    :param plan: the raw data of a valid plan file.
    """
    yield from _scripts_that_drills_run_too(plan)


def remarks(path: Path, rule: Rule = look_twice, *, severity: str = "warning") -> list[Problem]:
    """Return what a rule says of a valid plan file, each with its line and column.

    :param path: a file that was read as a plan a moment ago.
    :param rule: takes the file's raw data and yields findings.
    :param severity: of the problems that come of it: ``warning`` or ``error``.
    :returns: in the order of the file; none where the file cannot be read any more.
    """
    try:
        document = read_document(path.read_bytes())
    except OSError:
        return []
    if document.root is None:
        return []
    lines = document.text.splitlines()
    found = [
        located(document, lines, str(path), Objection(finding.location, finding.message))
        for finding in rule(document.root.value)
    ]
    return sorted(problem.of_severity(severity) for problem in found)


def _scripts_that_drills_run_too(plan: Any) -> Iterator[Finding]:
    defaults = get(plan, "defaults")
    if get(defaults, "script_modes") is not None:
        return
    for location, part in (*items(plan, "waves"), (("defaults",), defaults)):
        for place, script in items(part, "post_launch"):
            if get(script, "modes") is None:
                yield Finding(
                    (*location, *place, "name"),
                    f"{text(script, 'name') or 'the script'} runs in drills too, on instances in the subnet of the "
                    "launch template, beside production; if that is safe write modes: [drill, recovery], otherwise "
                    "modes: [recovery]",
                )
