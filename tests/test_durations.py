"""Durations: what is read, what is refused, and what the refusal advises."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drs_provider.durations import (
    format_duration,
    format_iso8601,
    parse_duration,
    parse_iso8601,
    parse_seconds,
    seconds_of,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("45m", 2700),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1d", 86400),
        ("1d2h3m4s", 93784),
        ("0s", 0),
        ("PT45M", 2700),
        ("P1DT2H", 93600),
        ("P2W", 1209600),
        ("P0D", 0),
    ],
)
def test_reads_a_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("45", "has no unit: write 45s (seconds), 45m (minutes) or 45h (hours)"),
        ("45 m", "did you mean 45m?"),
        ("45M", "did you mean 45m?"),
        ("1 hour 30 min", "did you mean 1h30m?"),
        ("30m1h", "is not a duration: write"),
        ("1h1h", "is not a duration: write"),
        ("soon", "is not a duration: write"),
        ("", "is not a duration: write"),
        ("-5m", "is not a duration: write"),
        ("1.5h", "is not a duration: write"),
        ("P", "is not a duration: write"),
        ("PT", "is not a duration: write"),
        ("P1DT", "is not a duration: write"),
        ("P1M", "is not a duration: write"),
        ("5m\n", "is not a duration: write"),
        ("٣m", "is not a duration: write"),
        ("366d", "is longer than 365 days"),
        ("99999999d", "is longer than 365 days"),
        ("9" * 5000 + "s", "is not a duration: write"),
    ],
)
def test_refuses_with_advice(text: str, advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)):
        parse_duration(text)


@given(st.integers(min_value=0, max_value=365 * 86400))
def test_what_is_written_is_read_back(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


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
def test_reads_a_duration_of_aws(text: str, duration: timedelta) -> None:
    assert parse_iso8601(text) == duration


@pytest.mark.parametrize("text", ["", "P", "PT", "5m", "1H", "P-1D", "PT1H2", "P٣D", f"P{'9' * 5000}D"])
def test_refuses_what_is_no_duration_of_aws(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        parse_iso8601(text)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("1.5s", 1.5),
        ("1h30m", 5400),
        ("400d", 34560000),
        ("P0D", 0),
        ("PT5M", 300),
        ("P1DT0.5S", 86400.5),
    ],
)
def test_reads_a_duration_of_a_scenario(value: object, seconds: float) -> None:
    assert parse_seconds(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "soon", "5", "m", "1m1h", "5 m", "P", "PT", -1, True, None, math.inf, math.nan, "9" * 5000 + "s", 10**400],
)
def test_refuses_what_is_no_duration_of_a_scenario(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration: seconds"):
        parse_seconds(value)


@pytest.mark.parametrize(("seconds", "text"), [(0, "P0D"), (270, "PT4M30S"), (3600, "PT1H"), (90061, "P1DT1H1M1S")])
def test_a_lag_is_written_as_drs_writes_it(seconds: float, text: str) -> None:
    assert format_iso8601(seconds) == text


@given(st.integers(min_value=0, max_value=365 * 86400))
def test_a_lag_is_read_as_it_was_written(seconds: int) -> None:
    assert parse_iso8601(format_iso8601(seconds)).total_seconds() == seconds == seconds_of(timedelta(seconds=seconds))
