"""What is different on the Airflow of a rehearsal, and that nothing is on any other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from drs_provider.runs.rehearsing import is_aws_itself, pace, rehearsal_speed, simulator_speed
from drs_provider.tasks.recovery_work import RecoveryWork, RefusedError

MINUTE = timedelta(minutes=1)


@pytest.fixture
def rehearsing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of a rehearsal at 60 times the speed."""
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REHEARSAL_SPEED", "60")


def test_pauses_and_deadlines_are_the_plans_own_on_every_other_airflow() -> None:
    assert rehearsal_speed() is None
    assert (pace().pause(10 * MINUTE), pace().deadline(10 * MINUTE)) == (10 * MINUTE, 10 * MINUTE)
    assert pace().text(2 * MINUTE) == "2m"


@pytest.mark.usefixtures("rehearsing")
def test_pauses_are_as_fast_as_the_simulated_aws_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace().pause(2 * MINUTE) == timedelta(seconds=2)
    assert pace().text(2 * MINUTE) == "2s (2m in the plan, rehearsed 60 times as fast)"
    assert pace().deadline(60 * MINUTE) == 2 * MINUTE, "a minute is Airflow's"
    assert pace().deadline(MINUTE) == MINUTE, "never longer than the plan says"
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REHEARSAL_PAUSES", "real")
    assert (pace().pause(2 * MINUTE), pace().deadline(60 * MINUTE), rehearsal_speed()) == (2 * MINUTE, 60 * MINUTE, 60)


@pytest.mark.parametrize(("written", "speed"), [("0.5", 0.5), ("fast", 1.0), ("-3", 1.0), ("inf", 1.0)])
def test_a_setting_that_cannot_be_read_still_marks_the_runs(
    monkeypatch: pytest.MonkeyPatch, written: str, speed: float
) -> None:
    monkeypatch.setenv("AIRFLOW__DRS_PROVIDER__REHEARSAL_SPEED", written)
    assert rehearsal_speed() == speed
    assert pace().pause(MINUTE) == MINUTE, "slower than real time, the plan's pauses stay"


class TestEndpoint:
    def test_the_simulator_says_its_speed_and_aws_is_never_asked(self, drs_simulator_server: Any) -> None:
        drs_simulator_server.load({}, speed=90)
        assert simulator_speed(drs_simulator_server.environment["AWS_ENDPOINT_URL"]) == 90
        assert simulator_speed("http://127.0.0.1:9") is None
        assert simulator_speed("https://drs.us-west-2.amazonaws.com") is None
        assert simulator_speed(None) is None

    @pytest.mark.usefixtures("rehearsing")
    @pytest.mark.parametrize("real", [True, False])
    def test_the_airflow_of_a_rehearsal_acts_on_no_real_account(
        self, monkeypatch: pytest.MonkeyPatch, real: bool
    ) -> None:
        endpoint = "https://drs.us-west-2.amazonaws.com" if real else "http://127.0.0.1:4566"
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
        monkeypatch.setattr(RecoveryWork, "aws", {"aws_conn_id": "aws_default", "region_name": "us-west-2"})
        assert is_aws_itself(endpoint) is real
        if not real:
            RecoveryWork().refuse_real_aws()
            return
        with pytest.raises(RefusedError, match="rehearsal_speed says that this Airflow rehearses"):
            RecoveryWork().refuse_real_aws()
