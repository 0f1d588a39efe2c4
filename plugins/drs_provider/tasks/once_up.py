"""Which waves of a recovery have been up: what people may be working on by now, and no rollback terminates unasked.

Airflow forgets what a task did when it is cleared. So it is noted under ``confirm`` and under ``report``: one of them
is left whichever of the two is cleared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pydantic import AwareDatetime, BaseModel, ValidationError

from drs_provider.plan.steps import work_of
from drs_provider.tasks.gates import leave

if TYPE_CHECKING:
    from drs_provider.plan import RecoveryPlan, Wave
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = ["can_roll_back", "is_up", "note_up", "waves_once_up"]

_HOLDERS = ("confirm", "report")


class _Up(BaseModel):
    at: AwareDatetime


def can_roll_back(plan: RecoveryPlan) -> bool:
    """Whether a failure of the plan terminates anything."""
    return plan.recovery.on_failure == "rollback" or any(wave.on_failure == "rollback" for wave in plan.waves)


def is_up(wave: Wave, run: RecoveryRun, states: Mapping[str, str | None]) -> bool:
    """Whether a wave has done all of its work, by Airflow's states."""
    work = work_of(wave, run.mode, skip_scripts=run.skip_scripts)
    return all(states.get(f"{wave.name}.{task}") == "success" for task in work)


def note_up(context: Mapping[str, Any], waves: Iterable[str]) -> None:
    """Note that waves are up, or may have been."""
    now = datetime.now(timezone.utc).isoformat()
    for wave in waves:
        for holder in _HOLDERS:
            leave(context, holder, _key(wave), {"at": now})


def waves_once_up(
    context: Mapping[str, Any], waves: Iterable[Wave], run: RecoveryRun, states: Mapping[str, str | None]
) -> dict[str, datetime | None]:
    """Return the waves that have been up at some time of the run, and when that was last noted.

    :param waves: those to look at.
    :param states: Airflow's states of the tasks now.
    """
    found: dict[str, datetime | None] = {}
    for wave in waves:
        noted = [moment for holder in _HOLDERS if (moment := _noted(context, holder, wave.name))]
        if noted or is_up(wave, run, states):
            found[wave.name] = max(noted, default=None)
    return found


def _noted(context: Mapping[str, Any], holder: str, wave: str) -> datetime | None:
    try:
        return _Up.model_validate(context["ti"].xcom_pull(task_ids=holder, key=_key(wave))).at
    except ValidationError:
        return None


def _key(wave: str) -> str:
    return f"up {wave}"
