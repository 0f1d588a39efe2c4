"""One thing that the doctor says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Advice", "Level"]

Level = Literal["ok", "info", "warning", "error"]


@dataclass(frozen=True)
class Advice:
    """What a check found.

    :param level: ``error``: recovery will not work; ``warning``: it will, but slower or less safely; ``info``, ``ok``.
    :param check: the part that was looked at: package, plans, settings, tuning, airflow, aws, helm.
    :param message: what was found.
    :param remedy: what to do; empty where there is nothing to do.
    """

    level: Level
    check: str
    message: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the advice as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        if self.check == "tuning" and self.level != "ok":
            # One line each: nothing is wrong, and JSON has the reason.
            return f"{self.level:<8}{self.check:<10}{self.remedy}"
        text = f"{self.level:<8}{self.check:<10}{self.message}"
        return f"{text}\n{'':18}→ {self.remedy}" if self.remedy else text
