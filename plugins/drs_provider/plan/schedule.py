"""The drill's schedule and time zone, checked with the libraries that Airflow itself uses, without importing Airflow.

Airflow's ``CronTriggerTimetable`` looks a preset up in its own table, reads the expression with croniter and the time
zone from the IANA database. The table is repeated here because importing it would import Airflow (about a second).
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["PRESETS", "check_schedule", "check_timezone", "either_day", "moments_between", "next_moments"]

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
        from drs_provider.plan.windows_zones import IANA_NAMES

        # The nearest name to UTC+2 would be UTC, two hours off.
        offset = re.search("[+-][0-9]", name)
        if meant := IANA_NAMES.get(name.casefold()):
            near = f"; Windows calls it so, write {meant}"
        else:
            near = "; an offset is not one: name a place" if offset else nearest(name, available_timezones())
        raise ValueError(f"is not a time zone name such as Europe/Vienna{near}") from error


def either_day(schedule: str) -> str | None:
    """Say when a schedule fires more often than it reads; None where it does not.

    cron takes a day of the month and a day of the week as alternatives: ``0 3 1-7 * SUN`` is not the first Sunday, but
    every day from the 1st to the 7th, and every Sunday.

    :param schedule: as :func:`check_schedule` accepts it.
    :returns: the trap, and what to write instead where that is clear.
    """
    fields = PRESETS.get(schedule, schedule).split()
    if len(fields) != 5:
        return None
    minute, hour, day, month, weekday = fields
    if day in ("*", "?") or weekday in ("*", "?") or "#" in weekday or "L" in weekday.upper():
        return None
    trap = f"fires on each day of the month that matches {day}, or on {weekday}: cron needs only one of the two"
    week = {"1-7": 1, "8-14": 2, "15-21": 3, "22-28": 4}.get(day)
    if week and re.fullmatch(r"[0-7]|[A-Za-z]{3}", weekday):
        return f'{trap}. For the {_ORDINALS[week]} one of the month write "{minute} {hour} * {month} {weekday}#{week}"'
    return f"{trap}. Write * for the one that you do not mean"


_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth"}


def next_moments(schedule: str, timezone_name: str, after: datetime, count: int = 3) -> list[datetime]:
    """Return the next moments of a schedule.

    :param schedule: as :func:`check_schedule` accepts it.
    :param timezone_name: the zone in which the schedule is read.
    :param after: the moment after which they come.
    :param count: how many.
    :returns: in that zone, oldest first.
    """
    from croniter import croniter

    forwards = croniter(PRESETS.get(schedule, schedule), after.astimezone(ZoneInfo(timezone_name)))
    return [forwards.get_next(datetime) for _ in range(count)]


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
