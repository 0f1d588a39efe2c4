"""Answers that are given again until something changes: most calls of an orchestrator ask what nobody has changed.

An answer is kept with the version of the state that it shows, and with the time for which it holds (`Horizon`). Every
call that may write, every phase that is due and every load of a scenario begins a new version, so that what is kept of
an older one is never given. Only calls that read DRS, SSM, EC2 or Service Quotas are kept, and none that a fault hits.
IAM is asked before, for each call.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from moto.utilities.aws_headers import gen_amzn_requestid_long

from drs_provider.simulator.clock import Clock, Horizon

__all__ = ["KEPT", "Answers"]

#: The operations that are kept, by service; None: all that read. moto's own SSM has some that tell the wall clock.
KEPT: Final[dict[str, frozenset[str] | None]] = {
    "drs": None,
    "service-quotas": None,
    "ssm": frozenset(
        {
            "ListCommands",
            "ListCommandInvocations",
            "GetCommandInvocation",
            "DescribeInstanceInformation",
            "GetAutomationExecution",
            "DescribeAutomationExecutions",
            "DescribeAutomationStepExecutions",
        }
    ),
    "ec2": frozenset(
        {
            "DescribeInstances",
            "DescribeInstanceStatus",
            "DescribeLaunchTemplates",
            "DescribeLaunchTemplateVersions",
            "DescribeSecurityGroups",
            "DescribeSubnets",
            "DescribeTags",
            "DescribeVolumes",
            "DescribeVpcs",
        }
    ),
}
_MOST: Final = 1000


@dataclass(frozen=True)
class _Answer:
    """One answer, as a handler of moto's returned it."""

    status: int
    headers: dict[str, Any]
    body: Any
    horizon: Horizon

    def again(self) -> tuple[int, dict[str, Any], Any]:
        """The same answer to another request, whose id is another."""
        headers = dict(self.headers)
        if "x-amzn-requestid" in headers:
            gen_amzn_requestid_long(headers)
        return self.status, headers, self.body


class Answers:
    """The answers of the present version of the state; safe for many threads.

    :param clock: whose `version` it is.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._version = -1
        self._kept: dict[Any, _Answer] = {}

    def find(self, key: Any) -> tuple[int, dict[str, Any], Any] | None:
        """The answer to a request, where it was given before and still holds; needs no lock of the simulation."""
        version = self._clock.settled()
        if version is None:
            return None
        with self._lock:
            answer = self._kept.get(key) if version == self._version else None
        if answer is None or not answer.horizon.holds(self._clock.glance()):
            return None
        # Time has passed since: what became due meanwhile makes it another version.
        return answer.again() if self._clock.settled() == version else None

    def keep(self, key: Any, version: int | None, horizon: Horizon, result: Any) -> None:
        """Keep an answer that was made, under the lock of the simulation, from this version of the state."""
        passes = horizon.moment is not None and not self._clock.frozen
        if version is None or passes or len(result) != 3 or int(result[0]) != 200:
            return
        with self._lock:
            if version != self._version:
                self._kept.clear()
                self._version = version
            elif len(self._kept) >= _MOST:
                self._kept.clear()
            self._kept[key] = _Answer(int(result[0]), dict(result[1]), result[2], horizon)
