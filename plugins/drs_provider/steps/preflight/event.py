"""What is recorded of the readiness checks before a run."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Fact, Text

__all__ = ["FoundFinding", "PreflightEvent"]


class FoundFinding(Fact):
    """A finding, as ``readiness.Finding.as_dict`` gives it."""

    code: str = "unknown"
    severity: str = "error"
    wave: Text = None
    server: Text = None
    message: str = ""
    remedy: str = ""
    overridable: bool = False


class PreflightEvent(Event):
    """The readiness checks. ``status``: ``success`` or ``failed``.

    :param overridden: the codes that a person decided to go on with.
    :param override_reason: that person's reason.
    :param override_by: that person's user name.
    :param reason: why no check was made.
    """

    kind: Literal["preflight"] = "preflight"
    findings: list[FoundFinding] = []
    overridden: list[str] = []
    override_reason: Text = None
    override_by: Text = None
    reason: Text = None
