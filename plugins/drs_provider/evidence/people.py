"""What people decided in a run, and what they were told of it: approvals, overrides, notifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from drs_provider.evidence.events import NOTIFIED_KEY
from drs_provider.evidence.facts import RunFacts, TaskFacts, step_state
from drs_provider.evidence.reading import first, items, mapping, moment, text
from drs_provider.evidence.record import Approval, Notification, Override
from drs_provider.run_parameters import asked_overrides, run_parameter
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.launch.event import LaunchEvent
from drs_provider.steps.preflight.event import PreflightEvent

__all__ = ["all_approvals", "collect_approvals", "collect_notifications", "collect_overrides", "notifications_of"]


def collect_approvals(tasks: Sequence[TaskFacts]) -> list[Approval]:
    """Return every decision of a person, in the order of the decisions."""
    found = [
        Approval(
            where=event.where,
            approver=event.approver,
            decision=event.status,
            comment=event.comment,
            started=event.started,
            ended=event.ended,
        )
        for task in tasks
        for event in task.events
        if isinstance(event, ApprovalEvent)
    ]
    return sorted(found, key=lambda approval: approval.ended.timestamp() if approval.ended else 0.0)


def all_approvals(approvals: Sequence[Approval], earlier: Sequence[Approval], since: datetime | None) -> list[Approval]:
    """Add the decisions that stand in an earlier report of the run: a task that is cleared forgets what was decided.

    :param since: no decision of this run is older.
    """
    kept = [each for each in earlier if since is None or each.ended is None or each.ended >= since]
    together = {(each.where, each.started, each.ended, each.decision): each for each in (*kept, *approvals)}
    return sorted(together.values(), key=lambda approval: approval.ended.timestamp() if approval.ended else 0.0)


def collect_overrides(facts: RunFacts) -> list[Override]:
    """Return the findings that a person decided to go on with, as preflight told, or else as the run was asked.

    A run that was refused, or that has not come to preflight, went on in spite of nothing.
    """
    preflight = facts.task("preflight")
    event = preflight.last(PreflightEvent)
    asked, why = _asked(mapping(facts.parameters))
    codes = (event.overridden if event else asked) if preflight.step == "success" else []
    reason = first(event.override_reason if event else None, why) or "no reason was given"
    by = first(event.override_by if event else None, text(facts.triggered_by))
    told: dict[str, datetime | None] = dict.fromkeys(codes, event.ended if event else None)
    # What came up after preflight, such as a lag, is found by the launch.
    for task_id in mapping(facts.tasks):
        if launch := facts.task(task_id).last(LaunchEvent):
            for code in launch.overridden:
                told.setdefault(code, launch.ended)
    return [Override(finding=code, reason=reason, by=by, at=at) for code, at in told.items()]


def _asked(parameters: Mapping[str, Any]) -> tuple[list[str], str]:
    """Return the findings and the reason that a run was started with; none where they cannot be read."""
    try:
        codes, reason = asked_overrides(
            {
                name: run_parameter(name).read(parameters.get(name))
                for name in ("override", "override_findings", "override_reason")
            }
        )
    except ValueError:
        return [], ""
    return sorted(codes), reason


def collect_notifications(facts: RunFacts) -> list[Notification]:
    """Return what became of every notification, in the order in which they were sent."""
    found = [
        notification
        for xcoms in mapping(facts.xcoms).values()
        for key, deliveries in mapping(xcoms).items()
        if key.startswith(f"{NOTIFIED_KEY}_")
        for notification in notifications_of(deliveries)
    ]
    return sorted(found, key=lambda each: each.sent.timestamp() if each.sent else 0.0)


def notifications_of(deliveries: Any) -> list[Notification]:
    """Return what became of one message, by channel, from what the task that sent it told."""
    return [
        Notification(
            event=text(delivery.get("event")) or "unknown",
            wave=text(delivery.get("wave")),
            to=text(delivery.get("to")) or "unknown",
            sent=moment(delivery.get("sent")),
            state=step_state(text(delivery.get("status"))),
            reason=text(delivery.get("reason")),
        )
        for delivery in map(mapping, items(deliveries))
    ]
