"""Checks that are made side by side, with patience: what cannot be checked becomes a finding, never a pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from botocore.exceptions import ClientError

from drs_provider.aws.faults import TransientError, transient_cause
from drs_provider.readiness.findings import Finding

if TYPE_CHECKING:
    from drs_provider.aws.clients import Clients
    from drs_provider.plan import RecoveryPlan
    from drs_provider.plan.targets import NamedTarget
    from drs_provider.readiness.findings import Mode

__all__ = ["MAX_WORKERS", "Check", "Look", "cause_of", "concurrently"]

# As many as a botocore client has connections by default, so that none is opened and thrown away.
MAX_WORKERS = 10
# Seconds to wait before a check that AWS could not answer at the moment is made again.
PATIENCE = (1.0, 2.0, 4.0, 8.0)


class Check(NamedTuple):
    """One check that can be made on its own.

    :param name: what it looks at, for the finding that says it could not be made.
    :param make: makes it.
    :param instead: what is found where it cannot be made, given the reason as a clause; None: ``check-failed``. Such a
        check is not waited for.
    """

    name: str
    make: Callable[[], list[Finding]]
    instead: Callable[[str], Finding] | None = None


@dataclass(frozen=True)
class Look:
    """What a kind of step makes the checks of its steps from, in one target.

    :param plan: the plan.
    :param clients: clients of the target.
    :param mode: ``drill`` or ``recovery``.
    :param waves: names of the waves that run.
    :param place: the target.
    """

    plan: RecoveryPlan
    clients: Clients
    mode: Mode
    waves: Sequence[str]
    place: NamedTarget


def concurrently(checks: Sequence[Check], unanswered: list[TransientError]) -> list[Finding]:
    """Make independent checks at the same time; findings come in the order of the checks, those that failed last.

    :param unanswered: gets the failures that pass by themselves, of checks that have to be made.
    """
    if not checks:
        return []
    findings: list[Finding] = []
    failed: dict[str, list[str]] = {}
    with ThreadPoolExecutor(max_workers=min(MAX_WORKERS, len(checks)), thread_name_prefix="readiness") as pool:
        for check, outcome in zip(checks, pool.map(_made, checks), strict=True):
            if isinstance(outcome, Exception) and check.instead is not None:
                findings.append(check.instead(cause_of(outcome)))
            elif isinstance(outcome, Exception):
                failed.setdefault(cause_of(outcome), []).append(check.name)
                if cause := transient_cause(outcome):
                    unanswered.append(cause)
            else:
                findings += outcome
    return findings + [_failed(names, cause) for cause, names in failed.items()]


def _made(check: Check) -> list[Finding] | Exception:
    """Make one check. Whatever goes wrong in it is returned, to become a finding.

    Throttling is not a failure until botocore's own retries and some patience on top are used up: hundreds of servers
    mean hundreds of calls, and DRS publishes no rates. Nor are credentials that expire in the middle, or an answer that
    fails to come: a finding would end the run.
    """
    for pause in (*(PATIENCE if check.instead is None else ()), None):
        try:
            return check.make()
        except Exception as error:
            if pause is not None and transient_cause(error):
                time.sleep(pause * random.uniform(0.5, 1.5))
                continue
            if isinstance(error, ClientError) and error.response["Error"]["Code"] == "UninitializedAccountException":
                message = "Elastic Disaster Recovery is not initialised in this account and region."
                remedy = "Check the plan's region and connection, or initialise the service in the DRS console."
                return [Finding.of("service-not-initialised", message, remedy)]
            return error
    raise AssertionError("unreachable: the last attempt returns")


def _failed(names: Sequence[str], cause: str) -> Finding:
    """One finding for all the checks that failed of one cause, so that an outage is one line and not one a server."""
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    message = f"Could not check {shown}: {cause}."
    remedy = "Fix the cause and check again: a check that could not run counts as a failure."
    return Finding.of("check-failed", message, remedy)


def cause_of(error: Exception) -> str:
    """Return why a check could not be made, as a clause."""
    if isinstance(error, ClientError):
        answer = error.response["Error"]
        return f"{error.operation_name} answered {answer.get('Code')}: {answer.get('Message', '').rstrip('.')}"
    return f"{type(error).__name__}: {str(error).rstrip('.')}"
