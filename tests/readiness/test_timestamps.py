"""Times and durations in every form that DRS has been seen to write."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from drs_provider.aws.timestamps import format_duration, parse_duration, parse_timestamp

MOMENT = datetime(2026, 3, 1, 10, 0, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T10:00:00Z", MOMENT),
        ("2026-03-01T10:00:00.25Z", MOMENT + timedelta(milliseconds=250)),
        ("2026-03-01T10:00:00.123456+00:00", MOMENT + timedelta(microseconds=123456)),
        ("2026-03-01T10:00:00.123456789Z", MOMENT + timedelta(microseconds=123456)),
        ("2026-03-01T12:00:00+02:00", MOMENT),
        ("2026-03-01T05:30:00-0430", MOMENT),
        ("2026-03-01 10:00", MOMENT),
    ],
)
def test_timestamps(text: str, moment: datetime) -> None:
    assert parse_timestamp(text) == moment
    assert parse_timestamp(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-03-01", "2026-13-01T10:00:00Z", "10:00"])
def test_not_timestamps(text: str) -> None:
    with pytest.raises(ValueError, match=r"ISO 8601|month"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("P0D", timedelta(0)),
        ("PT0S", timedelta(0)),
        ("PT1H2M", timedelta(hours=1, minutes=2)),
        ("P1DT3.5S", timedelta(days=1, seconds=3.5)),
        ("P2W", timedelta(weeks=2)),
        ("PT90M", timedelta(minutes=90)),
        ("P1M", timedelta(days=31)),
        ("P1Y", timedelta(days=366)),
        ("PT1M", timedelta(minutes=1)),
    ],
)
def test_durations(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "5m", "1H", "P-1D", "PT1H2"])
def test_not_durations(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_duration(text)


def test_durations_for_people() -> None:
    assert [format_duration(timedelta(seconds=n)) for n in (0, 45, 3720, 273600)] == ["0s", "45s", "1h 2m", "3d 4h"]
