"""The launch of a wave: look once more, then start its DRS jobs, or adopt those that an earlier try started."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator

from drs_provider.aws.drs.launch import (
    NO_SLOT_PATIENCE,
    LaunchedJob,
    LaunchError,
    LaunchPatience,
    NoFreeSlot,
    launch_once,
)
from drs_provider.aws.drs.launch_intents import UNANSWERED
from drs_provider.aws.drs.launch_key import LaunchKey, RunIdentity
from drs_provider.aws.drs.previous_instances import PreviousInstance
from drs_provider.aws.faults import transient_cause
from drs_provider.evidence.events import read_fact
from drs_provider.hooks.drs import DrsHook
from drs_provider.links.drs import DrsJobLink
from drs_provider.plan import dependents
from drs_provider.plan.steps import LAUNCH
from drs_provider.readiness import recheck_wave
from drs_provider.steps.launch import event as events
from drs_provider.tasks.advice import after_failure, what_to_do
from drs_provider.tasks.failure_log import TaskFailedError
from drs_provider.tasks.intents import IntentJournal, read_intents
from drs_provider.tasks.once_up import can_roll_back, note_up
from drs_provider.tasks.recovery_work import RecoveryWork, account_quotas, aws_clients, jobs_since, reason_of, utc_now
from drs_provider.tasks.wave_jobs import WaveJobs

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave
    from drs_provider.readiness import PreflightResult, ResolvedServer
    from drs_provider.runs.recovery_run import RecoveryRun

__all__ = ["LaunchWork"]

_LAGS_KEY = "lags"
"""XCom key for the lag, and when it was read, of servers that are launched while others wait for a slot."""


class LaunchWork(RecoveryWork, BaseOperator):
    """Resolves the wave's servers, checks their lag, and launches each exactly once.

    Where the account has no free slot for a job, it waits in the triggerer, and looks at everything again afterwards.
    Clearing the task launches again only the servers whose launch failed, or whose instances have been ended since;
    those that are up or on their way are adopted.

    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()
    wave: Wave

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self.wave = wave
        self._lags: Mapping[str, Any] = {}

    def execute(self, context: Context) -> dict[str, Any]:
        """Launch, and return ``{"region", "account", "mode", "jobs", "servers"}``.

        :raises AirflowFailException: when the servers are not ready, or DRS refuses.
        """
        return self._launch(context, utc_now(), NO_SLOT_PATIENCE, again=self.began_before(context))

    def may_continue(self, context: Mapping[str, Any]) -> bool:
        """Continue a run that failed: clearing a launch is how a person does that."""
        return True

    def after_gates(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Begin again; jobs may have been started before the wait for a gate."""
        return self._launch(context, utc_now(), NO_SLOT_PATIENCE, again=True)

    def after_slot(self, context: Context, event: dict[str, Any] | None = None, *, started: str) -> dict[str, Any]:
        """Launch when there is a slot; where the triggerer could not tell, wait for it here."""
        told = event or {"message": "the triggerer told nothing"}
        ti = context["ti"]
        self._lags = dict(ti.xcom_pull(task_ids=ti.task_id, key=_LAGS_KEY) or {})
        if told.get("status") == "success":
            return self._launch(context, started, NO_SLOT_PATIENCE, again=True)
        self.log.warning("%s; looking for a slot from here", told["message"])
        return self._launch(context, started, LaunchPatience(), again=True)

    def _launch(self, context: Context, started: str, patience: LaunchPatience, *, again: bool) -> dict[str, Any]:
        """Launch.

        :param again: whether jobs may have been started before: by an earlier try, or before the wait for a slot.
        """
        hook = DrsHook(**self.aws)
        jobs: list[LaunchedJob] = []
        servers: list[ResolvedServer] = []
        left_out: list[events.ServerLeftOut] = []
        overridden: set[str] = set()
        lags: dict[str, Any] = {}
        replaced: dict[str, PreviousInstance] = {}

        def record(status: str, reason: str | None = None) -> None:
            self.leave_evidence(
                context,
                events.LaunchEvent(
                    started=datetime.fromisoformat(started),
                    ended=datetime.now(timezone.utc),
                    status=status,
                    wave=self.wave.name,
                    region=self.target.region,
                    account=self.account(context),
                    target=self.target.name if self.loaded.plan.several_targets else None,
                    jobs=[events.LaunchedJob(**job.as_dict()) for job in jobs],
                    servers={
                        server.id: read_fact(
                            events.ServerToLaunch,
                            {
                                "hostname": server.hostname,
                                "critical": server.critical,
                                "snapshot_id": server.snapshot,
                                "snapshot_time": server.snapshot_time,
                                "lag_seconds": lags[server.id][0],
                                "lag_read": lags[server.id][1],
                            },
                        )
                        or events.ServerToLaunch()
                        for server in servers
                    },
                    left_out=left_out,
                    overridden=sorted(overridden),
                    replaced=[events.ReplacedInstance(**one.as_event()) for one in replaced.values()],
                    reason=reason,
                ),
            )

        def on_job(job: LaunchedJob) -> None:
            jobs.append(job)
            if len(jobs) == 1:
                DrsJobLink.push(context, self, hook, [job.job_id])

        try:
            run = self.begin(context)
        except AirflowFailException as refusal:
            record("failed", str(refusal))
            raise
        if not run.is_drill and can_roll_back(self.loaded.plan):
            # Those that this one stands on are up, or it would not begin.
            note_up(context, [wave for wave in self.wave.depends_on if run.selects(wave)])
        key = LaunchKey.of(context, wave=self.wave.name, of_run=self.identity(context))
        earlier = WaveJobs((), key)
        try:
            if again:
                intents = read_intents(context, [self.wave.name], self.target)
                earlier = WaveJobs.find(hook, key, jobs_since(context), intents=intents)
            alive = set(earlier.alive) - earlier.ended_since(hook)
        except Exception as error:
            if transient_cause(error) and self.patience_over:
                record("failed", f"AWS does not answer {reason_of(error)}, and nothing more was launched")
            raise
        looked = time.time()
        try:
            more = "more " if earlier.jobs else ""
            ready = self._look_again(run, hook, key.identity, jobs_since(context), alive, more=more)
            servers = ready.resolved[self.wave.name]
            left_out += [
                events.ServerLeftOut(server=one.server, critical=one.critical, reason=one.reason)
                for one in ready.left_out
            ]
            for one in left_out:
                self.log.warning("Not launched: %s. %s", one.server, one.reason)
            read = utc_now()
            lags.update({server.id: (server.lag_seconds, read) for server in servers})
            lags.update({server: lag for server, lag in self._lags.items() if server in lags})
            overridden.update(finding.code for finding in ready.findings.overridden(run.overridden))
            launch_once(
                hook,
                key,
                # Servers that a second attempt brought up are up; launch_once looks at first attempts only.
                [{"id": server.id, "snapshot": server.snapshot} for server in servers if server.id not in alive],
                is_drill=run.is_drill,
                since=jobs_since(context),
                relaunch="failed",
                quotas=account_quotas(self, context, hook),
                # Also where a later job failed: what one before it had launched must have been ended for that.
                ended=earlier.servers - alive,
                listed=_with(ready.jobs, earlier.jobs),
                listed_at=looked,
                # DRS refuses a second job for a server while an earlier call's job, not listed yet, holds it.
                patience=dataclasses.replace(patience, listing=UNANSWERED) if earlier.open else patience,
                replace=run.replace_instances,
                journal=IntentJournal(
                    context, self.wave.name, run.mode, lambda: self.before_acting(context), self.target
                ),
                on_job=on_job,
                on_replaced=lambda instance: replaced.update({instance.id: instance}),
                log=self.log,
            )
        except AirflowFailException as refusal:
            record("failed", str(refusal))
            raise
        except (LaunchError, _NotReady) as error:
            if self.keeps_asking(error):
                raise
            if isinstance(error, NoFreeSlot) and patience is NO_SLOT_PATIENCE:
                self.log.info("%s", error)
                # What is launched by now is looked at again with the others, when its lag is another. A job that was
                # adopted may hold servers that are no longer of the wave.
                of_jobs = {one for job in jobs for one in job.source_servers}
                context["ti"].xcom_push(key=_LAGS_KEY, value={one: lag for one, lag in lags.items() if one in of_jobs})
                self.wait_for_slot(
                    error.servers,
                    error.quotas,
                    is_drill=run.is_drill,
                    since=datetime.fromisoformat(started),
                    method_name="after_slot",
                    kwargs={"started": started},
                )
            record("failed", str(error))
            remedy = getattr(error, "remedy", "") or after_failure(self.loaded.plan, run, self.wave.name)
            raise TaskFailedError(getattr(error, "why", str(error)), remedy) from error
        record("success")
        known = {job.job_id for job in jobs}
        return {
            "region": self.target.region,
            "account": self.account(context),
            "mode": run.mode,
            "generation": key.generation,
            "jobs": [job.as_dict() for job in jobs]
            + [entry for entry in earlier.entries() if entry["job_id"] not in known],
            "servers": {
                server.id: {"hostname": server.hostname, "critical": server.critical, "snapshot": server.snapshot}
                for server in servers
            },
        }

    def _look_again(
        self,
        run: RecoveryRun,
        hook: DrsHook,
        own: RunIdentity,
        since: datetime,
        launching: set[str],
        *,
        more: str,
    ) -> PreflightResult:
        """Resolve the wave's servers once more and look at what may have changed since preflight.

        :raises _NotReady: when something blocks that nobody overrode.
        """
        result = recheck_wave(
            self.loaded.plan,
            self.wave.name,
            aws_clients(hook),
            mode=run.mode,
            waves=run.waves,
            snapshot_time=run.snapshot_time,
            own=own,
            replace=run.replace_instances,
            jobs_since=since,
        )
        if result.unanswered is not None and self.keeps_asking(result.unanswered):
            raise result.unanswered
        if len(result.findings):
            self.log.info("Findings right before the launch:\n%s", result.findings.table())
        blocking = [one for one in result.findings.blocking(run.overridden) if one.server not in launching]
        if blocking:
            plan = self.loaded.plan
            left = {self.wave.name, *dependents(plan, self.wave.name)}
            waves = [wave.name for wave in plan.waves if wave.name in left and run.selects(wave.name)]
            raise _NotReady(
                f"The wave {self.wave.name} is not ready, and nothing {more}of it was launched.\n"
                f"{result.findings.message(run.overridden)}",
                what_to_do(plan, run, f"{self.wave.name}.{LAUNCH}", blocking, waves),
            )
        return result


def _with(listed: list[dict[str, Any]] | None, known: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]] | None:
    """Return listed jobs with those that are known and not listed yet, newest first."""
    if listed is None:
        return None
    ids = {job["jobID"] for job in listed}
    jobs = [*listed, *(job for job in known if job["jobID"] not in ids)]
    return sorted(jobs, key=lambda job: str(job.get("creationDateTime", "")), reverse=True)


class _NotReady(Exception):
    """A finding blocks the wave."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}\n{remedy}")
        self.why = why
        self.remedy = remedy
