"""What a try of a script task still has to send, given what earlier tries of the same generation sent.

A script that was sent is never sent to the same instance again while it may still run or after it succeeded. It is sent
again where it failed, once the whole attempt has failed: that is what an automatic retry is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drs_provider.aws.ssm.status import InstanceResult, Progress, SentCommand, judge

__all__ = ["Adoption", "adopt"]


@dataclass(frozen=True)
class Adoption:
    """What to do about the commands that are there.

    :param attempt: the number of the attempt that goes on or begins.
    :param to_send: the instances that the script has to be sent to, in this attempt.
    :param reason: the decision, for the log.
    """

    attempt: int
    to_send: tuple[str, ...]
    reason: str


def adopt(
    commands: Sequence[SentCommand],
    results: Mapping[str, InstanceResult],
    wanted: Sequence[str],
    *,
    max_errors: str,
    same_attempt: int | None = None,
) -> Adoption:
    """Decide what is adopted and what is sent.

    :param commands: what this generation sent, the oldest first.
    :param results: the latest result by instance.
    :param wanted: the instances that the script has to run on.
    :param same_attempt: go on with this attempt: the try that began it has only waited for agents since.
    """
    ids = ", ".join(command.command_id for command in commands[-4:])
    if same_attempt is not None:
        reached = {i for command in commands if command.attempt == same_attempt for i in command.instance_ids}
        done = {i for i, result in results.items() if result.progress is Progress.SUCCEEDED}
        rest = tuple(i for i in wanted if i not in reached | done)
        return Adoption(same_attempt, rest, f"Sending attempt {same_attempt} to {len(rest)} instances")
    if not commands:
        return Adoption(1, tuple(wanted), "No earlier try has sent the script: sending it")
    last = commands[-1].attempt
    fresh = tuple(i for i in wanted if i not in results)
    underway = {command.command_id for command in commands if not command.progress.ended}
    running = [i for i in wanted if i in results and results[i].command_id in underway]
    verdict = judge({i: results[i] for i in wanted if i in results}, max_errors)
    if running:
        reason = f"Adopting command {ids} of an earlier try: it still runs on {len(running)} instances"
        if fresh:
            reason += f"; sending it to the {len(fresh)} instances that it has not reached"
        return Adoption(last, fresh, reason)
    if len([*verdict.failed, *verdict.running]) > verdict.allowed:
        again = tuple(i for i in wanted if i not in results or results[i].progress is not Progress.SUCCEEDED)
        return Adoption(
            last + 1,
            again,
            f"Attempt {last} (command {ids}) has failed: sending the script again, as attempt {last + 1}, to the "
            f"{len(again)} of {len(wanted)} instances where it did not succeed",
        )
    if fresh:
        return Adoption(last, fresh, f"Adopting command {ids}; sending it to {len(fresh)} instances not yet reached")
    return Adoption(last, (), f"Adopting command {ids} of an earlier try: it has ended, nothing is sent again")
