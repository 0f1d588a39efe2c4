"""What a readiness check found: stable codes, who may decide to go on, and how the list is shown.

A finding is an *error* (the run must not go on by itself) or a *warning* (worth knowing, never blocks). In recovery
mode a person may override errors by their code; the table below says which. The rule behind the table: everything
that AWS itself might accept can be overridden, because in a real disaster the source may be gone, a quota may be
read wrongly and a permission simulation may be mistaken. What cannot be overridden is a selection that does not say
what to launch, or that would launch something other than what was asked for: there, going on has no meaning.

A drill has no override: it exists to find these things.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drs_provider.plan.nearest import nearest

__all__ = ["CODES", "Code", "Finding", "FindingsReport", "Mode", "Severity", "override_problems"]

Severity = Literal["error", "warning"]
Mode = Literal["drill", "recovery"]


@dataclass(frozen=True)
class Code:
    """One kind of finding.

    :param severity: what it is by default; a check may lower it to a warning where the plan does not depend on it.
    :param overridable: whether a person may go on in recovery mode.
    :param meaning: one sentence for the documentation.
    """

    severity: Severity
    overridable: bool
    meaning: str


# The order is that of the documentation; the names are stable, because override lists and runbooks use them.
CODES: dict[str, Code] = {
    # Where and what to launch
    "connection-missing": Code(
        "error", False, "Airflow lacks the connection that the plan names. The worker's own role is never used instead."
    ),
    "connection-not-allowed": Code(
        "error", True, "The plan names a connection that is not of type aws, or that the administrator does not allow."
    ),
    "account-mismatch": Code(
        "error", False, "The connection of a target leads to another account than the plan states."
    ),
    "account-unconfirmed": Code("error", True, "Which account a target's connection leads to could not be found out."),
    "targets-same": Code("warning", True, "Two targets of the plan are the same account and region."),
    "service-not-initialised": Code("error", False, "DRS has never been initialised in this account and region."),
    "server-not-found": Code(
        "error",
        True,
        "A server named by id or hostname is not a source server here; a warning where it is optional. "
        "Overridden, the run goes on without it.",
    ),
    "selection-empty": Code(
        "error", False, "No source server has the tags that a selection asks for; a warning where it is optional."
    ),
    "hostname-ambiguous": Code("error", False, "More than one source server has the hostname that the plan names."),
    "server-selected-twice": Code(
        "error", False, "A server is selected by two waves, or twice by one wave differently."
    ),
    "min-launched-unreachable": Code("error", True, "A wave asks for more launched servers than it selects."),
    # State of replication
    "extension-error": Code("error", True, "DRS could not extend the server from its staging account."),
    "not-initialised": Code("error", True, "The first synchronisation has not ended: there may be no recovery point."),
    "replication-stopped": Code("error", False, "Replication was stopped, which deletes the server's recovery points."),
    "disconnected": Code("error", True, "The server is disconnected from DRS."),
    "replication-state": Code("error", True, "Replication is not continuous (stalled, paused, rescanning, backlog)."),
    "replication-lag": Code(
        "error", True, "The lag is above max_replication_lag, or not known although it is bounded."
    ),
    # Recovery points
    "no-snapshot": Code("error", True, "The server has no completed recovery snapshot."),
    "no-snapshot-before": Code(
        "error", False, "No completed snapshot at or before snapshot_time: none to launch from."
    ),
    "snapshot-not-found": Code(
        "error", False, "The snapshot named in the plan is not a completed snapshot of the server."
    ),
    # Conflicts
    "server-busy": Code("error", True, "An active DRS job of another run holds the server."),
    "recovered-instance-live": Code(
        "error", False, "The server has a live instance of a recovery, which a launch deletes; see replace_instances."
    ),
    "drill-instance-live": Code(
        "error", False, "The server has a live instance of another run's drill; in a recovery this is a warning."
    ),
    # Quotas
    "quota-servers-per-job": Code(
        "warning", True, "A wave has more servers than one job takes; it becomes several jobs."
    ),
    "quota-jobs": Code(
        "warning", True, "At its widest moment the plan has more jobs than the account runs at a time; some wait."
    ),
    "quota-servers-in-jobs": Code(
        "warning", True, "At its widest moment more servers are to be in jobs than the account allows; some wait."
    ),
    "quota-shared": Code(
        "warning", True, "With the jobs that others run now, a quota is reached; launches wait until it is free."
    ),
    "quotas-not-read": Code("warning", True, "Service Quotas could not be read; AWS's published defaults were used."),
    # Launch configuration
    "launch-template-incomplete": Code("error", True, "The EC2 launch template lacks a subnet or a security group."),
    "launch-template-broken": Code(
        "error",
        True,
        "The EC2 launch template names a subnet, security group, instance profile, instance type or address that does "
        "not exist, or that do not fit each other.",
    ),
    "subnet-too-small": Code("error", True, "A subnet has fewer free addresses than the run launches into it."),
    "termination-protected": Code(
        "error", True, "The EC2 launch template protects instances from termination, so a drill cannot end."
    ),
    "launch-settings-overwritten": Code(
        "warning", True, "DRS overwrites a launch setting that the plan gives: right-sizing, or copyPrivateIp."
    ),
    "launch-drift": Code(
        "warning", True, "The account's launch settings of a server are not those that the plan gives it."
    ),
    "launch-template-not-checked": Code(
        "warning", True, "The caller may not look up what the EC2 launch template names, so it is unknown."
    ),
    "instance-profile-missing": Code(
        "error", True, "No instance profile, so scripts and SSM health checks may never reach the instance."
    ),
    "launches-into": Code("warning", True, "The server is launched into an EC2 instance that exists already."),
    "launch-into-unusable": Code(
        "error", True, "The EC2 instance to launch into does not exist, is not stopped, or lacks its tag."
    ),
    "launch-timeout-short": Code(
        "warning", True, "A launch usually takes longer than the wave's launch_timeout allows."
    ),
    "launches-stopped": Code(
        "error", True, "The server launches stopped, but the wave runs or checks something on it."
    ),
    # Scripts
    "document-missing": Code("error", True, "An SSM document that a script names does not exist."),
    "document-unreadable": Code("error", True, "The caller may not read an SSM document, or it is not active."),
    "document-type": Code("error", True, "An SSM document is of the wrong type for the script that names it."),
    "document-parameters": Code(
        "error", True, "A script lacks a parameter of its SSM document, or has an unknown one."
    ),
    "secret-missing": Code(
        "error", True, "A script takes a value from an Airflow connection that does not exist or lacks it."
    ),
    "secret-not-checked": Code(
        "warning", True, "A script takes a value from an Airflow connection, which only Airflow can look up."
    ),
    # Permissions
    "permission-denied": Code("error", True, "IAM denies the caller an action that this plan needs."),
    "permissions-not-checked": Code(
        "warning", True, "The caller's IAM permissions could not be simulated, so they are unknown."
    ),
    # Notifications
    "notifier-unusable": Code(
        "warning",
        True,
        "A notifier of the plan's notify is not allowed, cannot be imported, or is no Airflow notifier; or the "
        "connection for its topics is missing.",
    ),
    # The checks themselves
    "check-failed": Code("error", True, "A check could not be made. That is never a pass."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that stands between the plan and a launch.

    :param code: a key of :data:`CODES`.
    :param severity: ``error`` or ``warning``.
    :param wave: the wave's name, or None where it concerns the whole plan.
    :param server: a source server id (or the selection's text where no server was found), or None.
    :param message: what is the case, with the observed value.
    :param remedy: what a person can do about it.
    :param target: the name of the target, where the plan has several.
    """

    code: str
    severity: Severity
    wave: str | None
    server: str | None
    message: str
    remedy: str
    target: str | None = None

    @classmethod
    def of(
        cls,
        code: str,
        message: str,
        remedy: str,
        *,
        wave: str | None = None,
        server: str | None = None,
        severity: Severity | None = None,
    ) -> Finding:
        """Make a finding with the code's own severity unless another is given.

        :raises KeyError: if the code is not in :data:`CODES`.
        """
        return cls(code, severity or CODES[code].severity, wave, server, message, remedy)

    @property
    def overridable(self) -> bool:
        """Whether a person may go on in spite of it, in recovery mode."""
        return CODES[self.code].overridable

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON-serialisable data, ``overridable`` included."""
        return {**asdict(self), "overridable": self.overridable}

    def __str__(self) -> str:
        place = "/".join(part for part in (self.target, self.wave, self.server) if part)
        return f"{self.severity} {self.code}{f' [{place}]' if place else ''}: {self.message} {self.remedy}".rstrip()


def override_problems(codes: Iterable[str]) -> list[str]:
    """Say what is wrong with a list of codes to override; empty if nothing is.

    :param codes: those of the run parameter ``override_findings``.
    """
    problems = []
    for code in codes:
        if code not in CODES:
            near = nearest(code, CODES) or f"; the codes are {', '.join(CODES)}"
            problems.append(f"{code!r} is not a finding code{near}")
        elif not CODES[code].overridable:
            problems.append(f"{code!r} cannot be overridden: {CODES[code].meaning}")
    return problems


@dataclass(frozen=True)
class FindingsReport:
    """All findings of one preflight, errors first, in plan order within a severity.

    :param mode: the run's mode; overrides count in ``recovery`` only.
    :param findings: what was found; empty means ready.
    """

    mode: Mode
    findings: tuple[Finding, ...] = field(default=())

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def errors(self) -> list[Finding]:
        """The findings that block unless they are overridden."""
        return [finding for finding in self.findings if finding.severity == "error"]

    @property
    def warnings(self) -> list[Finding]:
        """The findings that never block."""
        return [finding for finding in self.findings if finding.severity == "warning"]

    def blocking(self, overrides: Collection[str] = ()) -> list[Finding]:
        """The errors that stand after the overrides.

        :param overrides: finding codes that a person decided to go on with. Ignored in a drill, and for codes that
            cannot be overridden.
        """
        return [finding for finding in self.errors if finding not in self.overridden(overrides)]

    def overridden(self, overrides: Collection[str] = ()) -> list[Finding]:
        """The errors that the overrides let pass: what a report of the run records."""
        if self.mode != "recovery":
            return []
        return [finding for finding in self.errors if finding.overridable and finding.code in overrides]

    def message(self, overrides: Collection[str] = ()) -> str:
        """All findings in one text: a summary line, then one line for each finding."""
        blocking = self.blocking(overrides)
        if not self.findings:
            return f"Ready: no findings ({self.mode})."
        counts = (
            f"{len(blocking)} blocking, {len(self.overridden(overrides))} overridden, {len(self.warnings)} warnings"
        )
        lines = [f"{'Not ready' if blocking else 'Ready'} ({self.mode}): {counts}."]
        lines += [f"- {finding}" for finding in self.findings]
        codes = sorted({finding.code for finding in blocking if finding.overridable})
        if self.mode == "recovery" and codes:
            lines.append(
                f"A person may go on in spite of: {', '.join(codes)} (override_findings, with override_reason)."
            )
        first = next(iter(blocking or self.findings)).code
        lines.append(f"What each finding means and how to fix it: drs-plan explain CODE, such as {first}.")
        return "\n".join(lines)

    def table(self, width: int = 160) -> str:
        """A fixed-width table for a log or a terminal; long messages wrap inside their column.

        :param width: the widest line, in characters.
        """
        if not self.findings:
            return "no findings"
        head: tuple[str, ...] = ("severity", "code", "wave", "server")
        rows: list[tuple[str, ...]] = [(f.severity, f.code, f.wave or "-", f.server or "-") for f in self.findings]
        if any(f.target for f in self.findings):
            head = (*head, "target")
            rows = [(*row, f.target or "-") for row, f in zip(rows, self.findings, strict=True)]
        widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
        room = max(width - sum(widths) - 2 * len(widths), 40)
        indent = " " * (sum(widths) + 2 * len(widths))

        def line(cells: Iterable[str], text: str) -> str:
            left = "".join(cell.ljust(size + 2) for cell, size in zip(cells, widths, strict=True))
            wrapped = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
            return f"\n{indent}".join([left + wrapped[0], *wrapped[1:]])

        body = [line(row, f"{f.message} {f.remedy}".strip()) for row, f in zip(rows, self.findings, strict=True)]
        return "\n".join([line(head, "finding"), line(["-" * size for size in widths], "-" * 7), *body])

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-serialisable data: ``mode``, ``ready``, ``findings``."""
        return {
            "mode": self.mode,
            "ready": not self.errors,
            "findings": [finding.as_dict() for finding in self.findings],
        }
