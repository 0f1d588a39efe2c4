"""What must not be in the simulator's log, whoever wrote it: rules over its lines and the plan, and nothing else.

They need no word of an orchestrator, no API and no report, so that any client can be judged by them: a wave that is
launched twice or too early, production that is terminated, scripts on dead instances, protection that is taken away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

__all__ = ["log_violations"]

_FAILURES: Final = ("SNAPSHOT_FAIL", "CONVERSION_FAIL", "LAUNCH_FAILED")
#: Calls that take protection from a source server for good.
_UNPROTECTING: Final = {
    "StopReplication": "deletes every point in time of",
    "DisconnectSourceServer": "takes the protection from",
    "DeleteSourceServer": "takes the protection from",
}


@dataclass
class _Launch:
    """A server in a LAUNCH job; times are epoch seconds."""

    server: str
    job: str
    drill: bool | None
    began: float
    up: float | None = None
    failed: float | None = None
    instance: str | None = None

    def state(self, at: float) -> str:
        if self.up is not None and self.up <= at:
            return "up"
        return "failed" if self.failed is not None and self.failed <= at else "on its way"


@dataclass
class _Read:
    """The log, read once."""

    launches: dict[str, list[_Launch]] = field(default_factory=lambda: defaultdict(list))
    #: When each instance was stopped or terminated (True), or started again (False), by accepted calls.
    deaths: dict[str, list[tuple[float, bool]]] = field(default_factory=lambda: defaultdict(list))
    #: Instances that somebody asked to terminate, whatever the answer.
    terminations: list[tuple[float, str]] = field(default_factory=list)
    #: Executions of a document: start, end, status.
    scripts: dict[str, dict[str, list[Any]]] = field(default_factory=lambda: defaultdict(dict))
    calls: list[Mapping[str, Any]] = field(default_factory=list)

    def by_instance(self) -> dict[str, _Launch]:
        return {one.instance: one for found in self.launches.values() for one in found if one.instance}

    def dead(self, instance: str, at: float) -> bool:
        before = [gone for when, gone in self.deaths.get(instance, ()) if when < at]
        return bool(before) and before[-1]


def log_violations(
    log: Sequence[Mapping[str, Any]],
    plan: Mapping[str, Any],
    *,
    mode: str = "drill",
    ended: bool = True,
    alone: bool = True,
) -> list[str]:
    """Return what a run of the plan did wrong by the log, in words; empty where nothing.

    :param log: the simulator's lines, from the moment at which its scenario was loaded.
    :param plan: the data of the plan file; servers are named by id, waves with ``depends_on``.
    :param mode: ``drill`` or ``recovery``: what the run is.
    :param ended: whether the run is over, so that a drill must have terminated its instances.
    :param alone: whether nobody else acts in this log; otherwise the instances of other servers are not looked at.
    """
    seen = _read(log)
    return [
        *_launched_twice(plan, seen),
        *_too_early(plan, seen, mode),
        *_production(plan, seen, alone),
        *_scripts_on_wrong_instances(plan, seen, mode),
        *_unprotected(plan, seen),
        *(_left(plan, seen) if ended and mode == "drill" else ()),
    ]


def _read(log: Sequence[Mapping[str, Any]]) -> _Read:
    seen = _Read()
    by_job: dict[str, dict[str, _Launch]] = defaultdict(dict)
    # Callbacks that were due before a call are written after it, with their own time.
    for entry in sorted(log, key=lambda entry: float(entry["t"])):
        if "operation" in entry:
            seen.calls.append(entry)
            _read_call(entry, seen)
        elif entry.get("job"):
            _read_job_event(entry, seen, by_job[entry["job"]])
        identity = entry.get("execution") or entry.get("command")
        if "operation" not in entry and identity and not entry.get("step") and not entry.get("instance"):
            script = seen.scripts[entry["document"]].setdefault(identity, [entry["t"], None, "InProgress"])
            if str(entry["event"]).endswith("_END"):
                script[1:] = [entry["t"], str(entry.get("status"))]
    return seen


def _read_call(entry: Mapping[str, Any], seen: _Read) -> None:
    operation, params, accepted = entry["operation"], entry["params"], entry["status"] == 200
    if operation == "TerminateRecoveryInstances":
        found = list(params.get("recoveryInstanceIDs") or ())
    elif operation in ("TerminateInstances", "StopInstances", "StartInstances") and entry.get("service") == "ec2":
        found = [str(value) for name, value in params.items() if str(name).startswith("InstanceId.")]
    else:
        return
    if operation.startswith("Terminate"):
        seen.terminations += [(entry["t"], one) for one in found]
    # A 5xx may be the answer to a request that was accepted.
    for one in found if accepted or int(entry["status"]) >= 500 else ():
        seen.deaths[one].append((entry["t"], operation != "StartInstances"))


def _read_job_event(entry: Mapping[str, Any], seen: _Read, job: dict[str, _Launch]) -> None:
    event, server, at = entry["event"], entry.get("server"), entry["t"]
    if event == "JOB_END":
        for launch in job.values():
            if launch.up is None and launch.failed is None:
                launch.failed = at
    if not server:
        return
    if server not in job and event in ("SNAPSHOT_START", *_FAILURES, "LAUNCH_END"):
        job[server] = _Launch(server, entry["job"], _is_drill(seen, server, at), at)
        seen.launches[server].append(job[server])
    if event in _FAILURES and server in job and event != "SNAPSHOT_FAIL":
        job[server].failed = at
    elif event == "LAUNCH_END" and server in job:
        job[server].up, job[server].instance = at, entry.get("instance")


def _is_drill(seen: _Read, server: str, at: float) -> bool | None:
    """Whether the last StartRecovery that named a server, and that may have been accepted, was a drill's."""
    for call in reversed(seen.calls):
        asked = call["params"].get("sourceServers") or () if call["operation"] == "StartRecovery" else ()
        perhaps = call["t"] <= at and not 400 <= int(call["status"]) < 500
        if perhaps and any(one.get("sourceServerID") == server for one in asked):
            return bool(call["params"].get("isDrill"))
    return None


def _servers(plan: Mapping[str, Any]) -> set[str]:
    return {one["id"] for wave in plan["waves"] for one in wave["servers"]}


def _launched_twice(plan: Mapping[str, Any], seen: _Read) -> Iterator[str]:
    """A launch deletes the instance that the server has: only what failed, or was terminated, is launched again."""
    ended = {instance: at for at, instance in reversed(seen.terminations)}
    for server in sorted(_servers(plan)):
        found = seen.launches.get(server, [])
        for before, after in pairwise(found):
            if before.state(after.began) == "failed" or ended.get(before.instance or "", after.began) < after.began:
                continue
            if before.drill and after.drill is False:
                continue  # A recovery may replace what a drill left.
            yield f"{server} was launched again by {after.job}, and {before.job} had it {before.state(after.began)}"


def _too_early(plan: Mapping[str, Any], seen: _Read, mode: str) -> Iterator[str]:
    """A wave begins when all that it depends on is up, by the run's own launches, and its scripts have succeeded."""
    waves = {wave["name"]: wave for wave in plan["waves"]}
    for wave in plan["waves"]:
        began = _began(wave, seen, mode)
        for name in wave.get("depends_on", ()) if began is not None else ():
            yield from _not_ready(waves[name], wave["name"], began or 0.0, seen, mode)


def _began(wave: Mapping[str, Any], seen: _Read, mode: str) -> float | None:
    """When the first thing was done for a wave by a run of this mode."""
    found = [
        launch.began
        for server in wave["servers"]
        for launch in seen.launches.get(server["id"], ())
        if launch.drill in (None, mode == "drill")
    ]
    for script in wave.get("pre_launch", ()):
        found += [start for start, _, _ in seen.scripts.get(_document(script), {}).values()]
    return min(found, default=None)


def _not_ready(needed: Mapping[str, Any], wave: str, began: float, seen: _Read, mode: str) -> Iterator[str]:
    states = {one["id"]: _state(seen, one["id"], began, mode) for one in needed["servers"]}
    up = sum(state == "up" for state in states.values())
    least = needed.get("min_launched")
    if least is None or up < least:
        for one in needed["servers"]:
            if states[one["id"]] != "up" and (least is not None or one.get("critical", True)):
                yield f"{wave} began, and {one['id']} of {needed['name']} was {states[one['id']]}"
    for script in (*needed.get("pre_launch", ()), *needed.get("post_launch", ())):
        ran = sorted(seen.scripts.get(_document(script), {}).values())
        earlier = [one for one in ran if one[0] < began]
        if earlier and script.get("on_failure", "stop") == "stop":
            _, end, status = earlier[-1]
            if end is None or end > began:
                yield f"{wave} began before {_document(script)} of {needed['name']} had ended"
            elif status != "Success":
                yield f"{wave} began, and {_document(script)} of {needed['name']} ended in {status}"


def _state(seen: _Read, server: str, at: float, mode: str) -> str:
    found = [launch for launch in seen.launches.get(server, ()) if launch.began <= at]
    own = [launch for launch in found if launch.drill in (None, mode == "drill")]
    if own:
        return own[-1].state(at)
    return "launched by a job of the other mode only" if found else "never launched"


def _document(script: Mapping[str, Any]) -> str:
    return str(script.get("automation") or script.get("run_command"))


def _production(plan: Mapping[str, Any], seen: _Read, alone: bool) -> Iterator[str]:
    """Nobody terminates what no drill launched, unless the plan rolls back its own recoveries."""
    launched = seen.by_instance()
    rolls_back = plan.get("recovery", {}).get("on_failure") == "rollback" or any(
        wave.get("on_failure") == "rollback" for wave in plan["waves"]
    )
    for _, instance in seen.terminations:
        launch = launched.get(instance)
        if not alone and (launch is None or launch.server not in _servers(plan)):
            continue
        if launch is None:
            yield f"{instance}, which no job of this log launched, was to be terminated"
        elif launch.drill is False and not (rolls_back and launch.server in _servers(plan)):
            yield f"{instance}, production since {launch.job}, was to be terminated"


def _scripts_on_wrong_instances(plan: Mapping[str, Any], seen: _Read, mode: str) -> Iterator[str]:
    """No command is sent to an instance that is dead by then, or that is a drill's in a recovery or the reverse."""
    launched, own = seen.by_instance(), _servers(plan)
    for call in seen.calls:
        for instance in call["params"].get("InstanceIds") or () if call["operation"] == "SendCommand" else ():
            launch = launched.get(instance)
            if seen.dead(instance, call["t"]):
                yield f"{call['params'].get('DocumentName')} was sent to {instance}, which was dead by then"
            elif launch and launch.server in own and launch.drill not in (None, mode == "drill"):
                yield f"{call['params'].get('DocumentName')} was sent to {instance} of {launch.job}: the other mode"


def _unprotected(plan: Mapping[str, Any], seen: _Read) -> Iterator[str]:
    """A plan's own servers keep their replication, whatever is done to those of a failback."""
    own = _servers(plan)
    for call in seen.calls:
        server = call["params"].get("sourceServerID") if call["operation"] in _UNPROTECTING else None
        if server in own:
            yield f"{call['operation']} {_UNPROTECTING[call['operation']]} {server}"


def _left(plan: Mapping[str, Any], seen: _Read) -> Iterator[str]:
    """After a drill nothing is left of what it launched."""
    if plan.get("drill", {}).get("terminate", "always") != "always":
        return
    asked = {instance for _, instance in seen.terminations}
    for server in sorted(_servers(plan)):
        for launch in seen.launches.get(server, ())[-1:]:
            if launch.drill and launch.instance and launch.instance not in asked:
                yield f"{launch.instance} of {server} was left running"
