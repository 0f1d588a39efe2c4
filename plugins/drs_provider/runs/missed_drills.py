"""Drills that the schedule starts too late, or on a day of ``drill.not_on``: nobody is ready, and none is held.

Airflow makes up for one missed moment of a schedule when a plan is unpaused, or when its scheduler was away: a drill of
last Saturday would start on a Friday, in the middle of the day.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.providers.common.compat.sdk import conf

from drs_provider.durations import duration_text, format_duration, parse_duration
from drs_provider.plan.exclusions import excluded_by
from drs_provider.plan.schedule import moments_between

if TYPE_CHECKING:
    from drs_provider.plan import Drill

__all__ = ["DEFAULT_GRACE", "NotHeld", "drill_grace", "not_held", "previous_moment"]

log = logging.getLogger(__name__)

DEFAULT_GRACE = timedelta(hours=1)
_MOST_MOMENTS = 100


@dataclass(frozen=True)
class NotHeld:
    """Why a scheduled drill is not held.

    :param reason: for a person.
    :param moments: the moments of the schedule that passed without a drill, oldest first; this run's is the last.
    """

    reason: str
    moments: tuple[datetime, ...]


def drill_grace() -> timedelta:
    """Return how late a scheduled drill may begin, ``[drs_provider] drill_grace``; one hour where that is unusable."""
    written = conf.get("drs_provider", "drill_grace", fallback="") or ""
    if not written:
        return DEFAULT_GRACE
    try:
        grace = parse_duration(written)
    except ValueError as error:
        log.error("[drs_provider] drill_grace %s; taking %s", error, format_duration(DEFAULT_GRACE))
        return DEFAULT_GRACE
    return grace or DEFAULT_GRACE


def not_held(
    dag_run: Any, drill: Drill, *, previous: Callable[[], datetime | None], now: datetime | None = None
) -> NotHeld | None:
    """Decide whether a run is a scheduled drill that must not be held any more.

    Asked by the run's first task before it does anything else: until that has succeeded, the run has not begun. What
    a person started, cleared or backfilled is never held up.

    :param dag_run: Airflow's run, as a task sees it.
    :param drill: the plan's ``drill``.
    :param previous: returns the moment of the schedule for which the run before this one was made; None: there is none.
    :param now: the present.
    :returns: why not; None where the run goes on.
    """
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    if kind != "scheduled" or int(getattr(dag_run, "clear_number", 0) or 0) > 0:
        return None
    due: datetime = dag_run.run_after.astimezone(timezone.utc)
    zone = ZoneInfo(drill.timezone)
    if days := excluded_by(due.astimezone(zone).date(), drill.not_on):
        return NotHeld(f"drill.not_on of the plan excludes {days}", (due,))
    late = (now or datetime.now(timezone.utc)) - due
    grace = drill_grace()
    if late <= grace:
        return None
    earlier = previous()
    before = moments_between(drill.schedule, drill.timezone, earlier, due) if drill.schedule and earlier else []
    missed = [moment for moment in before if not excluded_by(moment.astimezone(zone).date(), drill.not_on)]
    return NotHeld(
        f"it was due at {due.astimezone(zone):%Y-%m-%d %H:%M} {drill.timezone} and would begin "
        f"{duration_text(late.total_seconds())} late; [drs_provider] drill_grace allows {format_duration(grace)}",
        (*missed[-_MOST_MOMENTS:], due),
    )


def previous_moment(context: Mapping[str, Any]) -> datetime | None:
    """Return the moment of the schedule of the run before this one; None where there is none, or it cannot be read."""
    try:
        before: Any = context["ti"].get_previous_dagrun()
    except Exception:
        log.warning("The run before this one could not be read; only this one's moment is recorded", exc_info=True)
        return None
    moment: datetime | None = getattr(before, "logical_date", None) or getattr(before, "run_after", None)
    return moment
