"""Source networks: VPCs of the origin whose configuration DRS protects and recovers as CloudFormation stacks.

A recovery makes a VPC like the protected one, with its subnets, in the recovery region's EC2; of the stack there is
only the name. Jobs of networks name no servers, but `participatingResources`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import ec2_backends

from drs_provider.simulator import runtime
from drs_provider.simulator.drs.exceptions import Conflict, NotFound
from drs_provider.simulator.drs.jobs import Job, Resource
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.timestamps import live_timestamp

__all__ = ["SourceNetwork", "SourceNetworks"]

_TO_START = 0.5
_TO_PROTECT = 60.0
_TO_DEPLOY = 120.0
_TO_ASSOCIATE = 10.0


@dataclass
class SourceNetwork:
    """One protected VPC."""

    account: str
    region: str
    vpc_id: str
    origin_account: str
    origin_region: str
    tags: dict[str, str]
    id: str = field(default_factory=lambda: "sn-" + uuid.uuid4().hex[:17])
    status: str = "STOPPED"
    stack: str | None = None
    launched_vpc_id: str | None = None
    job: Job | None = None
    result: str = "NOT_STARTED"

    @property
    def arn(self) -> str:
        """The ARN."""
        return f"arn:aws:drs:{self.region}:{self.account}:source-network/{self.id}"

    def describe(self) -> dict[str, Any]:
        """As DescribeSourceNetworks shows it."""
        shown: dict[str, Any] = {
            "sourceNetworkID": self.id,
            "sourceVpcID": self.vpc_id,
            "arn": self.arn,
            "tags": dict(self.tags),
            "replicationStatus": self.status,
            "sourceRegion": self.origin_region,
            "sourceAccountID": self.origin_account,
        }
        if self.stack:
            shown["cfnStackName"] = self.stack
        if self.launched_vpc_id:
            shown["launchedVpcID"] = self.launched_vpc_id
        if self.job is not None:
            shown["lastRecovery"] = {
                "apiCallDateTime": live_timestamp(self.job.created_at),
                "jobID": self.job.id,
                "lastRecoveryResult": self.result,
            }
        return shown


class SourceNetworks(Component):
    """The operations on source networks."""

    def create_source_network(self, request: Request) -> dict[str, Any]:
        """CreateSourceNetwork of a VPC of the origin; one each."""
        vpc, account, region = request["vpcID"], request["originAccountID"], request["originRegion"]
        if vpc not in ec2_backends[account][region].vpcs:
            raise NotFound("Vpc", vpc)
        if any((one.vpc_id, one.origin_account) == (vpc, account) for one in self.backend.networks.values()):
            raise Conflict(f"VPC {vpc} is a source network already", resourceId=vpc)
        tags = dict(request.get("tags") or {})
        network = SourceNetwork(self.backend.account_id, self.backend.region_name, vpc, account, region, tags)
        self.backend.networks[network.id] = network
        return {"sourceNetworkID": network.id}

    def describe_source_networks(self, request: Request) -> dict[str, Any]:
        """DescribeSourceNetworks, by ids or origin."""
        filters = request.get("filters") or {}
        wanted = set(filters.get("sourceNetworkIDs") or ())
        found = [
            one
            for one in self.backend.networks.values()
            if (not wanted or one.id in wanted)
            and filters.get("originAccountID") in (None, one.origin_account)
            and filters.get("originRegion") in (None, one.origin_region)
        ]
        return self.backend.paged(request, found, lambda one: one.id, lambda one: one.describe())

    def delete_source_network(self, request: Request) -> dict[str, Any]:
        """DeleteSourceNetwork of a stopped one."""
        network = self._network(request["sourceNetworkID"])
        if network.status != "STOPPED":
            raise Conflict(f"Replication of {network.id} is {network.status}, not STOPPED", resourceId=network.id)
        del self.backend.networks[network.id]
        return {}

    def start_source_network_replication(self, request: Request) -> dict[str, Any]:
        """StartSourceNetworkReplication: IN_PROGRESS, and PROTECTED after a minute."""
        network = self._network(request["sourceNetworkID"])
        if network.status in ("IN_PROGRESS", "PROTECTED"):
            raise Conflict(f"Replication of {network.id} is {network.status}", resourceId=network.id)
        network.status = "IN_PROGRESS"

        def protected() -> None:
            if network.status == "IN_PROGRESS":
                network.status = "PROTECTED"

        self.backend.clock.call_in(_TO_PROTECT, protected)
        return {"sourceNetwork": network.describe()}

    def stop_source_network_replication(self, request: Request) -> dict[str, Any]:
        """StopSourceNetworkReplication."""
        network = self._network(request["sourceNetworkID"])
        if network.status == "STOPPED":
            raise Conflict(f"Replication of {network.id} is STOPPED", resourceId=network.id)
        network.status = "STOPPED"
        return {"sourceNetwork": network.describe()}

    def start_source_network_recovery(self, request: Request) -> dict[str, Any]:
        """StartSourceNetworkRecovery: a job that deploys each network, or updates the stack that it has."""
        entries = request["sourceNetworks"]
        networks = [self._protected(entry["sourceNetworkID"]) for entry in entries]
        anew = request.get("deployAsNew") or any(network.stack is None for network in networks)
        job = self._job("CREATE" if anew else "UPDATE", networks, request.get("tags") or {})
        stacks = {entry["sourceNetworkID"]: entry.get("cfnStackName") for entry in entries}
        event = "DEPLOY_NETWORK_CONFIGURATION" if anew else "UPDATE_NETWORK_CONFIGURATION"

        def deployed(network: SourceNetwork) -> None:
            if anew or network.launched_vpc_id is None:
                network.launched_vpc_id = self._deploy(network)
            network.stack = stacks[network.id] or network.stack or f"drs-network-{network.id[3:]}"
            network.result = "SUCCESS"

        self._work(job, networks, event, _TO_DEPLOY, deployed)
        return {"job": job.describe()}

    def associate_source_network_stack(self, request: Request) -> dict[str, Any]:
        """AssociateSourceNetworkStack: a job after which the network has that stack."""
        network = self._protected(request["sourceNetworkID"])
        job = self._job("ASSOCIATE", [network], {})

        def associated(network: SourceNetwork) -> None:
            network.stack, network.result = request["cfnStackName"], "ASSOCIATE_SUCCESS"

        self._work(job, [network], "UPDATE_LAUNCH_TEMPLATE", _TO_ASSOCIATE, associated)
        return {"job": job.describe()}

    def export_source_network_cfn_template(self, request: Request) -> dict[str, Any]:
        """ExportSourceNetworkCfnTemplate of a protected one."""
        network = self._protected(request["sourceNetworkID"])
        bucket = f"aws-elasticdisasterrecovery-{self.backend.region_name}-{self.backend.account_id}"
        return {"s3DestinationUrl": f"https://s3.{self.backend.region_name}.amazonaws.com/{bucket}/{network.id}.json"}

    def _network(self, network_id: str) -> SourceNetwork:
        if network_id not in self.backend.networks:
            raise NotFound("SourceNetwork", network_id)
        return self.backend.networks[network_id]

    def _protected(self, network_id: str) -> SourceNetwork:
        network = self._network(network_id)
        if network.status != "PROTECTED":
            raise Conflict(f"Replication of {network_id} is {network.status}, not PROTECTED", resourceId=network_id)
        if network.job is not None and network.job.ended_at is None:
            raise Conflict(f"Source network {network_id} is in another job", resourceId=network_id)
        return network

    def _job(self, what: str, networks: list[SourceNetwork], tags: dict[str, str]) -> Job:
        job = Job(
            account=self.backend.account_id,
            region=self.backend.region_name,
            type="LAUNCH",
            initiated_by=f"{what}_NETWORK_RECOVERY",
            created_at=self.backend.clock.now(),
            participants=[],
            resources=[Resource(network.id) for network in networks],
            tags=dict(tags),
        )
        for network in networks:
            network.job, network.result = job, "IN_PROGRESS"
        self.backend.job_began(job)
        return job

    def _work(self, job: Job, networks: list[SourceNetwork], event: str, seconds: float, done: Any) -> None:
        simulation = runtime.require()

        def note(name: str, network: SourceNetwork | None = None) -> None:
            data: dict[str, Any] = {}
            if network is not None:
                named = {"sourceNetworkID": network.id, "sourceVpc": network.vpc_id}
                data = {"eventResourceData": {"sourceNetworkData": named}}
            job.note(self.backend.clock.now(), name, data)
            simulation.record(name, job.id, None, account=job.account, region=job.region)

        def begin() -> None:
            job.status = "STARTED"
            note("JOB_START")
            for network, resource in zip(networks, job.resources, strict=True):
                resource.launch_status = "IN_PROGRESS"
                note(f"{event}_START", network)
            self.backend.clock.call_in(seconds, end)

        def end() -> None:
            for network, resource in zip(networks, job.resources, strict=True):
                done(network)
                resource.launch_status = "LAUNCHED"
                note(f"{event}_END", network)
            job.status, job.ended_at = "COMPLETED", self.backend.clock.now()
            self.backend.job_ended(job)
            note("JOB_END")

        self.backend.clock.call_in(_TO_START, begin)

    def _deploy(self, network: SourceNetwork) -> str:
        """A VPC like the protected one, with its subnets, in the recovery region."""
        source = ec2_backends[network.origin_account][network.origin_region]
        here = ec2_backends[self.backend.account_id][self.backend.region_name]
        vpc = here.create_vpc(source.vpcs[network.vpc_id].cidr_block)
        zones = sorted(zone for zone in here.subnets if zone.startswith(self.backend.region_name))
        subnets = [one for each in source.subnets.values() for one in each.values() if one.vpc_id == network.vpc_id]
        for index, subnet in enumerate(subnets):
            here.create_subnet(vpc.id, subnet.cidr_block, availability_zone=zones[index % len(zones)])
        return str(vpc.id)
