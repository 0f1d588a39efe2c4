"""SSM commands: found by the key of their task, sent once, read to the last invocation.

`SendCommand` has no client token. Four things together make it happen once: the SDK does not retry it, every command
carries the key of its task in `Comment`, it is looked for at most 20 s before it is sent, and after an answer that
leaves open whether SSM accepted the command, it is looked for before it is sent again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from drs_provider.aws.backoff import Backoff
from drs_provider.aws.calls import Calls, patience_of
from drs_provider.aws.faults import Fault, classify, error_code
from drs_provider.aws.freshness import Look
from drs_provider.aws.ssm.reads import APPEARS_WITHIN, PAGE
from drs_provider.aws.ssm.status import InstanceResult, Progress, SentCommand, tail
from drs_provider.timestamps import api_timestamp

__all__ = ["find_commands", "read_commands", "read_results", "redact", "send_once", "without_values"]

#: The `Comment` of a command begins with this: the key of the task and the number of the attempt.
_COMMENT = re.compile(r"^drs-provider (?P<key>[0-9a-f]{32})/(?P<attempt>\d+)\b")
#: Seconds between the looks for a command whose answer was lost: a list may lag, so that they go on until it must be
#: there (`APPEARS_WITHIN`). And how many times it is sent if it is never found.
_LOOKS = (0.5, 1.0, 2.0, 4.0, 7.5, *[15.0] * int(APPEARS_WITHIN / 15.0 - 1))
_SENDS = 3
#: ListCommandInvocations shows the first 2,500 characters of an output: beyond that, its end has to be fetched apiece.
_LISTED_OUTPUT = 2500
_FETCHED_OUTPUTS = 50
#: Seconds within which invocations that are listed can be fetched, all together: outputs are no reason to wait long.
_OUTPUTS_APPEAR_WITHIN = 120.0


def comment_of(key: str, attempt: int, label: str) -> str:
    """Return a command's `Comment`: the key, the attempt, and as much of a label as 100 characters hold."""
    return f"drs-provider {key}/{attempt} {label}"[:100].rstrip()


def _sent(command: Mapping[str, Any]) -> SentCommand:
    match = _COMMENT.match(command.get("Comment") or "")
    requested: datetime | None = command.get("RequestedDateTime")
    return SentCommand(
        command_id=command["CommandId"],
        attempt=int(match["attempt"]) if match else 0,
        instance_ids=tuple(command.get("InstanceIds") or ()),
        status=command.get("Status") or "Pending",
        requested=requested.timestamp() if requested else time.time(),
        completed=int(command.get("CompletedCount") or 0),
        errors=int(command.get("ErrorCount") or 0),
    )


def _invoked_after(moment: float) -> dict[str, str]:
    return {"key": "InvokedAfter", "value": api_timestamp(datetime.fromtimestamp(moment, timezone.utc))}


async def find_commands(calls: Calls, key: str, *, since: float, document_name: str | None = None) -> list[SentCommand]:
    """Return the commands that carry the key of a task, the oldest first (ListCommands).

    :param since: epoch seconds; no command of the task is older.
    :param document_name: what all commands of the task run, if that is one document: less to look through.
    """
    filters = [_invoked_after(since)]
    # A document shared by another account is named by its ARN, and what the filter makes of that is not documented.
    if document_name and re.fullmatch(r"[\w.-]+", document_name):
        filters.append({"key": "DocumentName", "value": document_name})
    listed = await calls.read_all("list_commands", "Commands", Filters=filters, MaxResults=PAGE)
    ours = [c for c in listed if (match := _COMMENT.match(c.get("Comment") or "")) and match["key"] == key]
    return sorted(map(_sent, ours), key=lambda command: (command.attempt, command.requested))


async def read_commands(calls: Calls, command_ids: Sequence[str], *, since: float | None = None) -> list[SentCommand]:
    """Return commands by id (ListCommands); one that SSM does not show is missing.

    A few are asked for one by one. Many are picked out of the list of what was sent after ``since``, 50 a call, so that
    a hundred waits cost two calls and not a hundred.

    :param since: epoch seconds; none of the commands is older.
    """
    found: dict[str, SentCommand] = {}
    if since is not None and len(command_ids) > 3:
        async for page in calls.pages("list_commands", Filters=[_invoked_after(since)], MaxResults=PAGE):
            found.update((command["CommandId"], _sent(command)) for command in page.get("Commands") or [])
            if set(command_ids) <= set(found):  # newest first, so what follows is of no interest
                break
    for command_id in command_ids:
        if command_id not in found:
            for command in await _of_command(calls, "list_commands", "Commands", CommandId=command_id):
                found[command_id] = _sent(command)
    return [found[command_id] for command_id in command_ids if command_id in found]


async def read_results(
    calls: Calls, commands: Sequence[SentCommand], instance_ids: Sequence[str]
) -> dict[str, InstanceResult]:
    """Return the result of a script by instance (ListCommandInvocations, every page).

    A later command stands for the earlier ones: an instance that got the script again is judged by the last time. An
    instance without an invocation is pending, or has its command's status when that has failed.

    :param commands: the oldest first.
    :param instance_ids: the instances of interest; those that no command was sent to are missing from the answer.
    """
    results: dict[str, InstanceResult] = {}
    for command in commands:
        # Invocations may lag behind their command; but those of one that was cancelled in time will never come.
        silent = command.status if command.progress is Progress.FAILED else "Pending"
        for instance_id in command.instance_ids:
            results[instance_id] = InstanceResult(
                silent,
                command_id=command.command_id,
                reason=f"no invocation, the command is {command.status}",
            )
        listed = await _of_command(
            calls, "list_command_invocations", "CommandInvocations", CommandId=command.command_id, Details=True
        )
        results.update((invocation["InstanceId"], _result(invocation)) for invocation in listed)
    return await _with_ends(calls, {i: results[i] for i in instance_ids if i in results})


async def _of_command(calls: Calls, operation: str, key: str, **params: Any) -> list[dict[str, Any]]:
    """Read a list of one command; nothing where SSM does not know the command: it may have been sent a moment ago."""
    try:
        return await calls.read_all(operation, key, **params)
    except ClientError as error:
        if error_code(error) != "InvalidCommandId":
            raise
        calls.log.info("%s: %s is not visible yet", operation, params["CommandId"])
        return []


def _result(invocation: Mapping[str, Any]) -> InstanceResult:
    plugins = invocation.get("CommandPlugins") or []
    codes = [plugin["ResponseCode"] for plugin in plugins if plugin.get("ResponseCode") is not None]
    failed = [code for code in codes if code != 0]
    return InstanceResult(
        status=invocation.get("Status") or "Pending",
        exit_code=failed[-1] if failed else (codes[-1] if codes else None),
        # Whole for the moment: its length tells whether SSM cut it.
        output_tail="\n".join(plugin["Output"] for plugin in plugins if plugin.get("Output")),
        command_id=invocation["CommandId"],
        reason=invocation.get("StatusDetails") or "",
    )


async def _with_ends(calls: Calls, results: Mapping[str, InstanceResult]) -> dict[str, InstanceResult]:
    """Shorten each output to its last lines, fetched (GetCommandInvocation) where the list has only the beginning."""
    outputs = {instance_id: result.output_tail for instance_id, result in results.items()}
    cut = [i for i, result in results.items() if result.progress.ended and len(outputs[i]) >= _LISTED_OUTPUT]
    cut.sort(key=lambda i: results[i].status == "Success")  # failures first
    until = time.time() + _OUTPUTS_APPEAR_WITHIN
    for instance_id in cut[:_FETCHED_OUTPUTS]:
        command_id = results[instance_id].command_id
        try:
            whole = await calls.read_new(
                "get_command_invocation",
                "InvocationDoesNotExist",
                until=until,
                CommandId=command_id,
                InstanceId=instance_id,
            )
        except ClientError as error:  # a document of several plugins has no one output: not worth a failure
            calls.log.info("The end of the output of %s cannot be read: %s", instance_id, error)
            continue
        parts = (whole.get("StandardOutputContent"), whole.get("StandardErrorContent"))
        outputs[instance_id] = "\n".join(part for part in parts if part) or outputs[instance_id]
    return {i: r.with_output(tail(outputs[i])) for i, r in results.items()}


async def send_once(
    once: Calls,
    reading: Calls,
    *,
    key: str,
    attempt: int,
    label: str,
    since: float,
    request: Mapping[str, Any],
    look: Look | None = None,
    patience: float = 300.0,
) -> list[SentCommand]:
    """Send a command, and see to it that it is sent once (SendCommand).

    Where the look at the commands is an old one, they are looked for again first: another try may have sent them
    meanwhile, to some or to all of the instances, in this attempt or in a later one.

    :param once: calls without SDK retries; ``reading`` is for looking.
    :param since: epoch seconds; no command of this key is older.
    :param request: the parameters of SendCommand except `Comment`, with at most 50 `InstanceIds`.
    :param look: when the caller looked at the commands of this key; by default now.
    :param patience: seconds for which throttling is waited out.
    :returns: the commands that have reached the instances.
    :raises botocore.exceptions.ClientError: when SSM refuses, or when it never became clear that it accepted.
    :raises ValueError: when the request does not fit the API. No message holds a value of a parameter.
    """
    instances = list(request["InstanceIds"])
    look = look or Look()
    others: list[SentCommand] = []
    pauses = Backoff(time.time() + patience_of(patience))
    sends = 0
    while True:
        if not look.is_fresh:
            others = await _sent_by_others(reading, key, attempt, instances, since, str(request["DocumentName"]))
            look.again()
            if others:
                once.log.info("Another try has sent it: adopting %s", ", ".join(one.command_id for one in others))
        rest = [one for one in instances if not any(one in command.instance_ids for command in others)]
        if not rest:
            return others
        try:
            answer = await once.call(
                "send_command", Comment=comment_of(key, attempt, label), **{**request, "InstanceIds": rest}
            )
            return [*others, _sent(answer["Command"])]
        except Exception as error:
            fault, failure = classify(error), without_values(error, request.get("Parameters"))
        if fault is Fault.THROTTLED and not pauses.is_over:
            once.log.warning("SendCommand was throttled; sending again in %.0f s", pauses.pause)
            await once.sleep(pauses.take())
            continue
        if fault is not Fault.AMBIGUOUS:
            raise failure
        sends += 1
        once.log.warning("%s: looking whether SSM accepted the command", failure)
        for wait in _LOOKS:
            await once.sleep(wait)
            found = await find_commands(reading, key, since=since, document_name=request["DocumentName"])
            for command in found:
                if command.attempt == attempt and set(rest) <= set(command.instance_ids):
                    once.log.info("SSM had accepted it: adopting command %s", command.command_id)
                    return [*others, command]
        if sends >= _SENDS:
            raise failure
        once.log.info("SSM has no such command: sending it again")


async def _sent_by_others(
    calls: Calls, key: str, attempt: int, instance_ids: Sequence[str], since: float, document_name: str
) -> list[SentCommand]:
    """Return the commands of this attempt, and of later ones, that have reached any of the instances."""
    found = await find_commands(calls, key, since=since, document_name=document_name)
    wanted = set(instance_ids)
    return [one for one in found if one.attempt >= attempt and wanted.intersection(one.instance_ids)]


def redact(message: str, parameters: Mapping[str, Sequence[str] | str] | None) -> str:
    """Blank out the values of parameters in a message: SSM and botocore quote them, and they may be secrets."""
    groups = ([group] if isinstance(group, str) else group for group in (parameters or {}).values())
    values = {str(value) for group in groups for value in group}
    for value in sorted(values - {""}, key=len, reverse=True):
        message = message.replace(value, "***")
    return message


def without_values(error: Exception, parameters: Mapping[str, Sequence[str] | str] | None) -> Exception:
    """Return the error of a call with the values of its parameters blanked out."""
    if isinstance(error, ClientError):
        details = error.response.get("Error", {})
        message = redact(str(details.get("Message", "")), parameters)
        return ClientError({**error.response, "Error": {**details, "Message": message}}, error.operation_name)
    if isinstance(error, ParamValidationError):
        return ValueError(redact(str(error), parameters))
    return error
