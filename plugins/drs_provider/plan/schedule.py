"""The drill's schedule and time zone, checked with the libraries that Airflow itself uses, without importing Airflow.

Airflow's ``CronTriggerTimetable`` looks a preset up in its own table, reads the expression with croniter and the time
zone from the IANA database. The table is repeated here because importing it would import Airflow (about a second).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["PRESETS", "check_schedule", "check_timezone", "moments_between"]

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
"""Airflow's cron presets. ``@once`` and ``@continuous`` are not drills: the one never repeats, the other never ends."""

LONGEST = 200
"""croniter expands lists: a hostile one would cost seconds."""

_RANDOM = re.compile(r"(?<![A-Za-z])[RrHh](?![A-Za-z])")


@lru_cache(maxsize=1024)
def check_schedule(schedule: str) -> None:
    """Check a cron expression or preset.

    :param schedule: five cron fields, or one of :data:`PRESETS`.
    :raises ValueError: Airflow would not accept it, or it would never start a drill; the message says why.
    """
    from croniter import CroniterBadDateError, croniter

    if len(schedule) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if schedule.startswith("@") and schedule not in PRESETS:
        raise ValueError(f"is not a schedule preset: use a cron expression or one of {', '.join(PRESETS)}")
    expression = PRESETS.get(schedule, schedule)
    fields = len(expression.split())
    if fields != 5:
        from drs_provider.plan.nearest import nearest

        raise ValueError(
            f"has {fields} cron field{'s' * (fields != 1)}, not 5: minute, hour, day of month, month, day of week "
            f"(0 6 * * SAT){nearest(schedule, PRESETS)}"
        )
    if _RANDOM.search(expression):
        raise ValueError("has a random (R) or hashed (H) field: each parse of the DAG would give another time")
    try:
        croniter(expression).get_next()
    except CroniterBadDateError as error:
        raise ValueError("never occurs: no date matches it") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        # croniter raises more than its own errors on odd input.
        raise ValueError(f"is not a cron expression: {error}") from error


@lru_cache(maxsize=1024)
def check_timezone(name: str) -> None:
    """Check the name of a time zone.

    :param name: an IANA name such as ``Europe/Vienna``, or ``UTC``.
    :raises ValueError: there is no such time zone; the message offers near names.
    """
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:
        from zoneinfo import available_timezones

        from drs_provider.plan.nearest import nearest

        # The nearest name to UTC+2 would be UTC, two hours off.
        offset = re.search("[+-][0-9]", name)
        near = "; an offset is not one: name a place" if offset else nearest(name, available_timezones())
        raise ValueError(f"is not a time zone name such as Europe/Vienna{near}") from error


MOST_MOMENTS = 1000
"""More moments of a schedule than this are not listed: a plan that drills hourly may be paused for a year."""


def moments_between(schedule: str, timezone_name: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the moments of a schedule between two moments, both excluded; the newest where there are very many.

    :param schedule: as :func:`check_schedule` accepts it.
    :param timezone_name: the zone in which the schedule is read.
    :returns: in UTC, oldest first.
    """
    from croniter import croniter

    zone = ZoneInfo(timezone_name)
    backwards = croniter(PRESETS.get(schedule, schedule), until.astimezone(zone))
    found: list[datetime] = []
    while len(found) < MOST_MOMENTS:
        moment: datetime = backwards.get_prev(datetime).astimezone(timezone.utc)
        if moment <= after:
            break
        found.append(moment)
    return found[::-1]
