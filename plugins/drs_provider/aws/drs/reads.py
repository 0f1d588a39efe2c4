"""What can be asked of DRS, each question written once for workers and for the triggerer.

:class:`DrsReads` over :class:`~drs_provider.aws.calls.Calls` is awaited in the triggerer; the hook runs the same
coroutines over :class:`~drs_provider.aws.calls.BlockingCalls` in a worker. Every paginated call goes to its last
page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from drs_provider.aws.calls import Calls, chunks
from drs_provider.timestamps import api_timestamp

__all__ = [
    "DrsReads",
    "LaunchedInstance",
    "hostname_of",
    "instances_in_log",
    "is_complete",
    "matches_hostname",
    "matches_name",
    "matches_tags",
]

Item = dict[str, Any]

MAX_IDS = 200
"""The most ids in a filter of DescribeSourceServers and DescribeRecoveryInstances (botocore service model)."""
MAX_JOB_IDS = 1000


class DrsReads:
    """
    The Describe operations of DRS over one client.

    :param calls: The client, of boto3 or of aiobotocore, in its awaitable form.
    """

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    async def pages(self, operation: str, **params: Any) -> list[Item]:
        """Return the ``items`` of all pages of a DRS operation, given by its client method's name."""
        return await self.calls.read_all(operation, "items", **params)

    async def jobs(self, job_ids: Sequence[str]) -> list[Item]:
        """Return the jobs that exist of those named (DescribeJobs)."""
        found: list[Item] = []
        for some in chunks(job_ids, MAX_JOB_IDS):
            found += await self.pages("describe_jobs", filters={"jobIDs": some})
        return found

    async def jobs_since(self, moment: datetime | None) -> list[Item]:
        """Return all jobs created at or after ``moment``, newest first (DescribeJobs, which has no filter for tags).

        :param moment: None means all jobs that DRS still keeps.
        """
        params = {} if moment is None else {"filters": {"fromDate": api_timestamp(moment)}}
        found = await self.pages("describe_jobs", **params)
        return sorted(found, key=lambda job: str(job.get("creationDateTime", "")), reverse=True)

    async def jobs_tagged(self, tags: Mapping[str, str], since: datetime) -> list[Item]:
        """Return the jobs since a moment that bear all the tags, newest first; DRS has no filter for tags."""
        return [job for job in await self.jobs_since(since) if matches_tags(job, tags)]

    async def job_log(self, job_id: str) -> list[Item]:
        """Return a job's log, oldest line first (DescribeJobLogItems)."""
        items = await self.pages("describe_job_log_items", jobID=job_id)
        return sorted(items, key=lambda item: str(item.get("logDateTime", "")))

    async def source_servers(self, server_ids: Iterable[str] | None = None) -> list[Item]:
        """Return source servers (DescribeSourceServers): those named, or all."""
        if server_ids is None:
            return await self.pages("describe_source_servers")
        found: list[Item] = []
        for some in chunks(dict.fromkeys(server_ids), MAX_IDS):
            found += await self.pages("describe_source_servers", filters={"sourceServerIDs": some})
        return found

    async def recovery_instances(
        self, *, instance_ids: Iterable[str] | None = None, server_ids: Iterable[str] | None = None
    ) -> list[Item]:
        """Return recovery instances by their ids or by their source servers, or all (DescribeRecoveryInstances)."""
        if instance_ids is None and server_ids is None:
            return await self.pages("describe_recovery_instances")
        if instance_ids is not None and server_ids is not None:
            raise ValueError("give either instance_ids or server_ids")
        name, ids = ("sourceServerIDs", server_ids) if instance_ids is None else ("recoveryInstanceIDs", instance_ids)
        found: list[Item] = []
        for some in chunks(dict.fromkeys(ids or ()), MAX_IDS):
            found += await self.pages("describe_recovery_instances", filters={name: some})
        return found

    async def snapshots(
        self, server_id: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> list[Item]:
        """Return a server's finished recovery snapshots, newest first (DescribeRecoverySnapshots)."""
        bounds = {"fromDateTime": start, "toDateTime": end}
        filters = {name: api_timestamp(moment) for name, moment in bounds.items() if moment is not None}
        params: dict[str, Any] = {"filters": filters} if filters else {}
        items = await self.pages("describe_recovery_snapshots", sourceServerID=server_id, order="DESC", **params)
        # A snapshot that is still being taken has no timestamp: nothing can be recovered from it yet.
        finished = [item for item in items if item.get("timestamp")]
        return sorted(finished, key=lambda item: str(item["timestamp"]), reverse=True)


def is_complete(job: Mapping[str, Any]) -> bool:
    """Return whether a job has ended; it says nothing about its servers, a job never fails."""
    return job.get("status") == "COMPLETED"


def matches_tags(item: Mapping[str, Any], tags: Mapping[str, str]) -> bool:
    """Return whether an item of DRS bears all the tags."""
    own = item.get("tags") or {}
    return all(own.get(key) == value for key, value in tags.items())


def hostname_of(server: Mapping[str, Any]) -> str | None:
    """Return the hostname, or else the fully qualified name, that a source server's agent reported."""
    hints = server.get("sourceProperties", {}).get("identificationHints", {})
    return hints.get("hostname") or hints.get("fqdn") or None


def matches_name(server: Mapping[str, Any], name: str) -> bool:
    """Return whether a name is a source server's: its Name tag or its host name, short or in full, in any case."""
    wanted = name.casefold()
    hints = server.get("sourceProperties", {}).get("identificationHints", {})
    tag = str((server.get("tags") or {}).get("Name") or "").casefold()
    hosts = {str(hints.get(key) or "").casefold() for key in ("hostname", "fqdn")} - {""}
    return wanted == tag or wanted in hosts or wanted in {host.partition(".")[0] for host in hosts}


def matches_hostname(server: Mapping[str, Any], hostname: str) -> bool:
    """Return whether a source server's hostname or fully qualified name is ``hostname``, in any case of letters."""
    hints = server.get("sourceProperties", {}).get("identificationHints", {})
    return hostname.casefold() in {str(hints.get(key) or "").casefold() for key in ("hostname", "fqdn")}


class LaunchedInstance(NamedTuple):
    """An instance that a job launched.

    :param server: its source server's id; empty where the log does not tell.
    :param instance_id: its EC2 id.
    """

    server: str
    instance_id: str


def instances_in_log(items: Iterable[Mapping[str, Any]]) -> list[LaunchedInstance]:
    """Return what a job launched, as its log tells: the live LAUNCH_END, which the service model does not know.

    :param items: the log in the shape of DescribeJobLogItems.
    """
    found = []
    for item in items:
        data = item.get("eventData")
        if item.get("event") == "LAUNCH_END" and isinstance(data, Mapping) and data.get("targetInstanceID"):
            found.append(LaunchedInstance(str(data.get("sourceServerID") or ""), str(data["targetInstanceID"])))
    return found
