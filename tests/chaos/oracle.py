"""What has to come of a case when no fault is worse than Airflow and AWS can bear.

It is worked out from the plan and its world alone, by rules written down a second time, so that a mistake in the
package is not made here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.chaos.cases import Case

__all__ = ["Expected", "ExpectedWave", "expect"]


@dataclass
class ExpectedWave:
    """What becomes of a wave.

    :param ok: whether it succeeds.
    :param launches: how often each of its servers is launched.
    :param up: the servers that end up launched.
    :param scripts: the documents that run, each once.
    :param perhaps: those of a rollback that may fail before them: a job that never ends holds the wave's instances.
    :param hangs: whether a job of it never ends.
    :param begun: whether it has begun at all.
    """

    ok: bool = False
    launches: dict[str, int] = field(default_factory=dict)
    up: set[str] = field(default_factory=set)
    scripts: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)
    hangs: bool = False
    begun: bool = False


@dataclass
class Expected:
    """What becomes of a run."""

    state: str
    waves: dict[str, ExpectedWave]

    @property
    def hangs(self) -> bool:
        """Whether a job of the run never ends, so that a drill cannot be ended either."""
        return any(wave.hangs for wave in self.waves.values())


def expect(case: Case) -> Expected:
    """Work out what a run of the case comes to."""
    worlds = {server["id"]: server for server in case.servers}
    found: dict[str, ExpectedWave] = {}
    waiting = {wave["name"]: wave for wave in case.plan["waves"]}
    while waiting:
        for name, wave in list(waiting.items()):
            if all(needed in found for needed in wave["depends_on"]):
                ready = all(found[needed].ok for needed in wave["depends_on"])
                found[name] = _wave(case, wave, worlds) if ready else ExpectedWave()
                del waiting[name]
    ok = all(wave.ok for wave in found.values())
    unwind_all = case.plan["recovery"]["on_failure"] == "rollback" and not ok
    for wave in case.plan["waves"]:
        came = found[wave["name"]]
        own = wave.get("on_failure") == "rollback" and not came.ok
        # A wave whose first task was an approval that was refused has begun: its rollback scripts run.
        if came.begun and (own or unwind_all):
            undo = {script["automation"] for script in wave.get("rollback", ())}
            (came.perhaps if came.hangs else came.scripts).update(undo)
    return Expected("success" if ok else "failed", found)


def _wave(case: Case, wave: dict[str, Any], worlds: dict[str, Any]) -> ExpectedWave:
    came = ExpectedWave(begun=True)
    if case.answers.get(f"{wave['name']}.approve") == "Reject":
        return came
    if not _scripts(case, wave.get("pre_launch", ()), came):
        return came
    if not _launch(wave, worlds, came):
        return came
    came.ok = _scripts(case, wave.get("post_launch", ()), came)
    return came


def _scripts(case: Case, scripts: Any, came: ExpectedWave) -> bool:
    mode = case.conf.get("mode", "drill")
    for script in scripts:
        if mode not in script.get("modes", ("drill", "recovery")):
            continue
        document = script.get("automation") or script["run_command"]
        came.scripts.add(document)
        if case.documents[document]["outcome"] != "Success" and script["on_failure"] == "stop":
            return False
    return True


def _launch(wave: dict[str, Any], worlds: dict[str, Any], came: ExpectedWave) -> bool:
    critical = {selector["id"]: selector["critical"] for selector in wave["servers"]}
    came.launches = dict.fromkeys(critical, 0)
    for _attempt in range(wave["retries"] + 1):
        for server in critical:
            if server in came.up:
                continue
            came.launches[server] += 1
            outcomes = worlds[server]["outcome"]
            outcomes = [outcomes] if isinstance(outcomes, str) else outcomes
            outcome = outcomes[min(came.launches[server], len(outcomes)) - 1]
            if outcome == "launched":
                came.up.add(server)
            came.hangs |= outcome == "hangs"
        if _enough(wave, critical, came.up):
            return True
        if came.hangs:
            return False
    return False


def _enough(wave: dict[str, Any], critical: dict[str, bool], up: set[str]) -> bool:
    if (least := wave.get("min_launched")) is not None:
        return len(up) >= least
    return all(server in up for server, needed in critical.items() if needed)
