"""What a deferred task does when its time was up while the triggerer was away: it looks for itself.

Airflow ends a deferral at its own time-out, which lies a quarter of an hour after the wait's deadline, by failing the
task without a look. What was waited for may have ended well long before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drs_provider.airflow_compat import deferral_timed_out

__all__ = ["OutlivesTriggerer"]


class OutlivesTriggerer:
    """Mixed into tasks that defer, before the base of Airflow."""

    log: Any
    deferrable: bool

    def execute(self, context: Any) -> Any:
        """Do the task's work."""
        raise NotImplementedError

    def go_on(self, context: Any) -> Any:
        """Take up the wait in this worker. By default the task begins again: it adopts what it started."""
        self.deferrable = False
        return self.execute(context)

    def resume_execution(self, next_method: str, next_kwargs: Mapping[str, Any] | None, context: Any) -> Any:
        """Resume as Airflow says, but for a deferral that timed out: then the task looks for itself."""
        if deferral_timed_out(next_method, next_kwargs):
            self.log.warning("The triggerer did not end this wait in time; looking in this worker")
            return self.go_on(context)
        return super().resume_execution(next_method, next_kwargs, context)  # type: ignore[misc]
