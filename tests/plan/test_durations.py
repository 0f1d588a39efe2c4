"""Durations: what is read, what is refused, and what the refusal advises."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drs_provider.plan import format_duration, parse_duration


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
