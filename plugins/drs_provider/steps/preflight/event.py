"""What is recorded of the readiness checks before a run."""

from __future__ import annotations

from typing import Literal

from drs_provider.evidence.events import Event, Fact, Text

__all__ = ["FoundFinding", "FoundTarget", "PreflightEvent"]


class FoundFinding(Fact):
    """A finding, as ``readiness.Finding.as_dict`` gives it."""

    code: str = "unknown"
    severity: str = "error"
    wave: Text = None
    server: Text = None
    message: str = ""
    remedy: str = ""
    overridable: bool = False
    target: Text = None


class FoundTarget(Fact):
    """A target of the run, and who the run is there.

    :param name: the plan's name for it; ``default`` for its own ``target``.
    :param account: the account id; None where it could not be found out.
    :param caller: the ARN of the role or user.
    """

    name: str
    region: Text = None
    account: Text = None
    caller: Text = None


class PreflightEvent(Event):
    """The readiness checks. ``status``: ``success`` or ``failed``.

    :param targets: where the run acts, and who it is there.
    :param overridden: the codes that a person decided to go on with.
    :param override_reason: that person's reason.
    :param override_by: that person's user name.
    :param reason: why no check was made.
    """

    kind: Literal["preflight"] = "preflight"
    findings: list[FoundFinding] = []
    targets: list[FoundTarget] = []
    overridden: list[str] = []
    override_reason: Text = None
    override_by: Text = None
    reason: Text = None
