"""Writes adopted launch settings into a plan file, whole or not at all."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drs_provider.commands.terminal import say

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["written"]


def written(
    path: Path, plan: RecoveryPlan, changes: Mapping[tuple[int, int | None], Mapping[str, Any]], *, dry_run: bool
) -> str:
    """Write launch settings into a plan file, and say where.

    :param path: the plan file.
    :param plan: what it says now.
    :param changes: the settings of each wave, ``(wave, None)``, and entry of its ``servers``, ``(wave, entry)``.
    :param dry_run: show the difference, and write nothing.
    :return: why nothing was written; empty where it was.
    """
    from pydantic import ValidationError

    from drs_provider.plan import PlanError, RecoveryPlan
    from drs_provider.plan.document import decode, read_document
    from drs_provider.plan.launch_editing import NotEditableError, with_launch_settings

    if not changes:
        say(f"{path} says already what the account has.")
        return ""
    try:
        before = decode(path.read_bytes())
        text = with_launch_settings(before, changes)
        root = read_document(text.encode()).root
        RecoveryPlan.model_validate(root.value if root is not None else None)
    except (NotEditableError, PlanError) as error:
        return str(error)
    except ValidationError as error:
        reasons = "; ".join(str(each["msg"]) for each in error.errors(include_url=False))
        return f"the account's settings do not make a valid plan: {reasons}"
    if dry_run:
        lines = difflib.unified_diff(
            before.splitlines(), text.splitlines(), str(path), f"{path} (adopted)", lineterm="", n=2
        )
        say("\n".join(lines))
        return ""
    _replace(path, text)
    for (wave, entry), settings in sorted(changes.items(), key=_in_order):
        where = (
            plan.waves[wave].name
            if entry is None
            else f"{plan.waves[wave].name}, {plan.waves[wave].servers[entry].text}"
        )
        say(f"{where}: {', '.join(settings)}")
    say(f"Written to {path}. Check it with `drs-plan launch-settings diff {path}`.")
    return ""


def _in_order(change: tuple[tuple[int, int | None], Any]) -> tuple[int, int]:
    (wave, entry), _ = change
    return wave, -1 if entry is None else entry


def _replace(path: Path, text: str) -> None:
    """Put the text in the place of the file at once: a plan that is half written would be a broken one."""
    target = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        shutil.copymode(target, name)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
