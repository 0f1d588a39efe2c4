"""What the components of DRS share: the state, the clock, and how to find a thing or say that there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.exceptions import NotFound, Validation
from drs_provider.simulator.drs.instances import terminate_instance
from drs_provider.simulator.drs.jobs import Job
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.pagination import InvalidToken, page

if TYPE_CHECKING:
    from drs_provider.simulator.clock import Clock
    from drs_provider.simulator.drs.configuration_templates import ConfigurationTemplate
    from drs_provider.simulator.drs.models import DrsBackend
    from drs_provider.simulator.drs.native_executions import Execution
    from drs_provider.simulator.drs.native_plans import RecoveryPlan
    from drs_provider.simulator.drs.source_networks import SourceNetwork

__all__ = ["Component", "Request", "State"]

Request = dict[str, Any]
Item = TypeVar("Item")


class State:
    """What DRS holds in one account and region; the operations on it are those of the components."""

    account_id: str
    region_name: str
    servers: dict[str, SourceServer]
    jobs: dict[str, Job]
    #: Jobs that have not ended, by id, and by the servers that are in them.
    running: dict[str, Job]
    busy: dict[str, Job]
    instances: dict[str, RecoveryInstance]
    plans: dict[str, RecoveryPlan]
    executions: dict[str, Execution]
    launch_templates: dict[str, ConfigurationTemplate]
    replication_templates: dict[str, ConfigurationTemplate]
    launch_actions: dict[str, dict[str, dict[str, Any]]]
    networks: dict[str, SourceNetwork]
    #: What a client token began, by the operation's kind and the token.
    tokens: dict[tuple[str, str], str]
    quotas: dict[str, float]
    initialized: bool

    @property
    def clock(self) -> Clock:
        """The simulation's clock."""
        return runtime.require().clock

    def server(self, server_id: str) -> SourceServer:
        """A source server, or `NotFound`."""
        if server_id not in self.servers:
            raise NotFound("SourceServer", server_id)
        return self.servers[server_id]

    def instance(self, instance_id: str) -> RecoveryInstance:
        """A recovery instance, or `NotFound`."""
        if instance_id not in self.instances:
            raise NotFound("RecoveryInstance", instance_id)
        return self.instances[instance_id]

    def job(self, job_id: str) -> Job:
        """A job, or `NotFound`."""
        if job_id not in self.jobs:
            raise NotFound("Job", job_id)
        return self.jobs[job_id]

    def add_instance(self, instance: RecoveryInstance) -> RecoveryInstance:
        """A recovery instance was launched."""
        self.instances[instance.id] = instance
        instance.server.recovery_instance_id = instance.id
        return instance

    def remove_instance(self, instance: RecoveryInstance) -> None:
        """A recovery instance is gone, in EC2 too."""
        terminate_instance(instance.ec2)
        server = instance.server
        if server.last_launch is not None and server.last_launch.job_id == instance.job_id:
            server.last_launch.status = "TERMINATED"
        self.forget_instance(instance)

    def forget_instance(self, instance: RecoveryInstance) -> None:
        """A recovery instance is no longer DRS's; EC2 may keep it. What its server says of the past stays."""
        self.instances.pop(instance.id, None)
        if instance.server.recovery_instance_id == instance.id:
            instance.server.recovery_instance_id = None

    def job_began(self, job: Job) -> None:
        """A job was accepted: its servers are in no other one until it ends."""
        self.jobs[job.id] = self.running[job.id] = job
        self.busy.update((participant.source_server_id, job) for participant in job.participants)

    def job_ended(self, job: Job) -> None:
        """A job ended."""
        self.running.pop(job.id, None)
        for participant in job.participants:
            self.busy.pop(participant.source_server_id, None)
        for callback in job.on_end:
            callback()

    def paged(
        self,
        request: Request,
        items: Sequence[Item],
        key: Callable[[Item], str],
        show: Callable[[Item], Any],
        name: str = "items",
        longest: int = 1000,
    ) -> dict[str, Any]:
        """An answer with one page of a list."""
        try:
            shown, token = page(items, key, request.get("nextToken"), request.get("maxResults"), longest)
        except InvalidToken as error:
            raise Validation("Invalid nextToken", reason="other") from error
        answer: dict[str, Any] = {name: [show(item) for item in shown]}
        if token:
            answer["nextToken"] = token
        return answer


class Component:
    """One group of operations on the state of an account and region.

    Each operation takes the request as a dict in the names of the service model, and returns the answer likewise.
    """

    def __init__(self, backend: DrsBackend) -> None:
        self.backend = backend
