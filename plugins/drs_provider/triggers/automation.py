"""Waiting for an SSM automation: its steps in the log, its approvals pointed out, its failure explained."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from drs_provider.aws.calls import Calls, chunks
from drs_provider.aws.ssm.reads import read_automation
from drs_provider.aws.ssm.status import AUTOMATION_STATUS, Automation, Progress
from drs_provider.live.model import LiveItem
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["SsmAutomationTrigger", "wait_for_automation"]

#: The values that a filter of DescribeAutomationExecutions takes.
_FILTERED = 10


async def fetch_automations(calls: Calls, execution_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return status and current step of automations, by id: the fetch of the poller for automations."""
    seen: dict[str, tuple[str, str]] = {}
    for some in chunks(execution_ids, _FILTERED):
        found = await calls.read_all(
            "describe_automation_executions",
            "AutomationExecutionMetadataList",
            Filters=[{"Key": "ExecutionId", "Values": some}],
        )
        for execution in found:
            status = execution.get("AutomationExecutionStatus", "Pending")
            seen[execution["AutomationExecutionId"]] = (status, execution.get("CurrentStepName") or "")
    return seen


async def wait_for_automation(
    post: Post,
    execution_id: str,
    *,
    console_url: str,
    deadline: float,
    seconds: float,
    log: logging.Logger | Any,
) -> Automation:
    """Wait until an automation has succeeded.

    :param console_url: where a person approves its steps.
    :param deadline: epoch seconds; ``seconds`` between two looks.
    :raises WaitFailed: when it ends otherwise, or when the deadline passes first.
    """
    looked: tuple[str, str] | None = None
    automation: Automation | None = None

    async def read(calls: Calls) -> Automation:
        return await read_automation(calls, execution_id)

    try:
        async with post.watch(
            "ssm-automation", fetch_automations, [execution_id], lambda _: seconds, service="ssm", batch=50
        ) as watch:
            while True:
                now = (await watch.next(deadline)).get(execution_id)
                if now is None or now == looked:
                    continue
                if now[0] not in AUTOMATION_STATUS:
                    log.warning("Automation %s has a status that is not known: %s", execution_id, now[0])
                looked = now
                before, automation = automation, await post.ask(read, deadline, service="ssm")
                post.progress.show(
                    what=f"automation {execution_id}: {automation.status}",
                    items=[LiveItem(id=step.name, status=str(step.status)) for step in automation.steps],
                )
                for line in automation.changes(before, console_url):
                    log.info("%s", line)
                if automation.progress.ended:
                    break
                # A step that ended between the two calls must not be missed: compare with what was just read.
                looked = looked if automation.status == now[0] else None
    except DeadlinePassed as passed:
        detail = f" ({passed})" if str(passed) else ""
        state = f"it is {automation.status}" if automation else "it was never seen"
        waiting = [step.name for step in automation.steps if not step.progress.ended] if automation else []
        step = f" at step {waiting[0]}" if waiting else ""
        raise WaitFailed(
            f"Automation {execution_id} did not end in time{detail}: {state}{step}. {console_url}".rstrip(),
            timed_out=True,
        ) from None
    if automation.progress is not Progress.SUCCEEDED:
        raise WaitFailed(f"{automation.failure()} {console_url}".rstrip())
    log.info("Automation %s ended as %s", execution_id, automation.status)
    return automation


class SsmAutomationTrigger(WaitTrigger):
    """Wait until an automation has succeeded.

    :param automation_execution_id: the execution.
    :param console_url: where a person approves its steps.
    :param stop_on_kill: cancel the automation when a person ends the task.
    """

    fields = ("automation_execution_id", "console_url", "stop_on_kill")

    def __init__(
        self, *, automation_execution_id: str, console_url: str = "", stop_on_kill: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.automation_execution_id = automation_execution_id
        self.console_url = console_url
        self.stop_on_kill = stop_on_kill

    async def wait(self, post: Post) -> dict[str, Any]:
        """Return the automation's XCom."""
        automation = await wait_for_automation(
            post,
            self.automation_execution_id,
            console_url=self.console_url,
            deadline=self.deadline,
            seconds=self.poll_interval,
            log=self.log,
        )
        return automation.as_xcom()

    async def ended_by_a_person(self) -> None:
        """Cancel the automation (StopAutomationExecution), unless told otherwise."""
        if not self.stop_on_kill:
            self.log.info("Leaving automation %s alone", self.automation_execution_id)
            return
        hook: Any = self.hook("ssm")
        async with await hook.get_async_conn() as client:
            await client.stop_automation_execution(AutomationExecutionId=self.automation_execution_id, Type="Cancel")
        self.log.info("Cancelled automation %s", self.automation_execution_id)
