"""The service quotas of AWS Elastic Disaster Recovery, as Service Quotas lists them.

A table without dependencies: the Service Quotas backend answers from it and the DRS backend enforces it, so both show
the same numbers. A scenario's ``quotas:`` may name a quota by its code or by its short name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["DRS_QUOTAS", "SERVICE_CODE", "Quota", "quota_code", "quota_values"]

SERVICE_CODE: Final = "drs"


@dataclass(frozen=True)
class Quota:
    """One quota: its code, the short name of scenario files, AWS's own name, the default, and whether AWS raises it."""

    code: str
    key: str
    name: str
    default: int
    adjustable: bool = False


DRS_QUOTAS: Final[tuple[Quota, ...]] = (
    Quota("L-D88FAC3A", "concurrent_jobs", "Concurrent jobs in progress", 20),
    Quota("L-B827C881", "servers_per_job", "Max source servers in a single Job", 100),
    Quota("L-05AFA8C6", "servers_in_jobs", "Max source servers in all Jobs", 500),
    Quota("L-DD6D028C", "jobs_per_server", "Max concurrent Jobs per source server", 1),
    Quota("L-C1D14A2B", "replicating_servers", "Max Total replicating source servers Per AWS Account", 300),
    Quota("L-E28BE5E0", "source_servers", "Max Total source servers Per AWS Account", 4000, adjustable=True),
    Quota("L-0588D03B", "launch_actions", "Max number of launch actions per resource", 200),
    Quota("L-1F3FAE4D", "launch_templates", "Max number of launch configuration templates per AWS account", 1),
    Quota("L-4B0323BD", "source_networks", "Max number of source networks per AWS account", 100, adjustable=True),
)

_BY_ANY_NAME: Final[dict[str, Quota]] = {name: quota for quota in DRS_QUOTAS for name in (quota.code, quota.key)}


def quota_code(name: str) -> str | None:
    """The code of the quota that ``name`` means, a code or a short name; None where there is no such quota."""
    quota = _BY_ANY_NAME.get(name)
    return quota.code if quota else None


def quota_values(overrides: Mapping[str, float]) -> dict[str, float]:
    """The values in force, by short name: the defaults with ``overrides`` (by code or by short name) in their place.

    Raises KeyError, with the unknown name, where an override names no quota.
    """
    values: dict[str, float] = {quota.key: quota.default for quota in DRS_QUOTAS}
    for name, value in overrides.items():
        values[_BY_ANY_NAME[name].key] = value
    return values
