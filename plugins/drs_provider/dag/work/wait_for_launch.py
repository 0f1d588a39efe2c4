"""The wait for a wave's DRS jobs, and the second chance of the servers that failed."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from drs_provider.aws.drs.job_wait import LaunchFailed
from drs_provider.aws.drs.launch import NO_SLOT_PATIENCE, LaunchError, LaunchPatience, NoFreeSlot, launch_once
from drs_provider.aws.drs.launch_key import LaunchKey, generation_of
from drs_provider.dag.work.base import RecoveryWork, account_quotas, jobs_since
from drs_provider.dag.work.intents import IntentJournal, read_intents
from drs_provider.dag.work.wave_jobs import WaveJobs
from drs_provider.evidence.events import wait_event
from drs_provider.sensors.drs import DrsJobSensor

if TYPE_CHECKING:
    from airflow.sdk import Context

    from drs_provider.plan import LoadedPlan, Wave

__all__ = ["WaitForLaunchWork"]


class WaitForLaunchWork(RecoveryWork, DrsJobSensor):
    """Waits until every job of the wave has ended, judges its servers, and launches failed ones again.

    What it does next is read from AWS each time, from the tags of the jobs, so a try that dies is taken up by the next.
    Where the account has no free slot for the job of a second chance, it waits in the triggerer.

    :param loaded: the plan.
    :param wave: the wave.
    """

    template_fields = ()
    wave: Wave

    def __init__(self, *, loaded: LoadedPlan, wave: Wave, **kwargs: Any) -> None:
        super().__init__(
            job_ids=(),
            timeout=wave.launch_timeout,
            deferrable=True,
            aws_conn_id=loaded.plan.target.aws_conn_id,
            region_name=loaded.plan.target.region,
            **kwargs,
        )
        self.loaded = loaded
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Look, and wait in the triggerer while jobs run."""
        self.begin(context, acts=False)
        self.note_start(context)
        launched = self._launched(context)
        self._expect(launched)
        if not launched["servers"] and not self.job_ids:
            self.log.warning("Nothing was launched: the wave has no server in this run")
            return {"servers": {}, "launched": 0, "failed": []}
        if self.began_before(context):
            # An earlier try, or this one, may have launched failed servers again.
            self.job_ids = self._with_relaunched(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched)

    def go_on(self, context: Context) -> Any:
        """Look again, where the triggerer was away when the time was up: what there is in AWS is judged."""
        launched = self._launched(context)
        self._expect(launched)
        # This try may have launched failed servers again, before it went to the triggerer.
        self.job_ids = self._with_relaunched(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched)

    def after_gates(self, context: Context, event: Any = None) -> Any:
        """Look again, once there was time for a gate to end."""
        return self.go_on(context)

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Judge what the triggerer saw; a success never comes here. Where it could not look, wait here."""
        launched = self._launched(context)
        self._expect(launched)
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
        self._expect(launched)
        self.job_ids = self._with_relaunched(launched, self._wave_jobs(context))
        return self._wait_or_relaunch(context, launched, since, patience)

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
        """Launch the servers that failed again.

        :raises AirflowFailException: when the plan's retries are used up, or a job still holds them.
        :raises TaskDeferred: when there is no free slot for their job.
        """
        jobs = self._wave_jobs(context)
        generation = jobs.key.generation
        attempt = jobs.attempts(generation) + 1
        servers = sorted(set(launched["servers"]) - set(jobs.alive))
        if attempt > self.wave.retries + 1 or not jobs.all_complete or not servers:
            self._give_up(context, failure, jobs)
        self.before_acting(context)
        self.log.warning(
            "%s\nLaunching again, attempt %d of %d: %s", failure, attempt, self.wave.retries + 1, ", ".join(servers)
        )
        run = self.run(context)
        try:
            started = launch_once(
                self.hook,
                jobs.key.with_attempt(attempt),
                [{"id": server, "snapshot": launched["servers"][server]["snapshot"]} for server in servers],
                is_drill=launched["mode"] == "drill",
                since=jobs_since(context),
                # What failed in the same attempt before the launch task was cleared is launched again.
                relaunch="all",
                quotas=account_quotas(context, self.hook),
                patience=patience,
                replace=run.replace_instances,
                journal=IntentJournal(context, self.wave.name, run.mode, lambda: self.before_acting(context)),
                log=self.log,
            )
        except LaunchError as error:
            if self.keeps_asking(error):
                raise
            if isinstance(error, NoFreeSlot) and patience is NO_SLOT_PATIENCE:
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
            self._give_up(context, LaunchFailed(f"{failure}\nLaunching again failed: {error}", failure.servers), jobs)
        # By their ids: a job that has just been started need not be listed yet.
        known = self._with_relaunched(launched, jobs)
        self.job_ids = list(dict.fromkeys([*known, *(job.job_id for job in started)]))

    def _give_up(self, context: Context, failure: LaunchFailed, jobs: WaveJobs) -> None:
        self.leave_evidence(
            context,
            wait_event(
                **self.times(context),
                status="failed",
                wave=jobs.key.wave,
                servers=failure.servers,
                jobs=jobs.entries(),  # type: ignore[arg-type]
                reason=str(failure),
            ),
        )
        raise AirflowFailException(
            f"{failure}\nWhen the cause is mended, clear the task {jobs.key.wave}.launch with its downstream tasks: "
            "servers that run are kept, the others are launched again."
        ) from failure

    def _launched(self, context: Context) -> dict[str, Any]:
        """Return what the launch task said."""
        launched = context["ti"].xcom_pull(task_ids=f"{self.wave.name}.launch")
        if not launched:
            raise AirflowFailException(f"The task {self.wave.name}.launch left no jobs to wait for; clear it")
        return dict(launched)

    def _expect(self, launched: dict[str, Any]) -> None:
        """Set the sensor's terms from what was launched."""
        servers = launched["servers"]
        self.job_ids = [job["job_id"] for job in launched["jobs"]]
        self.required = [server for server, details in servers.items() if details["critical"]]
        self.optional = [server for server, details in servers.items() if not details["critical"]]
        self.min_launched = self.wave.required_launched(len(servers))

    def _wave_jobs(self, context: Context) -> WaveJobs:
        ti = context["ti"]
        identity, generation = self.identity(context), self._generation(context)
        key = LaunchKey(ti.dag_id, ti.run_id, self.wave.name, generation, of_run=identity)
        intents = read_intents(context, [self.wave.name])
        return WaveJobs.find(self.hook, key, jobs_since(context), known=self.job_ids, intents=intents)

    def _generation(self, context: Context) -> int:
        """Return the generation of the launch task, whose attempts these are; a clear of this task alone adds none."""
        launched = self._launched(context)
        return int(launched.get("generation", generation_of(context)))

    @staticmethod
    def _with_relaunched(launched: dict[str, Any], jobs: WaveJobs) -> list[str]:
        """Return the jobs to wait for: the launch task's, and those of later attempts."""
        return list(
            dict.fromkeys([*(job["job_id"] for job in launched["jobs"]), *(str(job["jobID"]) for job in jobs.jobs)])
        )
