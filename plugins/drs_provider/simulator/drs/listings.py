"""The Describe operations of DRS, and tags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drs_provider.simulator.drs.exceptions import NotFound
from drs_provider.simulator.drs.recovery_instances import RecoveryInstance
from drs_provider.simulator.drs.source_servers import SourceServer
from drs_provider.simulator.drs.state import Component, Request
from drs_provider.timestamps import parse_timestamp

__all__ = ["Listings"]


def _shown(epoch: float) -> float:
    """Round epoch seconds as DRS shows them: a caller finds a thing again by the time that it was shown."""
    return round(epoch, 6)


class Listings(Component):
    """What DRS tells of its state."""

    def initialize_service(self, request: Request) -> None:
        """InitializeService."""
        self.backend.initialized = True

    def describe_source_servers(self, request: Request) -> dict[str, Any]:
        """DescribeSourceServers: by ids (unknown ones are left out), hardware id or staging account."""
        filters = request.get("filters") or {}
        wanted = set(filters.get("sourceServerIDs") or ())
        staging = set(filters.get("stagingAccountIDs") or ())
        servers = [
            server
            for server in self.backend.servers.values()
            if (not wanted or server.id in wanted)
            and (not staging or (server.staging.account if server.staging else self.backend.account_id) in staging)
            and filters.get("hardwareId") in (None, "", server.origin_instance)
        ]
        return self.backend.paged(request, servers, lambda server: server.id, self._described)

    def _described(self, item: SourceServer | RecoveryInstance) -> dict[str, Any]:
        """Describe it as it is now, and say for how long that holds."""
        now = self.backend.clock.glance()
        self.backend.clock.holds_until(item.steady_until(now))
        return item.describe(now)

    def describe_jobs(self, request: Request) -> dict[str, Any]:
        """DescribeJobs: by ids and creation time only, newest first."""
        filters = request.get("filters") or {}
        wanted = set(filters.get("jobIDs") or ())
        begin = parse_timestamp(filters["fromDate"]).timestamp() if filters.get("fromDate") else 0.0
        end = parse_timestamp(filters["toDate"]).timestamp() if filters.get("toDate") else float("inf")
        jobs = [
            job
            for job in reversed(self.backend.jobs.values())
            if (not wanted or job.id in wanted) and begin <= _shown(job.created_at) <= end
        ]
        return self.backend.paged(request, jobs, lambda job: job.id, lambda job: job.describe())

    def describe_job_log_items(self, request: Request) -> dict[str, Any]:
        """DescribeJobLogItems, oldest first."""
        items = list(enumerate(self.backend.job(request["jobID"]).log))
        return self.backend.paged(request, items, lambda item: str(item[0]), lambda item: item[1])

    def describe_recovery_instances(self, request: Request) -> dict[str, Any]:
        """DescribeRecoveryInstances: by ids or by source servers."""
        filters = request.get("filters") or {}
        wanted = set(filters.get("recoveryInstanceIDs") or ())
        servers = set(filters.get("sourceServerIDs") or ())
        instances = [
            instance
            for instance in self.backend.instances.values()
            if (not wanted or instance.id in wanted) and (not servers or instance.server.id in servers)
        ]
        return self.backend.paged(request, instances, lambda instance: instance.id, self._described)

    def describe_recovery_snapshots(self, request: Request) -> dict[str, Any]:
        """DescribeRecoverySnapshots of one server, oldest first unless `order` is DESC."""
        server = self.backend.server(request["sourceServerID"])
        filters = request.get("filters") or {}
        begin = parse_timestamp(filters["fromDateTime"]).timestamp() if filters.get("fromDateTime") else 0.0
        end = parse_timestamp(filters["toDateTime"]).timestamp() if filters.get("toDateTime") else float("inf")
        now = self.backend.clock.now()
        snapshots = [
            snapshot
            for snapshot in server.snapshots.at(now, server.replication.last_consistent(now))
            if begin <= _shown(snapshot.taken_at) <= end
        ]
        if request.get("order") == "DESC":
            snapshots.reverse()
        return self.backend.paged(
            request, snapshots, lambda snapshot: snapshot.id, lambda snapshot: snapshot.describe(server.id)
        )

    def list_tags_for_resource(self, request: Request) -> dict[str, Any]:
        """ListTagsForResource."""
        return {"tags": dict(self._tags(request["resourceArn"]))}

    def tag_resource(self, request: Request) -> None:
        """TagResource."""
        self._tags(request["resourceArn"]).update(request["tags"])

    def untag_resource(self, request: Request) -> None:
        """UntagResource."""
        tags = self._tags(request["resourceArn"])
        for key in request["tagKeys"]:
            tags.pop(key, None)

    def tags_by_arn(self, arn: str) -> dict[str, str] | None:
        """The tags of a resource, which the caller may change; None where there is no such resource."""
        kind, _, resource_id = arn.split(":", 5)[-1].partition("/")
        kinds: dict[str, Mapping[str, Any]] = {
            "source-server": self.backend.servers,
            "job": self.backend.jobs,
            "recovery-instance": self.backend.instances,
            "launch-configuration-template": self.backend.launch_templates,
            "replication-configuration-template": self.backend.replication_templates,
            "source-network": self.backend.networks,
        }
        found: Any = (
            kinds[kind].get(resource_id)
            if kind in kinds
            else self.backend.plans.get(arn) or self.backend.executions.get(arn)
        )
        if found is None or found.arn != arn:
            return None
        tags: dict[str, str] = found.tags
        return tags

    def _tags(self, arn: str) -> dict[str, str]:
        tags = self.tags_by_arn(arn)
        if tags is None:
            raise NotFound("Resource", arn)
        return tags
