"""Sensors for the way back: until the reversed replication is in sync, and until production is protected again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, conf

from drs_provider.durations import parse_duration, seconds_of
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.drs import DrsSourceServersLink
from drs_provider.sensors.waits import WaitSensor
from drs_provider.triggers.drs_failback import DrsFailbackSyncTrigger, DrsProtectionTrigger

__all__ = ["DrsFailbackSyncSensor", "DrsProtectionSensor", "stall_after"]


def stall_after() -> timedelta:
    """Return after how long without progress replication stands still (``[drs_provider] stall_after``).

    :raises AirflowException: when the setting is no duration.
    """
    text = conf.get("drs_provider", "stall_after", fallback="") or "30m"
    try:
        return parse_duration(text)
    except ValueError as error:
        raise AirflowException(f"[drs_provider] stall_after is {text!r}: {error}") from None


class DrsFailbackSyncSensor(WaitSensor[DrsHook]):
    """
    Wait until the reversed replication is in sync: CONTINUOUS, rescanned, and without lag.

    The first sync is a full copy and takes hours to days. Progress is in the log: percent, lag, ETA, bytes to send. A
    server without progress for longer than ``[drs_provider] stall_after`` is reported, and the wait goes on.

    Returns ``{source server id: {"state", "lag_seconds", "total_bytes", "rescanned_bytes", "instance",
    "stood_still_seconds"}}``; ``instance`` is the EC2 instance that it replicates.

    :param source_server_ids: The FAILBACK servers, in the origin region: ids or ARNs, or the return value of
        :class:`~drs_provider.operators.drs_failback.DrsReverseReplicationOperator`. (templated)
    :param max_lag: The longest acceptable lag, in seconds or as a timedelta; None accepts any.
    :param timeout: Seconds, or a timedelta, from the start of the try. Default seven days.
    :param poke_interval: Seconds between two looks.
    :param deferrable: Wait in the triggerer, where all waits share one poll.
    :raises AirflowException: when the time is up, with what is missing of which server; or for a forward server.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("source_server_ids")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        source_server_ids: Sequence[str] | Mapping[str, str],
        max_lag: float | timedelta | None = 0.0,
        timeout: float | timedelta = timedelta(days=7),
        poke_interval: float | timedelta = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.source_server_ids = source_server_ids
        self.max_lag = None if max_lag is None else seconds_of(max_lag)

    def make_trigger(self, deadline: float) -> DrsFailbackSyncTrigger:
        """Return the trigger that waits."""
        return DrsFailbackSyncTrigger(
            source_server_ids=self._ids(),
            max_lag=self.max_lag,
            stall_after=stall_after().total_seconds(),
            deadline=deadline,
            **self.trigger_arguments,
        )

    def execute(self, context: Any) -> Any:
        """Look, and wait if a server is not in sync."""
        DrsSourceServersLink.push(context, self, self.hook, self._ids())
        return super().execute(context)

    def _ids(self) -> list[str]:
        given = self.source_server_ids
        return [_id_of(one) for one in (given.values() if isinstance(given, Mapping) else given)]


class DrsProtectionSensor(WaitSensor[DrsHook]):
    """
    Wait, in the recovery region, until forward servers protect what was launched back.

    Protected is what its server replicates, by both ends' word: CONTINUOUS **and** rescanned on every disk **and**
    without lag. The state alone does not say so: CONTINUOUS with minutes of lag and an unfinished rescan was seen live.
    Until then nothing of the failback may be tidied up.

    Returns ``{source server id: {"state", "lag_seconds", "total_bytes", "rescanned_bytes", "instance",
    "stood_still_seconds"}}``.

    :param launched: The recovery instances at the origin and the forward servers that protect them, by id or ARN: the
        return value of :class:`~drs_provider.operators.drs_failback.DrsReverseReplicationOperator`. (templated)
    :param peer_region_name: The origin region. (templated)
    :param peer_aws_conn_id: The connection that may read DRS at the origin, where that is in another account; by
        default the sensor's own. (templated)
    :param timeout: Seconds, or a timedelta, from the start of the try. Default seven days.
    :param poke_interval: Seconds between two looks.
    :param deferrable: Wait in the triggerer, where all waits share one poll.
    :raises AirflowException: when the time is up, with what is missing of which server.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("launched", "peer_region_name", "peer_aws_conn_id")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e6f1f2"

    def __init__(
        self,
        *,
        launched: Mapping[str, str],
        peer_region_name: str,
        peer_aws_conn_id: str | None = None,
        timeout: float | timedelta = timedelta(days=7),
        poke_interval: float | timedelta = 60.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, poke_interval=poke_interval, **kwargs)
        self.launched = launched
        self.peer_region_name = peer_region_name
        self.peer_aws_conn_id = peer_aws_conn_id

    def make_trigger(self, deadline: float) -> DrsProtectionTrigger:
        """Return the trigger that waits."""
        protects = {_id_of(server): instance for instance, server in self.launched.items()}
        if len(protects) != len(self.launched) or not protects:
            raise AirflowException(f"each launched instance needs a server of its own, not {dict(self.launched)}")
        peer = self.aws_conn_id if self.peer_aws_conn_id is None else self.peer_aws_conn_id
        return DrsProtectionTrigger(
            source_server_ids=list(protects),
            protects=protects,
            max_lag=0.0,
            stall_after=stall_after().total_seconds(),
            peer={"aws_conn_id": peer, "region_name": self.peer_region_name},
            deadline=deadline,
            **self.trigger_arguments,
        )

    def execute(self, context: Any) -> Any:
        """Look, and wait if a server does not protect yet."""
        DrsSourceServersLink.push(context, self, self.hook, [_id_of(one) for one in self.launched.values()])
        return super().execute(context)


def _id_of(server: str) -> str:
    return server.rpartition("/")[2]
