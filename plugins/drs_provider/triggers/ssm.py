"""Waiting for SSM agents to be online, and for a script to end on all its instances."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from drs_provider.aws.calls import Calls
from drs_provider.aws.faults import error_text, transient_cause
from drs_provider.aws.ssm.commands import read_commands, read_results
from drs_provider.aws.ssm.reads import APPEARS_WITHIN, PAGE, managed_instances
from drs_provider.aws.ssm.status import InstanceResult, Progress, SentCommand, Verdict, judge
from drs_provider.live.model import LiveItem
from drs_provider.triggers.polling import DeadlinePassed
from drs_provider.triggers.posts import Post, WaitFailed
from drs_provider.triggers.waiting import WaitTrigger

__all__ = ["SsmAgentTrigger", "SsmCommandTrigger", "wait_for_agents", "wait_for_commands"]

#: How many instances an error describes; the log describes all.
_DESCRIBED = 20
#: Once every command has ended, how long its invocations may lag behind.
_SETTLING_SECONDS = APPEARS_WITHIN


async def fetch_agents(calls: Calls, instance_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return what SSM knows of instances, by id: the fetch of the poller for agents."""
    return await managed_instances(calls, instance_ids)


async def fetch_commands(calls: Calls, identities: Sequence[str]) -> dict[str, SentCommand]:
    """Return commands by identity, the time of the request and the id: the fetch of the poller for commands."""
    requested = {identity.partition("/")[2]: identity for identity in identities}
    since = min(float(identity.partition("/")[0]) for identity in identities)
    found = await read_commands(calls, list(requested), since=since - 60)
    return {requested[command.command_id]: command for command in found}


async def wait_for_agents(
    post: Post, instance_ids: Sequence[str], *, deadline: float, seconds: float, log: logging.Logger | Any
) -> dict[str, str]:
    """Wait until the SSM agent of each instance is online.

    :param deadline: epoch seconds; ``seconds`` between two looks.
    :returns: platform type (``Linux``, ``Windows``, ``MacOS``) by instance id.
    :raises WaitFailed: when the deadline passes first; the message names the instances and their ping status.
    """
    states: dict[str, str] = {}
    known: dict[str, Any] = {}
    try:
        async with post.watch(
            "ssm-agent", fetch_agents, instance_ids, lambda _: seconds, service="ssm", batch=PAGE
        ) as watch:
            while True:
                known = await watch.next(deadline)
                now = {i: known[i].get("PingStatus", "") if i in known else "not registered" for i in instance_ids}
                missing = [i for i in instance_ids if now[i] != "Online"]
                if now != states:
                    log.info("SSM agents: %d of %d online%s", len(now) - len(missing), len(now), _named(missing, now))
                states = now
                post.progress.show(
                    what=f"SSM agents: {len(now) - len(missing)} of {len(now)} online",
                    counts={"total": len(now), "online": len(now) - len(missing)},
                    items=[LiveItem(id=one, status=now[one]) for one in missing],
                )
                if not missing:
                    return {i: known[i].get("PlatformType", "Linux") for i in instance_ids}
    except DeadlinePassed as passed:
        missing = [i for i in instance_ids if states.get(i) != "Online"]
        detail = f" ({passed})" if str(passed) else ""
        raise WaitFailed(
            f"The SSM agent of {len(missing)} of {len(instance_ids)} instances did not come online in time"
            f"{_named(missing, states)}{detail}. An agent needs an instance profile with AmazonSSMManagedInstanceCore "
            "(in the launch template, or by default host management) and a way to the SSM endpoints.",
            timed_out=True,
        ) from None


def _named(instance_ids: Sequence[str], states: Mapping[str, str]) -> str:
    shown = ", ".join(f"{i} {states.get(i, 'unknown')}" for i in instance_ids[:_DESCRIBED])
    more = len(instance_ids) - _DESCRIBED
    return (f"; waiting for {shown}" if shown else "") + (f" and {more} more" if more > 0 else "")


async def wait_for_commands(
    post: Post,
    commands: Mapping[str, float],
    instance_ids: Sequence[str],
    *,
    name: str,
    max_errors: str,
    deadline: float,
    seconds: float,
    log: logging.Logger | Any,
) -> Verdict:
    """Wait until a script has ended on all its instances, and judge it.

    :param commands: command ids, the oldest first, and when each was sent, in epoch seconds.
    :param instance_ids: the instances that count.
    :param name: the document's name, for messages.
    :param max_errors: how many instances may fail, as a number or a percentage.
    :param deadline: epoch seconds; ``seconds`` between two looks.
    :raises WaitFailed: when more instances failed than may, or when the deadline passes first.
    """

    async def results(calls: Calls) -> dict[str, InstanceResult]:
        found = await read_commands(calls, list(commands))
        read = await read_results(calls, found, instance_ids)
        return {i: read.get(i) or InstanceResult("Pending", reason="no command shows it yet") for i in instance_ids}

    identities = [f"{requested:.0f}/{command_id}" for command_id, requested in commands.items()]
    reported, ended_at, verdict = "", 0.0, None
    try:
        async with post.watch(
            "ssm-command", fetch_commands, identities, lambda _: seconds, service="ssm", batch=200
        ) as watch:
            while True:
                seen: dict[str, SentCommand] = await watch.next(deadline)
                progress = _progress(name, list(seen.values()))
                post.progress.show(what=progress, counts=_counts(list(seen.values())))
                if progress != reported:
                    log.info("%s", progress)
                reported = progress
                if len(seen) < len(identities) or not all(command.progress.ended for command in seen.values()):
                    continue
                verdict = judge(await post.ask(results, deadline, service="ssm"), max_errors)
                ended_at = ended_at or time.time()
                if verdict.progress.ended or time.time() > ended_at + _SETTLING_SECONDS:
                    break
    except DeadlinePassed as passed:
        detail = f" ({passed})" if str(passed) else ""
        try:
            verdict = judge(await post.ask(results, deadline, service="ssm"), max_errors)
        except Exception as error:
            if transient_cause(error):
                raise  # It may have ended well: nobody can tell now.
            message = f"{name} did not end in time{detail}, and how far it is cannot be read: {error_text(error)}"
            raise WaitFailed(message, timed_out=True) from error
        if not verdict.progress.ended:
            log_results(log, name, verdict)
            raise WaitFailed(f"{name} did not end in time{detail}: {describe(verdict)}", timed_out=True) from None
    log_results(log, name, verdict)
    if verdict.progress is not Progress.SUCCEEDED:
        raise WaitFailed(f"{name} failed, {verdict.allowed} failures are allowed: {describe(verdict)}")
    return verdict


def _progress(name: str, commands: Sequence[SentCommand]) -> str:
    completed = sum(command.completed for command in commands)
    total = sum(len(command.instance_ids) for command in commands)
    statuses = ", ".join(sorted({command.status for command in commands})) or "not shown yet"
    errors = sum(command.errors for command in commands)
    return f"{name}: {statuses}; {completed} of {total} instances done, {errors} with errors"


def _counts(commands: Sequence[SentCommand]) -> dict[str, int]:
    return {
        "total": sum(len(command.instance_ids) for command in commands),
        "done": sum(command.completed for command in commands),
        "errors": sum(command.errors for command in commands),
    }


def log_results(log: logging.Logger | Any, name: str, verdict: Verdict) -> None:
    """Log each instance's result with the last lines of its output, and the sums."""
    for instance_id, result in sorted(verdict.results.items()):
        output = result.output_tail.replace("\n", "\n    ")
        level = logging.ERROR if result.progress is Progress.FAILED else logging.INFO
        log.log(level, "%s on %s: %s%s", name, instance_id, result, f"\n    {output}" if output else "")
    log.info("%s: %s", name, verdict.summary())


def describe(verdict: Verdict) -> str:
    """Return the sums and, for the first instances that failed or still run, the result and the end of the output."""
    lines = [verdict.summary()]
    unwell = [*verdict.failed, *verdict.running]
    for instance_id in unwell[:_DESCRIBED]:
        result = verdict.results[instance_id]
        output = result.output_tail.replace("\n", "\n    ")
        lines.append(f"  {instance_id}: {result}" + (f"\n    {output}" if output else ""))
    if len(unwell) > _DESCRIBED:
        lines.append(f"  and {len(unwell) - _DESCRIBED} more")
    return "\n".join(lines)


def script_result(commands: Sequence[str], verdict: Verdict) -> dict[str, Any]:
    """Return a script's XCom: ``command_id``, ``command_ids``, ``status``, ``instances`` by id, ``outputs``."""
    return {
        "command_id": commands[-1],
        "command_ids": list(commands),
        "status": "Success",
        "instances": {instance_id: result.as_xcom() for instance_id, result in verdict.results.items()},
        "outputs": {},
    }


class SsmAgentTrigger(WaitTrigger):
    """Wait until the SSM agents of instances are online.

    :param instance_ids: the instances.
    """

    fields = ("instance_ids",)

    def __init__(self, *, instance_ids: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.instance_ids = list(instance_ids)

    async def wait(self, post: Post) -> dict[str, str]:
        """Return the platform type of each instance, by id."""
        return await wait_for_agents(
            post, self.instance_ids, deadline=self.deadline, seconds=self.poll_interval, log=self.log
        )


class SsmCommandTrigger(WaitTrigger):
    """Wait until a script has ended on all its instances.

    :param commands: command ids, the oldest first, and when each was sent, in epoch seconds.
    :param instance_ids: the instances that count.
    :param name: the document's name, for messages.
    :param max_errors: how many instances may fail, as a number or a percentage.
    :param cancel_on_kill: cancel the commands when a person ends the task.
    """

    fields = ("commands", "instance_ids", "name", "max_errors", "cancel_on_kill")

    def __init__(
        self,
        *,
        commands: dict[str, float],
        instance_ids: Sequence[str],
        name: str,
        max_errors: str = "0",
        cancel_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.commands = dict(commands)
        self.instance_ids = list(instance_ids)
        self.name = name
        self.max_errors = max_errors
        self.cancel_on_kill = cancel_on_kill

    async def wait(self, post: Post) -> dict[str, Any]:
        """Return the script's XCom."""
        verdict = await wait_for_commands(
            post,
            self.commands,
            self.instance_ids,
            name=self.name,
            max_errors=self.max_errors,
            deadline=self.deadline,
            seconds=self.poll_interval,
            log=self.log,
        )
        return script_result(list(self.commands), verdict)

    async def ended_by_a_person(self) -> None:
        """Cancel the commands (CancelCommand)."""
        if not self.cancel_on_kill:
            self.log.info("Leaving commands %s alone", ", ".join(self.commands))
            return
        hook: Any = self.hook("ssm")
        async with await hook.get_async_conn() as client:
            for command_id in self.commands:
                await client.cancel_command(CommandId=command_id)
                self.log.info("Cancelled command %s", command_id)
