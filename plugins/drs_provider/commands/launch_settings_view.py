"""What ``drs-plan launch-settings`` shows: a table a server, and the same as data."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drs_provider.plan.launch_origins import LaunchOrigins
    from drs_provider.readiness.launch_drift import Looked

__all__ = ["as_data", "differing", "server_text", "summary"]

KEY = 19
"""The longest key, in characters."""
LEAST = 14
WITH_PATH = 120
"""From this width on, a line shows the key path beside the line number."""


def differing(looked: Sequence[Looked]) -> list[Looked]:
    """The servers whose settings differ from the plan."""
    return [one for one in looked if one.comparison is not None and one.comparison.changes]


def _titles(looked: Looked) -> str:
    wanted = looked.wanted
    return wanted.name if wanted.name == wanted.server else f"{wanted.name} ({wanted.server})"


def server_text(looked: Looked, origins: LaunchOrigins, plan: Path, *, width: int | None = None) -> str:
    """A server's table: each setting that differs, now, wanted, and from which line of the plan.

    :param width: how many characters a line has; by default the terminal's.
    """
    from drs_provider.readiness.launch_drift import shown

    width = width or shutil.get_terminal_size((100, 20)).columns
    title = f"{looked.wanted.wave}: {_titles(looked)}"
    if looked.comparison is None:
        return f"{title}\n{_remark('cannot look: ' + looked.problem, width)}"
    changes, comparison = looked.comparison.changes, looked.comparison
    lines = [title if changes else f"{title}  nothing differs"]
    if changes:
        rows = []
        for change in changes:
            origin = origins.of(*looked.wanted.place, change.key)
            place = "" if origin is None else f"{plan.name}:{origin.line}"
            if origin is not None and width >= WITH_PATH:
                place += f"  {origin.path}"
            rows.append((change.key, shown(change.now), shown(change.wanted), place))
        lines += _table([("setting", "now", "plan", "from"), *rows], width)
    lines += [_remark(f"cannot be applied: {each}", width) for each in comparison.obstacles]
    lines += [_remark(f"note: {each}", width) for each in comparison.warnings]
    return "\n".join(lines)


def _remark(text: str, width: int) -> str:
    return textwrap.fill(text, max(width, 40), initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)


def _table(rows: list[tuple[str, str, str, str]], width: int) -> list[str]:
    """Rows in columns; what is longer than its column goes on in the next line."""
    last = max(len(row[3]) for row in rows)
    rest = width - 2 - KEY - 2 - 2 - 2 - last
    wide = [max(len(row[column]) for row in rows) for column in (1, 2)]
    if sum(wide) > rest:
        half = max(rest // 2, LEAST)
        wide = [min(wide[0], max(half, rest - wide[1])), min(wide[1], max(half, rest - min(wide[0], half)))]
    lines = []
    for key, now, wanted, place in rows:
        cells = [
            textwrap.wrap(text, size, break_on_hyphens=False) or [""]
            for text, size in zip((now, wanted), wide, strict=True)
        ]
        for index in range(max(len(cell) for cell in cells)):
            left, right = (cell[index] if index < len(cell) else "" for cell in cells)
            first = key if not index else ""
            line = f"  {first:<{KEY}}  {left:<{wide[0]}}  {right:<{wide[1]}}  {place if not index else ''}"
            lines.append(line.rstrip())
    return lines


def summary(looked: Sequence[Looked], region: str) -> str:
    """One line about all servers."""
    servers = len(looked)
    unseen = sum(one.comparison is None for one in looked)
    found = differing(looked)
    settings = sum(len(one.comparison.changes) for one in found if one.comparison is not None)
    said = f"{settings} settings differ at {len(found)} of {_count(servers, 'server')} in {region}"
    if not found:
        said = f"Nothing differs at {_count(servers - unseen, 'server')} in {region}"
    elif settings == 1:
        said = f"1 setting differs at 1 of {_count(servers, 'server')} in {region}"
    return f"{said}; {unseen} could not be looked at." if unseen else f"{said}."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def as_data(looked: Looked, origins: LaunchOrigins, plan: Path) -> dict[str, Any]:
    """A server's comparison as JSON-serialisable data."""
    wanted, comparison = looked.wanted, looked.comparison
    differs = []
    for change in comparison.changes if comparison is not None else ():
        origin = origins.of(*wanted.place, change.key)
        place = {} if origin is None else {"line": origin.line, "path": origin.path}
        differs.append(
            {"key": change.key, "now": _plain(change.now), "plan": _plain(change.wanted), "file": str(plan), **place}
        )
    return {
        "server": wanted.server,
        "hostname": None if wanted.name == wanted.server else wanted.name,
        "wave": wanted.wave,
        "problem": looked.problem or None,
        "differs": differs,
        "obstacles": list(comparison.obstacles) if comparison is not None else [],
        "warnings": list(comparison.warnings) if comparison is not None else [],
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
