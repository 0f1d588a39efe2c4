"""Replication of source servers: stop, start, retry, disconnect, delete."""

from __future__ import annotations

from typing import Any

from drs_provider.simulator.drs.exceptions import Conflict, QuotaExceeded, Validation
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Request, State
from drs_provider.simulator.servicequotas.quotas import quota_code

__all__ = ["Protection"]

_UNPROTECTED = {"STOPPED", "DISCONNECTED"}


class Protection(State):
    """What is done to the replication of a source server."""

    def stop_replication(self, request: Request) -> dict[str, Any]:
        """StopReplication: unprotected at once, and its snapshots are deleted."""
        server = self._idle(request["sourceServerID"])
        now = self.clock.now()
        server.replication.change(now, state="STOPPED", lag=0.0)
        server.snapshots.delete_all()
        return {"sourceServer": server.describe(now)}

    def start_replication(self, request: Request) -> dict[str, Any]:
        """StartReplication of a stopped server: a first sync, then CONTINUOUS."""
        server = self._idle(request["sourceServerID"])
        now = self.clock.now()
        state = server.replication.state(now)
        if state != "STOPPED":
            raise Conflict(f"Replication of {server.id} is {state}, not STOPPED", resourceId=server.id)
        self.may_replicate_another()
        self.sync(server)
        return {"sourceServer": server.describe(now)}

    def retry_data_replication(self, request: Request) -> dict[str, Any]:
        """RetryDataReplication of a stalled, disconnected or stopped server."""
        server = self.server(request["sourceServerID"])
        now = self.clock.now()
        state = server.replication.state(now)
        if state not in ("STALLED", *_UNPROTECTED):
            raise Validation(f"Replication of {server.id} is {state}: only a stalled or stopped one can be retried")
        if state == "STALLED":
            self.resync(server)
        else:
            self.may_replicate_another()
            self.sync(server)
        return server.describe(now)

    def disconnect_source_server(self, request: Request) -> dict[str, Any]:
        """DisconnectSourceServer: replication ends, and its resources are removed."""
        server = self._idle(request["sourceServerID"])
        now = self.clock.now()
        server.replication.change(now, state="DISCONNECTED", lag=0.0)
        server.snapshots.delete_all()
        return server.describe(now)

    def delete_source_server(self, request: Request) -> dict[str, Any]:
        """DeleteSourceServer of a disconnected one."""
        server = self._idle(request["sourceServerID"])
        if server.replication.state(self.clock.now()) != "DISCONNECTED":
            raise Conflict(f"Source server {server.id} must be disconnected first", resourceId=server.id)
        del self.servers[server.id]
        return {}

    def sync(self, server: SourceServer) -> None:
        """A first sync from now on: INITIATING, INITIAL_SYNC, CONTINUOUS."""
        now = self.clock.now()
        synced = now + self.clock.scaled(server.duration("initiation") + server.duration("initial_sync"))
        server.replication.change(now, state="INITIATING", lag=0.0)
        server.replication.change(now + self.clock.scaled(server.duration("initiation")), state="INITIAL_SYNC")
        server.replication.change(synced, state="CONTINUOUS", lag=0.0)
        server.snapshots.begin(synced)

    def resync(self, server: SourceServer) -> None:
        """A sync of what is there already: RESCAN, CONTINUOUS."""
        now = self.clock.now()
        server.replication.change(now, state="RESCAN")
        server.replication.change(now + self.clock.scaled(server.duration("rescan")), state="CONTINUOUS", lag=0.0)

    def may_replicate_another(self) -> None:
        """Refuse another replicating server beyond the quota."""
        now = self.clock.now()
        used = sum(server.replication.state(now) not in _UNPROTECTED for server in self.servers.values())
        if used + 1 > self.quotas["replicating_servers"]:
            raise QuotaExceeded(
                f"Maximum number of replicating source servers ({self.quotas['replicating_servers']:g}) exceeded",
                quota_code=quota_code("replicating_servers") or "",
            )

    def _idle(self, server_id: str) -> SourceServer:
        server = self.server(server_id)
        job = self.busy.get(server_id)
        if job is not None:
            raise Conflict(f"Source server {server_id} is participating in job {job.id}", resourceId=server_id)
        return server
