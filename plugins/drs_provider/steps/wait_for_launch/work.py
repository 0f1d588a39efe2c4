"""The wait for a wave's DRS jobs, and the second chance of the servers that failed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from datetime import datetime, timedelta, timezone
from threading import Thread
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from drs_provider.aws.drs.job_wait import LaunchFailed
from drs_provider.aws.drs.launch import (
    NO_SLOT_PATIENCE,
    LaunchedJob,
    LaunchError,
    LaunchPatience,
    NoFreeSlot,
    launch_once,
)
from drs_provider.aws.drs.launch_key import LaunchKey, attempt_in, generation_of
from drs_provider.aws.drs.launch_progress import Expectations
from drs_provider.aws.ec2.launch_errors import capacity_pause, lacks_capacity
from drs_provider.evidence.comparison import usual_launches
from drs_provider.evidence.events import read_fact
from drs_provider.plan.steps import LAUNCH
from drs_provider.runs.rehearsing import pace, rehearsal_speed
from drs_provider.sensors.drs import DrsJobSensor
from drs_provider.steps.launch import event as launch_events
from drs_provider.steps.wait_for_launch.event import ServerResult, WaitEvent
from drs_provider.tasks.advice import after_failure
from drs_provider.tasks.failure_log import TaskFailedError
from drs_provider.tasks.intents import IntentJournal, read_intents
from drs_provider.tasks.recovery_work import RecoveryWork, account_quotas, jobs_since, reason_of
from drs_provider.tasks.wave_jobs import Down, WaveJobs
from drs_provider.triggers.pause import PauseTrigger
from drs_provider.triggers.waiting import deferral_timeout

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave

__all__ = ["WaitForLaunchWork"]

_USUAL_KEY = "usual_launches"
"""XCom key of the wait for how long the launch of each server usually takes, in seconds."""
_SHOWN_KEY = "job_log_lines"
"""XCom key of the wait for how many lines of each job's log stand in its own log already."""
_REPORTS_PATIENCE = 5.0
"""Seconds."""


class WaitForLaunchWork(RecoveryWork, DrsJobSensor):
    """Waits until every job of the wave has ended, judges its servers, and launches failed ones again.

    What it does next is read from AWS each time, from the tags of the jobs, so a try that dies is taken up by the next.
    Where the account has no free slot for the job of a second chance, it waits in the triggerer.

    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()
    wave: Wave
    host_names: Mapping[str, str | None] = {}
    """By source server id, for whoever watches the wait."""

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            job_ids=(),
            timeout=pace().deadline(wave.launch_timeout),
            deferrable=True,
            aws_conn_id=loaded.plan.target_of(wave).aws_conn_id,
            region_name=loaded.plan.target_of(wave).region,
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Look, and wait in the triggerer while jobs run."""
        self.begin(context, acts=False)
        self.note_start(context)
        launched = self._launched(context)
        self._note_usual(context, launched)
        self._follow(context, launched)
        if not launched["servers"] and not self.job_ids:
            self.log.warning("Nothing was launched: the wave has no server in this run")
            return {"servers": {}, "launched": 0, "failed": []}
        if self.began_before(context):
            # An earlier try, or this one, may have launched failed servers again.
            self._watch(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched)

    def go_on(self, context: Context) -> Any:
        """Look again, where the triggerer was away when the time was up: what there is in AWS is judged."""
        launched = self._launched(context)
        self._follow(context, launched)
        # This try may have launched failed servers again, before it went to the triggerer.
        self._watch(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched)

    def after_gates(self, context: Context, event: Any = None) -> Any:
        """Look again, once there was time for a gate to end."""
        return self.go_on(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Judge what the triggerer saw; a success never comes here. Where it could not look, wait here."""
        launched = self._launched(context)
        self._follow(context, launched)
        if "servers" not in (event or {}):
            self.log.warning("%s; looking from here", (event or {}).get("message", "the triggerer told nothing"))
            self.deferrable = False
            return self.go_on(context)
        try:
            return super().execute_complete(context, event)
        except LaunchFailed as failure:
            self._relaunch(context, launched, failure)
        return self._wait_or_relaunch(context, launched)

    def after_slot(self, context: Context, event: dict[str, Any] | None = None, *, since: str) -> Any:
        """Launch again when there is a slot; where the triggerer could not tell, wait for it here.

        :param since: when the wait for the slot began.
        """
        told = event or {"message": "the triggerer told nothing"}
        patience = NO_SLOT_PATIENCE
        if told.get("status") != "success":
            self.log.warning("%s; looking for a slot from here", told["message"])
            patience = LaunchPatience()
        launched = self._launched(context)
        self._follow(context, launched)
        self._watch(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched, since, patience)

    def after_pause(self, context: Context, event: Any = None) -> Any:
        """Look again, once there was time for EC2 to have capacity."""
        return self.go_on(context)

    def _wait_or_relaunch(
        self,
        context: Context,
        launched: dict[str, Any],
        since: str | None = None,
        patience: LaunchPatience = NO_SLOT_PATIENCE,
    ) -> Any:
        """Wait; while servers have failed that may be launched again, launch them and wait for those."""
        while True:
            try:
                return super().execute(context)
            except LaunchFailed as failure:
                ti = context["ti"]
                if self.keeps_asking(failure):
                    raise
                if not failure.servers and not self.patience_over and ti.try_number <= ti.max_tries:
                    # The look failed, and says nothing of the servers: Airflow's next try looks again.
                    raise
                self._relaunch(context, launched, failure, since, patience)

    def _relaunch(
        self,
        context: Context,
        launched: dict[str, Any],
        failure: LaunchFailed,
        since: str | None = None,
        patience: LaunchPatience = NO_SLOT_PATIENCE,
    ) -> None:
        """Launch servers again that failed, as soon as no job holds them, whatever their rank.

        Where the wave has enough servers without them, nothing here holds it up or fails it: their launch goes on
        beside what comes next.

        :raises AirflowFailException: when the wave needs them, and the plan's retries are used up or a job holds them.
        :raises TaskDeferred: when the wave needs them, and there is no free slot for their job or no capacity yet.
        """
        # Another wait goes on with the log where this one ended.
        context["ti"].xcom_push(key=_SHOWN_KEY, value=self.shown)
        jobs = self._wave_jobs(context)
        down = jobs.down(launched["servers"], terminated=not failure.enough)
        servers = [server for server, one in down.items() if one.attempt <= self.wave.retries]
        if not failure.again and not (servers and jobs.all_complete):
            self._give_up(context, failure, jobs)
        self._watch(launched, jobs)
        if not servers:
            # Another try was faster; or they are not this wave's any more.
            self.retryable = []
            return
        if not failure.enough:
            servers = self._with_capacity(servers, down, failure)
        self.before_acting(context)
        named = ", ".join(f"{server} (attempt {down[server].attempt + 1})" for server in servers)
        self.log.warning("%s\nLaunching again, of %d attempts: %s", failure, self.wave.retries + 1, named)
        started: list[LaunchedJob] = []
        try:
            for attempt in sorted({down[server].attempt + 1 for server in servers}):
                started += self._start(
                    context,
                    launched,
                    jobs.key.with_attempt(attempt),
                    [server for server in servers if down[server].attempt + 1 == attempt],
                    NO_SLOT_PATIENCE if failure.enough else patience,
                )
        except LaunchError as error:
            if self.keeps_asking(error):
                raise
            if not failure.enough and isinstance(error, NoFreeSlot) and patience is NO_SLOT_PATIENCE:
                self.log.info("%s", error)
                since = since or datetime.now(timezone.utc).isoformat()
                self.wait_for_slot(
                    error.servers,
                    error.quotas,
                    is_drill=launched["mode"] == "drill",
                    since=datetime.fromisoformat(since),
                    method_name="after_slot",
                    kwargs={"since": since},
                )
            if not failure.again:
                refused = LaunchFailed(f"{failure}\nLaunching again failed: {error}", failure.servers)
                self._give_up(context, refused, jobs)
            # Those that the wave needs may still be on their way; when they are not, this is tried once more.
            self.log.warning("Not launched again: %s", error)
            self._watch(launched, jobs, started)
            self.retryable = []
            return
        # By their ids: a job that has just been started need not be listed yet.
        self._watch(launched, jobs, started)

    def _start(
        self, context: Context, launched: dict[str, Any], key: LaunchKey, servers: list[str], patience: LaunchPatience
    ) -> list[LaunchedJob]:
        run = self.run(context)
        return launch_once(
            self.hook,
            key,
            [{"id": server, "snapshot": launched["servers"][server]["snapshot"]} for server in servers],
            is_drill=launched["mode"] == "drill",
            since=jobs_since(context),
            # What failed in the same attempt before the launch task was cleared is launched again.
            relaunch="all",
            quotas=account_quotas(self, context, self.hook),
            patience=patience,
            replace=run.replace_instances,
            journal=IntentJournal(context, self.wave.name, run.mode, lambda: self.before_acting(context), self.target),
            log=self.log,
        )

    def _with_capacity(self, servers: list[str], down: Mapping[str, Down], failure: LaunchFailed) -> list[str]:
        """Return the servers that may be launched again now: one that EC2 had no capacity for gets a pause.

        :raises TaskDeferred: when there is none yet.
        """
        now = datetime.fromtimestamp(time.time(), timezone.utc)
        due = {
            server: (down[server].since or now) + capacity_pause(down[server].attempt)
            for server in servers
            if lacks_capacity(str(failure.servers.get(server, {}).get("reason") or ""))
        }
        ready = [server for server in servers if due.get(server, now) <= now]
        if not ready:
            until = max(min(due.values()), now + timedelta(seconds=2.5))
            self.log.warning(
                "%s\nEC2 had no capacity, or a quota was reached: launching again at %s",
                failure,
                f"{until:%H:%M:%S UTC}",
            )
            trigger = PauseTrigger(deadline=until.timestamp(), end_task=False)
            self.defer(trigger=trigger, method_name="after_pause", timeout=deferral_timeout(trigger))
        return ready

    def _give_up(self, context: Context, failure: LaunchFailed, jobs: WaveJobs) -> None:
        times = self.times(context)
        # The launch task has said itself which jobs it adopted; later attempts are this task's, of its first try all.
        began = times["started"] if context["ti"].try_number > 1 else datetime.min.replace(tzinfo=timezone.utc)
        self.leave_evidence(
            context,
            WaitEvent(
                **times,
                status="failed",
                wave=jobs.key.wave,
                servers={
                    server: read_fact(ServerResult, result) or ServerResult()
                    for server, result in failure.servers.items()
                },
                jobs=[launch_events.LaunchedJob(**job) for job in jobs.entries(began=began)],
                reason=str(failure),
            ),
        )
        remedy = after_failure(self.loaded.plan, self.run(context), jobs.key.wave)
        raise TaskFailedError(str(failure), remedy) from failure

    def _launched(self, context: Context) -> dict[str, Any]:
        """Return what the launch task said."""
        launched = context["ti"].xcom_pull(task_ids=f"{self.wave.name}.{LAUNCH}")
        if not launched:
            raise AirflowFailException(f"The task {self.wave.name}.launch left no jobs to wait for; clear it")
        return dict(launched)

    def _note_usual(self, context: Context, launched: dict[str, Any]) -> None:
        """Look up how long these launches usually take, for the log: the launches are on their way meanwhile.

        The reports may lie in what has just been lost: nobody waits for them longer than a few seconds.
        """
        found: dict[str, float] = {}
        simulated = rehearsal_speed() is not None

        def look() -> None:
            try:
                found.update(usual_launches(self.loaded.plan.name, simulated=simulated))
            except Exception as error:
                self.log.info("How long launches usually take is not known: %s", reason_of(error))

        reading = Thread(target=copy_context().run, args=(look,), daemon=True)
        reading.start()
        reading.join(_REPORTS_PATIENCE)
        usual = {server: seconds for server, seconds in dict(found).items() if server in launched["servers"]}
        context["ti"].xcom_push(key=_USUAL_KEY, value=usual)

    def _follow(self, context: Context, launched: dict[str, Any]) -> None:
        """Set what the sensor waits for, and what its log says of it."""
        self._expect(launched)
        ti, rto = context["ti"], self.loaded.plan.objectives.rto
        began = getattr(context["dag_run"], "start_date", None)
        self.expected = Expectations(
            names={server: name for server, name in self.host_names.items() if name},
            usual=dict(ti.xcom_pull(task_ids=ti.task_id, key=_USUAL_KEY) or {}),
            # The times of a rehearsal are not AWS's, and no objective is judged.
            objective_at=(began + rto).timestamp() if rto and began and rehearsal_speed() is None else None,
        )
        self.shown = dict(ti.xcom_pull(task_ids=ti.task_id, key=_SHOWN_KEY) or {})

    def _expect(self, launched: dict[str, Any]) -> None:
        """Set the sensor's terms from what was launched."""
        servers = launched["servers"]
        self._wait_for(self._attempts(launched))
        self.host_names = {server: details.get("hostname") for server, details in servers.items()}
        self.required = [server for server, details in servers.items() if details["critical"]]
        self.optional = [server for server, details in servers.items() if not details["critical"]]
        self.min_launched = self.wave.required_launched(len(servers))

    def _wave_jobs(self, context: Context) -> WaveJobs:
        ti = context["ti"]
        identity, generation = self.identity(context), self._generation(context)
        key = LaunchKey(ti.dag_id, ti.run_id, self.wave.name, generation, of_run=identity)
        intents = read_intents(context, [self.wave.name], self.target)
        return WaveJobs.find(self.hook, key, jobs_since(context), known=self.job_ids, intents=intents)

    def _generation(self, context: Context) -> int:
        """Return the generation of the launch task, whose attempts these are; a clear of this task alone adds none."""
        launched = self._launched(context)
        return int(launched.get("generation", generation_of(context)))

    def _watch(self, launched: dict[str, Any], jobs: WaveJobs, started: Sequence[LaunchedJob] = ()) -> None:
        """Wait for the launch task's jobs, and for those of later attempts."""
        attempts = self._attempts(launched) | jobs.attempts
        attempts |= {job.job_id: attempt_in(jobs.key.generation, job.launch_key) for job in started}
        self._wait_for(attempts)

    def _wait_for(self, attempts: Mapping[str, int]) -> None:
        self.job_ids = list(attempts)
        self.retryable = [job for job, attempt in attempts.items() if attempt <= self.wave.retries]
        # Nobody waits for a second chance once enough servers are up.
        self.background = [job for job, attempt in attempts.items() if attempt > 1]

    @staticmethod
    def _attempts(launched: dict[str, Any]) -> dict[str, int]:
        generation = launched.get("generation", 0)
        return {job["job_id"]: attempt_in(generation, str(job.get("launch_key"))) for job in launched["jobs"]}
