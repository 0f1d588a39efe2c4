"""Where a server is on its way out and back, derived from what AWS shows, each time anew.

The names of AWS's guide: A1 is the instance at the origin, B1 its source server in the recovery region (direction
FAILOVER), B2 the recovery instance; A2 the source server at the origin that replicates B2 back (direction FAILBACK), A3
the instance that A2 launches.

A source server is matched to the instance that it replicates by the instance's EC2 id **and** its direction.
``reversedDirectionSourceServerArn`` proves nothing by itself: A2 has one from birth, and B1's outlives the A2 that it
names. The EC2 id alone proves nothing either: after a launch into the original, B1 names A3 before anything replicates
it, so that A3's own replication has to have begun.

From another zone of the same region there is no A2: ReverseReplication of B2 points B1 at B2. On premises the machine
is not in DRS while it is failed back: ``failback.state`` of B2 tells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from drs_provider.aws.drs.progress import Progress
from drs_provider.aws.drs.questions import DrsQuestions

__all__ = [
    "Cycle",
    "CycleState",
    "Place",
    "cycle_of",
    "cycles_of",
    "home_of",
    "instance_replicated_by",
    "is_failback",
    "is_live",
    "origin_of",
    "read_cycles",
    "replicates",
    "reversed_arn",
]

Item = Mapping[str, Any]

GOING = frozenset({"SHUTTING-DOWN", "TERMINATED", "NOT_FOUND"})
_ENDED = ("STOPPED", "DISCONNECTED")


class CycleState(str, Enum):
    """How far a server is: recovered, brought back, protected again, and tidied up."""

    RECOVERED = "recovered"
    """B2 runs, and nothing replicates it back."""
    REVERSED_SYNCING = "reversed-syncing"
    """A2 replicates B2, and is not in sync."""
    REVERSED_READY = "reversed-ready"
    """A2 is CONTINUOUS, rescanned and without lag: it can be launched."""
    LAUNCHED_BACK = "launched-back"
    """A3 runs, and nothing protects it."""
    RE_PROTECTING = "re-protecting"
    """B1 replicates A3, and is not whole."""
    PROTECTED = "protected"
    """B1 protects A3: CONTINUOUS, rescanned and without lag. Records of the cycle are left."""
    RETIRED = "retired"
    """Nothing of a cycle is left: B1 alone, as before a recovery."""


class Place(NamedTuple):
    """An account and region."""

    account: str
    region: str


@dataclass(frozen=True)
class Cycle:
    """
    What AWS shows of one server's way out and back.

    :param state: How far it is.
    :param forward: B1, in the shape of DescribeSourceServers.
    :param instance: B2, in the shape of DescribeRecoveryInstances; None where there is none that lives.
    :param failback: A2; None where there is none.
    :param launched: A3; None where DRS has no record of a real (non-drill) one that lives.
    :param drills: Live instances that drills launched from A2.
    :param leftovers: FAILBACK servers of B1 that do not replicate B2: of earlier cycles.
    """

    state: CycleState
    forward: Item
    instance: Item | None = None
    failback: Item | None = None
    launched: Item | None = None
    drills: Sequence[Item] = field(default_factory=tuple)
    leftovers: Sequence[Item] = field(default_factory=tuple)

    @property
    def is_protected(self) -> bool:
        """Whether B1 replicates the launched instance, and could recover it whole."""
        return self.state in (CycleState.PROTECTED, CycleState.RETIRED)


def is_failback(server: Item) -> bool:
    """Return whether a source server replicates back to the origin; what does not say so replicates forward."""
    return server.get("replicationDirection") == "FAILBACK"


def is_live(instance: Item) -> bool:
    """Return whether a recovery instance exists in EC2, in whatever state; what DRS does not say counts as alive."""
    return instance.get("ec2InstanceState") not in GOING


def instance_replicated_by(server: Item) -> str | None:
    """Return the EC2 id of the instance that a source server's agent runs on; None of a machine on premises."""
    hints = (server.get("sourceProperties") or {}).get("identificationHints") or {}
    return hints.get("awsInstanceID") or None


def reversed_arn(server: Item) -> str | None:
    """Return ``reversedDirectionSourceServerArn``, which may name a server that is gone."""
    return server.get("reversedDirectionSourceServerArn") or None


def home_of(server: Item) -> Place:
    """Return where a source server is, by its ARN."""
    region, account = str(server["arn"]).split(":")[3:5]
    return Place(account, region)


def origin_of(server: Item) -> Place | None:
    """Return where the machine is that a source server replicates; None: not in AWS.

    Of A2 this is the recovery region.
    """
    cloud = server.get("sourceCloudProperties") or {}
    if not cloud.get("originRegion"):
        return None
    return Place(str(cloud.get("originAccountID") or home_of(server).account), str(cloud["originRegion"]))


def replicates(server: Item, instance: Item, launched_from: Item) -> bool:
    """
    Return whether a source server is the one that replicates a recovery instance back.

    :param server: A source server at the place where the instance came from.
    :param instance: The recovery instance.
    :param launched_from: The source server that it was launched from.
    """
    ec2 = instance.get("ec2InstanceID")
    if not ec2 or instance_replicated_by(server) != ec2:
        return False
    # What extends a server of a staging account replicates nothing itself.
    if (server.get("stagingArea") or {}).get("status") == "EXTENDED":
        return False
    if origin_of(launched_from) == home_of(launched_from):
        return bool(server["sourceServerID"] == launched_from["sourceServerID"])
    return is_failback(server) != is_failback(launched_from)


def read_cycles(recovery: DrsQuestions, origin: DrsQuestions | None, servers: Iterable[str | Item]) -> dict[str, Cycle]:
    """
    Return the cycle of each source server, by its id.

    :param recovery: The connection to the recovery region.
    :param origin: The connection to where all the servers came from; None where that is not in AWS. Servers whose
        origin is another zone of the recovery region need none either.
    :param servers: The forward servers: ids, or what DescribeSourceServers says of them. What DRS does not know is
        left out.
    """
    forward = _described(recovery, servers)
    instances = recovery.recovery_instances(server_ids=forward) if forward else []
    at_origin = origin.source_servers() if origin is not None and forward else []
    failbacks = [one for one in at_origin if is_failback(one)]
    launched = (
        origin.recovery_instances(server_ids=[str(one["sourceServerID"]) for one in failbacks])
        if origin is not None and failbacks
        else []
    )
    return {
        identity: cycle_of(
            server, [one for one in instances if one.get("sourceServerID") == identity], failbacks, launched
        )
        for identity, server in forward.items()
    }


def cycles_of(here: DrsQuestions, peer: Callable[[Place], DrsQuestions], servers: Iterable[Item]) -> dict[str, Cycle]:
    """
    Return the cycles that source servers of either direction are in, by the ids of these.

    :param here: The connection to where the servers are.
    :param peer: Returns the connection to where what they replicate came from.
    :param servers: In the shape of DescribeSourceServers. A FAILBACK server whose forward server DRS does not know is
        left out.
    """
    groups: dict[tuple[bool, Place | None], list[Item]] = {}
    for server in servers:
        groups.setdefault((is_failback(server), origin_of(server)), []).append(server)
    found: dict[str, Cycle] = {}
    for (back, place), group in groups.items():
        if not back:
            elsewhere = place is not None and place != home_of(group[0])
            found.update(read_cycles(here, peer(place) if elsewhere and place else None, group))
        elif place is not None:
            recovery = peer(place)
            forward = _forward_ids(recovery, group)
            cycles = read_cycles(recovery, here, sorted(set(forward.values())))
            found.update({one: cycles[forward[one]] for one in forward if forward[one] in cycles})
    return found


def _forward_ids(recovery: DrsQuestions, failbacks: Sequence[Item]) -> dict[str, str]:
    """Return the id of B1 by that of A2: what launched the instance that it replicates, or else by its reversed ARN."""
    by_ec2 = {one.get("ec2InstanceID"): str(one.get("sourceServerID")) for one in recovery.recovery_instances()}
    found = {}
    for failback in failbacks:
        arn = reversed_arn(failback)
        launched_from = by_ec2.get(instance_replicated_by(failback))
        if launched_from or arn:
            found[str(failback["sourceServerID"])] = launched_from or str(arn).rpartition("/")[2]
    return found


def cycle_of(forward: Item, instances: Iterable[Item], failbacks: Iterable[Item], launched: Iterable[Item]) -> Cycle:
    """
    Derive the cycle of one server.

    :param forward: B1.
    :param instances: Its recovery instances.
    :param failbacks: The FAILBACK servers at the origin, those of other servers among them.
    :param launched: The recovery instances of these.
    """
    real = [one for one in instances if is_live(one) and one.get("isDrill") is not True]
    named = [one for one in real if one["recoveryInstanceID"] == forward.get("recoveryInstanceId")]
    instance = next(iter([*named, *real]), None)
    place = origin_of(forward)
    if place is None or place == home_of(forward):
        state = _on_premises(forward, instance) if place is None else _in_place(forward, instance)
        return Cycle(state, forward, instance)
    own = [one for one in failbacks if instance is not None and replicates(one, instance, forward)]
    others = [one for one in failbacks if reversed_arn(one) == forward["arn"] and one not in own]
    if instance is None and len(others) == 1:
        own, others = others, []  # B2 is retired already; A2 goes last.
    failback = own[0] if len(own) == 1 else None
    back = [
        one
        for one in launched
        if failback is not None and one.get("sourceServerID") == failback["sourceServerID"] and is_live(one)
    ]
    a3 = next((one for one in back if one.get("isDrill") is not True), None)
    return Cycle(
        _state(forward, instance, failback, a3),
        forward,
        instance,
        failback,
        a3,
        tuple(one for one in back if one.get("isDrill") is True),
        (*others, *(own if failback is None else ())),
    )


def _state(forward: Item, instance: Item | None, failback: Item | None, launched: Item | None) -> CycleState:
    if launched is not None:
        return _protection(forward, launched)
    if failback is not None and Progress.of(failback).state not in _ENDED:
        return CycleState.REVERSED_READY if Progress.of(failback).whole else CycleState.REVERSED_SYNCING
    if instance is not None:
        return CycleState.RECOVERED
    if failback is not None:
        return CycleState.PROTECTED if Progress.of(forward).whole else CycleState.RE_PROTECTING
    return CycleState.RETIRED


def _protection(forward: Item, launched: Item) -> CycleState:
    """How far the protection of what runs at the origin is; its own replication tells whether it has begun."""
    own = Progress.of(launched)
    if not own.replicates:
        return CycleState.LAUNCHED_BACK
    named = instance_replicated_by(forward) == launched.get("ec2InstanceID")
    # Both sides have to say so: one of them may be an older list.
    whole = named and Progress.of(forward).whole and own.state == "CONTINUOUS"
    return CycleState.PROTECTED if whole else CycleState.RE_PROTECTING


def _in_place(forward: Item, instance: Item | None) -> CycleState:
    """From another zone, what was recovered stays, and B1 protects it."""
    if instance is None:
        return CycleState.RETIRED
    state = _protection(forward, instance)
    return CycleState.RECOVERED if state is CycleState.LAUNCHED_BACK else state


def _on_premises(forward: Item, instance: Item | None) -> CycleState:
    if instance is None:
        return CycleState.RETIRED
    states = {
        "FAILBACK_IN_PROGRESS": CycleState.REVERSED_SYNCING,
        "FAILBACK_ERROR": CycleState.REVERSED_SYNCING,
        "FAILBACK_READY_FOR_LAUNCH": CycleState.REVERSED_READY,
        "FAILBACK_LAUNCH_STATE_NOT_AVAILABLE": CycleState.REVERSED_SYNCING,
        "FAILBACK_COMPLETED": CycleState.LAUNCHED_BACK,
    }
    state = states.get(str((instance.get("failback") or {}).get("state")), CycleState.RECOVERED)
    if state is CycleState.LAUNCHED_BACK and Progress.of(forward).replicates:
        progress = Progress.of(forward)
        if progress.whole:
            return CycleState.PROTECTED
        return CycleState.LAUNCHED_BACK if progress.state == "STALLED" else CycleState.RE_PROTECTING
    return state


def _described(drs: DrsQuestions, servers: Iterable[str | Item]) -> dict[str, Item]:
    given = list(servers)
    found: dict[str, Item] = {str(one["sourceServerID"]): one for one in given if not isinstance(one, str)}
    ids = [one for one in given if isinstance(one, str)]
    if ids:
        found.update({str(one["sourceServerID"]): one for one in drs.source_servers(ids)})
    return found
