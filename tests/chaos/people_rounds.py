"""A round of people and time on a real Airflow: small plans, whose runs people start, approve, mark, clear and delete.

Everything is done by users of Airflow through its REST API, and in AWS's console by boto3. Days pass as seconds: a run
that failed may be continued for :data:`CONTINUE_FOR`.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import httpx

from drs_provider.rehearsal.airflow_api import FINISHED_STATES
from tests.chaos.cases import REGION
from tests.chaos.people_log import Closed, Deed, Diary, people_violations
from tests.chaos.rounds import RoundResult
from tests.chaos.site import CONTINUE_FOR, Site
from tests.chaos.truth import Truth

__all__ = ["APPROVERS", "PeopleRound"]

APPROVERS = ("carol", "dave", "erin")
_STARTERS = ("alice", "alice", "carol")
_TICK = 1.0
_DONE = ("success", "failed", "skipped", "upstream_failed", "removed")


class _Story:
    """One plan and the people around it; a second plan shares a server with it."""

    def __init__(self, round_: PeopleRound, name: str, number: int) -> None:
        self.round = round_
        self.site = round_.site
        self.rng = random.Random(f"{round_.seed}/{name}")
        self.name = name
        self.servers: list[dict[str, Any]] = []
        self.documents: dict[str, Any] = {}
        self.plan = self._plan(name, number, self.rng.randint(1, 2))
        self.second = self._plan(f"{name}-too", number + 8, 1)
        shared = self.rng.choice(self.plan["waves"])["servers"][0]["id"]
        self.second["waves"][0]["servers"].append({"id": shared})
        self.diaries = {plan["name"]: self._diary(plan) for plan in (self.plan, self.second)}
        self.acts: list[str] = []
        self.asked: dict[tuple[str, str], float] = {}
        self.runs: set[str] = set()
        self.steps = self._steps()
        self.until: tuple[Callable[[], bool], float] = (lambda: True, 0.0)
        self.over = False

    def _diary(self, plan: dict[str, Any]) -> Diary:
        return Diary(plan, "run0", frozenset(APPROVERS), CONTINUE_FOR)

    def _plan(self, name: str, number: int, count: int) -> dict[str, Any]:
        rng, waves = self.rng, []
        for place in range(count):
            wave = f"w{place}"
            identity = f"s-{number:08x}{place:09x}"
            outcome = "launched" if rng.random() < 0.85 else "failed"
            durations = {"conversion": rng.choice((30, 240)), "launch": rng.choice((60, 240))}
            self.servers.append(
                {"id": identity, "hostname": f"{name}-{wave}", "outcome": outcome, "durations": durations}
            )
            drawn: dict[str, Any] = {"name": wave, "depends_on": [f"w{place - 1}"] if place else []}
            drawn |= {"servers": [{"id": identity, "critical": True}], "retries": 0, "launch_timeout": "5m"}
            if rng.random() < 0.3:
                drawn["approval"] = {"approvers": list(APPROVERS)}
            if rng.random() < 0.4:
                document = f"{name}-{wave}-script"
                self.documents[document] = {
                    "kind": "Automation",
                    "duration": 30,
                    "outcome": "Success" if rng.random() < 0.7 else "Failed",
                }
                drawn["post_launch"] = [{"name": "script", "automation": document}]
                if rng.random() < 0.7:
                    drawn["on_failure"] = "rollback"
            waves.append(drawn)
        drill: dict[str, Any] = {"terminate": "always"}
        if rng.random() < 0.5:
            drill["keep_for"] = "20s"
        return {
            "version": 1,
            "name": name,
            "target": {"region": REGION},
            "recovery": {"approval": {"approvers": list(APPROVERS)}},
            "drill": drill,
            "waves": waves,
        }

    # What happens, step by step

    def step(self) -> None:
        """Go on, when what is waited for has happened."""
        for name in sorted(self.runs):
            self._look(name)
        condition, deadline = self.until
        if self.over or (not condition() and time.time() < deadline):
            return
        try:
            self.until = next(self.steps)
        except StopIteration:
            self.over = True

    def _steps(self) -> Iterator[tuple[Callable[[], bool], float]]:
        rng = self.rng
        self.start(self.name, real=rng.random() < 0.6)
        both = rng.random() < 0.4
        for _ in range(rng.randint(1, 2)):
            yield self._pause(rng.uniform(3, 25))
            self.act(_MIDDLE)
        if both:
            self.act({"a second plan with the same servers runs": _second_plan})
        yield self._ended(self.name)
        for _ in range(rng.randint(1, 2)):
            self.act(_AFTERWARDS)
            if rng.random() < 0.3:
                yield self._pause(rng.uniform(2, 15))
                self.act(_MIDDLE)
            yield self._ended(self.name)
        if self.second["name"] in self.runs:
            yield self._ended(self.second["name"])
        for name in sorted(self.runs):
            if not self.has_ended(name):
                self.act({"marks the run as failed, since it goes on for too long": partial(_fail, name=name)})
                yield self._ended(name)

    def _pause(self, seconds: float) -> tuple[Callable[[], bool], float]:
        return lambda: False, time.time() + seconds

    def _ended(self, name: str) -> tuple[Callable[[], bool], float]:
        return lambda: self.has_ended(name), time.time() + self.round.longest

    def has_ended(self, name: str) -> bool:
        """Whether the present run of a plan has ended."""
        try:
            return self.site.api.run(name, "run0")["state"] in FINISHED_STATES
        except httpx.HTTPStatusError:
            return True  # Deleted.

    def act(self, acts: dict[str, Callable[[_Story], None]]) -> None:
        """Let somebody act."""
        name = self.rng.choice(sorted(acts))
        self.acts.append(f"{time.time() % 10000:.0f} {name}")
        try:
            acts[name](self)
            self.round.struck[name] += 1
        except httpx.HTTPError as error:
            self.acts.append(f"  refused: {str(error)[:160]}")

    def start(self, name: str, *, real: bool, **more: Any) -> None:
        """Start a run."""
        user = self.rng.choice(_STARTERS)
        conf = {"mode": "recovery", "confirm": name, **more} if real else {}
        diary, at = self.diaries[name], time.time()
        self.site.as_user(user).trigger(name, conf, "run0")
        diary.starters.append((at, user, "recovery" if real else "drill"))
        diary.deeds.append(Deed(at, "created", who=user))
        self.runs.add(name)
        self.acts.append(f"  {user} starts {name}: {conf or 'drill'}")

    def _look(self, name: str) -> None:
        """Answer the questions that have been read, and note which waves are up."""
        diary = self.diaries[name]
        states = self.states(name)
        for wave in diary.plan["waves"]:
            own = [s for t, s in states.items() if t.startswith(wave["name"] + ".") and not t.endswith(".rollback")]
            if own and all(state == "success" for state in own):
                diary.up.setdefault(wave["name"], time.time())
        now = time.time()
        for task in self.site.api.pending_approvals(name, "run0"):
            asked = self.asked.setdefault((name, task), now + self.rng.uniform(3, 8))
            if now < asked:
                continue
            del self.asked[name, task]
            who = self.rng.choice((*APPROVERS * 2, "mallory", "alice"))
            choice = "Approve" if self.rng.random() < 0.92 else "Reject"
            try:
                self.site.as_user(who).answer_approval(name, "run0", task, choice)
            except httpx.HTTPStatusError as error:
                self.round.struck[f"an answer that Airflow turns away ({error.response.status_code})"] += 1
                continue
            self.acts.append(f"{now % 10000:.0f} {who}: {choice} {name} {task}")
            self.round.struck[f"somebody answers: {choice}"] += 1
            if choice == "Approve":
                diary.deeds.append(Deed(now, "approved", frozenset({task}), who))

    def states(self, name: str) -> dict[str, str | None]:
        """Return Airflow's states of a run's tasks."""
        try:
            return {task: one["state"] for task, one in self.site.api.task_instances(name, "run0").items()}
        except httpx.HTTPStatusError:
            return {}

    def mark(self, task: str, state: str) -> None:
        """Mark a task, and note it where that went around a gate."""
        name = self.name
        path = f"/dags/{name}/dagRuns/run0/taskInstances/{task}"
        self.site.as_user("mallory").call("PATCH", path, json={"new_state": state})
        self.acts.append(f"  mallory marks {task} as {state}")
        gate = task in ("confirm", "preflight") or task.endswith(".approve")
        key = "evidence" if task == "preflight" else "custody"
        if gate and state == "success":
            passed = self.site.api.xcom(name, "run0", task, key) is not None
            self.diaries[name].deeds.append(
                Deed(time.time(), "marked" if passed else "around", frozenset({task}), "mallory")
            )

    def clear(self, task: str, *, downstream: bool = True) -> None:
        """Clear a task, and note what was cleared."""
        name, diary = self.name, self.diaries[self.name]
        run = self.site.api.run(name, "run0")
        body = {"dag_run_id": "run0", "task_ids": [task], "include_downstream": downstream, "only_failed": False}
        body |= {"dry_run": False, "reset_dag_runs": True}
        at = time.time()
        answer = self.site.as_user("mallory").call("POST", f"/dags/{name}/clearTaskInstances", json=body)
        deed = Deed(at, "cleared", frozenset(one["task_id"] for one in answer["task_instances"]), "mallory")
        diary.deeds.append(deed)
        for one in deed.tasks:
            self.asked.pop((name, one), None)
        if run["state"] in FINISHED_STATES and run.get("end_date"):
            ended = datetime.fromisoformat(run["end_date"].replace("Z", "+00:00")).timestamp()
            diary.closed[deed] = Closed(ended, run["state"])
        self.acts.append(f"  mallory clears {task} {'and what follows' if downstream else 'alone'}, {run['state']}")

    def delete(self) -> None:
        """Delete the run."""
        self.site.as_user("mallory").call("DELETE", f"/dags/{self.name}/dagRuns/run0")
        self.diaries[self.name].deeds.append(Deed(time.time(), "deleted", who="mallory"))


# Acts


def _gates(story: _Story) -> list[str]:
    return [task for task in sorted(story.states(story.name)) if task == "confirm" or task.endswith(".approve")]


def _mark_gates(story: _Story) -> None:
    for task in _gates(story):
        story.mark(task, "success")


def _mark(state: str) -> Callable[[_Story], None]:
    def act(story: _Story) -> None:
        states = story.states(story.name)
        busy = [task for task, how in sorted(states.items()) if how in ("running", "deferred", "queued")]
        tasks = [task for task in sorted(states) if task not in ("report", "terminate")]
        story.mark(story.rng.choice(busy if busy and story.rng.random() < 0.7 else tasks), state)

    return act


def _fail(story: _Story, name: str = "") -> None:
    path = f"/dags/{name or story.name}/dagRuns/run0"
    story.site.as_user("mallory").call("PATCH", path, json={"state": "failed"})


def _clear(story: _Story) -> None:
    begun = [task for task, how in sorted(story.states(story.name).items()) if how is not None]
    story.clear(story.rng.choice(begun), downstream=story.rng.random() < 0.7)


def _clear_all(story: _Story) -> None:
    story.clear("confirm")


def _clear_and_mark(story: _Story) -> None:
    _clear_all(story)
    _mark_gates(story)


def _clear_late(story: _Story) -> None:
    time.sleep(CONTINUE_FOR + 32)
    waves = [task for task in sorted(story.states(story.name)) if "." in task]
    story.clear(story.rng.choice(waves))


def _delete_and_start(story: _Story) -> None:
    # Airflow refuses to delete a run that goes on.
    story.delete()
    story.start(story.name, real=story.rng.random() < 0.5)


def _pause(story: _Story) -> None:
    admin = story.site.api
    admin.call("PATCH", f"/dags/{story.name}", json={"is_paused": True})
    time.sleep(8)  # Minutes of AWS.
    admin.call("PATCH", f"/dags/{story.name}", json={"is_paused": False})


def _second_plan(story: _Story) -> None:
    if story.second["name"] not in story.runs:
        story.start(story.second["name"], real=story.rng.random() < 0.3)


def _aws(story: _Story, body: dict[str, Any]) -> None:
    story.site.simulator.control("POST", "/faults", body)
    story.acts.append(f"  {body}")


def _throttle(story: _Story) -> None:
    operation = story.rng.choice(("*", "StartRecovery", "DescribeJobs", "TerminateRecoveryInstances"))
    body = {"operation": operation, "service": "drs", "error": "ThrottlingException"}
    _aws(story, body)
    story.round.heal_at = time.time() + story.rng.choice((10, 30, 60))


def _lag(story: _Story) -> None:
    operation = story.rng.choice(("DescribeJobs", "DescribeRecoveryInstances"))
    _aws(story, {"operation": operation, "service": "drs", "stale": 900})
    story.round.heal_at = time.time() + 30


def _console(story: _Story) -> None:
    server = story.rng.choice(story.servers)["id"]
    try:
        story.round.drs.start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=False)
        story.acts.append(f"  {server}")
    except Exception as error:  # A server in a job: as in the console.
        story.acts.append(f"  refused: {str(error)[:120]}")


def _other_installation(story: _Story) -> None:
    """Let another Airflow drill a server under the same DAG and run id."""
    server, wave = story.plan["waves"][0]["servers"][0]["id"], story.plan["waves"][0]["name"]
    tags = {
        "drs-provider:run": f"{story.name}/run0",
        "drs-provider:installation": "south",
        "drs-provider:mode": "drill",
        "drs-provider:wave": wave,
        "drs-provider:launch": f"{story.name}/run0/{wave}/g0/a1/c0123456789ab",
    }
    try:
        story.round.drs.start_recovery(sourceServers=[{"sourceServerID": server}], isDrill=True, tags=tags)
        story.round.foreign.add(server)
    except Exception as error:
        story.acts.append(f"  refused: {str(error)[:120]}")


_MIDDLE: dict[str, Callable[[_Story], None]] = {
    "marks every gate as success": _mark_gates,
    "marks a task as success": _mark("success"),
    "marks a task as failed": _mark("failed"),
    "marks the run as failed": _fail,
    "clears a task": _clear,
    "pauses the plan, and unpauses it": _pause,
    "recovers a server in the console": _console,
    "another Airflow drills the same run id": _other_installation,
    "AWS throttles for minutes": _throttle,
    "lists lag": _lag,
}
_AFTERWARDS: dict[str, Callable[[_Story], None]] = {
    "clears a task of a run that is over": _clear,
    "clears a task days later": _clear_late,
    "clears the whole run": _clear_all,
    "clears the whole run and marks its gates": _clear_and_mark,
    "deletes the run, and starts one of the same id": _delete_and_start,
    "recovers a server in the console": _console,
}


class PeopleRound:
    """A round.

    :param site: where it takes place.
    :param seed: the campaign's seed.
    :param number: the round's number; seed and number decide what is drawn.
    :param stories: how many plans, each with people around it, side by side.
    :param longest: seconds after which people give a run up.
    """

    def __init__(self, site: Site, seed: int, number: int, *, stories: int = 2, longest: float = 150.0) -> None:
        self.site = site
        self.seed = seed
        self.prefix = f"p{seed}-{number}"
        self.longest = longest
        self.struck: Counter[str] = Counter()
        self.heal_at = 0.0
        self.foreign: set[str] = set()
        self.drs = boto3.Session("testing", "testing", region_name=REGION).client(
            "drs", endpoint_url=site.simulator.endpoint_url
        )
        self.stories = [_Story(self, f"{self.prefix}-{place}", number * 64 + place * 16) for place in range(stories)]

    def run(self) -> RoundResult:
        """Run it to its end, and judge it."""
        began = time.monotonic()
        result = RoundResult()
        plans = [plan for one in self.stories for plan in (one.plan, one.second)]
        servers = [server for one in self.stories for server in one.servers]
        documents = {name: spec for one in self.stories for name, spec in one.documents.items()}
        self.site.simulator.control("POST", "/scenario", {"region": REGION, "servers": servers, "documents": documents})
        try:
            for plan in plans:
                self.site.write_plan(plan["name"], plan)
            self._wait_for_dags([plan["name"] for plan in plans])
            deadline = time.monotonic() + 12 * self.longest
            while not all(one.over for one in self.stories) and time.monotonic() < deadline:
                if self.heal_at and time.time() > self.heal_at:
                    self._heal()
                for one in self.stories:
                    one.step()
                time.sleep(_TICK)
            self._heal()
            self._judge(result)
        finally:
            for plan in plans:
                (self.site.plans_folder / f"{plan['name']}.yaml").unlink(missing_ok=True)
        result.faults += Counter({f"people: {kind}": count for kind, count in self.struck.items()})
        result.seconds = time.monotonic() - began
        return result

    def _heal(self) -> None:
        self.heal_at = 0.0
        self.site.simulator.control("DELETE", "/faults")

    def _wait_for_dags(self, names: list[str]) -> None:
        deadline = time.monotonic() + 180
        while not all(self.site.api.has_dag(name) for name in names):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the plans of {self.prefix} do not become DAGs: {self.site.api.import_errors()}")
            time.sleep(0.5)

    def _judge(self, result: RoundResult) -> None:
        truth = Truth.of(self.site.simulator)
        diaries = [diary for one in self.stories for diary in one.diaries.values()]
        result.violations += people_violations(truth.log, diaries)
        for one in self.stories:
            for name in sorted(one.runs):
                diary = one.diaries[name]
                if not one.has_ended(name):
                    result.violations.append(f"{diary.tag} does not end: {one.states(name)}")
                    continue
                result.violations += [f"{diary.tag}: {line}" for line in self._of_run(one, name, truth, result)]
                result.launches += sum(len(jobs) for jobs in truth.run(name, "run0").launches().values())

    def _of_run(self, story: _Story, name: str, truth: Truth, result: RoundResult) -> Iterator[str]:
        diary = story.diaries[name]
        try:
            state = self.site.api.run(name, "run0")["state"]
        except httpx.HTTPStatusError:
            result.runs["deleted"] += 1
            return
        result.runs[state] += 1
        states = story.states(name)
        began, _, mode = diary.began(time.time())
        folder = self.site.api.xcom(name, "run0", "report", "report_folder")
        path = Path(str(folder).removeprefix("file://").removeprefix("file:")) / "report.json" if folder else None
        if path is None or not path.is_file():
            yield f"the run is {state} and has no report"
            return
        report = json.loads(path.read_text())
        own = [
            job for job in truth.run(name, "run0").jobs
            if truth.tags(job.id).get("drs-provider:mode") == mode
            and truth.tags(job.id).get("drs-provider:installation") != "south"
        ]  # fmt: skip
        ids = {job.id for job in own}
        for wave in report["waves"]:
            for job in wave["jobs"]:
                if job["job_id"] not in ids:
                    yield f"the report claims job {job['job_id']}, which is not its run's own"
        if report.get("recovered"):
            launched = {server for job in own for server in job.launched}
            critical = {server["id"] for wave in diary.plan["waves"] for server in wave["servers"]}
            if (
                missing := critical
                - launched
                - {server["id"] for server in story.servers if server["outcome"] == "failed"}
            ):
                yield f"the report claims a recovery, and {', '.join(sorted(missing))} was not launched by its run"
        around = {task for deed in diary.since(began, time.time(), "around") for task in deed.tasks}
        cleared = {task for deed in diary.since(began, time.time(), "cleared") for task in deed.tasks}
        if (around - cleared) and (state == "success" or report.get("recovered")):
            yield f"the run is {state}, recovered {report.get('recovered')}, around {sorted(around)}"
        terminate = states.get("terminate")
        if mode != "drill" or terminate not in ("success", "failed"):
            return
        named = {one["instance_id"] for one in report["termination"]["left"]}
        for job in own:
            for server, instance in job.launched.items():
                if truth.states.get(instance, "terminated") in ("terminated", "shutting-down"):
                    continue
                if report["termination"]["state"] == "success":
                    yield f"the drill ended cleanly, and left {instance} of {server}"
                elif not {instance, server} & named:
                    yield f"the drill left {instance} of {server}, and its report does not name it"

    def story(self) -> list[str]:
        """What people did, for people."""
        return [line for one in self.stories for line in (f"{one.name}:", *(f"  {act}" for act in one.acts))]
