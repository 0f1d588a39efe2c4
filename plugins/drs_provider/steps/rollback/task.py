"""The rollback of a wave: its task in the DAG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drs_provider.tasks.delegation import INSTANCES_LINK, RecoveryTask

__all__ = ["RollBackWave"]


class RollBackWave(RecoveryTask):
    """Terminates what this run launched for the wave, then runs the wave's rollback scripts in order.

    :param watched: ids of the tasks whose failure rolls the wave back: its own, or all tasks of the recovery.
    """

    work_path = "drs_provider.steps.rollback.work.RollbackWork"
    operator_extra_links = (INSTANCES_LINK,)
    ends_the_run = True

    def __init__(self, *, watched: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.watched = frozenset(watched)

    @property
    def work_arguments(self) -> dict[str, Any]:
        """What the work needs to know beside the plan and the wave."""
        return {"watched": self.watched}
