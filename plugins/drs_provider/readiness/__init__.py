"""Is a plan ready to run: the checks that preflight, the launch of a wave and ``drs-plan check`` share.

The names below are imported when first used: ``findings`` is also used where botocore and the checks have no business.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from drs_provider.readiness.findings import CODES, Finding, FindingsReport, override_problems
    from drs_provider.readiness.preflight import run_preflight
    from drs_provider.readiness.recheck import recheck_wave
    from drs_provider.readiness.resolution import ResolvedServer
    from drs_provider.readiness.result import PreflightResult

__all__ = [
    "CODES",
    "Finding",
    "FindingsReport",
    "PreflightResult",
    "ResolvedServer",
    "override_problems",
    "recheck_wave",
    "run_preflight",
]

_HOMES = {
    "CODES": "findings",
    "Finding": "findings",
    "FindingsReport": "findings",
    "PreflightResult": "result",
    "ResolvedServer": "resolution",
    "override_problems": "findings",
    "recheck_wave": "recheck",
    "run_preflight": "preflight",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
