"""The settings that the project ships are settings of Airflow, and differ from what Airflow does by itself."""

from __future__ import annotations

import pytest
from airflow.configuration import conf

from drs_provider.deploy.settings import RECOMMENDED_SETTINGS, Setting


@pytest.mark.parametrize("setting", RECOMMENDED_SETTINGS, ids=lambda setting: setting.key)
def test_airflow_knows_the_setting_and_has_another_default(setting: Setting) -> None:
    default = conf.get_default_value(setting.section, setting.key)
    assert default is not None
    assert str(default) != setting.value


def test_a_task_that_a_worker_lost_is_queued_again_before_a_wave_is_late_by_four_minutes() -> None:
    values = {setting.key: float(setting.value) for setting in RECOMMENDED_SETTINGS}
    assert values["task_queued_timeout"] + values["task_queued_timeout_check_interval"] < 240
    # Shorter, and a task that waits for a slot of a busy worker would be taken for lost.
    assert values["task_queued_timeout"] >= 120
