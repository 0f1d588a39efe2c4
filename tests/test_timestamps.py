"""Points in time in every form that DRS has been seen to write."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from drs_provider.timestamps import parse_timestamp

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
