"""Links from tasks to the DRS console; none of them can break a task, and they are there while the task still runs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BASE_AWS_CONSOLE_LINK, BaseAwsLink

__all__ = ["DrsJobLink", "DrsLink", "DrsRecoveryInstancesLink", "DrsSourceServersLink"]

log = logging.getLogger(__name__)


class DrsLink(BaseAwsLink):
    """Base of the links into the DRS console."""

    @classmethod
    def push(cls, context: Mapping[str, Any], operator: Any, hook: Any, ids: Sequence[str] = ()) -> None:
        """
        Store the link of a running task.

        Airflow stores a link when the task leaves the worker. A launch and its wait are watched while they run, so the
        finished URL is stored now as well, under the key that the UI reads.

        :param ids: One id links to its own page, none or several to the list.
        """
        try:
            parts = {"page": f"/{ids[0]}" if len(ids) == 1 else ""}
            region, partition = hook.conn_region_name, hook.conn_partition
            cls.persist(context, operator, region, partition, **parts)
            if operator.do_xcom_push:
                link = cls()
                domain = cls.get_aws_domain(partition)
                url = link.format_link(region_name=region, aws_domain=domain, **parts)
                context["ti"].xcom_push(key=link.xcom_key, value=url)
        except Exception:
            log.warning("The link %r could not be stored", cls.name, exc_info=True)


class DrsJobLink(DrsLink):
    """The recovery job, or the job history when there are several."""

    name = "Recovery job in DRS"
    key = "drs_job"
    format_str = BASE_AWS_CONSOLE_LINK + "/drs/home?region={region_name}#/launchHistory{page}"


class DrsSourceServersLink(DrsLink):
    """The source server, or their list."""

    name = "Source servers in DRS"
    key = "drs_source_servers"
    format_str = BASE_AWS_CONSOLE_LINK + "/drs/home?region={region_name}#/sourceServers{page}"


class DrsRecoveryInstancesLink(DrsLink):
    """The recovery instance, or their list."""

    name = "Recovery instances in DRS"
    key = "drs_recovery_instances"
    format_str = BASE_AWS_CONSOLE_LINK + "/drs/home?region={region_name}#/recoveryInstances{page}"
