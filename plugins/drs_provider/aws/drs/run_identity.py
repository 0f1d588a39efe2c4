"""Which DRS jobs are a run's own: one rule for launches, for the end of a drill, for checks, orphans and the report.

Airflow's ids alone do not tell. A run that is deleted and made again has the same ids, a recovery may be given the run
id of a drill, and two Airflows with the same plans count their scheduled runs alike. So every job has, as tags, the
installation that started it and the mode; DRS itself says which of its two ways of launching it was (``initiatedBy``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from drs_provider.aws.drs.reads import is_complete
from drs_provider.timestamps import parse_timestamp

__all__ = [
    "CLOCK_MARGIN",
    "INSTALLATION_TAG",
    "MODE_TAG",
    "RUN_TAG",
    "Mode",
    "RunIdentity",
    "run_tag_value",
    "tag_value",
]

RUN_TAG = "drs-provider:run"
MODE_TAG = "drs-provider:mode"
INSTALLATION_TAG = "drs-provider:installation"

CLOCK_MARGIN = timedelta(minutes=15)
"""How far the clocks of Airflow and AWS may be apart."""

MAX_TAG_VALUE = 256
_NOT_IN_TAGS = re.compile(r"[^\w .:/=+\-@]")
_INITIATED = {"START_DRILL": "drill", "START_RECOVERY": "recovery"}

Mode = Literal["drill", "recovery"]


def tag_value(text: str, limit: int = MAX_TAG_VALUE) -> str:
    """
    Return ``text`` as an AWS tag value of at most ``limit`` characters.

    What AWS does not allow is replaced, what is too long is cut, and then a digest of the whole text is put at the end:
    two texts never become the same value.
    """
    clean = _NOT_IN_TAGS.sub("_", text)
    if clean == text and len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{clean[: limit - len(digest) - 1]}.{digest}"


def run_tag_value(dag_id: str, run_id: str) -> str:
    """Return the value of the ``drs-provider:run`` tag of everything that a DAG run launches."""
    return tag_value(f"{dag_id}/{run_id}")


@dataclass(frozen=True)
class RunIdentity:
    """
    A run, as far as its jobs in DRS are concerned.

    :param dag_id: The DAG.
    :param run_id: The DAG run.
    :param mode: ``drill`` or ``recovery``; None for whoever does not know it: then both count.
    :param installation: This Airflow. Jobs without the tag, which version 0.1.0 started, count as its own.
    :param taken_over: Other installations whose jobs count as this run's own, because a person said so.
    :param began: When this run began, where that is known: a job that was over by then is that of a run which had the
        same id and was deleted.
    """

    dag_id: str
    run_id: str
    mode: Mode | None = None
    installation: str = ""
    taken_over: frozenset[str] = frozenset()
    began: datetime | None = None

    @classmethod
    def from_record(
        cls, dag_id: str, run_id: str, mode: Mode | None, record: Mapping[str, Any], take_over: str = ""
    ) -> RunIdentity:
        """
        Return the identity of a run from what its first task recorded.

        :param record: ``{"installation", "began"}``, both optional.
        :param take_over: The installation that the run takes over; empty: none.
        """
        began = record.get("began")
        return cls(
            dag_id,
            run_id,
            mode,
            str(record.get("installation") or ""),
            frozenset({take_over} if take_over else ()),
            datetime.fromisoformat(str(began)) - CLOCK_MARGIN if began else None,
        )

    @property
    def run_tag(self) -> str:
        """The value of the ``drs-provider:run`` tag."""
        return run_tag_value(self.dag_id, self.run_id)

    @property
    def tags(self) -> dict[str, str]:
        """The tags that tell a job of this run."""
        tags = {RUN_TAG: self.run_tag}
        if self.installation:
            tags[INSTALLATION_TAG] = tag_value(self.installation)
        if self.mode:
            tags[MODE_TAG] = self.mode
        return tags

    def in_mode(self, mode: Mode) -> RunIdentity:
        """Return the identity with a mode."""
        return replace(self, mode=mode)

    def owns(self, job: Mapping[str, Any]) -> bool:
        """Return whether a job, in the shape of DescribeJobs, was started by this run, or by the one it takes over."""
        tags = job.get("tags") or {}
        return tags.get(RUN_TAG) == self.run_tag and self.is_of_installation(job) and self._is_of_mode(job)

    def adopts(self, job: Mapping[str, Any]) -> bool:
        """
        Return whether an own job counts as a launch of this run.

        A run that was deleted had the same id: what was over before this one began was launched by that one, and this
        run launches for itself. What another installation launched is adopted whenever that was.
        """
        if not self.owns(job):
            return False
        if self.began is None or self.takes_over(job) or not is_complete(job):
            return True
        return parse_timestamp(str(job["creationDateTime"])) >= self.began

    def takes_over(self, job: Mapping[str, Any]) -> bool:
        """Return whether a job has the tag of an installation that this run takes over."""
        return (job.get("tags") or {}).get(INSTALLATION_TAG) in {tag_value(name) for name in self.taken_over}

    def is_of_installation(self, job: Mapping[str, Any]) -> bool:
        """Return whether a job was started by this installation, by one that is taken over, or by version 0.1.0."""
        theirs = (job.get("tags") or {}).get(INSTALLATION_TAG)
        ours = {tag_value(name) for name in (self.installation, *self.taken_over) if name}
        return theirs is None or theirs in ours

    def _is_of_mode(self, job: Mapping[str, Any]) -> bool:
        if self.mode is None:
            return True
        initiated, tag = job.get("initiatedBy"), (job.get("tags") or {}).get(MODE_TAG)
        by_drs = _INITIATED.get(str(initiated), str(initiated)) if initiated else self.mode
        return by_drs == self.mode and tag in (None, self.mode)
