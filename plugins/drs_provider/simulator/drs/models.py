"""DRS in one account and region: its servers, jobs and recovery instances, and the operations on them.

The operations are those of the components. They run under the simulation's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from moto.core.base_backend import BackendDict, BaseBackend

from drs_provider.simulator.drs.configuration import Configuration
from drs_provider.simulator.drs.configuration_templates import ConfigurationTemplate, ConfigurationTemplates
from drs_provider.simulator.drs.extended_servers import ExtendedServers
from drs_provider.simulator.drs.failback import Failback
from drs_provider.simulator.drs.instances import begin_instance, complete_instance
from drs_provider.simulator.drs.jobs import Job, Participant
from drs_provider.simulator.drs.launch_actions import LaunchActions
from drs_provider.simulator.drs.launching import note_an_earlier_launch
from drs_provider.simulator.drs.listings import Listings
from drs_provider.simulator.drs.native_executions import Execution, NativeExecutions
from drs_provider.simulator.drs.native_plans import NativePlans, RecoveryPlan
from drs_provider.simulator.drs.on_premises import OnPremises
from drs_provider.simulator.drs.protection import Protection
from drs_provider.simulator.drs.recoveries import Recoveries
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.replication import Replication
from drs_provider.simulator.drs.server_launch import instance_tags
from drs_provider.simulator.drs.snapshots import SnapshotSeries
from drs_provider.simulator.drs.source_networks import SourceNetwork, SourceNetworks
from drs_provider.simulator.drs.source_servers import LastLaunch, SourceServer
from drs_provider.simulator.drs.state import Component, State
from drs_provider.simulator.drs.templates import (
    ADDRESS_EVERY,
    RIGHT_SIZING_EVERY,
    complete_data,
    copy_address,
    create_launch_template,
    right_size,
)
from drs_provider.simulator.moto_compat.instance_times import began_at
from drs_provider.simulator.quotas import quota_values

if TYPE_CHECKING:
    from drs_provider.simulator.runtime import Runtime
    from drs_provider.simulator.scenario import AccountSpec, ServerSpec

__all__ = ["COMPONENTS", "DrsBackend", "backend_of", "drs_backends", "seed"]


class DrsBackend(State, BaseBackend):
    """The state of one account and region, and the operations on it by component."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.servers: dict[str, SourceServer] = {}
        self.jobs: dict[str, Job] = {}
        self.running: dict[str, Job] = {}
        self.busy: dict[str, Job] = {}
        self.instances: dict[str, RecoveryInstance] = {}
        self.tokens: dict[tuple[str, str], str] = {}
        self.plans: dict[str, RecoveryPlan] = {}
        self.executions: dict[str, Execution] = {}
        self.launch_templates: dict[str, ConfigurationTemplate] = {}
        self.replication_templates: dict[str, ConfigurationTemplate] = {}
        self.launch_actions: dict[str, dict[str, dict[str, Any]]] = {}
        self.networks: dict[str, SourceNetwork] = {}
        self.quotas = quota_values({})
        #: Only where the scenario says so, or once InitializeService was called.
        self.initialized = False
        self._keeps_templates = False
        self.configuration = Configuration(self)
        self.configuration_templates = ConfigurationTemplates(self)
        self.extended_servers = ExtendedServers(self)
        self.failback = Failback(self)
        self.listings = Listings(self)
        self.native_executions = NativeExecutions(self)
        self.native_plans = NativePlans(self)
        self.on_premises = OnPremises(self)
        self.post_launch = LaunchActions(self)
        self.protection = Protection(self)
        self.recoveries = Recoveries(self)
        self.source_networks = SourceNetworks(self)
        self.configuration_templates.make_templates()

    def peer(self, account: str, region: str) -> DrsBackend:
        """DRS in another account or region."""
        backend: DrsBackend = drs_backends[account][region]
        return backend

    def add_server(self, simulation: Runtime, spec: ServerSpec) -> SourceServer:
        """A source server of the scenario, or one that a failback made."""
        now = simulation.clock.now()
        server = SourceServer(
            spec=spec,
            account=self.account_id,
            region=self.region_name,
            added_at=now,
            defaults=simulation.scenario.durations,
            rules=simulation.scenario.launching,
            replication=Replication(spec, now, simulation.clock.speed),
            snapshots=SnapshotSeries(spec.id, now, spec.snapshots),
            tags=dict(spec.tags),
            launch_configuration={
                "launchDisposition": spec.launch_disposition,
                "copyTags": spec.copy_tags,
                "copyPrivateIp": spec.copy_private_ip,
                "targetInstanceTypeRightSizingMethod": spec.right_sizing,
            },
        )
        server.launch_template_id = create_launch_template(server)
        self.servers[server.id] = server
        if not self._keeps_templates:
            self._keeps_templates = True
            self._keep(simulation, RIGHT_SIZING_EVERY, right_size)
            self._keep(simulation, ADDRESS_EVERY, copy_address)
        return server

    def _keep(self, simulation: Runtime, seconds: float, write: Callable[[SourceServer], None]) -> None:
        """Write what DRS writes into all launch templates, every so many seconds."""

        def due() -> None:
            for server in self.servers.values():
                write(server)
            self._keep(simulation, seconds, write)

        simulation.clock.call_in(seconds, due)


#: The components of a backend by their names in it.
COMPONENTS: Final[dict[str, type[Component]]] = {
    "configuration": Configuration,
    "configuration_templates": ConfigurationTemplates,
    "extended_servers": ExtendedServers,
    "failback": Failback,
    "listings": Listings,
    "native_executions": NativeExecutions,
    "native_plans": NativePlans,
    "on_premises": OnPremises,
    "post_launch": LaunchActions,
    "protection": Protection,
    "recoveries": Recoveries,
    "source_networks": SourceNetworks,
}
drs_backends = BackendDict(DrsBackend, "drs")


def backend_of(server_id: str) -> DrsBackend:
    """Return the account and region that a source server is in.

    :raises ValueError: there is no such server.
    """
    for regions in drs_backends.values():
        for backend in regions.values():
            if server_id in backend.servers:
                return backend
    raise ValueError(f"there is no source server {server_id}")


def seed(simulation: Runtime, account: str, region: str, site: AccountSpec) -> None:
    """Put the servers of one account and region in place."""
    backend = drs_backends[account][region]
    backend.initialized = site.initialized
    backend.quotas = quota_values(site.quotas)
    for spec in site.servers:
        server = backend.add_server(simulation, spec)
        if spec.launched is not None:
            _launched_before(backend, simulation, server)


def _launched_before(backend: DrsBackend, simulation: Runtime, server: SourceServer) -> None:
    """An earlier job left an instance."""
    now = simulation.clock.now()
    is_drill = server.spec.launched == "drill"
    job = Job(
        account=backend.account_id,
        region=backend.region_name,
        type="LAUNCH",
        initiated_by="START_DRILL" if is_drill else "START_RECOVERY",
        created_at=now - 86400,
        participants=[Participant(server.id, "LAUNCHED")],
        names_instances=simulation.scenario.job_recovery_instance_ids,
        status="COMPLETED",
    )
    backend.jobs[job.id] = job
    server.last_launch = LastLaunch(job.id, job.created_at, is_drill, "LAUNCHED")
    ec2 = begin_instance(server, complete_data(server), instance_tags(server, job), starts=False)
    complete_instance(ec2, server, stopped=False, tags={})
    ec2.checks_pass_at = now
    began_at(ec2, now - 86400 + 536)
    instance = RecoveryInstance(ec2, server, job.id, is_drill, job.created_at, now - 86400 + 536, dict(server.tags))
    backend.add_instance(instance)
    job.participants[0].recovery_instance_id = instance.id
    note_an_earlier_launch(job, server, instance.id)
    backend.on_premises.await_failback_client(instance)
