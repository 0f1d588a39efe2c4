"""Sensors for DRS: until a launch has ended, and until servers replicate as wanted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, PokeReturnValue, conf

from drs_provider.hooks.calls import run_blocking
from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.job_wait import UNSEEN_SECONDS, JobLogTail, JobWait, LaunchFailed, job_ids_of
from drs_provider.hooks.outcome import collect_outcomes
from drs_provider.hooks.replication import not_ready, replication_of
from drs_provider.links.drs import DrsJobLink, DrsSourceServersLink
from drs_provider.triggers.drs import DrsJobTrigger, DrsReplicationTrigger

__all__ = ["DrsJobSensor", "DrsReplicationSensor"]

SPARE_TIMEOUT = timedelta(minutes=15)
"""What Airflow's own time-out of the deferral has above the trigger's, which can say more."""


class DrsJobSensor(AwsBaseSensor[DrsHook]):
    """
    Wait until recovery jobs have ended, and judge their servers.

    A DRS job is COMPLETED although servers failed, so servers are judged: all the required ones must have launched, and
    ``min_launched`` of all where it is given. Progress is shown from the job log as it goes. The time-out counts from
    the creation of the newest job, so neither a retry nor a restart of the triggerer starts it anew. Ending the task
    leaves the jobs alone.

    Returns ``{"servers": {id: {"job_id", "launch_status", "recovery_instance_id", "ec2_instance_id", "reason",
    "critical", "hostname"}}, "launched": int, "failed": [ids]}``.

    :param job_ids: The jobs: ids, or the return value of :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator`.
        (templated)
    :param required: Source servers that must launch; None means all but the optional ones. (templated)
    :param optional: Source servers that may fail. (templated)
    :param min_launched: How many must launch at least: on top of the required ones where there are optional ones;
        without any, the number alone decides. (templated)
    :param timeout: Seconds, or a timedelta, from the creation of the newest job. Default two hours.
    :param poke_interval: Seconds between two looks where the sensor does not defer.
    :param deferrable: Wait in the triggerer, where all waits share one poll.
    :raises LaunchFailed: when too few servers launched or the time is up; with a line and a reason for each server.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("job_ids", "required", "optional", "min_launched")
    operator_extra_links = (DrsJobLink(),)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        job_ids: Any,
        required: Sequence[str] | None = None,
        optional: Sequence[str] | None = None,
        min_launched: int | str | None = None,
        timeout: float | timedelta = timedelta(hours=2),
        poke_interval: float | timedelta = 10.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.job_ids = job_ids
        self.required = required
        self.optional = optional
        self.min_launched = min_launched
        self.deferrable = deferrable
        self._tail: JobLogTail | None = None
        self._first_look = 0.0

    def execute(self, context: Any) -> Any:
        """Look, and wait if the jobs still run."""
        self._first_look = time.time()
        DrsJobLink.push(context, self, self.hook, job_ids_of(self.job_ids))
        if not self.deferrable:
            return super().execute(context)
        result = self._look()
        if result is not None:
            return result
        wait = self._wait()
        self.defer(
            trigger=DrsJobTrigger(
                job_ids=list(wait.job_ids),
                required=wait.required,
                optional=wait.optional,
                min_launched=wait.min_launched,
                timeout=wait.timeout,
                # Asset events come from workers only.
                end_task=not self.outlets,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + SPARE_TIMEOUT,
        )
        return None

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once; done when all jobs have ended."""
        result = self._look()
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        if event is None or event.get("status") != "success":
            event = event or {"message": "the trigger ended without an event"}
            raise LaunchFailed(event["message"], event.get("servers"), event.get("failed") or ())
        return event["value"]

    def on_kill(self) -> None:
        """Leave the jobs alone: DRS has no call that ends one, and a recovery must not be undone by a click."""
        self.log.warning("The wait was ended; jobs go on in DRS: %s", ", ".join(job_ids_of(self.job_ids)))

    def _wait(self) -> JobWait:
        minimum = None if self.min_launched in (None, "", "None") else int(self.min_launched or 0)
        required = None if self.required is None else list(self.required)
        optional = None if self.optional is None else list(self.optional)
        return JobWait(job_ids_of(self.job_ids), required, optional, minimum, float(self.timeout), self._first_look)

    def _look(self) -> dict[str, Any] | None:
        """Return the result when the jobs have ended, None while they run; raise when waiting on is pointless."""
        wait = self._wait()
        reads = self.hook.reads
        jobs = run_blocking(reads.jobs(wait.job_ids))
        self._tail = self._tail or JobLogTail(self.log)
        for job in jobs:
            self._tail.show(job["jobID"], run_blocking(reads.job_log(job["jobID"])))
        trouble = ""
        if not wait.ended(jobs):
            unseen = wait.unseen(jobs)
            if time.time() >= wait.deadline(jobs):
                trouble = f"Not ended within {wait.timeout:.0f} s of the job's creation"
            elif unseen and time.time() > self._first_look + UNSEEN_SECONDS:
                trouble = f"DRS has no job {', '.join(unseen)}: it may have been deleted"
            else:
                return None
        servers = run_blocking(collect_outcomes(reads, jobs, wait.required, wait.optional))
        return wait.result(servers, trouble)


class DrsReplicationSensor(AwsBaseSensor[DrsHook]):
    """
    Wait until source servers replicate as wanted: before a drill, after a failback was begun.

    Returns ``{id: {"state": str, "lag_seconds": float | None}}``.

    :param source_server_ids: The servers; or (templated)
    :param server_tags: the servers that bear all of these tags when the task starts. (templated)
    :param max_lag: The longest acceptable lag, in seconds or as a timedelta; None accepts any.
    :param states: Acceptable values of ``dataReplicationState``.
    :param timeout: Seconds, or a timedelta, from the start of the try. Default one hour.
    :param poke_interval: Seconds between two looks.
    :param deferrable: Wait in the triggerer, where all waits share one poll.
    :raises AirflowException: when the time is up; the log, and where it deferred the message, name what is wrong with
        which server.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("source_server_ids", "server_tags")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        source_server_ids: Sequence[str] | None = None,
        server_tags: Mapping[str, str] | None = None,
        max_lag: float | timedelta | None = None,
        states: Sequence[str] = ("CONTINUOUS",),
        timeout: float | timedelta = timedelta(hours=1),
        poke_interval: float | timedelta = 30.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.source_server_ids = source_server_ids
        self.server_tags = server_tags
        self.max_lag = max_lag.total_seconds() if isinstance(max_lag, timedelta) else max_lag
        self.states = list(states)
        self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """Look, and wait if a server is not ready."""
        ids = self._server_ids()
        DrsSourceServersLink.push(context, self, self.hook, ids)
        if not self.deferrable:
            return super().execute(context)
        result = self._look(ids)
        if result is not None:
            return result
        self.defer(
            trigger=DrsReplicationTrigger(
                source_server_ids=ids,
                states=self.states,
                max_lag=self.max_lag,
                deadline=time.time() + float(self.timeout),
                poke_interval=float(self.poke_interval),
                # Asset events come from workers only.
                end_task=not self.outlets,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout) + SPARE_TIMEOUT,
        )
        return None

    def poke(self, context: Any) -> PokeReturnValue:
        """Look once; done when every server is ready."""
        result = self._look(self._server_ids())
        return PokeReturnValue(is_done=result is not None, xcom_value=result)

    def execute_complete(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Take the trigger's event: return its value, or raise what it says."""
        if event is None or event.get("status") != "success":
            raise AirflowException((event or {}).get("message", "the trigger ended without an event"))
        return event["value"]

    def _server_ids(self) -> list[str]:
        if self.source_server_ids is not None:
            return list(self.source_server_ids)
        if not self.server_tags:
            raise ValueError("give either source_server_ids or server_tags")
        found = sorted(server["sourceServerID"] for server in self.hook.source_servers(tags=self.server_tags))
        if not found:
            raise AirflowException(f"no source server bears the tags {dict(self.server_tags)}")
        return found

    def _look(self, ids: list[str]) -> dict[str, Any] | None:
        servers = {server["sourceServerID"]: server for server in self.hook.source_servers(ids)}
        problems = not_ready(ids, servers, self.states, self.max_lag)
        if not problems:
            return replication_of(servers)
        self.log.info("Waiting for replication: %s", "; ".join(problems))
        return None
