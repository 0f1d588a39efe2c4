"""The next drills of a plan: by its schedule, without the days that it excludes, in its own time zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from drs_provider.plan.exclusions import excluded_by
from drs_provider.plan.schedule import next_moments

if TYPE_CHECKING:
    from drs_provider.plan.models import Drill

__all__ = ["upcoming_drills", "upcoming_text"]

_HORIZON = timedelta(days=5 * 366)
_MOST_LOOKED_AT = 10_000


def upcoming_drills(drill: Drill, after: datetime, count: int = 3) -> list[datetime]:
    """Return the next drills that the schedule of a plan starts.

    :param drill: the plan's ``drill``.
    :param after: the moment after which they come.
    :param count: how many.
    :returns: in the plan's time zone, soonest first; fewer where the next five years hold no more.
    """
    found: list[datetime] = []
    moment = after
    for _ in range(_MOST_LOOKED_AT if drill.schedule else 0):
        (moment,) = next_moments(str(drill.schedule), drill.timezone, moment, 1)
        if moment > after + _HORIZON:
            break
        if not excluded_by(moment.date(), drill.not_on):
            found.append(moment)
            if len(found) == count:
                break
    return found


def upcoming_text(drill: Drill, after: datetime) -> str | None:
    """Return the next three drills for a person; None where no schedule starts one.

    :param drill: the plan's ``drill``.
    :param after: the moment after which they come.
    """
    if drill.schedule is None:
        return None
    moments = [f"{moment:%a %Y-%m-%d %H:%M}" for moment in upcoming_drills(drill, after)]
    waves = f", of {', '.join(drill.waves)} only" if drill.waves else ""
    return f"{', '.join(moments)} ({drill.timezone}){waves}" if moments else "none in the next five years"
