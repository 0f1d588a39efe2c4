"""The pause between a wave's launch and the scripts behind it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

from drs_provider.runs.rehearsing import pace
from drs_provider.steps.settle.event import SettleEvent
from drs_provider.tasks.recovery_work import RecoveryWork
from drs_provider.timestamps import moment_text
from drs_provider.triggers.pause import PauseTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave

__all__ = ["SettleWork"]

# A trigger that fires within two seconds of its deferral can fail its task: see drs_provider.triggers.
_SHORTEST_DEFERRAL = timedelta(seconds=2.5)


class SettleWork(RecoveryWork, BaseOperator):
    """Waits for ``settle`` after the wave's launch, in the triggerer.

    :param loaded: the plan.
    :param wave: the wave.
    """

    wave: Wave

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self.wave = wave

    def execute(self, context: Context) -> None:
        """Defer until the pause is over."""
        self.begin(context, acts=False)
        pause = max(pace().pause(self.wave.settle), _SHORTEST_DEFERRAL)
        now = datetime.now(timezone.utc)
        self.log.info("Settling for %s, until %s", pace().text(self.wave.settle), moment_text(now + pause))
        # The trigger ends the task and can tell nothing; the end of a pause is known before.
        event = SettleEvent(started=now, ended=now + pause, status="success", wave=self.wave.name)
        self.leave_evidence(context, event)
        self.defer(trigger=PauseTrigger(deadline=(now + pause).timestamp()), method_name="execute_complete")

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Nothing is left to do: the trigger ends the task itself."""
