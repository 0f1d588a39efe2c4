"""What is recorded of the pause after a launch."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event

__all__ = ["SettleEvent"]


class SettleEvent(Event):
    """The pause after a launch."""

    kind: Literal["settle"] = "settle"
    wave: str
