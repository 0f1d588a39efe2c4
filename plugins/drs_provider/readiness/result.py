"""What the readiness checks of a run, or the second look before a wave, come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drs_provider.readiness.findings import CODES, Finding, FindingsReport

if TYPE_CHECKING:
    from drs_provider.aws.faults import TransientError
    from drs_provider.aws.quotas import Quotas
    from drs_provider.plan import RecoveryPlan
    from drs_provider.readiness.optional import LeftOut
    from drs_provider.readiness.resolution import ResolvedServer
    from drs_provider.readiness.scope import Scope
    from drs_provider.readiness.whereabouts import LookedAt

__all__ = ["PreflightResult", "ordered"]


@dataclass(frozen=True)
class PreflightResult:
    """What preflight found.

    :param findings: the report; ``findings.blocking(overrides)`` decides.
    :param resolved: wave name -> its servers in launch order, each with the snapshot to launch from.
    :param quotas: the account's quotas; None where they were not looked at.
    :param jobs: the jobs that were read, newest first; None where that failed.
    :param left_out: what the waves select and do not launch: optional servers, and selections that match none.
    :param seen: whether the source servers could be read: where not, nothing is known of any.
    :param unanswered: why a check could not be made, where that passes by itself; its finding is ``check-failed``.
    :param scope: what was looked at; None for the look before one wave's launch, and where there are several targets.
    :param targets: what was looked at in each target of the run; empty for the look before one wave's launch.
    """

    findings: FindingsReport
    resolved: dict[str, list[ResolvedServer]]
    quotas: Quotas | None = None
    jobs: list[dict[str, Any]] | None = None
    unanswered: TransientError | None = None
    left_out: tuple[LeftOut, ...] = ()
    seen: bool = True
    scope: Scope | None = None
    targets: tuple[LookedAt, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-serialisable data, for XCom and for ``drs-plan check --format json``."""
        waves = {wave: [server.as_dict() for server in servers] for wave, servers in self.resolved.items()}
        left_out = [one.as_dict() for one in self.left_out]
        scope: dict[str, Any] = {"looked_at": self.scope.as_dict()} if self.scope else {}
        if self.targets:
            scope["targets"] = [one.as_dict() for one in self.targets]
        return {**self.findings.as_dict(), **scope, "servers_read": self.seen, "waves": waves, "left_out": left_out}


def ordered(plan: RecoveryPlan, findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Order findings: errors first; then by wave as in the plan, by code as documented, by server; each once."""
    waves: dict[str | None, int] = {wave.name: i for i, wave in enumerate(plan.waves, start=1)}
    codes = {code: i for i, code in enumerate(CODES)}
    unique = dict.fromkeys(findings)
    return tuple(
        sorted(
            unique,
            key=lambda f: (f.severity != "error", waves.get(f.wave, 0), codes[f.code], f.server or "", f.message),
        )
    )
