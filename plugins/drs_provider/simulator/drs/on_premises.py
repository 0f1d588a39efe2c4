"""Failback to machines on premises: a person boots the failback client, DRS launches, a person takes the ISO out.

What persons do happens after the durations of the scenario, or when a test or `POST events` says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

from drs_provider.simulator.drs.exceptions import Conflict
from drs_provider.simulator.drs.failback_launching import FailbackLaunching
from drs_provider.simulator.drs.jobs import Participant
from drs_provider.simulator.drs.recovery_instances import FailbackClient, RecoveryInstance
from drs_provider.simulator.drs.replication import Replication
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request

if TYPE_CHECKING:
    pass

__all__ = ["OnPremises", "PersonalEvent", "personal_events"]

PersonalEvent = Literal["failback_client_booted", "failback_media_removed", "agent_installed"]


def personal_events() -> tuple[str, ...]:
    """Return the names of what persons do on premises."""
    return get_args(PersonalEvent)


class OnPremises(Component):
    """The failback of instances whose origin is not in AWS."""

    def start_failback_launch(self, request: Request) -> dict[str, Any]:
        """StartFailbackLaunch to machines whose failback client has synced."""
        instances = [
            self.backend.instance(instance_id) for instance_id in dict.fromkeys(request["recoveryInstanceIDs"])
        ]
        for instance in instances:
            if instance.client is None or instance.failback_state != "FAILBACK_READY_FOR_LAUNCH":
                raise Conflict("The failback of the recovery instance is not ready for launch")
            self.backend.recoveries.refuse_busy(instance)
        self.backend.recoveries.within_quotas(len(instances))
        participants = [Participant(one.server.id, recovery_instance_id=one.id) for one in instances]
        job = self.backend.recoveries.add_job("LAUNCH", "FAILBACK", participants, request.get("tags") or {})
        FailbackLaunching(self.backend, job, instances).start()
        return {"job": job.describe()}

    def get_failback_replication_configuration(self, request: Request) -> dict[str, Any]:
        """GetFailbackReplicationConfiguration."""
        instance = self.backend.instance(request["recoveryInstanceID"])
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
        instance = self.backend.instance(request["recoveryInstanceID"])
        instance.failback_configuration.update(
            {name: value for name, value in request.items() if name != "recoveryInstanceID"}
        )

    def happen(self, event: str, server: SourceServer) -> None:
        """Let a person do something to the machine of a source server.

        :raises ValueError: nobody can do it now; the message says why.
        """
        if server.spec.origin != "on_premises":
            raise ValueError(f"{server.id} does not come from a machine on premises")
        if event == "failback_client_booted":
            instance = self.backend.instances.get(server.recovery_instance_id or "")
            if instance is None:
                raise ValueError(f"{server.id} has no recovery instance that could be failed back")
            if not self._bootable(instance):
                raise ValueError(f"the failback of {instance.id} is {instance.failback_state}, or it is let go of")
            self._boot(instance)
        elif event == "failback_media_removed":
            self._remove_media(server)
        elif event == "agent_installed":
            self._install_agent(server)
        else:
            raise ValueError(f"unknown event {event!r}; expected one of {', '.join(personal_events())}")

    def await_failback_client(self, instance: RecoveryInstance) -> None:
        """After a recovery, a person boots the failback client a while later, where the scenario says so."""
        server = instance.server
        after = server.spec.failback_client
        if server.spec.origin == "on_premises" and after is not None and not instance.is_drill:
            self.backend.clock.call_in(after, lambda: self._boot(instance))

    def failed_back(self, instance: RecoveryInstance) -> None:
        """The machine has what the instance held; a person takes the ISO out later, where the scenario says so."""
        instance.failback_state = "FAILBACK_COMPLETED"
        if instance.client is not None:
            instance.client.replication.change(self.backend.clock.now(), state="STOPPED", lag=0.0)
        after = instance.server.spec.failback_media_removed
        if after is not None:
            self.backend.clock.call_in(after, lambda: self._remove_media(instance.server))

    def _bootable(self, instance: RecoveryInstance) -> bool:
        gone = self.backend.instances.get(instance.id) is not instance or instance.terminating or instance.disconnected
        return not gone and instance.failback_state in ("FAILBACK_NOT_STARTED", "FAILBACK_ERROR")

    def _boot(self, instance: RecoveryInstance) -> None:
        """The client runs on the machine, in the place of the system whose agent replicated it."""
        if not self._bootable(instance):
            return
        server, now = instance.server, self.backend.clock.now()
        self.backend.protection.lose_agent(server)
        errors = server.spec.failback_error
        error = errors[min(instance.boots, len(errors) - 1)]
        instance.boots += 1
        replication = Replication.starting(now, self.backend.clock.speed)
        client = instance.client = FailbackClient(now, replication)
        instance.failback_state = "FAILBACK_IN_PROGRESS"
        instance.failback_started_at = now
        phases = [("INITIATING", server.duration("initiation")), ("INITIAL_SYNC", server.duration("initial_sync"))]
        if error is None:
            ends, state = replication.catch_up(now, phases, server.duration("catch_up")), "FAILBACK_READY_FOR_LAUNCH"
        else:
            ends, state = now + self.backend.clock.scaled(phases[0][1]), "FAILBACK_ERROR"
            replication.change(ends, state="STALLED", error=error)
        self.backend.clock.call_at(ends, self._while_booted(instance, client, state))

    def _while_booted(self, instance: RecoveryInstance, client: FailbackClient, state: str) -> Callable[[], None]:
        def reach() -> None:
            if instance.client is client and instance.failback_state == "FAILBACK_IN_PROGRESS":
                instance.failback_state = state

        return reach

    def _install_agent(self, server: SourceServer) -> None:
        if server.replication.state(self.backend.clock.now()) in ("STOPPED", "DISCONNECTED"):
            self.backend.protection.may_replicate_another()
            self.backend.protection.sync(server)
        else:
            self.backend.protection.find_agent(server)

    def _remove_media(self, server: SourceServer) -> None:
        """The machine boots its own system again; its agent replicates, where it survived."""
        if server.id in self.backend.servers and server.spec.failback_agent == "survives":
            self.backend.protection.find_agent(server)
