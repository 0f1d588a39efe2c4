"""Automation over targets: one execution for each target, so many at once, until too many have failed."""

from __future__ import annotations

from collections.abc import Callable

from drs_provider.simulator.runtime import Runtime
from drs_provider.simulator.ssm.commands import share
from drs_provider.simulator.ssm.executions import Execution
from drs_provider.simulator.ssm.runbook_steps import SUCCEEDED, Runbook, Start

__all__ = ["TargetedExecution"]


class TargetedExecution(Execution):
    """An execution over targets: it runs one execution for each target, under MaxConcurrency and MaxErrors.

    :param start_child: starts the execution of one target's value.
    """

    def __init__(
        self,
        simulation: Runtime,
        runbook: Runbook,
        start: Start,
        targets: list[str],
        start_child: Callable[[TargetedExecution, str], Execution],
    ) -> None:
        self.targets = targets
        self.children: list[Execution] = []
        self._start_child = start_child
        super().__init__(simulation, runbook, start)

    def begin(self) -> None:
        """Start as many children as may run at once."""
        self.status = "InProgress"
        self.child_ended()

    def stop(self, kind: str) -> None:
        """Stop the children too, and start no more.

        :raises InvalidAutomationStatusUpdate: it has ended.
        """
        self._completing = True
        super().stop("Cancel")
        for child in self.children:
            if not child.over:
                child.stop(kind)

    def child_ended(self) -> None:
        """Start the next children, or end once all are through."""
        if self.over or self.status == "Cancelling":
            return
        total = len(self.targets)
        failed = [child for child in self.children if child.over and child.status not in SUCCEEDED]
        too_many = len(failed) > share(str(self.request.get("MaxErrors") or "0"), total)
        running = sum(1 for child in self.children if not child.over)
        room = max(1, share(str(self.request.get("MaxConcurrency") or "50"), total)) - running
        if not too_many and not self._completing:
            for value in self.targets[len(self.children) : len(self.children) + room]:
                self.children.append(self._start_child(self, value))
                running += 1
        if running == 0:
            self._finish("Failed" if too_many else "Success", "Too many targets failed" if too_many else None)
