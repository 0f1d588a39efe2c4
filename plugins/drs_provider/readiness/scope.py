"""What a preflight looked at: "no findings" says little where nobody knows how much was asked, and as whom."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from drs_provider.durations import format_duration

if TYPE_CHECKING:
    from drs_provider.readiness.resolution import ResolvedServer

__all__ = ["Permissions", "Scope"]


@dataclass
class Permissions:
    """Whose permissions were simulated, and how many; filled in by the check that does it.

    :param caller: the ARN of the role or user; empty where it is not known.
    :param actions: how many actions were simulated; 0 where the simulation was not allowed, or is not possible.
    """

    caller: str = ""
    actions: int = 0


@dataclass(frozen=True)
class Scope:
    """What was looked at.

    :param checks: how many checks were made, those that failed included.
    :param servers: how many source servers.
    :param worst_lag_seconds: the longest replication lag among them; None where DRS reports none.
    :param worst_lag_of: the server with that lag, by its host name.
    :param permissions: how many actions were simulated.
    :param caller: as whom.
    """

    checks: int
    servers: int
    worst_lag_seconds: float | None
    worst_lag_of: str | None
    permissions: int
    caller: str

    @classmethod
    def of(cls, servers: Iterable[ResolvedServer], checks: int, permissions: Permissions) -> Scope:
        """Return what was looked at.

        :param servers: the servers that the waves select.
        :param checks: how many checks were made.
        :param permissions: whose were simulated.
        """
        found = list(servers)
        lags = [(each.lag_seconds, each.hostname or each.id) for each in found if each.lag_seconds is not None]
        lag, whose = max(lags, default=(None, None))
        return cls(checks, len(found), lag, whose, permissions.actions, permissions.caller)

    def __str__(self) -> str:
        """Say it in one line."""
        servers = f"{self.servers} server{'s' * (self.servers != 1)}"
        lag = "no replication lag reported"
        if self.worst_lag_seconds is not None:
            worst = format_duration(timedelta(seconds=round(self.worst_lag_seconds)))
            lag = f"worst replication lag {worst} ({self.worst_lag_of})"
        whose = f" as {self.caller}" if self.caller else ""
        permissions = f"{self.permissions} permissions simulated{whose}"
        if not self.permissions:
            permissions = f"no permissions simulated{f' (the caller is {self.caller})' if self.caller else ''}"
        return f"Looked at {servers} with {self.checks} checks: {lag}; {permissions}."

    def as_dict(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)
