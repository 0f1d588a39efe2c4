"""How commands and their invocations look in the answers of SSM, and which of them a filter names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any, Final

from moto.ssm.exceptions import InvalidFilterKey

from drs_provider.simulator.ssm.commands import Command, Invocation
from drs_provider.timestamps import parse_timestamp

__all__ = ["command_matches", "command_view", "invocation_detail", "invocation_matches", "invocation_view"]

#: The longest texts that SSM keeps, and how the agent marks a cut.
_STDOUT: Final = 24000
_STDERR: Final = 8000
_PLUGIN_OUTPUT: Final = 2500
_CUT: Final = "\n---Output truncated---"
_ERROR_RULE: Final = "\n----------ERROR-------\n"

#: Request members that come back as they were sent.
_ECHOED: Final = (
    "Comment",
    "OutputS3Region",
    "OutputS3BucketName",
    "OutputS3KeyPrefix",
    "NotificationConfig",
    "CloudWatchOutputConfig",
    "AlarmConfiguration",
)
_ECHOED_BY_INVOCATIONS: Final = ("Comment", "NotificationConfig", "CloudWatchOutputConfig")


def command_view(command: Command, fresh: bool = False) -> dict[str, Any]:
    """A command as SendCommand (`fresh`: with nothing counted yet) and ListCommands show it."""
    counted = [] if fresh else command.invocations
    view: dict[str, Any] = {key: command.request[key] for key in _ECHOED if command.request.get(key)}
    view.update(
        CommandId=command.command_id,
        DocumentName=command.document_name,
        DocumentVersion=command.document_version,
        Comment=command.request.get("Comment", ""),
        ExpiresAfter=moment(command.expires),
        Parameters=command.request.get("Parameters") or {},
        InstanceIds=list(command.request.get("InstanceIds") or []),
        Targets=list(command.request.get("Targets") or []),
        RequestedDateTime=moment(command.requested),
        Status=command.status,
        StatusDetails=command.details,
        MaxConcurrency=command.max_concurrency,
        MaxErrors=command.max_errors,
        TargetCount=len(counted),
        CompletedCount=sum(1 for each in counted if each.over),
        ErrorCount=sum(1 for each in counted if each.details in ("Failed", "ExecutionTimedOut")),
        DeliveryTimedOutCount=sum(1 for each in counted if each.details == "DeliveryTimedOut"),
        ServiceRole=command.request.get("ServiceRoleArn") or "",
        TimeoutSeconds=command.timeout,
    )
    return view


def invocation_view(command: Command, invocation: Invocation, details: bool) -> dict[str, Any]:
    """An invocation as ListCommandInvocations shows it; `details` adds its plugin with the output."""
    view: dict[str, Any] = {key: command.request[key] for key in _ECHOED_BY_INVOCATIONS if command.request.get(key)}
    view.update(
        CommandId=command.command_id,
        InstanceId=invocation.node.instance_id,
        InstanceName=invocation.node.name,
        Comment=command.request.get("Comment", ""),
        DocumentName=command.document_name,
        DocumentVersion=command.document_version,
        RequestedDateTime=moment(invocation.requested),
        Status=invocation.status,
        StatusDetails=invocation.details,
        TraceOutput="",
        StandardOutputUrl="",
        StandardErrorUrl="",
        CommandPlugins=[_plugin(command, invocation)] if details else [],
        ServiceRole=command.request.get("ServiceRoleArn") or "",
    )
    return view


def invocation_detail(command: Command, invocation: Invocation) -> dict[str, Any]:
    """An invocation as GetCommandInvocation shows it; its times are texts, empty until there is something to say."""
    started, ended = invocation.started, invocation.ended
    elapsed = f"PT{ended - started:.3f}S" if started is not None and ended is not None else ""
    view: dict[str, Any] = {
        "CommandId": command.command_id,
        "InstanceId": invocation.node.instance_id,
        "Comment": command.request.get("Comment", ""),
        "DocumentName": command.document_name,
        "DocumentVersion": command.document_version,
        "PluginName": command.plugin,
        "ResponseCode": invocation.response_code,
        "ExecutionStartDateTime": _text(started),
        "ExecutionElapsedTime": elapsed,
        "ExecutionEndDateTime": _text(ended) if started is not None else "",
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": _cut(invocation.output, _STDOUT),
        "StandardOutputUrl": "",
        "StandardErrorContent": _cut(invocation.error_output, _STDERR),
        "StandardErrorUrl": "",
    }
    if command.request.get("CloudWatchOutputConfig"):
        view["CloudWatchOutputConfig"] = command.request["CloudWatchOutputConfig"]
    return view


def command_matches(command: Command, filters: Iterable[Mapping[str, str]]) -> bool:
    """Whether ListCommands with these filters shows a command.

    :raises InvalidFilterKey: a key that commands do not have.
    """
    return all(_matches(each, command.requested, command, command) for each in filters)


def invocation_matches(command: Command, invocation: Invocation, filters: Iterable[Mapping[str, str]]) -> bool:
    """Whether ListCommandInvocations with these filters shows an invocation.

    :raises InvalidFilterKey: a key that invocations do not have.
    """
    return all(_matches(each, invocation.requested, command, invocation) for each in filters)


def moment(epoch: float) -> datetime:
    """Epoch seconds as an aware time."""
    return datetime.fromtimestamp(epoch, tz=timezone.utc)


def _matches(each: Mapping[str, str], requested: float, command: Command, item: Command | Invocation) -> bool:
    key, value = each["key"], each["value"]
    if key == "Status":
        return value in (item.status, item.details)
    if key == "DocumentName":
        return value == command.document_name
    if key in ("InvokedAfter", "InvokedBefore"):
        at = parse_timestamp(value).timestamp()
        shown = int(requested * 1000) / 1000  # Answers give milliseconds, and what they give must not be after itself.
        return shown > at if key == "InvokedAfter" else shown < at
    if key == "ExecutionStage" and isinstance(item, Command):
        return (value == "Complete") == item.over
    raise InvalidFilterKey(f"The filter key {key} is not valid for this operation")


def _plugin(command: Command, invocation: Invocation) -> dict[str, Any]:
    output = invocation.output
    if invocation.error_output:
        output += _ERROR_RULE + invocation.error_output
    status = {"Delayed": "Pending", "Cancelling": "InProgress"}.get(invocation.status, invocation.status)
    plugin: dict[str, Any] = {
        "Name": command.plugin,
        "Status": status,
        "StatusDetails": invocation.details,
        "ResponseCode": invocation.response_code,
        "Output": _cut(output, _PLUGIN_OUTPUT),
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }
    for key in ("OutputS3Region", "OutputS3BucketName", "OutputS3KeyPrefix"):
        if command.request.get(key):
            plugin[key] = command.request[key]
    if invocation.started is not None:
        plugin["ResponseStartDateTime"] = moment(invocation.started)
        if invocation.ended is not None:
            plugin["ResponseFinishDateTime"] = moment(invocation.ended)
    return plugin


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len(_CUT)] + _CUT


def _text(epoch: float | None) -> str:
    return "" if epoch is None else moment(epoch).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
