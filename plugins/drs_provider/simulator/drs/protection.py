"""Replication of source servers: stop, start, retry, disconnect, delete."""

from __future__ import annotations

from typing import Any

from drs_provider.simulator.drs.exceptions import Conflict, InJob, QuotaExceeded, Validation
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.simulator.moto_compat.instance_times import on_change
from drs_provider.simulator.quotas import quota_code

__all__ = ["Protection"]

_UNPROTECTED = {"STOPPED", "DISCONNECTED"}


class Protection(Component):
    """What is done to the replication of a source server."""

    def stop_replication(self, request: Request) -> dict[str, Any]:
        """StopReplication: unprotected at once, and its snapshots are deleted."""
        server = self._idle(request["sourceServerID"])
        now = self.backend.clock.now()
        server.replication.change(now, state="STOPPED", lag=0.0)
        server.snapshots.delete_all()
        return {"sourceServer": server.describe(now)}

    def start_replication(self, request: Request) -> dict[str, Any]:
        """StartReplication of a stopped server: a first sync, then CONTINUOUS."""
        server = self._idle(request["sourceServerID"])
        if server.replication.state(self.backend.clock.now()) != "STOPPED":
            raise Conflict("The replication of the source server is not stopped")
        self.may_replicate_another()
        self.sync(server)
        return {"sourceServer": server.describe(self.backend.clock.now())}

    def retry_data_replication(self, request: Request) -> dict[str, Any]:
        """RetryDataReplication of a stalled, disconnected or stopped server."""
        server = self.backend.server(request["sourceServerID"])
        state = server.replication.state(self.backend.clock.now())
        if state not in ("STALLED", *_UNPROTECTED):
            raise Validation(f"Replication of {server.id} is {state}: only a stalled or stopped one can be retried")
        if state == "STALLED":
            self.resync(server)
        else:
            self.may_replicate_another()
            self.sync(server)
        return server.describe(self.backend.clock.now())

    def disconnect_source_server(self, request: Request) -> dict[str, Any]:
        """DisconnectSourceServer: replication ends, and its resources are removed. Not with a recovery instance."""
        server = self._idle(request["sourceServerID"])
        if any(instance.server is server for instance in self.backend.instances.values()):
            raise Conflict("The source server has a recovery instance and cannot be disconnected")
        now = self.backend.clock.now()
        server.replication.change(now, state="DISCONNECTED", lag=0.0)
        server.snapshots.delete_all()
        return server.describe(now)

    def delete_source_server(self, request: Request) -> dict[str, Any]:
        """DeleteSourceServer of a disconnected one."""
        server = self._idle(request["sourceServerID"])
        if server.replication.state(self.backend.clock.now()) != "DISCONNECTED":
            raise Conflict(f"Source server {server.id} must be disconnected first", resourceId=server.id)
        del self.backend.servers[server.id]
        return {}

    def sync(self, server: SourceServer) -> None:
        """A first sync from now on: INITIATING, INITIAL_SYNC, CONTINUOUS."""
        phases = [
            ("INITIATING", server.duration("initiation")),
            ("INITIAL_SYNC", server.duration("initial_sync")),
        ]
        synced = server.replication.catch_up(self.backend.clock.now(), phases, server.duration("catch_up"))
        server.snapshots.begin(synced)

    def resync(self, server: SourceServer, first: str | None = None) -> None:
        """A sync of what is there already: RESCAN, CONTINUOUS; `first`: a state before them, until it is initiated."""
        phases = [("RESCAN", server.duration("rescan"))]
        if first is not None:
            phases.insert(0, (first, server.duration("initiation")))
        server.replication.catch_up(self.backend.clock.now(), phases, server.duration("catch_up"))

    def lose_agent(self, server: SourceServer) -> None:
        """What a server replicates is gone or down: STALLED, unless it replicates nothing anyway."""
        now = self.backend.clock.now()
        if server.replication.state(now) not in (*_UNPROTECTED, "STALLED"):
            server.replication.change(now, state="STALLED", error="AGENT_NOT_SEEN")

    def find_agent(self, server: SourceServer) -> None:
        """What a stalled server replicates is there again; where the first sync had not ended, it begins anew."""
        now = self.backend.clock.now()
        if server.replication.state(now) != "STALLED":
            return
        if server.snapshots.not_before > now or not server.has_recovery_point(now):
            self.sync(server)
        else:
            self.resync(server)

    def watch(self, server: SourceServer, instance: RecoveryInstance) -> None:
        """Let the replication of an instance follow what becomes of it in EC2, however it is stopped or started."""

        def changed() -> None:
            if server.source is not instance:
                return
            if str(instance.ec2.state) == "running":
                self.backend.clock.call_in(server.duration("initialisation"), running)
            else:
                self.lose_agent(server)

        def running() -> None:
            if server.source is instance and str(instance.ec2.state) == "running" and not self._replaced(instance):
                self.find_agent(server)

        on_change(instance.ec2, changed)

    def _replaced(self, instance: RecoveryInstance) -> bool:
        """Whether something else was launched into the EC2 instance since, so that another agent runs there."""
        known = self.backend.peer(instance.server.account, instance.server.region).instances.get(instance.id)
        return known not in (None, instance)

    def may_replicate_another(self) -> None:
        """Refuse another replicating server beyond the quota."""
        now = self.backend.clock.now()
        used = sum(
            server.staging is None and server.replication.state(now) not in _UNPROTECTED
            for server in self.backend.servers.values()
        )
        most = self.backend.quotas["replicating_servers"]
        if used + 1 > most:
            raise QuotaExceeded(
                f"Maximum number of replicating source servers ({most:g}) exceeded",
                quota_code=quota_code("replicating_servers") or "",
            )

    def _idle(self, server_id: str) -> SourceServer:
        server = self.backend.server(server_id)
        if server_id in self.backend.busy:
            raise InJob
        return server
