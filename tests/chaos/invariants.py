"""What must hold after every run, whatever struck it. Each check returns the violations that it found, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import jsonschema

import drs_provider.evidence.record as record
from tests.chaos.cases import Case
from tests.chaos.log_rules import log_violations
from tests.chaos.oracle import Expected, expect
from tests.chaos.truth import Job, RunTruth, Truth

__all__ = ["RunFacts", "Wait", "violations", "waits"]

_SCHEMA = Path(record.__file__).parent / "report.schema.json"
# The simulator writes epoch seconds, a report microseconds; the second is what counts.
_SECOND = 1.0


@dataclass
class RunFacts:
    """A run that has ended, as everybody tells of it.

    :param state: Airflow's state of the run.
    :param tasks: Airflow's task instances.
    :param report: the folder of its report, None where Airflow knows of none.
    :param windows: when a wave of the run may wait because of a fault.
    :param exact: whether the run has to end as its plan and world imply.
    :param failed_by_person: whether a person marked the run, or a task of it, as failed.
    :param alone: whether no other plan has servers of this one.
    """

    case: Case
    run_id: str
    state: str
    tasks: Mapping[str, Mapping[str, Any]]
    report: Path | None
    windows: Sequence[tuple[float, float]] = ()
    exact: bool = True
    failed_by_person: bool = False
    alone: bool = True


@dataclass(frozen=True)
class Wait:
    """How long a wave that could start waited.

    :param seconds: from the end of the last task that it waits for to the start of its own first task.
    :param excused: the part of it in which a fault or its traces were there.
    """

    run: str
    wave: str
    seconds: float
    excused: float = field(default=0.0)

    @property
    def ours(self) -> float:
        """The part that no fault excuses."""
        return self.seconds - self.excused


def violations(run: RunFacts, truth: Truth) -> list[str]:
    """Return everything that must not be, each line with the run that it is about."""
    seen = truth.run(run.case.name, run.run_id)
    expected = expect(run.case) if run.exact else None
    found = [
        *_launched_once(run, seen),
        *_in_order(run, seen, truth),
        *_no_false_success(run, seen),
        *_nothing_left(run, seen, truth),
        *_scripts_once(run, truth),
        *_by_the_log(run, truth),
        *(_as_implied(run, seen, truth, expected) if expected else ()),
        *_report(run, seen, truth),
    ]
    if strangers := truth.untagged_jobs(server["id"] for server in run.case.servers):
        found.append(f"jobs without the tags of a run: {', '.join(strangers)}")
    return [f"{run.case.name}/{run.run_id}: {one}" for one in found]


def _launched_once(run: RunFacts, seen: RunTruth) -> Iterator[str]:
    """No server is in two launches of a run, unless it failed before, and retries allow it, or was ended since."""
    retries = {wave["name"]: wave["retries"] for wave in run.case.plan["waves"]}
    for server, jobs in seen.launches().items():
        for job, after in pairwise(jobs):
            if job.statuses[server] != "FAILED" and not job.asked_to_end.get(server, inf) < after.started:
                yield f"{server} was launched again after job {job.id}, where it is {job.statuses[server]}"
        # A person who clears a task gives its wave all its tries again.
        if run.exact and len(jobs) > retries[jobs[0].wave] + 1:
            yield f"{server} was launched {len(jobs)} times with {retries[jobs[0].wave]} retries"
        if len({job.wave for job in jobs}) > 1:
            yield f"{server} was launched for several waves: {', '.join(sorted({job.wave for job in jobs}))}"


def _actions(wave: Mapping[str, Any], seen: RunTruth, truth: Truth) -> list[tuple[float, float | None]]:
    """Start and end of everything that was done for a wave, rollback apart."""
    actions: list[tuple[float, float | None]] = [
        (job.started, job.ended) for job in seen.jobs if job.wave == wave["name"]
    ]
    for script in (*wave.get("pre_launch", ()), *wave.get("post_launch", ())):
        document = script.get("automation") or script["run_command"]
        actions += [(start, end) for start, end, _ in truth.scripts(document)]
    return actions


def _in_order(run: RunFacts, seen: RunTruth, truth: Truth) -> Iterator[str]:
    """No wave's first action precedes the last action of a wave that it depends on."""
    if run.case.runs > 1 or run.failed_by_person or not run.alone:
        return  # Scripts cannot be told apart by run, and a person may start what they like again.
    waves = {wave["name"]: wave for wave in run.case.plan["waves"]}
    actions = {name: _actions(wave, seen, truth) for name, wave in waves.items()}
    for name, wave in waves.items():
        first = min((start for start, _ in actions[name]), default=None)
        for needed in wave["depends_on"] if first is not None else ():
            for start, end in actions[needed]:
                if start > first or (end is not None and end > first) or (end is None and run.exact):
                    yield f"{name} began at {first:.3f}, before {needed} was done ({start:.3f} to {end})"


def _no_false_success(run: RunFacts, seen: RunTruth) -> Iterator[str]:
    """A run that failed or was cancelled never shows success: what is needed was launched, by the simulator's word."""
    if run.state != "success":
        return
    for wave in run.case.plan["waves"]:
        up = {
            server
            for job in seen.jobs
            if job.wave == wave["name"]
            for server, status in job.statuses.items()
            if status in ("LAUNCHED", "TERMINATED")
        }
        missing = [one["id"] for one in wave["servers"] if one["critical"] and one["id"] not in up]
        least = wave.get("min_launched")
        if missing if least is None else len(up) < least:
            yield f"shows success, and {wave['name']} is not up: {', '.join(missing)}"


def _nothing_left(run: RunFacts, seen: RunTruth, truth: Truth) -> Iterator[str]:
    """After a drill no instance is left, or terminate has failed and named it."""
    if not run.case.is_drill or run.case.plan["drill"]["terminate"] != "always":
        return
    left = [one for one in sorted(seen.instances()) if truth.states.get(one, "terminated") != "terminated"]
    hanging = [job.id for job in seen.jobs if job.ended is None]
    if not left and not hanging:
        return
    if run.tasks["terminate"]["state"] != "failed":
        yield f"left: {', '.join(left + hanging)}, and terminate is {run.tasks['terminate']['state']}"
        return
    named = {one["instance_id"] for one in (_read(run) or {}).get("termination", {}).get("left", ())}
    if unnamed := [one for one in left if one not in named]:
        yield f"left and not named: {', '.join(unnamed)}"


def _scripts_once(run: RunFacts, truth: Truth) -> Iterator[str]:
    """No script runs twice in a run, unless it failed or was cut short before."""
    for document in run.case.documents if run.exact and run.case.runs == 1 else ():
        executions = truth.scripts(document)
        if any(how == "Success" for _, _, how in executions[:-1]):
            yield f"{document} ran {len(executions)} times: {executions}"


def _by_the_log(run: RunFacts, truth: Truth) -> Iterator[str]:
    """The log alone shows nothing that must not be: launches, waves, terminations, commands and protection."""
    if not run.exact or run.case.runs > 1 or run.failed_by_person or not run.alone:
        return  # The log does not say who asked.
    mode = "drill" if run.case.is_drill else "recovery"
    yield from log_violations(truth.log, run.case.plan, mode=mode, ended=False, alone=False)


def _as_implied(run: RunFacts, seen: RunTruth, truth: Truth, expected: Expected) -> Iterator[str]:
    """The run ends as plan and world imply."""
    wanted = "failed" if expected.hangs and run.case.is_drill else expected.state
    if run.state != wanted:
        failed = [task for task, instance in run.tasks.items() if instance["state"] == "failed"]
        yield f"is {run.state}, and has to be {wanted}; failed tasks: {', '.join(failed)}"
    launches = seen.launches()
    for name, wave in expected.waves.items():
        for server, times in wave.launches.items():
            if len(launches.get(server, ())) != times:
                yield f"{server} of {name} was launched {len(launches.get(server, ()))} times, not {times}"
    for server in set(launches) - {server for wave in expected.waves.values() for server in wave.launches}:
        yield f"{server} was launched, and its wave was not to start"
    if run.case.runs == 1:
        wanted_scripts = {document for wave in expected.waves.values() for document in wave.scripts}
        ran = {document for document in run.case.documents if truth.scripts(document)}
        perhaps = {document for wave in expected.waves.values() for document in wave.perhaps}
        for document in sorted((wanted_scripts ^ ran) - perhaps):
            yield f"{document} {'did not run' if document in wanted_scripts else 'ran, and was not to'}"


# The report


def _read(run: RunFacts) -> dict[str, Any] | None:
    if run.report is None or not (run.report / "report.json").is_file():
        return None
    return dict(json.loads((run.report / "report.json").read_text(encoding="utf-8")))


@cache
def _schema() -> Any:
    return json.loads(_SCHEMA.read_text(encoding="utf-8"))


def _report(run: RunFacts, seen: RunTruth, truth: Truth) -> Iterator[str]:
    """The report exists, is valid, and agrees with the simulator's log to the second."""
    try:
        report = _read(run)
    except ValueError as error:
        yield f"the report is no JSON: {error}"
        return
    if report is None:
        yield "there is no report"
        return
    problems = list(jsonschema.Draft202012Validator(_schema()).iter_errors(report))
    if problems:
        yield f"the report is not valid: {problems[0].message[:200]} at {list(problems[0].path)}"
        return
    if report["run"]["state"] != run.state:
        yield f"the report says {report['run']['state']}, Airflow says {run.state}"
    told = {job["job_id"]: (wave, job) for wave in report["waves"] for job in wave["jobs"]}
    written = _seconds(report["generated"])
    for job in seen.jobs:
        if job.id not in told:
            yield f"the report does not know job {job.id} of {job.wave}"
            continue
        wave, in_report = told.pop(job.id)
        for what, time in (("started", job.started), ("ended", job.ended)):
            said = _seconds(in_report[what]) if in_report[what] else None
            if what == "ended" and said is None and _later(job, written):
                continue
            if (said is None) != (time is None) or (said is not None and abs(said - (time or 0)) > _SECOND):
                yield f"job {job.id} {what} at {time}, says the log; {in_report[what]}, says the report"
        if wave["name"] != job.wave:
            yield f"job {job.id} is one of {job.wave}, and stands under {wave['name']} in the report"
    if told:
        yield f"the report tells of jobs that the run did not start: {', '.join(told)}"
    yield from _servers_in_report(seen, report, written)
    yield from _termination_in_report(run, seen, truth, report)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def _later(job: Job, written: float) -> bool:
    """Whether a job ended after the report was written: where the plan keeps instances, nothing waits for it."""
    return job.ended is not None and job.ended > written


def _servers_in_report(seen: RunTruth, report: Mapping[str, Any], written: float) -> Iterator[str]:
    launches = seen.launches()
    for wave in report["waves"]:
        for server in wave["servers"]:
            jobs = launches.get(server["source_server_id"])
            if not jobs or jobs[-1].ended is None or _later(jobs[-1], written):
                continue
            was = "LAUNCHED" if server["source_server_id"] in jobs[-1].launched else "FAILED"
            said = server["launch_status"]
            if said not in (was, "TERMINATED" if was == "LAUNCHED" else was):
                yield f"{server['source_server_id']} is {was}; {said}, says the report"
            if server["attempts"] != len(jobs):
                yield f"{server['source_server_id']}: {len(jobs)} attempts; {server['attempts']}, says the report"


def _termination_in_report(run: RunFacts, seen: RunTruth, truth: Truth, report: Mapping[str, Any]) -> Iterator[str]:
    if report["termination"]["state"] != "success":
        return
    ended = {one for one in seen.instances() if truth.states.get(one, "terminated") == "terminated"}
    said = set(report["termination"]["terminated"])
    rolled_back = {one for wave in report["waves"] for one in (wave["rollback"] or {}).get("terminated", ())}
    if ended - said - rolled_back:
        yield f"terminated, and not in the report: {', '.join(sorted(ended - said - rolled_back))}"
    if said - ended:
        yield f"terminated, says the report, and not so: {', '.join(sorted(said - ended))}"


# Waiting


def waits(run: RunFacts) -> list[Wait]:
    """How long each wave that could start waited, by Airflow's clock."""
    found = []
    for wave in run.case.plan["waves"]:
        own = _times(run, wave["name"], "start_date")
        before = [_times(run, name, "end_date") for name in wave["depends_on"]] or [_times(run, None, "end_date")]
        done = [_states(run, name) for name in wave["depends_on"]]
        if not own or not all(before) or any(state not in ("success", "skipped") for one in done for state in one):
            continue
        ready, began = max(max(times) for times in before), min(own)
        found.append(
            Wait(f"{run.case.name}/{run.run_id}", wave["name"], began - ready, _overlap(ready, began, run.windows))
        )
    return found


def _of_wave(run: RunFacts, wave: str | None) -> list[Mapping[str, Any]]:
    if wave is None:
        return [run.tasks["preflight"]]
    return [one for task, one in run.tasks.items() if task.startswith(f"{wave}.") and not task.endswith(".rollback")]


def _times(run: RunFacts, wave: str | None, which: str) -> list[float]:
    return [datetime.fromisoformat(one[which]).timestamp() for one in _of_wave(run, wave) if one[which]]


def _states(run: RunFacts, wave: str) -> list[str]:
    return [str(one["state"]) for one in _of_wave(run, wave)]


def _overlap(start: float, end: float, windows: Sequence[tuple[float, float]]) -> float:
    covered, at = 0.0, start
    for begin, finish in sorted(windows):
        begin, finish = max(begin, at), min(finish, end)
        if finish > begin:
            covered += finish - begin
            at = finish
    return covered
