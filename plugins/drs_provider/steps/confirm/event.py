"""What is recorded of the run's first task."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Fact, Moment, Text

__all__ = ["ConfirmEvent", "ConfirmResult"]


class ConfirmEvent(Event):
    """The run's parameters were refused (``failed``), or a scheduled drill was not held (``missed``).

    :param triggered_by: Airflow's user name; None for the schedule.
    :param reason: why.
    :param missed: the moments of the schedule at which no drill was held.
    """

    kind: Literal["confirm"] = "confirm"
    mode: str
    triggered_by: Text = None
    reason: Text = None
    missed: list[Moment] = []


class ConfirmResult(Fact):
    """What the run's first task returns when it lets the run begin."""

    mode: Text = None
    plan_hash: Text = None
