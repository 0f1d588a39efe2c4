"""What must hold when people act on runs of a real Airflow, by the simulator's log and by what people did.

Nothing here asks the package: which launches there were, of which mode and by which run, stands in the log. Who
answered which question, who marked and cleared what, and when, was written down by whoever did it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.chaos.log_rules import _read

__all__ = ["OWN_INSTALLATION", "Closed", "Deed", "Diary", "people_violations"]

OWN_INSTALLATION = "north"
"""The Airflow whose people are written down."""
_INSTALLATION = "drs-provider:installation"
_RUN, _WAVE, _MODE = "drs-provider:run", "drs-provider:wave", "drs-provider:mode"
# Clocks, and the time between an act of a person and Airflow's own note of it.
_SLACK = 2.0


@dataclass(frozen=True)
class Deed:
    """What somebody did to a run, in epoch seconds.

    :param what: ``created``, ``deleted``, ``approved``, ``cleared``, ``ended``, or of a gate ``around``, and ``marked``
        where it had been passed before: its record stands.
    :param tasks: the tasks that it was about; of a clear: every task that it cleared.
    :param who: the user.
    """

    at: float
    what: str
    tasks: frozenset[str] = frozenset()
    who: str = ""


@dataclass(frozen=True)
class Closed:
    """That a run had ended when somebody cleared tasks of it.

    :param at: its end.
    """

    at: float
    state: str


@dataclass
class Diary:
    """Everything that people did to the runs of one DAG and run id, oldest first.

    :param plan: the data of the plan file.
    :param approvers: who may approve.
    :param continue_for: for how long a run that failed may be continued, in seconds.
    :param closed: by deed, how the run had ended before it.
    :param up: when a wave was first seen up, by wave.
    """

    plan: Mapping[str, Any]
    run_id: str
    approvers: frozenset[str]
    continue_for: float
    deeds: list[Deed] = field(default_factory=list)
    closed: dict[Deed, Closed] = field(default_factory=dict)
    up: dict[str, float] = field(default_factory=dict)
    starters: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def tag(self) -> str:
        """The value of the tag of the run's jobs."""
        return f"{self.plan['name']}/{self.run_id}"

    def began(self, at: float) -> tuple[float, str, str]:
        """Return when the run of this id that there was at a moment was created, by whom, and in which mode."""
        return max((one for one in self.starters if one[0] <= at + _SLACK), default=(0.0, "", ""))

    def since(self, began: float, at: float, what: str) -> list[Deed]:
        """Return the deeds of a kind between two moments."""
        return [deed for deed in self.deeds if deed.what == what and began <= deed.at <= at]

    def approvals(self, gate: str, at: float) -> set[str]:
        """Return who, of those who may, approved a gate since the run began, or since the gate was last cleared."""
        began, starter, _ = self.began(at)
        anew = max((deed.at for deed in self.since(began, at, "cleared") if gate in deed.tasks), default=began)
        answers = [deed for deed in self.since(anew, at, "approved") if gate in deed.tasks]
        if not answers and (gate != "confirm" or self.marked(gate, anew, at)):
            # A record outlives a clear until the task begins again, which one that is marked instead never does.
            answers = [deed for deed in self.since(began, at, "approved") if gate in deed.tasks]
        return {deed.who for deed in answers if deed.who in self.approvers and deed.who != starter}

    def marked(self, gate: str, began: float, at: float) -> bool:
        """Return whether a gate that had been passed before was marked as success between two moments."""
        return any(gate in deed.tasks for deed in self.since(began, at, "marked"))


def people_violations(log: Sequence[Mapping[str, Any]], diaries: Sequence[Diary]) -> list[str]:
    """Return what must not be, in words; empty where everything held."""
    by_tag = {diary.tag: diary for diary in diaries}
    found: list[str] = []
    for call in log:
        if call.get("operation") != "StartRecovery" or not _accepted(call):
            continue
        tags = call["params"].get("tags") or {}
        if tags.get(_INSTALLATION, OWN_INSTALLATION) != OWN_INSTALLATION:
            continue  # Another Airflow's, which has people of its own.
        if diary := by_tag.get(tags.get(_RUN, "")):
            found += [f"{diary.tag}: {one}" for one in _launch(diary, call, tags)]
    return [*found, *_instances(log, by_tag)]


def _accepted(call: Mapping[str, Any]) -> bool:
    # A 5xx may be the answer to a request that was accepted.
    return not 400 <= int(call["status"]) < 500


def _launch(diary: Diary, call: Mapping[str, Any], tags: Mapping[str, str]) -> Iterator[str]:
    at, wave = float(call["t"]), tags.get(_WAVE, "")
    began, _, mode = diary.began(at)
    what = f"StartRecovery of {wave} at {at:.1f}"
    if bool(call["params"].get("isDrill")) != (mode == "drill") or tags.get(_MODE) != mode:
        yield f"{what} is of another kind than the run, which is a {mode}"
    if mode == "recovery" and not diary.approvals("confirm", at):
        yield f"{what}: nobody who may has approved the recovery"
    named = next(one for one in diary.plan["waves"] if one["name"] == wave)
    if named.get("approval") and not diary.approvals(f"{wave}.approve", at):
        yield f"{what}: nobody who may has approved the wave"
    around = diary.since(began, at, "around")
    for deed in around:
        cleared = [one for one in diary.since(deed.at, at, "cleared") if deed.tasks & one.tasks]
        own = deed.tasks & {"confirm", "preflight", f"{wave}.approve"}
        if own and not cleared and at > deed.at + _SLACK:
            yield f"{what}, although {', '.join(own)} was marked by hand at {deed.at:.1f}"
    clears = diary.since(began, at, "cleared")
    anew = bool(clears) and "confirm" in clears[-1].tasks and not diary.marked("confirm", clears[-1].at, at)
    if clears and (closed := diary.closed.get(clears[-1])) and not anew:
        if closed.state == "success":
            yield f"{what}, although the run had ended with success at {closed.at:.1f}"
        elif clears[-1].at - closed.at > diary.continue_for + 30:
            yield f"{what}, although the run had failed long before, at {closed.at:.1f}"


def _instances(log: Sequence[Mapping[str, Any]], by_tag: Mapping[str, Diary]) -> Iterator[str]:
    seen = _read(log)
    owner: dict[tuple[str, float], str] = {}
    starts = [call for call in seen.calls if call["operation"] == "StartRecovery" and _accepted(call)]

    def run_of(launch: Any) -> str:
        if (launch.server, launch.began) not in owner:
            before = [
                call
                for call in starts
                if call["t"] <= launch.began
                and any(o["sourceServerID"] == launch.server for o in call["params"]["sourceServers"])
            ]
            tags = (before[-1]["params"].get("tags") or {}) if before else {}
            # Another installation is judged by its own log, as the console is by nobody's.
            ours = tags.get(_INSTALLATION, OWN_INSTALLATION) == OWN_INSTALLATION
            owner[launch.server, launch.began] = tags.get(_RUN, "") if ours else ""
        return owner[launch.server, launch.began]

    for server, launches in seen.launches.items():
        for before, after in pairwise(launches):
            if before.up is None or before.instance is None or seen.dead(before.instance, after.began):
                continue
            if not run_of(after):
                continue  # In the console anybody may.
            if before.drill is False:
                yield f"{server} was launched by {run_of(after)} over the live real {before.instance}"
            elif after.drill and run_of(before) != run_of(after):
                whose = run_of(before) or "the console"
                yield f"{server} was drilled by {run_of(after)} over {before.instance} of {whose}"
    of = seen.by_instance()
    for at, instance in seen.terminations:
        launch = of.get(instance)
        if launch is None or launch.drill is not False:
            continue
        diary = by_tag.get(run_of(launch))
        if diary is None and run_of(launch):
            continue  # The run of another round, which was judged there.
        wave = (
            next((w["name"] for w in diary.plan["waves"] if launch.server in {s["id"] for s in w["servers"]}), "")
            if diary
            else ""
        )
        if diary is None:
            yield f"the real {instance} of {launch.server} was terminated, which no run launched"
        elif diary.up.get(wave, at) < at and not any(
            deed.who in diary.approvers
            for deed in diary.since(diary.up[wave], at, "approved")
            for task in deed.tasks
            if task.endswith(".rollback")
        ):
            yield f"{diary.tag}: the real {instance} of {wave}, which was up, was terminated without an approval"
