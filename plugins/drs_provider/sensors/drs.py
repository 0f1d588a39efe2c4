"""Sensors for DRS: until a launch has ended, and until servers replicate as wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.drs.job_wait import LaunchFailed, job_ids_of
from drs_provider.aws.drs.launch_progress import Expectations
from drs_provider.durations import seconds_of
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.drs import DrsJobLink, DrsSourceServersLink
from drs_provider.sensors.waits import WaitSensor
from drs_provider.triggers.drs import DrsJobTrigger, DrsReplicationTrigger

__all__ = ["DrsJobSensor", "DrsReplicationSensor"]


class DrsJobSensor(WaitSensor[DrsHook]):
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
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.job_ids = job_ids
        self.required = required
        self.optional = optional
        self.min_launched = min_launched
        # Who launches failed servers again says of which jobs; see the trigger.
        self.retryable: Sequence[str] = ()
        self.background: Sequence[str] = ()
        # For the log: what the caller knows of the servers, and which lines of the jobs' logs stand in it already.
        self.expected = Expectations()
        self.shown: dict[str, int] = {}

    def execute(self, context: Any) -> Any:
        """Look, and wait if the jobs still run."""
        DrsJobLink.push(context, self, self.hook, job_ids_of(self.job_ids))
        return super().execute(context)

    def make_trigger(self, deadline: float) -> DrsJobTrigger:
        """Return the trigger that waits.

        :param deadline: When to give up a job that DRS does not show, in epoch seconds.
        """
        return DrsJobTrigger(
            job_ids=job_ids_of(self.job_ids),
            required=None if self.required is None else list(self.required),
            optional=None if self.optional is None else list(self.optional),
            min_launched=None if self.min_launched in (None, "", "None") else int(self.min_launched or 0),
            timeout=float(self.timeout),
            deadline=deadline,
            retryable=self.retryable,
            background=self.background,
            names=self.expected.names,
            usual=self.expected.usual,
            objective_at=self.expected.objective_at,
            shown=self.shown,
            look_every=None if self.deferrable else float(self.poke_interval),
            **self.trigger_arguments,
        )

    def failure(self, event: dict[str, Any]) -> LaunchFailed:
        """Return the exception for an event without success, with the outcomes of the servers."""
        self.shown.update(event.get("shown") or {})
        return LaunchFailed(
            event["message"],
            event.get("servers"),
            event.get("failed") or (),
            again=event.get("again") or (),
            enough=event.get("enough") is True,
        )

    def on_kill(self) -> None:
        """Leave the jobs alone: DRS has no call that ends one, and a recovery must not be undone by a click."""
        super().on_kill()
        self.log.warning("The wait was ended; jobs go on in DRS: %s", ", ".join(job_ids_of(self.job_ids)))


class DrsReplicationSensor(WaitSensor[DrsHook]):
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
    :raises AirflowException: when the time is up; the message names what is wrong with which server.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.source_server_ids = source_server_ids
        self.server_tags = server_tags
        self.max_lag = None if max_lag is None else seconds_of(max_lag)
        self.states = list(states)
        self._found: list[str] = []

    def make_trigger(self, deadline: float) -> DrsReplicationTrigger:
        """Return the trigger that waits."""
        return DrsReplicationTrigger(
            source_server_ids=self._server_ids(),
            states=self.states,
            max_lag=self.max_lag,
            deadline=deadline,
            **self.trigger_arguments,
        )

    def execute(self, context: Any) -> Any:
        """Look, and wait if a server is not ready."""
        DrsSourceServersLink.push(context, self, self.hook, self._server_ids())
        return super().execute(context)

    def _server_ids(self) -> list[str]:
        if self.source_server_ids is not None:
            return list(self.source_server_ids)
        if not self.server_tags:
            raise ValueError("give either source_server_ids or server_tags")
        if not self._found:
            self._found = sorted(s["sourceServerID"] for s in self.hook.source_servers(tags=self.server_tags))
        if not self._found:
            raise AirflowException(f"no source server bears the tags {dict(self.server_tags)}")
        return self._found
