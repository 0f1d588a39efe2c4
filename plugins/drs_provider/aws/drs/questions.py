"""What workers and terminals ask of DRS, each question answered to the last page and patient with transient errors.

The triggerer asks the same through :class:`~drs_provider.aws.drs.reads.DrsReads` over an aiobotocore client.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from drs_provider.aws.calls import BlockingCalls, run_blocking
from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.reads import DrsReads, matches_hostname, matches_tags
from drs_provider.aws.ec2.instance_end import instance_states
from drs_provider.aws.ec2.instances import Ec2Instance, describe_instances
from drs_provider.aws.quotas import Quotas, read_quotas

__all__ = ["Drs", "DrsAccess", "DrsQuestions"]

T = TypeVar("T")
Item = dict[str, Any]

log = logging.getLogger(__name__)

READ_PATIENCE = 300.0
"""Seconds for which a question in a worker goes on through throttling, 5xx and a dead network."""


class DrsQuestions(ABC):
    """DRS in one account and region, with the other services that a recovery needs there.

    Whoever mixes it in has the clients.
    """

    patience = READ_PATIENCE

    @abstractmethod
    def client(self, service: str) -> Any:
        """Return the client of an AWS service, such as ``ec2``."""

    def calls(self, service: str = "drs") -> BlockingCalls:
        """Return an AWS service's calls for a worker: reading goes on through transient errors."""
        return BlockingCalls(self.client(service), patience=self.patience, log=log)

    @property
    def reads(self) -> DrsReads:
        """The questions to DRS as coroutines, for :func:`~drs_provider.aws.calls.run_blocking`."""
        return DrsReads(self.calls())

    def _run(self, question: Coroutine[Any, Any, T]) -> T:
        return run_blocking(question)

    def jobs(self, job_ids: Sequence[str]) -> list[Item]:
        """Return the jobs that exist of those named, in the shape of DescribeJobs."""
        return self._run(self.reads.jobs(job_ids))

    def jobs_since(self, moment: datetime | None) -> list[Item]:
        """Return all jobs created at or after ``moment``, newest first; None means all that DRS still keeps."""
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
        :param job_id: the job that launched them. With none of the three: all of the region.
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

    def instance_states(self, instance_ids: Sequence[str]) -> dict[str, str]:
        """Return the state of each EC2 instance that EC2 lists, by id (DescribeInstances)."""
        return self._run(instance_states(self.calls("ec2"), instance_ids))

    def instances(self, instance_ids: Sequence[str]) -> dict[str, Ec2Instance]:
        """Return the EC2 instances that EC2 lists, by id (DescribeInstances)."""
        return self._run(describe_instances(self.calls("ec2"), instance_ids))

    def quotas(self) -> Quotas:
        """Return the account's DRS quotas (Service Quotas, ListServiceQuotas).

        The documented defaults stand in for what Service Quotas does not tell, for instance because the role may not
        ask: a launch does not fail for that.
        """
        answer = self._run(read_quotas(BlockingCalls(self.client("service-quotas"), log=log)))
        if answer.error:
            log.info("Service Quotas does not answer (%s); using the documented defaults", answer.error)
        return answer.quotas


class DrsAccess(DrsQuestions):
    """DRS for whoever launches: the questions, and a client for the one call that must not be repeated."""

    @property
    @abstractmethod
    def start_client(self) -> Any:
        """A DRS client whose calls are sent exactly once, for StartRecovery."""

    @abstractmethod
    def renew_credentials(self) -> None:
        """Make new clients from now on: the present ones have expired."""


class Drs(DrsQuestions):
    """The questions over clients that the caller has, asked once each: for checks and commands.

    :param clients: clients of one account and region.
    :param patience: seconds for which reading goes on through transient errors.
    """

    def __init__(self, clients: Clients, *, patience: float = 0.0) -> None:
        self.clients = clients
        self.patience = patience

    def client(self, service: str) -> Any:
        """Return the client of an AWS service."""
        return self.clients.get(service)
