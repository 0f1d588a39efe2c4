"""What a launch says before it calls StartRecovery, so that whoever cleans up knows of a call whose answer is lost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

__all__ = ["UNANSWERED", "LaunchJournal"]

UNANSWERED = timedelta(minutes=3)
"""
From the record of an intent until it is certain that its call is over and its job is listed.

At most 20 s from the record to the call (:data:`~drs_provider.aws.freshness.FRESH_SECONDS`), 40 s for the call's
time-outs, 30 s of patience for the listing, and the rest for clocks that differ.
"""


class LaunchJournal(Protocol):
    """Keeps the intents of a launch where a try that dies does not take them along."""

    def before(self, launch_key: str, servers: Sequence[str]) -> None:
        """
        Record that StartRecovery is about to be called; what it raises keeps the call from being made.

        :param launch_key: The value of the job's ``drs-provider:launch`` tag.
        :param servers: The source servers of the job.
        """

    def after(self, launch_key: str, job_id: str | None) -> None:
        """
        Record what became of the call.

        :param job_id: The job; None where DRS refused, or nothing was sent. Of a call whose answer leaves it open
            whether a job was started, nothing is recorded.
        """
