"""A drill that was worked out by hand, and the same drill with things missing or gone wrong."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from drs_provider.aws.ec2.instances import Ec2Instance
from drs_provider.commands.history import history
from drs_provider.commands.report import report
from drs_provider.evidence.collect import RunFacts, collect_record
from drs_provider.evidence.events import EVIDENCE_KEY
from drs_provider.steps.approve.event import ApprovalEvent
from drs_provider.steps.health.event import HealthEvent
from drs_provider.steps.launch.event import LaunchEvent
from drs_provider.steps.preflight.event import PreflightEvent
from drs_provider.steps.script.event import ScriptEvent
from drs_provider.steps.settle.event import SettleEvent
from drs_provider.steps.terminate.event import TerminateEvent
from drs_provider.steps.wait_for_launch.event import WaitEvent

START = datetime(2026, 11, 21, 11, 0, tzinfo=timezone.utc)
RUN_ID = "scheduled__2026-11-21T11:00:00+00:00"

PLAN = """
version: 1
name: three-tier-web
description: Web shop, fails over from us-east-1 to us-west-2
owner: platform-dr
target: {region: us-west-2}
objectives: {rto: 45m, rpo: 5m}
waves:
  - name: database
    description: Primary and standby
    servers: [{id: s-1a2b3c4d5e6f70001}, {id: s-1a2b3c4d5e6f70002}, {id: s-1a2b3c4d5e6f70003, critical: false}]
    settle: 1m
    pre_launch:
      - {name: promote-replica, automation: Shop-PromoteReplica}
    post_launch:
      - {name: start-postgres, run_command: AWS-RunShellScript, parameters: {commands: [systemctl start postgresql]}}
    health_checks: [{type: instance_status}, {type: tcp, port: 5432}]
  - name: cache
    servers: [{id: s-1a2b3c4d5e6f70011}]
  - name: app
    depends_on: [database]
    servers: [{id: s-1a2b3c4d5e6f70021}, {id: s-1a2b3c4d5e6f70022}]
    approval: {message: Is the data right?, approvers: [alice], timeout: 1h}
  - name: web
    depends_on: [app, cache]
    servers: [{id: s-1a2b3c4d5e6f70031}]
    post_launch:
      - {name: switch-dns, automation: Shop-SwitchDns}
"""


def at(seconds: float) -> str:
    """Return the moment so many seconds into the run, as AWS and the events write it."""
    return (START + timedelta(seconds=seconds)).isoformat()


class FakeDrs:
    """Answers like the hook, from what a test put there."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.recovery_snapshots: dict[str, list[dict[str, Any]]] = {}
        self.error: Exception | None = None
        self.asked: list[str] = []

    def _answer(self, question: str) -> None:
        self.asked.append(question)
        if self.error:
            raise self.error

    def add_job(
        self,
        job_id: str,
        wave: str,
        start: float,
        end: float,
        servers: dict[str, list[tuple[str, float, dict[str, Any]]]],
        attempt: int = 1,
    ) -> None:
        """Add a job: for each server the lines of its log, as event, offset and more of its data."""
        self.items[job_id] = {
            "jobID": job_id,
            "type": "LAUNCH",
            "status": "COMPLETED",
            "creationDateTime": at(start - 0.3),
            "endDateTime": at(end),
            "participatingServers": [{"sourceServerID": server, "launchStatus": "LAUNCHED"} for server in servers],
            "tags": {
                "drs-provider:run": f"three-tier-web/{RUN_ID}",
                "drs-provider:wave": wave,
                "drs-provider:launch": f"three-tier-web/{RUN_ID}/{wave}/g0/a{attempt}/c0123456789ab",
            },
        }
        lines = [
            {"logDateTime": at(when), "event": event, "eventData": {"sourceServerID": server, **more}}
            for server, events in servers.items()
            for event, when, more in events
        ]
        self.logs[job_id] = [
            {"logDateTime": at(start), "event": "JOB_START", "eventData": {}},
            *lines,
            {"logDateTime": at(end), "event": "JOB_END", "eventData": {}},
        ]

    def jobs(self, job_ids: Any) -> list[dict[str, Any]]:
        self._answer("jobs")
        return [self.items[job_id] for job_id in job_ids if job_id in self.items]

    def instances(self, instance_ids: Any) -> dict[str, Any]:
        self._answer("instances")
        there = Ec2Instance("running", "m5.large", "subnet-0a1", "us-west-2a", "10.0.3.7")
        return dict.fromkeys(instance_ids, there)

    def jobs_since(self, moment: datetime) -> list[dict[str, Any]]:
        self._answer("jobs_since")
        return list(self.items.values())

    def job_log(self, job_id: str) -> list[dict[str, Any]]:
        self._answer(f"job_log {job_id}")
        return self.logs[job_id]

    def snapshots(self, server_id: str, *, start: Any = None, end: Any = None) -> list[dict[str, Any]]:
        self._answer(f"snapshots {server_id}")
        return self.recovery_snapshots.get(server_id, [])


def launch_lines(
    start: float, snapshot: float, conversion: tuple[float, float], launch: tuple[float, float], instance: str
) -> list[tuple[str, float, dict[str, Any]]]:
    """Return the log lines of a server that was launched."""
    return [
        ("SNAPSHOT_START", start, {}),
        ("SNAPSHOT_END", snapshot, {}),
        ("CONVERSION_START", conversion[0], {}),
        ("CONVERSION_END", conversion[1], {}),
        ("LAUNCH_START", launch[0], {}),
        ("LAUNCH_END", launch[1], {"targetInstanceID": instance}),
    ]


class Drill:
    """The facts of the drill, to change before the record is made of them."""

    def __init__(self, loaded: Any) -> None:
        self.loaded = loaded
        self.drs: FakeDrs | None = FakeDrs()
        self.facts: dict[str, Any] = {
            "dag_id": "three-tier-web",
            "run_id": RUN_ID,
            "state": "running",
            "run_type": "scheduled",
            "triggered_by": None,
            "started": at(0),
            "parameters": {"mode": "drill", "waves": [], "skip_scripts": False},
            "versions": {"airflow-provider-aws-drs": "0.1.0", "apache-airflow": "3.3.2", "botocore": "1.43.117"},
        }
        self.tasks: dict[str, dict[str, Any]] = {}
        self.xcoms: dict[str, dict[str, Any]] = {}

    def task(self, task_id: str, start: float, end: float, event: Any = None, state: str = "success") -> None:
        """Add a task that ran so many seconds into the run, with its event."""
        self.tasks[task_id] = {"state": state, "started": at(start), "ended": at(end)}
        if event is not None:
            self.xcoms[task_id] = {EVIDENCE_KEY: event.written()}

    def fails(self, task_id: str, **more: Any) -> None:
        """Let a task and its event fail."""
        self.tasks[task_id]["state"] = "failed"
        self.xcoms[task_id][EVIDENCE_KEY].update(status="failed", **more)

    def never_started(self, *waves: str) -> None:
        """Let waves not start because one before them failed."""
        for task_id in [task_id for task_id in self.tasks if task_id.partition(".")[0] in waves]:
            self.tasks[task_id] = {"state": "upstream_failed", "started": None, "ended": None}
            self.xcoms.pop(task_id, None)
        if self.drs:
            for job_id in [key for key, job in self.drs.items.items() if job["tags"]["drs-provider:wave"] in waves]:
                del self.drs.items[job_id]

    def record(self) -> Any:
        """Make the record."""
        facts = RunFacts(**self.facts, tasks=self.tasks, xcoms=self.xcoms)
        return collect_record(self.loaded, facts, self.drs, generated=START + timedelta(seconds=1500))

    def launch(
        self, wave: str, start: float, end: float, job: str, servers: dict[str, tuple[str, str | None, float]]
    ) -> None:
        """Add a wave's launch and wait: for each server its hostname, instance (None: it failed) and lag."""
        jobs: Any = [
            {
                "job_id": job,
                "launch_key": f"{wave}/g0/a1/c0",
                "attempt": 1,
                "adopted": False,
                "source_servers": [*servers],
            }
        ]
        asked: Any = {
            server: {
                "hostname": host,
                "critical": server != "s-1a2b3c4d5e6f70003",
                "snapshot_id": None,
                "snapshot_time": None,
                "lag_seconds": lag,
            }
            for server, (host, _, lag) in servers.items()
        }
        times = {"started": at(start), "ended": at(start + 2)}
        self.task(
            f"{wave}.launch",
            start,
            start + 2,
            LaunchEvent(**times, status="success", wave=wave, jobs=jobs, servers=asked),
        )
        self.xcoms[f"{wave}.launch"]["return_value"] = {"region": "us-west-2", "mode": "drill", "jobs": jobs}
        ended: Any = {
            server: {
                "job_id": job,
                "launch_status": "LAUNCHED" if instance else "FAILED",
                "recovery_instance_id": instance,
                "ec2_instance_id": instance,
                "reason": None if instance else "the launch template has no subnet",
                "critical": server != "s-1a2b3c4d5e6f70003",
                "hostname": host,
            }
            for server, (host, instance, _) in servers.items()
        }
        event = WaitEvent(started=at(start + 2.5), ended=at(end), status="success", wave=wave, servers=ended)
        self.task(f"{wave}.wait_for_launch", start + 2.5, end, event)


def _script(wave: str, section: str, name: str, start: float, end: float, **more: Any) -> Any:
    times = {"started": at(start), "ended": at(end)}
    return ScriptEvent(**times, status="Success", wave=wave, section=section, name=name, **more)


@pytest.fixture
def loaded(tmp_path: Any) -> Any:
    """The plan of the drill, as loaded."""
    from drs_provider.plan import load_plan

    path = tmp_path / "three-tier-web.yaml"
    path.write_text(PLAN)
    return load_plan(path)


@pytest.fixture
def drill(loaded: Any) -> Drill:
    """Four waves, all of which came up; one server that is not critical failed to launch.

    The clock: database 16–520, cache 16–300, app 524–1000 (of which 524–604 an approval), web 1003–1400.
    """
    d = Drill(loaded)
    d.task("confirm", 0.5, 1)
    d.task("preflight", 2, 14, PreflightEvent(started=at(2), ended=at(14), status="success", findings=[_FINDING]))
    promote = _script(
        "database",
        "pre_launch",
        "promote-replica",
        16,
        40,
        script_kind="automation",
        document="Shop-PromoteReplica",
        execution_id="0b5e7a1c-6c59-4f8e-9f0a-2d1f4a9f1d3e",
        outputs={"Promote.Replica": ["shop-aurora-2"]},
    )
    d.task("database.pre_launch.promote-replica", 16, 40, promote)
    d.launch(
        "database",
        42,
        402,
        "drsjob-3a0000000000000a1",
        {
            "s-1a2b3c4d5e6f70001": ("db01", "i-0aa0000000000001a", 2.0),
            "s-1a2b3c4d5e6f70002": ("db02", "i-0aa0000000000002a", 41.0),
            "s-1a2b3c4d5e6f70003": ("db-archive", None, 0.0),
        },
    )
    d.task("database.settle", 404, 464, SettleEvent(started=at(404), ended=at(464), status="success", wave="database"))
    instance_check = HealthEvent(
        started=at(465),
        ended=at(480),
        status="success",
        wave="database",
        name="instance_status",
        check="instance status",
    )
    d.task("database.health.instance_status", 465, 480, instance_check)
    postgres = _script(
        "database",
        "post_launch",
        "start-postgres",
        482,
        500,
        script_kind="run_command",
        document="AWS-RunShellScript",
        execution_id="7d1c2f4e-0b9a-4a4e-8d7b-5e1c3a9b7f20",
        instances={
            "i-0aa0000000000001a": {"status": "Success", "exit_code": 0, "output_tail": "postgresql.service: active"},
            "i-0aa0000000000002a": {"status": "Success", "exit_code": 0, "output_tail": "postgresql.service: active"},
        },
    )
    d.task("database.post_launch.start-postgres", 482, 500, postgres)
    tcp_check = HealthEvent(
        started=at(502), ended=at(520), status="success", wave="database", name="tcp", check="tcp 5432"
    )
    d.task("database.health.tcp", 502, 520, tcp_check)
    d.launch(
        "cache", 16, 300, "drsjob-3a0000000000000b1", {"s-1a2b3c4d5e6f70011": ("cache01", "i-0bb0000000000001a", 1)}
    )
    d.task(
        "app.approve",
        524,
        604,
        ApprovalEvent(started=at(524), ended=at(604), where="app", approver="alice", status="approved"),
    )
    d.launch(
        "app",
        606,
        1000,
        "drsjob-3a0000000000000c1",
        {
            "s-1a2b3c4d5e6f70021": ("app01", "i-0cc0000000000001a", 3.0),
            "s-1a2b3c4d5e6f70022": ("app02", "i-0cc0000000000002a", 4.0),
        },
    )
    d.launch(
        "web", 1003, 1380, "drsjob-3a0000000000000d1", {"s-1a2b3c4d5e6f70031": ("web01", "i-0dd0000000000001a", 6)}
    )
    dns = _script("web", "post_launch", "switch-dns", 1383, 1400, script_kind="automation", document="Shop-SwitchDns")
    d.task("web.post_launch.switch-dns", 1383, 1400, dns)
    instances = ["i-0aa0000000000001a", "i-0aa0000000000002a", "i-0bb0000000000001a"]
    instances += ["i-0cc0000000000001a", "i-0cc0000000000002a", "i-0dd0000000000001a"]
    event = TerminateEvent(started=at(1402), ended=at(1480), status="success", terminated=instances)
    d.task("terminate", 1402, 1480, event)
    _add_jobs(d.drs)
    return d


_FINDING = {
    "code": "quotas-not-read",
    "severity": "warning",
    "wave": None,
    "server": None,
    "message": "Service Quotas could not be read: AccessDeniedException.",
    "remedy": "Allow servicequotas:ListServiceQuotas.",
    "overridable": True,
}


def _add_jobs(drs: FakeDrs | None) -> None:
    assert drs is not None
    drs.add_job(
        "drsjob-3a0000000000000a1",
        "database",
        43,
        400,
        {
            "s-1a2b3c4d5e6f70001": launch_lines(43.5, 45, (95, 270), (271, 395), "i-0aa0000000000001a"),
            "s-1a2b3c4d5e6f70002": launch_lines(43.5, 45, (95, 300), (301, 398), "i-0aa0000000000002a"),
            "s-1a2b3c4d5e6f70003": [("SNAPSHOT_START", 43.5, {}), ("SNAPSHOT_END", 45, {}), ("LAUNCH_FAILED", 46, {})],
        },
    )
    drs.items["drsjob-3a0000000000000a1"]["participatingServers"][2]["launchStatus"] = "FAILED"
    drs.add_job(
        "drsjob-3a0000000000000b1",
        "cache",
        17,
        298,
        {"s-1a2b3c4d5e6f70011": launch_lines(17.5, 19, (60, 200), (201, 296), "i-0bb0000000000001a")},
    )
    drs.add_job(
        "drsjob-3a0000000000000c1",
        "app",
        607,
        998,
        {
            "s-1a2b3c4d5e6f70021": launch_lines(607.5, 609, (660, 840), (841, 990), "i-0cc0000000000001a"),
            "s-1a2b3c4d5e6f70022": launch_lines(607.5, 609, (660, 850), (851, 996), "i-0cc0000000000002a"),
        },
    )
    drs.add_job(
        "drsjob-3a0000000000000d1",
        "web",
        1004,
        1378,
        {"s-1a2b3c4d5e6f70031": launch_lines(1004.5, 1006, (1056, 1230), (1231, 1376), "i-0dd0000000000001a")},
    )


@pytest.fixture
def namespace() -> type[SimpleNamespace]:
    """For plans that no file could say."""
    return SimpleNamespace


@pytest.fixture
def run() -> Any:
    """Run a command as the console script does."""
    app = typer.Typer()
    app.command("report")(report)
    app.command("history")(history)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])
