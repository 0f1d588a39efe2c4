"""Airflow settings that cost a recovery time, or a run its way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from drs_provider.deploy.doctor.advice import Advice
from drs_provider.deploy.settings import RECOMMENDED_SETTINGS, Setting
from drs_provider.durations import parse_duration

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan

__all__ = ["GetOption", "check_gates", "check_settings"]

GetOption = Callable[[str, str], "str | None"]
"""Returns an option of Airflow's configuration by section and key, None where it has no value."""

_WAITING_TASKS = 16
_OFF = frozenset({"false", "f", "0", "no", "off", "n"})


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
    if (option("core", "dag_run_conf_overrides_params") or "true").lower() in _OFF:
        yield Advice(
            "error",
            "settings",
            "[core] dag_run_conf_overrides_params is off: Airflow ignores the parameters of a run, so every run is "
            "refused that was triggered with any, recoveries first of all",
            "set AIRFLOW__CORE__DAG_RUN_CONF_OVERRIDES_PARAMS=True for every component",
        )
    if speed := (option("drs_provider", "rehearsal_speed") or "").strip():
        yield Advice(
            "error",
            "settings",
            f"[drs_provider] rehearsal_speed = {speed}: this Airflow counts as that of a rehearsal. It shortens the "
            "pauses and deadlines of plans, reports every run as simulated, and refuses to act on AWS, in a real "
            "recovery too",
            "take the setting out of the configuration and the environment of every component",
        )
    grace = option("drs_provider", "drill_grace")
    if grace and not _is_duration(grace):
        yield Advice(
            "error",
            "settings",
            f"[drs_provider] drill_grace = {grace} is no duration longer than zero; 1h counts instead",
            "write it as 30m, 1h or 1h30m",
        )
    yield Advice(
        "info",
        "settings",
        "While a plan is paused, a run in progress stands still: Airflow starts none of its tasks. A recovery that "
        "stands still notifies run_frozen after two minutes",
        "unpause the plan; to keep drills from starting, use drill.not_on",
    )
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


def _is_duration(text: str) -> bool:
    try:
        return bool(parse_duration(text))
    except ValueError:
        return False


def check_gates(plans: Iterable[RecoveryPlan], option: GetOption) -> Iterator[Advice]:
    """Look at the settings of a run's gates.

    :param plans: the valid plans.
    :param option: reads one option.
    """
    asking = sorted(
        plan.name
        for plan in plans
        if any(each and each.approvers for each in (plan.recovery.approval, *(wave.approval for wave in plan.waves)))
    )
    if asking and not (option("drs_provider", "break_glass_users") or "").strip(" ,"):
        yield Advice(
            "warning",
            "settings",
            f"[drs_provider] break_glass_users names nobody: where no approver answers, these plans do not recover: "
            f"{', '.join(asking)}",
            "set AIRFLOW__DRS_PROVIDER__BREAK_GLASS_USERS to the users who may go on without an approval",
        )
    limit = option("drs_provider", "continue_for") or "24h"
    try:
        parse_duration(limit)
    except ValueError as error:
        yield Advice(
            "error",
            "settings",
            f"[drs_provider] continue_for is {limit!r}: {error}",
            "set AIRFLOW__DRS_PROVIDER__CONTINUE_FOR to a duration such as 24h",
        )


def _same(present: str | None, wanted: str) -> bool:
    try:
        return float(present or "") == float(wanted)
    except ValueError:
        return present == wanted


def _advise(setting: Setting, present: str | None) -> Advice:
    return Advice(
        "warning",
        "tuning",
        f"[{setting.section}] {setting.key} = {present}, recommended {setting.value}. {setting.reason}",
        f"{setting.variable}={setting.value}",
    )
