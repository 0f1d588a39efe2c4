"""Airflow settings that cost a recovery time, or a run its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drs_provider.deploy.doctor.advice import Advice
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS, Setting

__all__ = ["GetOption", "check_settings"]

GetOption = Callable[[str, str], "str | None"]
"""Returns an option of Airflow's configuration by section and key, None where it has no value."""

_WAITING_TASKS = 16


def check_settings(option: GetOption) -> Iterator[Advice]:
    """Compare Airflow's configuration with what the project recommends.

    :param option: reads one option.
    """
    for setting in RECOMMENDED_SETTINGS:
        present = option(setting.section, setting.key)
        if _same(present, setting.value):
            yield Advice("ok", "settings", f"[{setting.section}] {setting.key} = {present}")
        else:
            yield _advise(setting, present)
    if not option("core", "fernet_key"):
        yield Advice(
            "warning",
            "settings",
            "[core] fernet_key is empty: the secrets of connections lie in the database as plain text",
            "set AIRFLOW__CORE__FERNET_KEY",
        )
    parallelism = option("core", "parallelism")
    if parallelism and parallelism.isdecimal() and 0 < int(parallelism) < _WAITING_TASKS:
        yield Advice(
            "warning",
            "settings",
            f"[core] parallelism = {parallelism}: waves that may start together wait for each other",
            f"set AIRFLOW__CORE__PARALLELISM to {_WAITING_TASKS} or more",
        )
    if (option("core", "dags_are_paused_at_creation") or "").lower() == "true":
        yield Advice(
            "info",
            "settings",
            "[core] dags_are_paused_at_creation: a new plan neither drills by schedule nor starts until it is unpaused",
            "unpause it, or set AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION=False",
        )


def _same(present: str | None, wanted: str) -> bool:
    try:
        return float(present or "") == float(wanted)
    except ValueError:
        return present == wanted


def _advise(setting: Setting, present: str | None) -> Advice:
    return Advice(
        "warning",
        "settings",
        f"[{setting.section}] {setting.key} = {present}, recommended {setting.value}. {setting.reason}",
        f"{setting.variable}={setting.value}",
    )
