"""The judge of what people do to runs: it looks at each acting call of AWS before it is made, and at each report.

What it knows is its own: which gates were passed by themselves and by whose answer, which run launched what, and the
simulator's state, whatever its API says.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import botocore.client
import pytest
from botocore.exceptions import ClientError

from drs_provider.aws.clients import Clients
from drs_provider.aws.drs.run_identity import INSTALLATION_TAG, MODE_TAG, RUN_TAG
from drs_provider.plan import RecoveryPlan
from drs_provider.readiness.orphans import find_drill_instances
from drs_provider.simulator.drs.models import drs_backends
from drs_provider.simulator.runtime import current
from tests.chaos.cases import REGION
from tests.chaos.in_process import MarkedFailed
from tests.chaos.people_plan import APPROVERS

__all__ = ["ACCOUNT", "GLASS", "Custody", "Judge", "backend", "live_instances"]

ACCOUNT = "123456789012"
GLASS = "olga"
"""Who may break the glass."""
CONTINUE_FOR = 86400.0 + 600
GRACE = 3600.0 + 60
_SENDING = {"SendCommand", "StartAutomationExecution"}
_GONE = ("terminated", "shutting-down")


def backend() -> Any:
    """Return the simulated DRS of the story's account and region, as it is now."""
    if simulation := current():
        simulation.clock.run_due()
    return drs_backends[ACCOUNT][REGION]


def live_instances() -> list[Any]:
    """Return every live recovery instance, by EC2's word."""
    return [one for one in backend().instances.values() if one.ec2.state not in _GONE]


@dataclass
class Custody:
    """What is known of one run: whose it is, what was passed and by whom, and what became of it.

    :param plan: its plan.
    :param installation: the Airflow that runs it.
    :param parameters: its parameters.
    :param starter: who started it; None: nobody knows.
    :param due: when the schedule wanted it, in epoch seconds; None: a person started it.
    :param passed: by gate, whether its record is that of a try that passed it by itself.
    :param answered: by gate, who approved in the try that decided last.
    :param glass: the gates where somebody broke the glass who may.
    :param cleared: whether tasks of it were cleared before the gate ``confirm`` last began.
    :param closed: how and when its report closed it, in epoch seconds; None: it is open.
    :param reopening: the gates that have to be passed again until a closing counts no more.
    :param unwound: who approved a rollback, and when.
    :param up: when a wave was last seen up.
    :param taken: servers whose instance somebody else's launch deleted while the run went on.
    """

    plan: RecoveryPlan
    installation: str
    parameters: Mapping[str, Any]
    starter: str | None = "alice"
    due: float | None = None
    run_id: str = "run0"
    passed: dict[str, bool] = field(default_factory=dict)
    answered: dict[str, set[str]] = field(default_factory=dict)
    glass: set[str] = field(default_factory=set)
    cleared: bool = False
    cleared_at_confirm: bool = False
    late: bool = False
    closed: tuple[str, float] | None = None
    reopening: set[str] = field(default_factory=set)
    continued: bool = False
    unwound: list[tuple[float, str]] = field(default_factory=list)
    up: dict[str, float] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    ending: bool = False
    now_running: str = ""

    @property
    def is_drill(self) -> bool:
        """Whether it is a drill."""
        return self.parameters.get("mode") != "recovery"

    @property
    def tags(self) -> dict[str, str]:
        """The tags of its jobs."""
        return {
            RUN_TAG: f"{self.plan.name}/{self.run_id}",
            INSTALLATION_TAG: self.installation,
            MODE_TAG: "drill" if self.is_drill else "recovery",
        }

    def owns(self, job: Any) -> bool:
        """Whether a job of the simulator is one of this run's, or of an installation that it takes over."""
        theirs = {INSTALLATION_TAG: self.parameters.get("take_over") or self.installation}
        has = any(job.tags.items() >= tags.items() for tags in (self.tags, {**self.tags, **theirs}))
        return has and job.is_drill == self.is_drill

    def eligible(self, gate: str) -> set[str]:
        """Return who approved a gate and may."""
        return {name for name in self.answered.get(gate, ()) if name in APPROVERS and name != self.starter}

    def why_not(self, wave: str | None) -> str | None:
        """Say why the run may start nothing now; None where it may."""
        if not self.passed.get("confirm"):
            return "confirm was never passed"
        if not self.passed.get("preflight"):
            return "preflight was never passed"
        if self.late:
            return "the schedule wanted it long ago"
        if not self.is_drill and self.plan.recovery.approval and "confirm" not in self.glass:
            needed = 2 if self.starter is None or self.cleared_at_confirm else 1
            if len(self.eligible("confirm")) < needed:
                return f"{needed} people who may have to approve the recovery, and {self.answered.get('confirm')} did"
        if wave and self.plan.wave(wave).approval and not {"confirm", f"{wave}.approve"} & self.glass:
            needed = 2 if self.starter is None and self.due is None else 1
            if len(self.eligible(f"{wave}.approve")) < needed:
                return f"{needed} people who may have to approve {wave}, and {self.answered.get(f'{wave}.approve')} did"
        if self.closed and (self.closed[0] == "success" or time.time() - self.closed[1] > CONTINUE_FOR):
            return f"the run is closed ({self.closed[0]})"
        return None

    def why_not_unwind(self, wave: str) -> str | None:
        """Say why a wave of a recovery may not be terminated by its rollback; None where it may."""
        if not self.passed.get("confirm"):
            return "confirm was never passed"
        if self.closed and (self.closed[0] == "success" or not self.continued):
            return f"the run is closed ({self.closed[0]})"
        if wave not in self.up:
            return None
        since = [name for at, name in self.unwound if at >= self.up[wave]]
        # Where the plan names no approvers, anybody may approve, whoever started the run too; but somebody has to.
        named = self.plan.recovery.approval is not None
        if not [name for name in since if not named or (name in APPROVERS and name != self.starter)]:
            return f"the wave was up, and nobody who may has approved its rollback ({since})"
        return None


class Judge:
    """Looks at each acting call of AWS, and at each report.

    :param note: takes a violation.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._noted: set[str] = set()
        self.current: Custody | None = None
        self.all: list[Custody] = []
        self.launches: dict[str, int] = {"drill": 0, "recovery": 0, "console": 0}
        self.strike: tuple[str, str] | None = None
        self.struck = 0
        self.refused: tuple[str, float] = ("", 0.0)

    def note(self, what: str) -> None:
        """Take down a violation."""
        if what not in self._noted:
            self._noted.add(what)
            self._note(what)

    @contextmanager
    def acting(self, custody: Custody) -> Iterator[None]:
        """Take what is called meanwhile for a run's doing."""
        before, self.current = self.current, custody
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def watching(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Look at every call of AWS meanwhile."""
        original = botocore.client.BaseClient._make_api_call

        def call(client: Any, operation: str, parameters: Any) -> Any:
            if self.current is not None:
                self._refuse(operation)
                self.before(operation, parameters)
                strike = self.strike if self.strike and self.strike[0] == operation else None
                if strike and strike[1] == "before":
                    self._struck()
            else:
                strike = None
                self._by_hand(operation, parameters)
            answer = original(client, operation, parameters)
            if operation == "StartRecovery":
                mode = "drill" if parameters["isDrill"] else "recovery"
                self.launches[mode if self.current else "console"] += len(parameters["sourceServers"])
            if strike:
                self._struck()
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(botocore.client.BaseClient, "_make_api_call", call)
            yield

    def _struck(self) -> None:
        self.strike = None
        self.struck += 1
        raise MarkedFailed

    def _refuse(self, operation: str) -> None:
        name, until = self.refused
        if time.time() < until and name in ("*", operation):
            error: Any = {"Error": {"Code": "ThrottlingException", "Message": "drawn"}}
            raise ClientError({**error, "ResponseMetadata": {"HTTPStatusCode": 429}}, operation)

    # Calls

    def before(self, operation: str, parameters: Any) -> None:
        """Judge a call of the run that acts now."""
        run = self.current
        assert run is not None
        wave = run.now_running.partition(".")[0] if "." in run.now_running else None
        if operation == "StartRecovery":
            self._launch(run, wave, parameters)
        elif operation in _SENDING:
            closed = run.closed and not run.continued and not run.is_drill
            if why := run.why_not(wave) or (f"the run is closed ({run.closed})" if closed else None):
                self.note(f"{operation} by {run.now_running}, although {why}")
        elif operation in ("TerminateRecoveryInstances", "TerminateInstances", "StopInstances"):
            self._end(run, wave, operation, parameters)
        elif operation == "DeleteRecoveryInstance":
            self.note(f"{run.now_running} deletes the record of {parameters}")

    def _launch(self, run: Custody, wave: str | None, parameters: Any) -> None:
        if why := run.why_not(wave):
            self.note(f"StartRecovery of {wave} by {run.now_running}, although {why}")
        if parameters["isDrill"] != run.is_drill:
            self.note(f"a {run.tags[MODE_TAG]} started the other kind of launch")
        tags = parameters.get("tags") or {}
        if not tags.items() >= run.tags.items():
            self.note(f"a launch without the tags of its run: {tags}")
        servers = {one["sourceServerID"] for one in parameters["sourceServers"]}
        named = set(run.parameters.get("replace_instances") or ())
        for one in live_instances():
            if one.server.id not in servers or one.id in named:
                continue
            job = backend().jobs.get(one.job_id)
            own = job is not None and run.owns(job)
            if not one.is_drill and job is not None:
                self.note(f"{one.server.id} was launched over a live real instance")
            elif one.is_drill and run.is_drill and not own:
                self.note(f"{one.server.id} was launched over the live instance of another drill")
        self._take(servers, run)

    def _end(self, run: Custody, wave: str | None, operation: str, parameters: Any) -> None:
        ids = set(parameters.get("recoveryInstanceIDs") or parameters.get("InstanceIds") or ())
        for one in live_instances():
            if one.id not in ids:
                continue
            job = backend().jobs.get(one.job_id)
            if not one.is_drill:
                why = (
                    run.why_not_unwind(wave) if wave and run.now_running.endswith(".rollback") else "it is no rollback"
                )
                if why is None and (job is None or not run.owns(job)):
                    why = "it is not the run's own"
                if why:
                    self.note(f"{operation} of the real {one.id} of {one.server.id} by {run.now_running}: {why}")
            elif job is None or not run.owns(job):
                self.note(f"{operation} of {one.id} of {one.server.id}, a drill of another run, by {run.now_running}")

    def _by_hand(self, operation: str, parameters: Any) -> None:
        if operation == "StartRecovery":
            self._take({one["sourceServerID"] for one in parameters["sourceServers"]}, None)

    def _take(self, servers: set[str], by: Custody | None) -> None:
        """Remember whose instances a launch deletes."""
        for one in live_instances():
            job = backend().jobs.get(one.job_id)
            for other in self.all:
                if job and other is not by and other.owns(job) and one.server.id in servers and not other.ending:
                    other.taken.add(one.server.id)

    # Reports

    def report(self, run: Custody, folder: str | None, state: str, states: Mapping[str, str | None]) -> None:
        """Judge a report of a run, and what is left of the run."""
        path = Path(str(folder).removeprefix("file://")) / "report.json" if folder else None
        if path is None or not path.exists():
            self.note(f"the run is {state} and has no report")
            return
        record = json.loads(path.read_text())
        self.claims(run, record, state)
        gates = ["confirm", "preflight", *(f"{wave.name}.approve" for wave in run.plan.waves if wave.approval)]
        around = {gate for gate in gates if states.get(gate) == "success" and not run.passed.get(gate)}
        if around and (state == "success" or record.get("recovered")):
            self.note(f"the run is {state}, recovered {record.get('recovered')}, around {sorted(around)}")
        told = {gate["gate"] for gate in record.get("gates", ()) if gate["state"] == "marked by hand"}
        if untold := around - told:
            self.note(f"the report does not say that {', '.join(sorted(untold))} was marked by hand")
        if run.is_drill:
            self._left(run, record, states.get("terminate"))

    def claims(self, run: Custody, record: Mapping[str, Any], state: str) -> None:
        """Note where a report claims more than its run's own jobs did."""
        jobs = backend().jobs
        for wave in record["waves"]:
            for told in wave["jobs"]:
                job = jobs.get(told["job_id"])
                if job is None or not run.owns(job):
                    self.note(f"the report claims job {told['job_id']} of {wave['name']}, which is not its run's own")
        own = {one.id for one in backend().instances.values() if (job := jobs.get(one.job_id)) and run.owns(job)}
        ended = {*record["termination"]["terminated"], *record["termination"]["stopped"]}
        ended |= {one for wave in record["waves"] for one in (wave["rollback"] or {}).get("terminated", ())}
        if strange := ended - own - self._forgotten(run):
            self.note(f"the report claims to have terminated {', '.join(sorted(strange))}, which is not its run's own")
        if not record.get("recovered"):
            return
        launched = {one.source_server_id: one.launch_status for job in self._own_jobs(run) for one in job.participants}
        for wave in record["waves"]:
            for server in wave["servers"]:
                if server.get("critical") and launched.get(server["source_server_id"]) in (None, "FAILED"):
                    self.note(f"the report claims a recovery, and {server['source_server_id']} was not launched by it")
        if state == "success" and run.taken:
            self.note(f"the run is a success, and {', '.join(sorted(run.taken))} was taken from it before its end")

    def _own_jobs(self, run: Custody) -> list[Any]:
        jobs = [job for job in backend().jobs.values() if run.owns(job)]
        return sorted(jobs, key=lambda job: job.created_at)

    def _forgotten(self, run: Custody) -> set[str]:
        """Return the instances of a run's jobs that DRS does not know any more, by the jobs' logs."""
        return {
            str(item["eventData"]["targetInstanceID"])
            for job in self._own_jobs(run)
            for item in job.log
            if (item.get("eventData") or {}).get("targetInstanceID")
        }

    def _left(self, run: Custody, record: Mapping[str, Any], terminate: str | None) -> None:
        if record["termination"]["state"] == "kept" or terminate not in ("success", "failed"):
            return
        named = {one["instance_id"] for one in record["termination"]["left"]}
        for one in live_instances():
            job = backend().jobs.get(one.job_id)
            if not one.is_drill or job is None or not run.owns(job):
                continue
            if terminate == "success" and record["termination"]["state"] == "success":
                self.note(f"the drill ended cleanly, and left {one.id} of {one.server.id}")
            elif not {one.id, one.server.id} & named and record["termination"]["state"] == "failed":
                self.note(f"the drill left {one.id} of {one.server.id}, and its report does not name it")

    def nothing_unnamed(self) -> None:
        """Note every live drill instance of the runs that ``drs-plan orphans`` does not list as an orphan.

        By now every run has ended, or was deleted.
        """
        for installation in sorted({run.installation for run in self.all}):
            clients = Clients(lambda service: boto3.client(service, REGION))  # type: ignore[call-overload]
            now = datetime.fromtimestamp(time.time(), timezone.utc) + timedelta(days=2)
            found = find_drill_instances(
                clients, now=now, older_than=timedelta(hours=1), is_alive=lambda run: False, installation=installation
            )
            named = {one.recovery_instance_id for one in found if one.verdict == "orphan"}
            for one in live_instances():
                job = backend().jobs.get(one.job_id)
                ours = job is not None and job.tags.get(INSTALLATION_TAG) == installation
                if one.is_drill and ours and one.id not in named and job.status == "COMPLETED":
                    self.note(f"{one.id} of {one.server.id} is left, and drs-plan orphans does not name it")
