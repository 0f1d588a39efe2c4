"""Operators about source servers before a launch: which snapshot to recover to, and how to launch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException

from drs_provider.aws.calls import run_blocking
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.drs import DrsSourceServersLink
from drs_provider.timestamps import parse_timestamp

__all__ = ["DrsRecoverySnapshotOperator", "DrsUpdateLaunchConfigurationOperator"]

# The parameters of UpdateLaunchConfiguration besides the server.
LAUNCH_SETTINGS = frozenset(
    {
        "copyPrivateIp",
        "copyTags",
        "launchDisposition",
        "launchIntoInstanceProperties",
        "licensing",
        "name",
        "postLaunchEnabled",
        "recoveryMode",
        "targetInstanceTypeRightSizingMethod",
    }
)


class DrsRecoverySnapshotOperator(AwsBaseOperator[DrsHook]):
    """
    Choose the recovery snapshot of each source server by time.

    Returns ``{"servers": [{"id", "snapshot"}], "taken": {id: ISO 8601 time or None}}``; ``servers`` is what
    :class:`~drs_provider.operators.drs.DrsStartRecoveryOperator` takes.

    :param source_server_ids: The servers. (templated)
    :param at_or_before: The last finished snapshot at or before this moment; ISO 8601 or a datetime, UTC where it has
        no zone. None takes the newest. (templated)
    :param not_before: Refuse snapshots that are older than this moment. (templated)
    :param on_missing: What to do for a server without such a snapshot: ``fail``, or ``latest``: leave the snapshot out,
        so that DRS takes a new one when it launches.
    :raises AirflowException: when servers have no such snapshot; the message names them and their nearest snapshots.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("source_server_ids", "at_or_before", "not_before")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e3e9f9"

    def __init__(
        self,
        *,
        source_server_ids: Sequence[str],
        at_or_before: datetime | str | None = None,
        not_before: datetime | str | None = None,
        on_missing: Literal["fail", "latest"] = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if on_missing not in ("fail", "latest"):
            raise ValueError(f"on_missing must be fail or latest, not {on_missing!r}")
        self.source_server_ids = source_server_ids
        self.at_or_before = at_or_before
        self.not_before = not_before
        self.on_missing = on_missing

    def execute(self, context: Any) -> dict[str, Any]:
        """Look at the snapshots of every server and choose."""
        ids = list(self.source_server_ids)
        DrsSourceServersLink.push(context, self, self.hook, ids)
        latest, earliest = _moment(self.at_or_before), _moment(self.not_before)
        servers: list[dict[str, Any]] = []
        taken: dict[str, str | None] = {}
        missing: list[str] = []
        for server in ids:
            snapshots = [(parse_timestamp(one["timestamp"]), one["snapshotID"]) for one in self.hook.snapshots(server)]
            fitting = [
                (moment, snapshot)
                for moment, snapshot in snapshots
                if (latest is None or moment <= latest) and (earliest is None or moment >= earliest)
            ]
            if not fitting:
                missing.append(f"{server} ({_span([moment for moment, _ in snapshots])})")
            chosen = max(fitting, default=None)
            servers.append({"id": server, "snapshot": chosen[1] if chosen else None})
            taken[server] = chosen[0].isoformat() if chosen else None
            self.log.info("%s: %s", server, f"{chosen[1]} of {chosen[0].isoformat()}" if chosen else "no snapshot fits")
        if missing and self.on_missing == "fail":
            raise AirflowException(
                f"No finished recovery snapshot {_bounds(earliest, latest)} for: {'; '.join(missing)}"
            )
        return {"servers": servers, "taken": taken}


class DrsUpdateLaunchConfigurationOperator(AwsBaseOperator[DrsHook]):
    """
    Set how source servers are launched (UpdateLaunchConfiguration); doing it twice does no harm.

    Returns the launch configurations by source server id, in the shape of the API.

    :param source_server_ids: The servers. (templated)
    :param settings: What to set, by the API's names: ``copyPrivateIp``, ``copyTags``, ``launchDisposition``,
        ``launchIntoInstanceProperties``, ``licensing``, ``name``, ``postLaunchEnabled``, ``recoveryMode``,
        ``targetInstanceTypeRightSizingMethod``. What is left out stays as it is. (templated)
    :raises botocore.exceptions.ClientError: when DRS refuses; servers before it are set.
    """

    aws_hook_class = DrsHook
    template_fields: Sequence[str] = aws_template_fields("source_server_ids", "settings")
    operator_extra_links = (DrsSourceServersLink(),)
    ui_color = "#e3e9f9"

    def __init__(self, *, source_server_ids: Sequence[str], settings: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        unknown = sorted(set(settings) - LAUNCH_SETTINGS) if isinstance(settings, Mapping) else []
        if unknown:
            raise ValueError(
                f"not a launch setting: {', '.join(unknown)}; there are {', '.join(sorted(LAUNCH_SETTINGS))}"
            )
        self.source_server_ids = source_server_ids
        self.settings = settings

    def execute(self, context: Any) -> dict[str, Any]:
        """Set the configuration of every server."""
        ids = list(self.source_server_ids)
        DrsSourceServersLink.push(context, self, self.hook, ids)
        # Idempotent, so it may be repeated through transient errors as a reading call is.
        calls = self.hook.calls()
        result = {}
        for server in ids:
            answer = run_blocking(calls.read("update_launch_configuration", sourceServerID=server, **self.settings))
            answer.pop("ResponseMetadata", None)
            result[server] = answer
            self.log.info("%s: %s", server, answer)
        return result


def _moment(value: datetime | str | None) -> datetime | None:
    if value is None or isinstance(value, str):
        return parse_timestamp(value) if value else None
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _span(moments: Sequence[datetime]) -> str:
    if not moments:
        return "it has none"
    return f"it has {len(moments)}, from {min(moments).isoformat()} to {max(moments).isoformat()}"


def _bounds(earliest: datetime | None, latest: datetime | None) -> str:
    parts = [f"at or after {earliest.isoformat()}"] if earliest else []
    parts += [f"at or before {latest.isoformat()}"] if latest else []
    return " and ".join(parts) or "at all"
