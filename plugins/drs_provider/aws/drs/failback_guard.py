"""What must never happen on the way back, in one place: every operator and step that acts asks here first.

Each check judges what AWS shows now, and raises :class:`FailbackRefusedError` where an action would destroy production
or its protection. DRS refuses some of this itself, not all: a launch deletes the server's previous instance, and
StopReplication of a forward server every point in time, without a question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from drs_provider.aws.calls import run_blocking
from drs_provider.aws.drs.failback import (
    Cycle,
    CycleState,
    home_of,
    instance_replicated_by,
    is_failback,
    is_live,
    origin_of,
    replicates,
    reversed_arn,
)
from drs_provider.aws.drs.launched_into import launch_target
from drs_provider.aws.drs.progress import Progress
from drs_provider.aws.drs.questions import DrsQuestions
from drs_provider.aws.faults import ActionFailed
from drs_provider.durations import format_duration

__all__ = [
    "FailbackRefusedError",
    "check_delete_record",
    "check_failback_launch",
    "check_launch",
    "check_one_cycle",
    "check_removal",
    "check_replicate",
    "check_retire",
    "check_reverse",
    "check_stop_failback",
    "check_terminate",
]

Item = Mapping[str, Any]


class FailbackRefusedError(ActionFailed):
    """An action on the way back would destroy production or its protection; the message says what and why."""


def check_one_cycle(cycle: Cycle) -> None:
    """
    Refuse to act while source servers of an earlier failback are left.

    :raises FailbackRefusedError: with the ids of the servers that have to be deleted first.
    """
    if cycle.leftovers:
        ids = ", ".join(str(one["sourceServerID"]) for one in cycle.leftovers)
        raise FailbackRefusedError(
            f"{_name(cycle)}: {ids} at the origin belongs to another failback of this server. Stop its replication, "
            "disconnect and delete it, then try again."
        )


def check_reverse(instance: Item, launched_from: Item, at_origin: Sequence[Item], launched: Iterable[Item]) -> None:
    """
    Refuse ReverseReplication where it takes production's protection away, or begins a failback over another one.

    :param instance: The recovery instance to reverse.
    :param launched_from: The source server that launched it.
    :param at_origin: All source servers at the place where that one comes from.
    :param launched: Recovery instances there.
    :raises FailbackRefusedError: naming the instance.
    """
    name = str(instance["recoveryInstanceID"])
    in_place = origin_of(launched_from) == home_of(launched_from)
    if instance.get("isDrill") is True and (is_failback(launched_from) or in_place):
        raise FailbackRefusedError(
            f"{name} was launched by a drill: ReverseReplication would point the server that protects production at it."
        )
    if in_place:
        return
    if is_failback(launched_from):
        _check_reprotect(name, launched_from, at_origin, launched)
        return
    for server in at_origin:
        if not is_failback(server):
            continue
        identity = str(server["sourceServerID"])
        if replicates(server, instance, launched_from):
            back = [one for one in launched if one.get("sourceServerID") == identity and _is_production(one)]
            if back:
                raise FailbackRefusedError(
                    f"{name} was failed back already: {identity} launched {back[0].get('ec2InstanceID')}, which is "
                    "production. Reversing again would bring back what was left behind."
                )
        elif reversed_arn(server) == launched_from["arn"]:
            raise FailbackRefusedError(
                f"{name}: {identity} at the origin belongs to another failback of {launched_from['sourceServerID']}. "
                "Stop its replication, disconnect and delete it, then try again."
            )


def _check_reprotect(name: str, failback: Item, at_origin: Sequence[Item], launched: Iterable[Item]) -> None:
    forward = [one for one in at_origin if one["arn"] == reversed_arn(failback) and not is_failback(one)]
    if len(forward) != 1:
        raise FailbackRefusedError(
            f"{name}: the source server {reversed_arn(failback)}, which protected it before, is not there to protect "
            "it again. Install the agent anew instead."
        )
    replicated = instance_replicated_by(failback)
    for one in launched:
        if one.get("sourceServerID") != forward[0]["sourceServerID"] or not _is_production(one):
            continue
        if one.get("ec2InstanceID") != replicated:
            raise FailbackRefusedError(
                f"{name} was failed back from {replicated}, but {forward[0]['sourceServerID']} was recovered again "
                f"since, to {one.get('ec2InstanceID')}: two failbacks must not be mixed."
            )


def check_launch(
    drs: DrsQuestions,
    server_ids: Sequence[str],
    *,
    is_drill: bool,
    max_lag: float | None = 0.0,
) -> None:
    """
    Refuse StartRecovery of FAILBACK servers where it deletes production, overwrites the original, or loses data.

    Servers of the other direction pass: what their launch may replace is
    :func:`~drs_provider.aws.drs.launch.launch_once`'s to judge.

    :param drs: The connection to the region of the launch.
    :param server_ids: What is about to be launched.
    :param is_drill: A drill, or the launch back.
    :param max_lag: The longest lag of a launch back, in seconds: what was written meanwhile is lost. None accepts any,
        and a server that is not CONTINUOUS too: a person's word that the data is to be had no other way.
    :raises FailbackRefusedError: with a reason for each server.
    """
    servers = [one for one in drs.source_servers(server_ids) if is_failback(one)]
    if not servers:
        return
    problems = []
    instances = drs.recovery_instances(server_ids=[str(one["sourceServerID"]) for one in servers])
    for server in servers:
        identity = str(server["sourceServerID"])
        problems += [
            f"{identity} was launched back: {one.get('ec2InstanceID')} is production, which a launch would delete"
            for one in instances
            if one.get("sourceServerID") == identity and _is_production(one)
        ]
        if is_drill:
            configuration = run_blocking(drs.calls().read("get_launch_configuration", sourceServerID=identity))
            if target := launch_target(configuration):
                problems.append(f"{identity} is set to be launched into {target}: a drill would overwrite the original")
            continue
        progress = Progress.of(server)
        if max_lag is not None and not progress.in_sync(max_lag):
            within = format_duration(timedelta(seconds=max_lag))
            problems.append(f"{identity} is not in sync within {within} ({progress}): what it lacks would be lost")
    _refuse(problems)


def check_terminate(drs: DrsQuestions, instances: Iterable[Item]) -> None:
    """
    Refuse TerminateRecoveryInstances of what was failed back: it is production, and DRS only keeps a record of it.

    :param drs: The connection to the region of the instances.
    :param instances: In the shape of DescribeRecoveryInstances. Those that drills launched pass without a question.
    :raises FailbackRefusedError: naming the instances.
    """
    real = [one for one in instances if one.get("isDrill") is not True and one.get("sourceServerID")]
    if not real:
        return
    servers = {
        str(one["sourceServerID"]): one for one in drs.source_servers({str(one["sourceServerID"]) for one in real})
    }
    problems = []
    for one in real:
        server = servers.get(str(one["sourceServerID"]))
        ec2 = one.get("ec2InstanceID")
        if server is None:
            problems.append(
                f"{ec2} was launched by {one['sourceServerID']}, which DRS does not show: it may be production"
            )
        elif is_failback(server):
            problems.append(f"{ec2} was failed back by {server['sourceServerID']} and is production")
        elif ec2 and instance_replicated_by(server) == ec2 and Progress.of(one).replicates:
            problems.append(f"{ec2} is production, which {server['sourceServerID']} protects")
    _refuse(problems, " Delete DRS's record of it instead (DeleteRecoveryInstance).")


def check_replicate(server: Item, cycle: Cycle | None) -> None:
    """
    Refuse to start the reversed replication of what was left behind at a launch back.

    :param server: The source server; a forward one may always replicate.
    :param cycle: Its cycle; None where its forward server is not known.
    :raises FailbackRefusedError: saying why.
    """
    if not is_failback(server):
        return
    identity = str(server["sourceServerID"])
    launched = _known(identity, cycle).launched
    if launched is not None:
        raise FailbackRefusedError(
            f"{identity} was launched back: {launched.get('ec2InstanceID')} is production, and what {identity} "
            "replicates was left behind."
        )


def check_retire(failback: Item, cycle: Cycle | None) -> None:
    """
    Refuse to stop the replication of a server, unless it is the reversed one and nothing depends on it.

    Before a launch back it may be stopped: that undoes the failback. After it, protection has to be whole.

    :param failback: The server that is about to be stopped.
    :param cycle: Its cycle; None where its forward server is not known.
    :raises FailbackRefusedError: saying what is missing.
    """
    identity = str(failback["sourceServerID"])
    if not is_failback(failback):
        raise FailbackRefusedError(
            f"{identity} is a forward server (direction {failback.get('replicationDirection') or 'unknown'}): "
            "StopReplication would delete every point in time that it can recover."
        )
    cycle = _known(identity, cycle)
    if cycle.failback is None or cycle.failback["sourceServerID"] != identity:
        # Stopping what an earlier failback left is how it is tidied up, as long as it launched nothing that lives.
        if cycle.launched is None and any(one["sourceServerID"] == identity for one in cycle.leftovers):
            return
        raise FailbackRefusedError(f"{identity} is not the server that brings {_name(cycle)} back: nothing was done.")
    _check_protected(identity, cycle)


def check_removal(server: Item, cycle: Cycle | None, direction: str) -> None:
    """
    Refuse to disconnect or delete a server of another direction than was meant, or one that replicates.

    :param server: The source server.
    :param cycle: Its cycle; None where its forward server is not known.
    :param direction: ``FAILBACK`` or ``FAILOVER``.
    :raises FailbackRefusedError: saying why.
    """
    identity = str(server["sourceServerID"])
    actual = "FAILBACK" if is_failback(server) else "FAILOVER"
    if actual != direction:
        raise FailbackRefusedError(
            f"{identity} is of direction {actual}, not {direction}"
            + (": what it protects would be unprotected." if actual == "FAILOVER" else ".")
        )
    if actual == "FAILOVER":
        return
    if Progress.of(server).state not in ("STOPPED", "DISCONNECTED"):
        raise FailbackRefusedError(f"{identity} replicates ({Progress.of(server).state}): stop its replication first.")
    _check_protected(identity, _known(identity, cycle))


def check_stop_failback(instance: Item, cycle: Cycle) -> None:
    """
    Refuse StopFailback of what was failed back, and of what was left behind before the protection is whole.

    :param instance: The recovery instance.
    :param cycle: The cycle of the server that launched it.
    :raises FailbackRefusedError: saying why.
    """
    name = str(instance["recoveryInstanceID"])
    if cycle.launched is not None and cycle.launched["recoveryInstanceID"] == name:
        raise FailbackRefusedError(f"{name} was failed back and is production: StopFailback is for what it came from.")
    _check_protected(name, cycle)


def check_delete_record(instance: Item, cycle: Cycle) -> None:
    """
    Refuse to delete DRS's record of an instance that was failed back, before its protection is whole.

    :param instance: The recovery instance.
    :param cycle: Its cycle.
    :raises FailbackRefusedError: saying why.
    """
    name = str(instance["recoveryInstanceID"])
    if Progress.of(instance).state == "DISCONNECTED":
        return
    if cycle.launched is not None and cycle.launched["recoveryInstanceID"] == name:
        check_one_cycle(cycle)
        _check_protected(name, cycle)


def check_failback_launch(instances: Iterable[Item]) -> None:
    """
    Refuse StartFailbackLaunch of what is not ready on a machine on premises, and of any drill.

    :param instances: In the shape of DescribeRecoveryInstances.
    :raises FailbackRefusedError: with a reason for each instance.
    """
    problems = []
    for one in instances:
        name, state = str(one["recoveryInstanceID"]), (one.get("failback") or {}).get("state")
        if one.get("originEnvironment") == "AWS":
            problems.append(f"{name} came from AWS: reverse its replication and launch it at the origin instead")
        elif one.get("isDrill") is True:
            problems.append(f"{name} was launched by a drill, and would overwrite the original machine")
        elif state != "FAILBACK_READY_FOR_LAUNCH":
            problems.append(f"{name} is {state}: its failback client has not finished the sync")
    _refuse(problems)


def _known(identity: str, cycle: Cycle | None) -> Cycle:
    if cycle is None:
        raise FailbackRefusedError(
            f"{identity}: DRS does not show the forward server whose failback this is, so that nothing tells whether "
            "production is protected."
        )
    return cycle


def _check_protected(name: str, cycle: Cycle) -> None:
    launched = cycle.launched
    after_launch = launched is not None or cycle.state in (CycleState.RE_PROTECTING, CycleState.LAUNCHED_BACK)
    if not after_launch or cycle.is_protected:
        return
    ec2 = launched.get("ec2InstanceID") if launched else "what was launched back"
    protecting = instance_replicated_by(cycle.forward)
    raise FailbackRefusedError(
        f"{name}: {ec2} is production and not protected yet; {cycle.forward['sourceServerID']} replicates "
        f"{protecting} ({Progress.of(cycle.forward)}). Nothing of the failback is tidied up before that is CONTINUOUS, "
        "rescanned and without lag."
    )


def _is_production(instance: Item) -> bool:
    return instance.get("isDrill") is not True and is_live(instance)


def _name(cycle: Cycle) -> str:
    return str(cycle.forward["sourceServerID"])


def _refuse(problems: Collection[str], advice: str = "") -> None:
    if problems:
        raise FailbackRefusedError(f"Nothing was done: {'; '.join(problems)}.{advice}")
