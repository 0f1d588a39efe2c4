"""Operators that launch source servers and end what was launched."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, conf

from drs_provider.aws.drs.failback_guard import check_launch, check_terminate
from drs_provider.aws.drs.job_wait import job_ids_of
from drs_provider.aws.drs.launch import LaunchedJob, LaunchPatience, Relaunch, ServerToLaunch, launch_once
from drs_provider.aws.drs.launch_key import LaunchKey, RunIdentity
from drs_provider.aws.drs.launched_into import release, set_apart, stop_instances
from drs_provider.aws.drs.reads import matches_hostname, matches_tags
from drs_provider.aws.drs.termination import Termination, instances_to_end, wait_until_gone
from drs_provider.hooks.drs import DrsHook
from drs_provider.hooks.installation import installation
from drs_provider.links.drs import DrsJobLink, DrsRecoveryInstancesLink
from drs_provider.operators.triggerer_absence import OutlivesTriggerer
from drs_provider.triggers.drs import DrsInstancesGoneTrigger
from drs_provider.triggers.waiting import deferral_timeout

__all__ = ["DrsStartRecoveryOperator", "DrsTerminateRecoveryInstancesOperator", "run_began"]

RELAUNCH = ("none", "failed", "all")


def run_began(context: Mapping[str, Any]) -> datetime:
    """
    Return a moment before which a DAG run cannot have launched anything.

    ``run_after`` is the one date of a run that clearing it does not change. An hour is taken off for the clocks.
    """
    run = context["dag_run"]
    dates = [getattr(run, name, None) for name in ("run_after", "queued_at", "start_date")]
    known: list[datetime] = [moment for moment in dates if moment is not None]
    return min([*known, datetime.now(timezone.utc)]) - timedelta(hours=1)


class DrsStartRecoveryOperator(AwsBaseOperator[DrsHook]):
    """
    Launch source servers, as a drill or as a recovery in earnest, each exactly once.

    Whatever is killed, and whenever, the next try of the task adopts the jobs that an earlier one started; see
    :mod:`drs_provider.aws.drs.launch`. Servers are split into as many jobs as the quotas ask for, each waits for a free
    job slot, and every job bears the tags of the launch. The operator does not wait for the jobs' end: that is what
    :class:`~drs_provider.sensors.drs.DrsJobSensor` is for.

    Returns ``{"region", "mode", "jobs": [{"job_id", "launch_key", "attempt", "adopted", "source_servers"}]}``.

    :param servers: What to launch: ids, or mappings ``{"id": ..., "snapshot": ...}``. (templated)
    :param server_tags: In addition, the servers that bear all of these tags when the task runs. (templated)
    :param hostnames: In addition, the servers with these hostnames. (templated)
    :param is_drill: A drill (the default), or a recovery in earnest. (templated)
    :param tags: Further tags for the jobs. (templated)
    :param wave: What the launch is called in its tags; defaults to the task's id. (templated)
    :param attempt: Counts launches of servers that failed before; jobs of another attempt are not adopted. (templated)
    :param relaunch: What a deliberate clear of the task does: ``none`` (the default) adopts what was launched and is
        still there,
        ``failed`` launches the servers that failed again, ``all`` launches every server again. An automatic retry
        always adopts, and so does clearing the task while it runs.
    :param slots_timeout: How long to wait for free job slots.
    :param replace_instances: Ids of live recovery instances that the launch may delete. DRS deletes a server's previous
        instance, drill or not: without its id here, a server with a live instance of a recovery is not launched, nor,
        in a drill, one with an instance of another drill. (templated)
    :param failback_max_lag: For servers of direction FAILBACK, launched back for real: the longest lag at the moment of
        the launch, in seconds or as a timedelta; what is not replicated by then is lost. None launches whatever there
        is. What was launched back before is production, and never replaced.
    :raises FailbackRefusedError: when the launch of a FAILBACK server would delete production, overwrite the original
        in a drill, or lose data.
    :raises ForeignJobError: when a server is in someone else's job.
    :raises LiveInstanceError: when a server has a live instance that is not to be replaced.
    :raises LaunchError: when DRS refuses.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields(
        "servers", "server_tags", "hostnames", "is_drill", "tags", "wave", "attempt", "replace_instances"
    )
    operator_extra_links = (DrsJobLink(),)
    ui_color = "#f9e3c7"

    def __init__(
        self,
        *,
        servers: Sequence[str | Mapping[str, Any]] | None = None,
        server_tags: Mapping[str, str] | None = None,
        hostnames: Sequence[str] | None = None,
        is_drill: bool | str = True,
        tags: Mapping[str, str] | None = None,
        wave: str | None = None,
        attempt: int | str = 1,
        relaunch: Relaunch = "none",
        slots_timeout: timedelta = timedelta(minutes=30),
        replace_instances: Sequence[str] = (),
        failback_max_lag: float | timedelta | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if relaunch not in RELAUNCH:
            raise ValueError(f"relaunch must be one of {', '.join(RELAUNCH)}, not {relaunch!r}")
        self.servers = servers
        self.server_tags = server_tags
        self.hostnames = hostnames
        self.is_drill = is_drill
        self.tags = tags
        self.wave = wave
        self.attempt = attempt
        self.relaunch = relaunch
        self.slots_timeout = slots_timeout
        self.replace_instances = replace_instances
        self.failback_max_lag = failback_max_lag

    def execute(self, context: Any) -> dict[str, Any]:
        """Adopt the jobs that exist, start the others."""
        is_drill = _as_bool(self.is_drill)
        ti = context["ti"]
        own = RunIdentity(ti.dag_id, ti.run_id, installation=installation())
        key = LaunchKey.of(context, self.wave, int(self.attempt), own)
        self._say_what_a_clear_does(key)
        known: list[str] = []
        lag = self.failback_max_lag
        max_lag = lag.total_seconds() if isinstance(lag, timedelta) else lag

        def check(ids: Sequence[str]) -> None:
            check_launch(self.hook, ids, is_drill=is_drill, max_lag=max_lag)

        def on_job(job: LaunchedJob) -> None:
            known.append(job.job_id)
            DrsJobLink.push(context, self, self.hook, known)

        jobs = launch_once(
            self.hook,
            key,
            self._resolve(),
            is_drill=is_drill,
            since=run_began(context),
            tags=self.tags,
            relaunch=self.relaunch,
            patience=LaunchPatience(slots=self.slots_timeout),
            replace=self.replace_instances or (),
            check=check,
            on_job=on_job,
            log=self.log,  # type: ignore[arg-type]
        )
        return {
            "region": self.hook.conn_region_name,
            "mode": "drill" if is_drill else "recovery",
            "jobs": [job.as_dict() for job in jobs],
        }

    def on_kill(self) -> None:
        """Leave started jobs alone: DRS has no call that ends one, and the next try adopts them."""
        self.log.warning("Jobs that this task has started go on in DRS; the next try adopts them")

    def _say_what_a_clear_does(self, key: LaunchKey) -> None:
        if not key.generation:
            return
        says = {
            "none": "relaunch is 'none', so what was launched is adopted and nothing is launched again",
            "failed": "relaunch is 'failed', so launched servers are adopted and only failed ones are launched again",
            "all": "relaunch is 'all', so every server is launched again",
        }
        self.log.info("This task was cleared after try %d: %s", key.generation, says[self.relaunch])

    def _resolve(self) -> list[ServerToLaunch]:
        found = {one.id: one for one in (ServerToLaunch.of(server) for server in self.servers or ())}
        if self.server_tags or self.hostnames:
            everyone = self.hook.source_servers()
            for server in self._selected(everyone):
                found.setdefault(server, ServerToLaunch(server))
        if not found:
            raise AirflowException("there is no server to launch: none was given, and none matches the tags")
        return list(found.values())

    def _selected(self, everyone: Sequence[Mapping[str, Any]]) -> list[str]:
        selected = []
        if self.server_tags:
            selected += [server for server in everyone if matches_tags(server, self.server_tags)]
        for hostname in self.hostnames or ():
            matching = [server for server in everyone if matches_hostname(server, hostname)]
            if len(matching) != 1:
                ids = ", ".join(server["sourceServerID"] for server in matching) or "none"
                raise AirflowException(f"the hostname {hostname} should be one source server's, it is that of: {ids}")
            selected += matching
        return [str(server["sourceServerID"]) for server in selected]


class DrsTerminateRecoveryInstancesOperator(OutlivesTriggerer, AwsBaseOperator[DrsHook]):
    """
    End recovery instances, and wait until EC2 says that they are terminated.

    Instances are named by their ids, by the jobs that launched them, or as everything that this DAG run launched. A
    second call is harmless: what is gone is left out, what is being ended is waited for. Instances that were not
    launched by a drill are refused unless ``drills_only`` is off. An instance that existed before DRS launched a server
    into it is never terminated: it is stopped, and DRS is had to forget it.

    Returns ``{"terminated": [EC2 ids], "stopped": [EC2 ids], "jobs": [ids of the TERMINATE jobs]}``.

    :param recovery_instance_ids: The recovery instances; or (templated)
    :param job_ids: everything that these jobs launched: ids, or return values of launch tasks; or (templated)
    :param of_this_run: everything that this DAG run launched, found by the jobs' tags.
    :param drills_only: Refuse instances that were not launched by a drill.
    :param timeout: How long to wait from the start of the try.
    :param poke_interval: Seconds between two looks where the operator does not defer.
    :param deferrable: Wait for the end of the instances in the triggerer.
    :raises AirflowException: when an instance is refused, or is not terminated in time.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("recovery_instance_ids", "job_ids")
    operator_extra_links = (DrsRecoveryInstancesLink(),)
    ui_color = "#f9d2d2"

    def __init__(
        self,
        *,
        recovery_instance_ids: Sequence[str] | None = None,
        job_ids: Any = None,
        of_this_run: bool = False,
        drills_only: bool = True,
        timeout: timedelta = timedelta(minutes=30),
        poke_interval: float = 5.0,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.recovery_instance_ids = recovery_instance_ids
        self.job_ids = job_ids
        self.of_this_run = of_this_run
        self.drills_only = drills_only
        self.timeout = timeout
        self.poke_interval = poke_interval
        self.deferrable = deferrable

    def execute(self, context: Any) -> Any:
        """End the instances that are there, and wait."""
        DrsRecoveryInstancesLink.push(context, self, self.hook)
        deadline = time.time() + self.timeout.total_seconds()
        instances = self._instances(context)
        if self.drills_only:
            real = [instance["recoveryInstanceID"] for instance in instances if instance.get("isDrill") is False]
            if real:
                raise AirflowException(
                    f"{', '.join(real)}: launched by a real recovery, not by a drill. Set drills_only=False to "
                    "terminate them anyway."
                )
        # What was failed back into its original is production too: it is not stopped either.
        check_terminate(self.hook, instances)
        jobs = self.hook.jobs(sorted({str(one["jobID"]) for one in instances if one.get("jobID")})) if instances else []
        launched, before = set_apart(self.hook, instances, jobs)
        ending = Termination(self.hook, self.log)
        ids = ending.end(launched, deadline)
        there_before = {str(one["ec2InstanceID"]): str(one["recoveryInstanceID"]) for one in before}
        stopped = sorted(there_before)
        stop_instances(self.hook, stopped, self.log)
        value = {"terminated": ids, "stopped": stopped, "jobs": ending.job_ids}
        if not ids and not stopped:
            self.log.info("No recovery instance is left to terminate")
            return value
        if not self.deferrable:
            wait_until_gone(self.hook, ids, deadline, self.poke_interval, self.log, stopped=stopped)
            self._release(there_before)
            return value
        trigger = DrsInstancesGoneTrigger(
            instance_ids=ids,
            value=value,
            stopped=stopped,
            deadline=deadline,
            # Asset events come from workers only, and so does what DRS is had to forget.
            end_task=not self.outlets and not stopped,
            aws_conn_id=self.aws_conn_id,
            region_name=self.region_name,
            verify=self.verify,
            botocore_config=self.botocore_config,
        )
        return self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"there_before": there_before} if there_before else None,
            timeout=deferral_timeout(trigger),
        )

    def execute_complete(
        self, context: Any, event: dict[str, Any] | None = None, there_before: Mapping[str, str] | None = None
    ) -> Any:
        """Take the trigger's event: return its value, or raise what it says.

        :param there_before: by EC2 id the recovery instances that were stopped.
        """
        if event is None or event.get("status") != "success":
            raise AirflowException((event or {}).get("message", "the trigger ended without an event"))
        self._release(there_before or {})
        return event["value"]

    def _release(self, there_before: Mapping[str, str]) -> None:
        known = [{"ec2InstanceID": ec2, "recoveryInstanceID": one} for ec2, one in there_before.items()]
        release(self.hook, set(there_before), known, self.log)

    def _instances(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:
        jobs = job_ids_of(self.job_ids) if self.job_ids else []
        if self.of_this_run:
            own = RunIdentity(context["ti"].dag_id, context["ti"].run_id, installation=installation())
            jobs += [job["jobID"] for job in self.hook.jobs_since(run_began(context)) if own.owns(job)]
        return instances_to_end(self.hook, list(self.recovery_instance_ids or ()), jobs)


def _as_bool(value: bool | str) -> bool:
    """Read a flag that a template may have turned into text; what is not clear is an error, never a real recovery."""
    text = str(value).strip().lower()
    if text not in ("true", "false"):
        raise ValueError(f"is_drill must be true or false, not {value!r}")
    return text == "true"
