"""The hook for AWS Elastic Disaster Recovery (DRS), on the ``aws`` connection of the amazon provider."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

from drs_provider.hooks.calls import BlockingCalls, run_blocking
from drs_provider.hooks.clients import client_config, regional_sts
from drs_provider.hooks.drs_reads import DrsReads, matches_hostname, matches_tags
from drs_provider.hooks.faults import error_text

__all__ = ["DrsHook", "DrsQuotas"]

T = TypeVar("T")
Item = dict[str, Any]

log = logging.getLogger(__name__)

READ_PATIENCE = 300.0
"""Seconds for which a question in a worker goes on through throttling, 5xx and a dead network."""
API_SERVERS_PER_JOB = 200
"""What StartRecovery takes at most whatever the quota says (botocore service model)."""


@dataclass(frozen=True)
class DrsQuotas:
    """
    The quotas that bound a launch; the defaults are those that AWS documents.

    :param servers_per_job: Source servers in one job.
    :param jobs: Jobs in progress at a time.
    :param servers_in_jobs: Source servers in all jobs in progress.
    """

    servers_per_job: int = 100
    jobs: int = 20
    servers_in_jobs: int = 500


QUOTA_CODES = {"L-B827C881": "servers_per_job", "L-D88FAC3A": "jobs", "L-05AFA8C6": "servers_in_jobs"}


class DrsHook(AwsBaseHook):
    """
    Interact with AWS Elastic Disaster Recovery.

    A thin wrapper around ``boto3.client("drs")`` with the questions that recovery asks, each answered to the last page
    and patient with transient errors. The triggerer asks the same through
    ``DrsReads(Calls(client))`` with ``async with await hook.get_async_conn() as client``.

    Additional arguments (such as ``aws_conn_id``, ``region_name``, ``verify``, ``config``) are passed on to the
    amazon provider's ``AwsBaseHook``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["client_type"] = "drs"
        super().__init__(*args, **kwargs)
        self._sessions: dict[str | None, Any] = {}

    @cached_property
    def waiter_path(self) -> Path:
        """The waiters of this package; the base class looks in the amazon provider only."""
        return Path(__file__).parents[1] / "waiters" / "drs.json"

    @cached_property
    def start_client(self) -> Any:
        """
        A client whose calls are sent exactly once, for StartRecovery.

        The API has no client token. botocore would repeat a call after a 5xx or a time-out, and when the first one was
        accepted all the same, the answer is a conflict with one's own job.
        """
        from botocore.config import Config

        once = Config(
            retries={"total_max_attempts": 1, "mode": "standard"},  # type: ignore[typeddict-item, unused-ignore]
            connect_timeout=10,
            read_timeout=30,
        )
        return self.get_client_type(region_name=self.region_name, config=self.config.merge(once))

    def get_session(self, region_name: str | None = None, deferrable: bool = False) -> Any:
        """
        Return the session of a region: in a worker, one for all the clients of this hook.

        A session of its own for each client reads botocore's service descriptions again (50 ms), and with an assumed
        role asks STS again.
        """
        if deferrable:
            return super().get_session(region_name=region_name, deferrable=True)
        if region_name not in self._sessions:
            self._sessions[region_name] = super().get_session(region_name=region_name)
        return self._sessions[region_name]

    def _get_caller(self, target_function_name: str = "execute") -> str:
        # For the user agent, the amazon provider looks for its caller through every loaded module: 50 ms before a
        # task's first call.
        return type(self).__name__

    def _get_config(self, config: Any = None) -> Any:
        return super()._get_config(client_config(config if config is not None else self.config))

    def renew_credentials(self) -> None:
        """Make new sessions and clients from now on: those that there are have expired."""
        self._sessions.clear()
        for name in ("conn", "start_client"):
            self.__dict__.pop(name, None)

    def client(self, service: str) -> Any:
        """Return a client of an AWS service, such as ``ec2``, with this hook's connection, region and session."""
        if service == "drs":
            return self.conn

        def make(endpoint_url: str | None) -> Any:
            return self.get_session(region_name=self.region_name).client(
                service, endpoint_url=endpoint_url, config=self._get_config(), verify=self.verify
            )

        client = make(self.conn_config.get_service_endpoint_url(service))
        return make(url) if (url := regional_sts(client, self.region_name)) else client

    def _run(self, question: Coroutine[Any, Any, T]) -> T:
        return run_blocking(question)

    @property
    def reads(self) -> DrsReads:
        """The questions to DRS as coroutines, for :func:`~drs_provider.hooks.calls.run_blocking`."""
        return DrsReads(self.calls())

    def calls(self, service: str = "drs") -> BlockingCalls:
        """Return an AWS service's calls for a worker: reading goes on through transient errors for five minutes."""
        return BlockingCalls(self.client(service), patience=READ_PATIENCE, log=log)

    def jobs(self, job_ids: Sequence[str]) -> list[Item]:
        """Return the jobs that exist of those named, in the shape of DescribeJobs."""
        return self._run(self.reads.jobs(job_ids))

    def jobs_since(self, moment: datetime) -> list[Item]:
        """Return all jobs created at or after ``moment``, newest first."""
        return self._run(self.reads.jobs_since(moment))

    def jobs_tagged(self, tags: Mapping[str, str], since: datetime) -> list[Item]:
        """Return the jobs since ``since`` that bear all the ``tags``, newest first."""
        return self._run(self.reads.jobs_tagged(tags, since))

    def job_log(self, job_id: str) -> list[Item]:
        """Return a job's log, oldest line first, in the shape of DescribeJobLogItems."""
        return self._run(self.reads.job_log(job_id))

    def recovery_instances(
        self,
        *,
        instance_ids: Iterable[str] | None = None,
        server_ids: Iterable[str] | None = None,
        job_id: str | None = None,
    ) -> list[Item]:
        """
        Return recovery instances, in the shape of DescribeRecoveryInstances.

        :param instance_ids: Recovery instance ids, or
        :param server_ids: source server ids, or
        :param job_id: the job that launched them.
        """
        if job_id is None:
            return self._run(self.reads.recovery_instances(instance_ids=instance_ids, server_ids=server_ids))
        servers = {
            server["sourceServerID"] for job in self.jobs([job_id]) for server in job.get("participatingServers") or ()
        }
        found = self._run(self.reads.recovery_instances(server_ids=sorted(servers)))
        return [instance for instance in found if instance.get("jobID") == job_id]

    def source_servers(
        self,
        server_ids: Iterable[str] | None = None,
        *,
        tags: Mapping[str, str] | None = None,
        hostname: str | None = None,
    ) -> list[Item]:
        """
        Return source servers, in the shape of DescribeSourceServers.

        :param server_ids: Only these; None means all of the region.
        :param tags: Only those that bear all of these tags.
        :param hostname: Only those with this hostname or fully qualified name, in any case of letters.
        """
        servers = self._run(self.reads.source_servers(server_ids))
        if tags:
            servers = [server for server in servers if matches_tags(server, tags)]
        if hostname is not None:
            servers = [server for server in servers if matches_hostname(server, hostname)]
        return servers

    def snapshots(self, server_id: str, *, start: datetime | None = None, end: datetime | None = None) -> list[Item]:
        """Return a server's finished recovery snapshots, newest first, in the shape of DescribeRecoverySnapshots."""
        return self._run(self.reads.snapshots(server_id, start=start, end=end))

    def quotas(self) -> DrsQuotas:
        """
        Return the account's DRS quotas (Service Quotas, ListServiceQuotas).

        The documented defaults stand in for what Service Quotas does not tell, for instance because the role may not
        ask: a launch does not fail for that.
        """
        found: dict[str, int] = {}
        try:
            client = self.client("service-quotas")
            token: dict[str, str] = {}
            while True:
                page = client.list_service_quotas(ServiceCode="drs", **token)
                for quota in page.get("Quotas") or ():
                    name = QUOTA_CODES.get(quota.get("QuotaCode", ""))
                    if name and quota.get("Value"):
                        found[name] = int(quota["Value"])
                if not page.get("NextToken"):
                    break
                token = {"NextToken": page["NextToken"]}
        except Exception as error:
            log.info("Service Quotas does not answer (%s); using the documented defaults", error_text(error))
        quotas = DrsQuotas(**found)
        return DrsQuotas(min(quotas.servers_per_job, API_SERVERS_PER_JOB), quotas.jobs, quotas.servers_in_jobs)
