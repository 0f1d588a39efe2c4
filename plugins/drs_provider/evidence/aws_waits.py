"""How long the tasks of a run waited for an AWS that did not answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from drs_provider.evidence.events import WAITING_KEY
from drs_provider.evidence.facts import RunFacts
from drs_provider.evidence.reading import first, mapping, text
from drs_provider.evidence.record import AwsWait

__all__ = ["collect_aws_waits"]


def collect_aws_waits(facts: RunFacts) -> list[AwsWait]:
    """Return the last wait for AWS of each task, in the order in which they began; what cannot be read is left out."""
    found = [
        wait for task, xcoms in mapping(facts.xcoms).items() if (wait := _wait(task, mapping(xcoms).get(WAITING_KEY)))
    ]
    return sorted(found, key=lambda wait: wait.since)


def _wait(task: str, left: Any) -> AwsWait | None:
    record: Mapping[str, Any] = mapping(left)
    since, until = _moment(record.get("since")), _moment(record.get("last"))
    if since is None:
        return None
    return AwsWait(
        task=task,
        operation=first(text(record.get("operation")), "calls"),
        reason=first(text(record.get("reason")), "unknown"),
        since=since,
        until=until or since,
    )


def _moment(seconds: Any) -> datetime | None:
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, OSError, ValueError):
        return None
