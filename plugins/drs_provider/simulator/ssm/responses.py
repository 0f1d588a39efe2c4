"""SSM over HTTP: the simulator's operations, and moto's own for the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.core.utils import camelcase_to_underscores
from moto.ssm.exceptions import ValidationException
from moto.ssm.responses import SimpleSystemManagerResponse

from drs_provider.simulator import runtime
from drs_provider.simulator.ssm.models import SsmBackend, ssm_backends
from drs_provider.simulator.validation import violations

__all__ = ["OPERATIONS", "SsmResponse"]

#: The operations of the simulator's own, and the part of the backend that serves each.
OPERATIONS: Final = {
    "SendCommand": "run_command",
    "ListCommands": "run_command",
    "ListCommandInvocations": "run_command",
    "GetCommandInvocation": "run_command",
    "CancelCommand": "run_command",
    "DescribeInstanceInformation": "inventory",
    "StartAutomationExecution": "automation",
    "GetAutomationExecution": "automation",
    "DescribeAutomationExecutions": "automation",
    "DescribeAutomationStepExecutions": "automation",
    "StopAutomationExecution": "automation",
    "SendAutomationSignal": "automation",
}


class SsmResponse(SimpleSystemManagerResponse):
    """Reads requests and writes answers; what the simulator serves stands in `OPERATIONS`."""

    @property
    def ssm_backend(self) -> SsmBackend:
        """The account and region that the caller means."""
        backend: SsmBackend = ssm_backends[self.current_account][self.region]
        return backend


def _serve(operation: str, part: str) -> Callable[[SsmResponse], ActionResult]:
    method = camelcase_to_underscores(operation)

    def serve(response: SsmResponse) -> ActionResult:
        if runtime.current() is None:
            return _moto(method)(response)  # moto goes on without the simulator, in tests of something else.
        request: dict[str, Any] = json.loads(response.body or "{}")
        problem = violations("ssm", operation, request)
        if problem:
            raise ValidationException(problem)
        return ActionResult(getattr(getattr(response.ssm_backend, part), method)(request))

    return serve


def _moto(method: str) -> Callable[[SsmResponse], ActionResult]:
    own: Callable[[SsmResponse], ActionResult] | None = getattr(SimpleSystemManagerResponse, method, None)
    if own is None:
        raise NotImplementedError(f"moto has no {method}, and no DRS simulation is active in this process")
    return own


for _operation, _part in OPERATIONS.items():
    setattr(SsmResponse, camelcase_to_underscores(_operation), _serve(_operation, _part))
