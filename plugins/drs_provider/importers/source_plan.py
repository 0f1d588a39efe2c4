"""A recovery plan as its source says it: with the source's own names, before it is a plan file.

Each shape is read into this, and :mod:`~drs_provider.importers.plan_file` makes plan files of it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

__all__ = ["SourceGroup", "SourcePlan", "SourceScript", "SourceSelector", "SourceWave"]


@dataclass
class SourceGroup:
    """A named set of servers: ids, or tags that must all match."""

    name: str
    where: str
    servers: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    region: str | None = None
    account: str | None = None
    launch: dict[str, Any] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)


@dataclass
class SourceSelector:
    """Which servers: one of a group (by its key in the plan's ``groups``), an id, tags."""

    group: str | None = None
    id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    critical: bool = True


@dataclass
class SourceScript:
    """An SSM Automation runbook that runs before or after a wave."""

    name: str
    where: str
    automation: str
    parameters: dict[str, list[str]] = field(default_factory=dict)
    timeout: timedelta | None = None
    comments: list[str] = field(default_factory=list)


@dataclass
class SourceWave:
    """A wave.

    :param key: by it other waves of the plan name it in ``depends_on``; unique in the plan.
    :param name: as people know it; need not be unique.
    :param where: its place in the source.
    :param target: the name of its account and region, where the plan has several.
    :param approval: what a person is asked before it, if anything.
    :param comments: by the wave's key in a plan file; those under an empty key head the wave.
    """

    key: str
    name: str
    where: str
    description: str = ""
    target: str | None = None
    depends_on: list[str] = field(default_factory=list)
    servers: list[SourceSelector] = field(default_factory=list)
    approval: str | None = None
    settle: timedelta = timedelta(0)
    launch_timeout: timedelta | None = None
    pre_launch: list[SourceScript] = field(default_factory=list)
    post_launch: list[SourceScript] = field(default_factory=list)
    comments: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, key: str, text: str) -> None:
        """Add a comment above a key of the wave."""
        self.comments.setdefault(key, []).append(text)


@dataclass
class SourcePlan:
    """A recovery plan.

    :param origin: what it is, for the file's first comment.
    :param where: its place in the source.
    :param targets: the accounts and regions of its waves by name, as a plan file has them, where there are several.
    :param comments: by the plan's key in a plan file; those under an empty key head the file.
    """

    name: str
    where: str
    origin: str
    region: str
    description: str = ""
    owner: str | None = None
    rto: timedelta | None = None
    rpo: timedelta | None = None
    topic: str | None = None
    groups: dict[str, SourceGroup] = field(default_factory=dict)
    targets: dict[str, dict[str, str]] = field(default_factory=dict)
    waves: list[SourceWave] = field(default_factory=list)
    comments: dict[str, list[str]] = field(default_factory=dict)

    def remark(self, key: str, text: str) -> None:
        """Add a comment above a key of the plan."""
        self.comments.setdefault(key, []).append(text)
