"""DRS in one account and region: its servers, jobs and recovery instances, and the operations on them.

Every operation takes the request as a dict in the names of the service model, and returns the answer in the same names.
It runs under the simulation's lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moto.core.base_backend import BackendDict, BaseBackend

from drs_provider.simulator.drs.instances import create_launch_template, terminate_instance
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.listings import Listings
from drs_provider.simulator.drs.recoveries import Recoveries
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.replication import Replication
from drs_provider.simulator.drs.snapshots import SnapshotSeries
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.servicequotas.quotas import quota_values

if TYPE_CHECKING:
    from drs_provider.simulator.scenario import AccountSpec, ServerSpec
    from drs_provider.simulator.simulation import Simulation

__all__ = ["DrsBackend", "drs_backends", "seed"]


class DrsBackend(Recoveries, Listings, BaseBackend):
    """The state of one account and region."""

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.servers: dict[str, SourceServer] = {}
        self.jobs: dict[str, Job] = {}
        self.running: dict[str, Job] = {}
        self.busy: dict[str, Job] = {}
        self.instances: dict[str, RecoveryInstance] = {}
        self.quotas = quota_values({})
        self.initialized = True

    def add_instance(self, instance: RecoveryInstance) -> RecoveryInstance:
        """A recovery instance was launched."""
        self.instances[instance.id] = instance
        instance.server.recovery_instance_id = instance.id
        return instance

    def remove_instance(self, instance: RecoveryInstance) -> None:
        """A recovery instance is gone, in EC2 too."""
        terminate_instance(instance.ec2)
        self.instances.pop(instance.id, None)
        server = instance.server
        if server.recovery_instance_id == instance.id:
            server.recovery_instance_id = None
            if server.last_launch is not None and server.last_launch.job_id == instance.job_id:
                server.last_launch.status = "TERMINATED"

    def add_server(self, simulation: Simulation, spec: ServerSpec) -> SourceServer:
        """A source server of the scenario."""
        server = SourceServer(
            spec=spec,
            account=self.account_id,
            region=self.region_name,
            added_at=simulation.loaded_at,
            defaults=simulation.scenario.durations,
            replication=Replication(spec, simulation.loaded_at, simulation.clock.speed),
            snapshots=SnapshotSeries(spec.id, simulation.loaded_at, spec.snapshots),
            tags=dict(spec.tags),
            launch_configuration={"launchDisposition": spec.launch_disposition, "copyTags": spec.copy_tags},
        )
        server.launch_template_id = create_launch_template(server)
        self.servers[server.id] = server
        return server


drs_backends = BackendDict(DrsBackend, "drs")


def seed(simulation: Simulation, account: str, region: str, site: AccountSpec) -> None:
    """Put the servers of one account and region in place."""
    backend = drs_backends[account][region]
    backend.initialized = site.initialized
    backend.quotas = quota_values(site.quotas)
    for spec in site.servers:
        backend.add_server(simulation, spec)
