"""Run parameters as people and programs hand them over: the right meaning, or a clear error; never a traceback."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drs_provider.run_parameters import RUN_PARAMETERS
from drs_provider.runs.recovery_run import RecoveryRun, RunParameterError
from tests.dag.plans import loaded_plan

PLAN = loaded_plan({"name": "db", "servers": [{"id": "s-1a2b3c4d5e6f70001"}]}).plan


def read(**parameters: Any) -> RecoveryRun:
    return RecoveryRun.from_parameters("shop", "manual__1", parameters)


def test_one_wave_may_be_named_without_a_list() -> None:
    assert read(waves="db").waves == {"db"}
    assert read(waves=["db"]).waves == {"db"}
    assert read(waves=None).waves == read(waves=[]).waves == frozenset()


@pytest.mark.parametrize("waves", [5, True, {"db": 1}, ["db", 5], [["db"]]])
def test_waves_that_are_no_names_are_refused(waves: Any) -> None:
    with pytest.raises(RunParameterError, match=r"waves is .*expected a list of names"):
        read(waves=waves)


@pytest.mark.parametrize("parameter", ["skip_scripts", "keep_drill_instances"])
def test_false_as_text_is_false(parameter: str) -> None:
    assert getattr(read(**{parameter: "false"}), parameter) is False
    assert getattr(read(**{parameter: "True"}), parameter) is True
    assert getattr(read(**{parameter: None}), parameter) is False
    for value in ("no", 1, 0, [True]):
        with pytest.raises(RunParameterError, match=f"{parameter} is .*expected true or false"):
            read(**{parameter: value})


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_at_the_edge_of_the_calendar_is_refused(time: str) -> None:
    with pytest.raises(RunParameterError, match="outside of the calendar"):
        read(snapshot_time=time)


def test_times_are_in_utc() -> None:
    assert read(snapshot_time="2026-11-23T06:00:00+02:00").snapshot_time == datetime(
        2026, 11, 23, 4, tzinfo=timezone.utc
    )
    assert read(snapshot_time="0001-01-01T00:00:00Z").snapshot_time == datetime(1, 1, 1, tzinfo=timezone.utc)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
NAMES = [each.name for each in RUN_PARAMETERS]


@pytest.mark.slow
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(NAMES), ANY))
def test_whatever_is_handed_over_is_understood_or_refused(parameters: dict[str, Any]) -> None:
    try:
        read(**parameters).check(PLAN, parameters, scheduled=False)
    except RunParameterError as error:
        assert str(error)
