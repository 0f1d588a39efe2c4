"""Failback to EC2: replication in the other direction, to where recovery instances came from, and back again.

A1 is the instance at the origin, B1 its source server in the recovery region, B2 the recovery instance; A2 is the
FAILBACK server that replicates B2 in the origin region, A3 the instance that A2 launches.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.exceptions import Conflict, Uninitialized, Validation
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.simulator.moto_compat.instance_times import started_at
from drs_provider.simulator.scenario import LaunchTemplateSpec, ServerSpec

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["Failback"]

#: What a server that ReverseReplication makes does not have of the forward one: it begins like any new server.
_NEW_SERVER: dict[str, Any] = {
    "replication": "INITIATING",
    "replication_error": None,
    "lag": 0.0,
    "lag_growth": 0.0,
    "rescanned": None,
    "changes": [],
    "snapshots": None,
    "launched": None,
    "launch_disposition": "STARTED",
    "copy_private_ip": False,
    "copy_tags": True,
    "right_sizing": "BASIC",
    "launch_template": LaunchTemplateSpec(subnet=False, security_group=False, instance_profile=False),
}


class Failback(Component):
    """What is done to recovery instances after a recovery."""

    def reverse_replication(self, request: Request) -> dict[str, Any]:
        """ReverseReplication of a recovery instance that came from EC2.

        Of B2, it makes A2 in the origin region; of A3, in the origin region, it points B1 to that instance. Where the
        origin is another zone of the same region, it points B1 to B2.
        """
        instance = self.backend.instance(request["recoveryInstanceID"])
        if instance.server.spec.origin != "aws":
            raise Validation(f"Recovery instance {instance.id} did not originate in EC2", reason="other")
        self._reversible(instance)
        server = instance.server
        if server.direction == "FAILBACK":
            reversed_server = self._protect_again(instance)
        elif self._comes_from_here(server):
            reversed_server = self._point(self.backend, server, instance)
        else:
            reversed_server = self._fail_back(instance)
        return {"reversedDirectionSourceServerArn": reversed_server.arn}

    def stop_failback(self, request: Request) -> None:
        """StopFailback: the failback is as if it had not begun; a server that replicates the instance goes on."""
        instance = self.backend.instance(request["recoveryInstanceID"])
        instance.failback_state = "FAILBACK_NOT_STARTED"
        instance.failback_started_at = None
        instance.client = None

    def disconnect_recovery_instance(self, request: Request) -> None:
        """DisconnectRecoveryInstance: DRS lets go of it; the EC2 instance stays. Not of one that is protected."""
        instance = self.backend.instance(request["recoveryInstanceID"])
        self.backend.recoveries.refuse_busy(instance)
        now = self.backend.clock.now()
        if instance.is_protected(now):
            raise Conflict("The recovery instance is protected and cannot be disconnected")
        if instance.is_replicated(now) and instance.feeds is not None:
            self.backend.protection.lose_agent(instance.feeds)
        instance.disconnected = True
        instance.client = None
        instance.failback_state = "FAILBACK_NOT_STARTED"

    def delete_recovery_instance(self, request: Request) -> None:
        """DeleteRecoveryInstance of a disconnected or a protected one; the EC2 instance stays."""
        instance = self.backend.instance(request["recoveryInstanceID"])
        self.backend.recoveries.refuse_busy(instance)
        if not instance.disconnected and not instance.is_protected(self.backend.clock.now()):
            raise Conflict("The recovery instance must be disconnected first")
        self.backend.forget_instance(instance)

    def _reversible(self, instance: RecoveryInstance) -> None:
        now = self.backend.clock.now()
        if instance.terminating or instance.disconnected or str(instance.ec2.state) != "running":
            raise Conflict("The recovery instance is not running, or is disconnected")
        ready_at = max(instance.launched_at, started_at(instance.ec2)) + self.backend.clock.scaled(
            instance.server.duration("initialisation")
        )
        if now < ready_at:
            raise Conflict("The agent of the recovery instance is not initialized yet")
        if instance.is_replicated(now):
            raise Conflict("The recovery instance is being replicated already")

    def _comes_from_here(self, server: SourceServer) -> bool:
        """Whether the origin is in this account and region: another zone."""
        account = server.spec.origin_account or self.backend.account_id
        return (account, server.spec.origin_region) == (self.backend.account_id, self.backend.region_name)

    def _fail_back(self, instance: RecoveryInstance) -> SourceServer:
        forward = instance.server
        origin = self._elsewhere(forward.spec.origin_account or self.backend.account_id, forward.spec.origin_region)
        server = next((one for one in origin.servers.values() if one.source is instance), None)
        if server is not None and server.replication.state(self.backend.clock.now()) == "DISCONNECTED":
            raise Conflict("The source server of the failback is disconnected and must be deleted first")
        origin.protection.may_replicate_another()
        if server is None:
            server = origin.add_server(runtime.require(), self._failback_spec(instance))
            origin.configuration_templates.begin_from_template(server)
            server.direction = "FAILBACK"
            server.reversed_arn = forward.arn
            server.point_to(instance)
            self.backend.protection.watch(server, instance)
        forward.reversed_arn = server.arn
        origin.protection.sync(server)
        self._begun(instance, server)
        instance.failback_state = "FAILBACK_IN_PROGRESS"
        return server

    def _failback_spec(self, instance: RecoveryInstance) -> ServerSpec:
        forward = instance.server
        return ServerSpec.model_validate(
            {
                **forward.spec.model_dump(),
                **_NEW_SERVER,
                "id": "s-" + uuid.uuid4().hex[:17],
                "origin_instance": instance.id,
                "origin_region": self.backend.region_name,
                "origin_account": self.backend.account_id,
                "outcome": forward.spec.failback_outcome,
                "tags": dict(forward.tags),
            }
        )

    def _protect_again(self, instance: RecoveryInstance) -> SourceServer:
        arn = str(instance.server.reversed_arn)
        region, account = arn.split(":")[3:5]
        home = self._elsewhere(account, region)
        return self._point(home, home.server(arn.rsplit("/", 1)[1]), instance)

    def _point(self, home: DrsBackend, forward: SourceServer, instance: RecoveryInstance) -> SourceServer:
        """The forward server replicates from an instance: STALLED, RESCAN, CONTINUOUS; a stopped one from the start."""
        now = self.backend.clock.now()
        state = forward.replication.state(now)
        if state == "DISCONNECTED":
            raise Conflict("The source server is disconnected")
        if forward.id in home.busy:
            raise Conflict("The source server is participating in a job")
        if state == "STOPPED":
            home.protection.may_replicate_another()
            home.protection.sync(forward)
        else:
            home.protection.resync(forward, first="STALLED")
        forward.point_to(instance)
        home.protection.watch(forward, instance)
        self._begun(instance, forward)
        return forward

    def _begun(self, instance: RecoveryInstance, server: SourceServer) -> None:
        now = self.backend.clock.now()
        instance.feeds = server
        instance.initiates_until = now + self.backend.clock.scaled(server.duration("initiation"))
        instance.failback_started_at = now

    def _elsewhere(self, account: str, region: str) -> DrsBackend:
        backend = self.backend.peer(account, region)
        if not backend.initialized:
            raise Uninitialized
        return backend
