"""Failback: replication in the other direction, from recovery instances to where they came from, and back again."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

from drs_provider.simulator import simulation as simulations
from drs_provider.simulator.drs.exceptions import Conflict, Uninitialized, Validation
from drs_provider.simulator.drs.jobs import Participant
from drs_provider.simulator.drs.launching import FailbackLaunching
from drs_provider.simulator.drs.protection import Protection
from drs_provider.simulator.drs.recoveries import Recoveries
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Request
from drs_provider.simulator.scenario import ServerSpec

if TYPE_CHECKING:
    from drs_provider.simulator.drs.models import DrsBackend

__all__ = ["Failback"]


class Failback(Recoveries, Protection):
    """What is done to recovery instances after a recovery."""

    def reverse_replication(self, request: Request) -> dict[str, Any]:
        """ReverseReplication of a recovery instance that came from EC2.

        In the recovery region it makes a FAILBACK source server in the origin region; of an instance that was failed
        back, in the origin region, it points the forward server to that instance.
        """
        instance = self.instance(request["recoveryInstanceID"])
        if instance.server.spec.origin != "aws":
            raise Validation(f"Recovery instance {instance.id} did not originate in EC2", reason="other")
        if instance.server.reversed_arn and instance.server.direction == "FAILOVER":
            raise Conflict(f"Recovery instance {instance.id} is being replicated already", resourceId=instance.id)
        if str(instance.ec2.state) != "running":
            raise Conflict(f"Recovery instance {instance.id} is {instance.ec2.state}", resourceId=instance.id)
        reversed_server = (
            self._protect_again(instance) if instance.server.direction == "FAILBACK" else self._fail_back(instance)
        )
        return {"reversedDirectionSourceServerArn": reversed_server.arn}

    def stop_failback(self, request: Request) -> None:
        """StopFailback: the instance is as if no failback had begun."""
        instance = self.instance(request["recoveryInstanceID"])
        instance.failback_state = "FAILBACK_NOT_STARTED"
        instance.failback_started_at = None
        instance.set_replication("STOPPED")
        instance.server.reversed_arn = None

    def start_failback_launch(self, request: Request) -> dict[str, Any]:
        """StartFailbackLaunch to machines on premises, whose failback client has synced."""
        instances = [self.instance(instance_id) for instance_id in dict.fromkeys(request["recoveryInstanceIDs"])]
        for instance in instances:
            state = instance.failback_shown(self.clock.now())
            if state != "FAILBACK_READY_FOR_LAUNCH":
                raise Conflict(f"Failback of {instance.id} is {state}", resourceId=instance.id)
            if instance.server.id in self.busy:
                raise Conflict(f"Source server {instance.server.id} is in another job", resourceId=instance.server.id)
        self.within_quotas(len(instances))
        participants = [Participant(one.server.id, recovery_instance_id=one.id) for one in instances]
        job = self.add_job("LAUNCH", "FAILBACK", participants, request.get("tags") or {})
        FailbackLaunching(cast("DrsBackend", self), job, instances).start()
        return {"job": job.describe()}

    def disconnect_recovery_instance(self, request: Request) -> None:
        """DisconnectRecoveryInstance: DRS lets go of it; the EC2 instance stays."""
        instance = self.instance(request["recoveryInstanceID"])
        self.refuse_busy(instance)
        instance.set_replication("DISCONNECTED")
        instance.failback_state = "FAILBACK_NOT_STARTED"

    def delete_recovery_instance(self, request: Request) -> None:
        """DeleteRecoveryInstance of a disconnected one; the EC2 instance stays."""
        instance = self.instance(request["recoveryInstanceID"])
        if instance.replication_shown(self.clock.now()) != "DISCONNECTED":
            raise Conflict(f"Recovery instance {instance.id} must be disconnected first", resourceId=instance.id)
        self.forget_instance(instance)

    def get_failback_replication_configuration(self, request: Request) -> dict[str, Any]:
        """GetFailbackReplicationConfiguration."""
        instance = self.instance(request["recoveryInstanceID"])
        return {
            "recoveryInstanceID": instance.id,
            "name": instance.server.spec.hostname,
            "bandwidthThrottling": 0,
            "usePrivateIP": False,
            "internetProtocol": "IPV4",
            **instance.failback_configuration,
        }

    def update_failback_replication_configuration(self, request: Request) -> None:
        """UpdateFailbackReplicationConfiguration."""
        instance = self.instance(request["recoveryInstanceID"])
        instance.failback_configuration.update(
            {name: value for name, value in request.items() if name != "recoveryInstanceID"}
        )

    def _fail_back(self, instance: RecoveryInstance) -> SourceServer:
        forward = instance.server
        origin = self._elsewhere(forward.spec.origin_account or self.account_id, forward.spec.origin_region)
        origin.may_replicate_another()
        spec = ServerSpec(
            **{
                **forward.spec.model_dump(),
                "id": "s-" + uuid.uuid4().hex[:17],
                "origin_instance": instance.id,
                "origin_region": self.region_name,
                "origin_account": self.account_id,
                "replication": "INITIATING",
                "replication_error": None,
                "lag": 0.0,
                "lag_growth": 0.0,
                "changes": [],
                "snapshots": None,
                "outcome": forward.spec.failback_outcome,
                "launched": None,
                "tags": dict(forward.tags),
            }
        )
        server = origin.add_server(simulations.require(), spec)
        server.direction = "FAILBACK"
        server.reversed_arn = forward.arn
        server.fails_back = instance
        forward.reversed_arn = server.arn
        origin.sync(server)
        now = self.clock.now()
        instance.failback_state = "FAILBACK_IN_PROGRESS"
        instance.failback_started_at = now
        instance.follows = server
        return server

    def _protect_again(self, instance: RecoveryInstance) -> SourceServer:
        """The forward server replicates from the instance that was failed back: STALLED, RESCAN, CONTINUOUS."""
        failback = instance.server
        region, account = str(failback.reversed_arn).split(":")[3:5]
        home = self._elsewhere(account, region)
        forward = home.server(str(failback.reversed_arn).rsplit("/", 1)[1])
        now = self.clock.now()
        rescan = now + self.clock.scaled(forward.duration("initiation"))
        forward.replication.change(now, state="STALLED")
        forward.replication.change(rescan, state="RESCAN")
        forward.replication.change(
            rescan + self.clock.scaled(forward.duration("rescan")), state="CONTINUOUS", lag=0.0, growth=0.0
        )
        forward.point_to(instance.id)
        return forward

    def _elsewhere(self, account: str, region: str) -> DrsBackend:
        from drs_provider.simulator.drs.models import drs_backends

        backend: DrsBackend = drs_backends[account][region]
        if not backend.initialized:
            raise Uninitialized
        return backend
