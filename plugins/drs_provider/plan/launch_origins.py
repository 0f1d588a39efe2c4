"""From which line of a plan file each launch setting of a server comes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from drs_provider.plan.document import read_document
from drs_provider.plan.explain import Objection, located, written_path
from drs_provider.plan.launch_rules import first_value, layers

__all__ = ["LaunchOrigins", "Origin"]


class Origin(NamedTuple):
    """Where a setting is written."""

    line: int
    """From 1."""
    path: str
    """The key path: ``waves[0].launch.subnet``."""


class LaunchOrigins:
    """Where the launch settings of a plan file are written.

    :param path: a valid plan file.
    :raises OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._file = str(path)
        self._document = read_document(path.read_bytes())
        self._lines = self._document.text.splitlines()
        data: Any = self._document.root.value if self._document.root is not None else None
        # Each selection by its wave and its place in it; a wave's name cannot stand in for its index in a broken file.
        self._layers = {(found[0].location[1], found[0].location[3]): found for found in layers(data)}

    def of(self, wave: int, selector: int, key: str) -> Origin | None:
        """Return where a setting of a selection comes from.

        :param wave: the wave's index in the plan.
        :param selector: the selection's index in the wave's ``servers``.
        :param key: a key of ``launch``.
        :return: the most exact place that has the key; ``None`` where none has.
        """
        found = first_value(self._layers.get((wave, selector), ()), key)
        if found is None:
            return None
        problem = located(self._document, self._lines, self._file, Objection(found[0], "", at_key=True))
        return Origin(problem.line, written_path(found[0]))
